//! A state that is not made yet, and the actor that is started with it.

use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ActorState;
use super::handle::Handle;
use super::route::Route;
use crate::error::Result;
use crate::nursery::supervise::ChildSpec;
use crate::nursery::{Make, Nursery, Start};
use crate::rpc::answer::Outcome;
use crate::rpc::call::Constructor;
use crate::rpc::export::Export;
use crate::spawn::StartOptions;

/// The state of an actor that is not made yet: what `A::new(…)` returns.
///
/// [`Nursery::start`] makes it in an actor of its own. Awaiting it makes it here, as a plain value, which is how a unit
/// test gets one. Dropping it does nothing.
#[must_use = "give it to `Nursery::start`, or await it to make it here"]
pub struct New<A> {
    constructor: Constructor<A>,
}

impl<A> New<A> {
    /// Describes one; the macro's code calls this.
    #[doc(hidden)]
    pub fn of<Args, F, Fut, R>(export: &'static Export, args: Args, run: F) -> Self
    where
        Args: Serialize + DeserializeOwned + Send + 'static,
        F: FnOnce(Args) -> Fut + Send + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Outcome<Value = A>,
    {
        Self { constructor: Constructor::new(export, args, run) }
    }
}

impl<A: 'static> IntoFuture for New<A> {
    type Output = Result<A>;
    type IntoFuture = BoxFuture<'static, Result<A>>;

    fn into_future(self) -> Self::IntoFuture {
        self.constructor.run()
    }
}

impl<A: ActorState> fmt::Debug for New<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "New<{}>", A::NAME)
    }
}

impl Nursery {
    /// Starts an actor with a state, which is made there: `n.start(Counter::new(5))`.
    ///
    /// Await the returned [`Start`], after saying more about the actor if need be. It is named after the type, in lower
    /// case, unless [`Start::name`] says otherwise. It is given out once its state is made, and lives until it is
    /// cancelled, as a daemon does.
    ///
    /// # Errors
    /// Awaiting it fails as any [`Start`], and with the error of `new`; the actor is ended then.
    ///
    /// # Examples
    /// ```
    /// use pleach::prelude::*;
    ///
    /// struct Counter(i64);
    ///
    /// #[pleach::actor]
    /// impl Counter {
    ///     pub async fn new(from: i64) -> Result<Self> {
    ///         Ok(Self(from))
    ///     }
    ///
    ///     pub async fn add(&mut self, n: i64) -> Result<i64> {
    ///         self.0 += n;
    ///         Ok(self.0)
    ///     }
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let counter = n.start(Counter::new(5)).name("counter").await?;
    ///     assert_eq!(counter.add(2).await?, 7);
    ///     pleach::Handle::stop(&counter).await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn start<A: ActorState>(&self, new: New<A>) -> Start<Handle<A>> {
        let options =
            StartOptions { name: A::NAME.to_lowercase(), state: Some(A::PATH.into()), ..StartOptions::default() };
        let constructor = Arc::new(Mutex::new(new.constructor));
        let make: Make = Arc::new(move |portal| {
            let constructor = constructor.clone();
            Box::pin(async move { portal.make(&constructor).await })
        });
        self.start_with_state(options, make, |portal| Handle::of(Route::to(portal)))
    }
}

impl ChildSpec {
    /// An actor with a state, which is made again after each restart, before any caller reaches it.
    ///
    /// It is [`permanent`](Self::permanent) by default, and known by the actor's name: see
    /// [`Supervisor::handle`](crate::Supervisor::handle). Only the description counts: nothing is started before it is
    /// supervised.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::{ChildSpec, Handle, Supervision};
    ///
    /// # struct Counter(i64);
    /// # #[pleach::actor]
    /// # impl Counter {
    /// #     pub async fn new(from: i64) -> Result<Self> { Ok(Self(from)) }
    /// #     pub async fn add(&mut self, n: i64) -> Result<i64> { self.0 += n; Ok(self.0) }
    /// # }
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let counter = ChildSpec::actor(n.start(Counter::new(5)).name("counter"));
    ///     let supervisor = n.supervise(Supervision::one_for_one().child(counter)).await?;
    ///     let counter: Handle<Counter> = supervisor.handle("counter")?;
    ///     assert_eq!(counter.add(2).await?, 7);
    ///     supervisor.shutdown().await;
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn actor<A: ActorState>(actor: Start<Handle<A>>) -> Self {
        Self::with_state(actor)
    }
}
