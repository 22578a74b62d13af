//! Methods: functions that work on the state of their actor.
//!
//! | file | station |
//! |---|---|
//! | [`cell`] | the state of an actor: not made yet, made, gone; who makes it and who ends it |
//! | [`turn`] | the queue before the state: a call's place in it, and the access that it gives |
//! | [`me`] | the state for methods that live long, and hold it only now and then |
//! | this one | a peer's request for a method: its place is taken, then its task runs the method |
//!
//! # What must stay true
//! 1. The calls of one peer get at the state in the order in which they arrived: their places are taken in the message
//!    loop. A call that first has to wait for something else takes its place later, and so do those behind it.
//! 2. A call that waits for its arguments or for room for its answer does not stand in the queue of the state: a peer
//!    can't hold up the others by that.
//! 3. Only methods work on the state, and none before it is made.
//! 4. A call that is cancelled before its turn comes does not get at the state.

pub(crate) mod cell;
pub(crate) mod me;
#[cfg(test)]
mod tests;
pub(crate) mod turn;

use std::mem;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use self::cell::{Slot, State};
use self::me::Me;
use self::turn::{Access, Shared, Turn};
use super::answer::{Outcome, Settled};
use super::context::{Context, invoke_context};
use super::request::{DialogRequest, Invoked, Request};
use super::stream_call::{invoke_stream, send_all};
use crate::callers::{CallId, Callers};
use crate::channel::Channel;
use crate::decode;
use crate::error::{Raised, Result};
use crate::fidelity::Reads;
use crate::scope;
use crate::stream::StreamSender;

/// The arguments of a method, with the calls that wait for it; `#[pleach::actor]` implements it.
pub trait MethodArguments: DeserializeOwned + Send + 'static {
    /// Returns the calls that wait for it.
    fn callers(&mut self) -> &mut Callers;
}

/// Makes the state of this actor; `#[pleach::actor]` calls this.
pub fn invoke_new<S, A, R, F>(request: Request<'_>, run: impl FnOnce(A) -> F + Send + 'static) -> Invoked
where
    S: State,
    A: MethodArguments,
    F: Future<Output = R> + Send + 'static,
    R: Outcome<Value = S> + 'static,
{
    let maker = request.state.maker::<S>(request.answer.channel().peer());
    request.start(
        |(), mut args: A| async move {
            let callers = mem::take(args.callers());
            Settled(match maker {
                Ok(maker) => {
                    let made = callers.joined_by(maker.call()).around(run(args));
                    maker.make(async { made.await.into_outcome() }).await
                }
                Err(error) => Err(Raised::new(error)),
            })
        },
        |()| (),
    )
}

/// Waits until the state is made, and returns nothing; `#[pleach::actor]` calls this for those who look for an actor of
/// the type.
pub fn invoke_is<S: State>(request: Request<'_>) -> Invoked {
    let entry = Entry::<Shared<S>>::of(&request, "is");
    request.start(
        |(), mut args: OnlyCallers| async move {
            let callers = mem::take(args.callers());
            Settled(entry.entered(&callers).await.map(drop).map_err(Raised::new))
        },
        |()| (),
    )
}

/// The arguments of a call that has none but the calls that wait for it.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct OnlyCallers {
    #[serde(default, rename = "__callers", skip_serializing_if = "Callers::is_none")]
    callers: Callers,
}

impl MethodArguments for OnlyCallers {
    fn callers(&mut self) -> &mut Callers {
        &mut self.callers
    }
}

/// Runs a method with the access `G` to the state; `#[pleach::actor]` calls this.
pub fn invoke_method<G, A, R, F, V>(
    request: Request<'_>,
    method: &'static str,
    run: impl FnOnce(G, A) -> F + Send + 'static,
    wrap: fn(R::Value) -> V,
) -> Invoked
where
    G: Access,
    A: MethodArguments,
    F: Future<Output = R> + Send + 'static,
    R: Outcome + 'static,
    R::Value: 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    let entry = Entry::<G>::of(&request, method);
    request.start(
        move |(), mut args: A| async move {
            let callers = mem::take(args.callers());
            let own = entry.call;
            Settled(match entry.entered(&callers).await {
                Ok(state) => callers.joined_by(own).around(run(state, args)).await.into_outcome(),
                Err(error) => Err(Raised::new(error)),
            })
        },
        wrap,
    )
}

/// Runs a method that makes a stream of what it sees in the state, which lives without it; `#[pleach::actor]` calls
/// this.
pub fn invoke_method_stream<S, T, A, R, M>(
    request: DialogRequest<'_>,
    method: &'static str,
    make: impl FnOnce(Shared<S>, A) -> M + Send + 'static,
) -> Invoked
where
    S: State,
    T: Serialize + DeserializeOwned + Send + 'static,
    A: MethodArguments,
    R: Outcome<Value = T> + 'static,
    M: Stream<Item = R> + Send + 'static,
{
    let entry = Entry::<Shared<S>>::of(&request, method);
    request.start(
        move |dialog, mut args: A| async move {
            let callers = mem::take(args.callers());
            let own = entry.call;
            match entry.entered(&callers).await {
                Ok(state) => {
                    let messages = make(state, args);
                    callers
                        .joined_by(own)
                        .around(send_all(messages, StreamSender::new(dialog, Reads::declared())))
                        .await
                }
                Err(error) => Settled(Err(Raised::new(error))),
            }
        },
        |()| (),
    )
}

/// Runs a method that takes its turns at the state itself; `#[pleach::actor]` calls this.
pub fn invoke_me<S, A, R, F, V>(
    request: Request<'_>,
    method: &'static str,
    run: impl FnOnce(Me<S>, A) -> F + Send + 'static,
    wrap: fn(R::Value) -> V,
) -> Invoked
where
    S: State,
    A: MethodArguments,
    F: Future<Output = R> + Send + 'static,
    R: Outcome + 'static,
    R::Value: 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    let me = Me::of(&request, method);
    request.start(move |(), args| me.run(args, run), wrap)
}

/// As [`invoke_me`], for a method with a context.
pub fn invoke_me_context<S, I, O, U, A, R, F>(
    request: DialogRequest<'_>,
    method: &'static str,
    run: impl FnOnce(Me<S>, Context<I, O, U>, A) -> F + Send + 'static,
) -> Invoked
where
    S: State,
    I: DeserializeOwned,
    U: DeserializeOwned,
    A: MethodArguments,
    F: Future<Output = R> + Send + 'static,
    R: Outcome + 'static,
    R::Value: Serialize + DeserializeOwned + 'static,
    Context<I, O, U>: Send + 'static,
{
    let me = Me::of(&request, method);
    invoke_context(request, move |context, args| me.run(args, |me, args| run(me, context, args)))
}

/// As [`invoke_me`], for a method that sends a stream.
pub fn invoke_me_stream<S, T, A, R, F>(
    request: DialogRequest<'_>,
    method: &'static str,
    run: impl FnOnce(Me<S>, StreamSender<T>, A) -> F + Send + 'static,
) -> Invoked
where
    S: State,
    T: DeserializeOwned,
    A: MethodArguments,
    F: Future<Output = R> + Send + 'static,
    R: Outcome<Value = ()> + 'static,
    StreamSender<T>: Send + 'static,
{
    let me = Me::of(&request, method);
    invoke_stream(request, move |sender, args| me.run(args, |me, args| run(me, sender, args)))
}

/// A call on its way to the state.
struct Entry<G: Access> {
    call: CallId,
    method: &'static str,
    /// The actor may have no such state.
    way: Result<ToSlot<G>>,
}

/// The state, and how far the call is on its way to it.
type ToSlot<G> = (Arc<Slot<<G as Access>::State>>, Way<G>);

/// How far it is.
enum Way<G: Access> {
    /// It has its place before the state.
    Placed(Turn<G::Guard>),
    /// It has a place among the calls of its peer that take theirs later.
    Behind(BoxFuture<'static, OwnedMutexGuard<()>>),
}

impl<G: Access> Entry<G> {
    /// Takes its place, in the message loop: invariant 1.
    fn of<D>(request: &Request<'_, D>, method: &'static str) -> Self {
        let way = request.state.slot::<G::State>().map(|slot| {
            let way = Way::of(&slot, request.answer.channel(), decode::is_large(&request.args));
            (slot, way)
        });
        Self { call: CallId::next(), method, way }
    }

    /// Waits for its turn.
    ///
    /// # Errors
    /// The actor has no such state, or not any more; a caller of this call has it, and waits for this call; the call was
    /// cancelled before its turn came.
    async fn entered(self, callers: &Callers) -> Result<G> {
        let (slot, way) = self.way?;
        let turn = match way {
            Way::Placed(turn) => turn,
            Way::Behind(before) => {
                let before = before.await;
                let turn = G::queue(&slot);
                drop(before);
                turn
            }
        };
        slot.not_held_by(callers, self.method)?;
        let guard = turn.taken(&slot, self.method).await;
        // Another thread may have cancelled this call, and then the one before it, since the scope around looked.
        scope::checkpoint()?;
        G::granted(guard, slot, self.call, self.method)
    }
}

impl<G: Access> Way<G> {
    fn of(slot: &Arc<Slot<G::State>>, channel: &Channel, is_large: bool) -> Self {
        let order = channel.order_of_methods();
        let is_first = order.try_lock().is_ok();
        match is_first && !is_large && !channel.answers_pile_up() {
            true => Self::Placed(G::queue(slot)),
            false => Self::Behind(turn::queued(order.clone().lock_owned())),
        }
    }
}
