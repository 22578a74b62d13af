//! The state for methods that live long.

use std::fmt;
use std::sync::Arc;

use super::MethodArguments;
use super::cell::{Slot, State};
use super::turn::{Access, Exclusive, Shared};
use crate::callers::{CallId, Callers};
use crate::error::{Raised, Result};
use crate::rpc::answer::{Outcome, Settled};
use crate::rpc::request::Request;
use crate::scope;

/// The actor's own state, for a method that lives long: it has the state only between [`read`](Self::read) or
/// [`write`](Self::write) and the end of what these return.
///
/// A method of `#[pleach::actor]` has it as its first parameter, `me: Me<Self>`, instead of `&self`. Contexts and
/// streams with a sender need it, because others would have to wait for the state until they end. Cloning is cheap;
/// dropping it does nothing.
///
/// # Examples
/// ```
/// use pleach::Me;
/// use pleach::prelude::*;
///
/// struct Total(i64);
///
/// #[pleach::actor]
/// impl Total {
///     pub async fn new() -> Result<Self> {
///         Ok(Self(0))
///     }
///
///     pub async fn add(&mut self, n: i64) -> Result<i64> {
///         self.0 += n;
///         Ok(self.0)
///     }
///
///     /// Adds what comes, and answers each with the total.
///     pub async fn dialog(me: Me<Self>, ctx: &mut Context<i64, i64, i64>) -> Result<()> {
///         let total = me.read().await?.0;
///         ctx.started(total).await?;
///         let mut stream = ctx.open_stream().await?;
///         while let Some(n) = stream.recv().await? {
///             let total = me.write().await?.add(n).await?;
///             stream.send(total).await?;
///         }
///         Ok(())
///     }
/// }
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// # pleach::open_nursery(async |n| {
/// let total = n.start(Total::new()).await?;
/// total
///     .dialog()
///     .open(async |ctx, first| {
///         let mut stream = ctx.open_stream().await?;
///         stream.send(2).await?;
///         assert_eq!((first, stream.recv().await?), (0, Some(2)));
///         assert_eq!(total.add(1).await?, 3, "meanwhile, others have it");
///         stream.close().await?;
///         ctx.result().await
///     })
///     .await?;
/// pleach::Handle::stop(&total).await
/// # })
/// # .await
/// # }
/// ```
pub struct Me<S> {
    slot: Result<Arc<Slot<S>>>,
    call: CallId,
    method: &'static str,
    /// The calls that wait for the method.
    callers: Callers,
}

impl<S: State> Me<S> {
    pub(super) fn of<D>(request: &Request<'_, D>, method: &'static str) -> Self {
        Self { slot: request.state.slot(), call: CallId::next(), method, callers: Callers::default() }
    }

    /// Waits for the state, to look at it; others may do so at the same time.
    ///
    /// Keep it shortly: a method that changes the state waits until it is dropped.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) when the state is gone, because the actor ends or has failed;
    /// [`Error::Usage`](crate::Error::Usage) when a method that has the state waits for this one; [`Error::Cancelled`](crate::Error::Cancelled) when the scope around is cancelled.
    ///
    /// # Cancel safety
    /// If dropped, the place in the queue is given up.
    pub async fn read(&self) -> Result<Shared<S>> {
        self.granted().await
    }

    /// Waits for the state, to change it; no other method has it meanwhile.
    ///
    /// Keep it shortly: all other methods wait until it is dropped. A panic while it is kept fails the actor.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    /// As [`read`](Self::read).
    pub async fn write(&self) -> Result<Exclusive<S>> {
        self.granted().await
    }

    async fn granted<G: Access<State = S>>(&self) -> Result<G> {
        let slot = self.slot.clone()?;
        slot.not_held_by(&self.callers, self.method)?;
        let guard = scope::wait(G::queue(&slot).taken(&slot, self.method)).await?;
        G::granted(guard, slot, self.call, self.method)
    }

    /// Runs a method that has it.
    pub(super) async fn run<A, R, F>(mut self, mut args: A, run: impl FnOnce(Self, A) -> F) -> Settled<R::Value>
    where
        A: MethodArguments,
        R: Outcome,
        F: Future<Output = R>,
    {
        if let Err(error) = &self.slot {
            return Settled(Err(Raised::new(error.clone())));
        }
        self.callers = std::mem::take(args.callers());
        let callers = self.callers.clone().joined_by(self.call);
        Settled(callers.around(run(self, args)).await.into_outcome())
    }
}

impl<S> Clone for Me<S> {
    fn clone(&self) -> Self {
        let Self { slot, call, method, callers } = self;
        Self { slot: slot.clone(), call: *call, method, callers: callers.clone() }
    }
}

impl<S> fmt::Debug for Me<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Me(in `{}`)", self.method)
    }
}
