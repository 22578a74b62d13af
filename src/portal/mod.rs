//! A peer actor as its caller sees it: the operations. Its identity is in [`peer`], its end in [`ending`], its calls
//! with their options in [`call`], the calls of its state in [`method`].

mod call;
mod ending;
mod method;
mod peer;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use pleach_wire::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub use self::call::PortalCall;
pub(crate) use self::peer::ChildHandle;
use self::peer::Peer;
use crate::actor::ActorId;
#[cfg(feature = "testing")]
use crate::channel::Channel;
use crate::channel::Liveness;
use crate::decode::Decoder;
use crate::error::{Cancelled, Error, Result, ScopeError};
use crate::rpc::call::{Call, run_path};
use crate::rpc::context::{ContextCall, OpenContext};
use crate::rpc::stream_call::StreamCall;
use crate::runtime::connections::Connection;
use crate::scope::{self, Erased};
use crate::stream::StreamReceiver;

/// A handle on another actor: run functions there, or end it.
///
/// `Portal` is a daemon's, from [`Nursery::start_actor`](crate::Nursery::start_actor); `Portal<T>` is
/// that of an actor that runs one function, from [`Nursery::run_in_actor`](crate::Nursery::run_in_actor).
/// Cloning is cheap. Dropping it does nothing: the nursery owns the actor. The portals of other actors come
/// from [`get_root`](crate::get_root) and [`Actor::parent`](crate::Actor::parent); see there, and
/// [`close`](Portal::close), for what dropping those does.
pub struct Portal<T = Daemon> {
    peer: Peer,
    result: Option<(watch::Receiver<FinalResult>, Decoder<T>)>,
    kind: PhantomData<fn() -> T>,
}

/// Marks the portal of an actor without a function of its own: it lives until it is cancelled.
#[derive(Clone, Copy, Debug)]
pub struct Daemon(());

/// The result of an actor's one function; `None` while it runs.
pub(crate) type FinalResult = Option<Result<Payload>>;

impl<T> Portal<T> {
    pub(crate) fn one_shot(
        member: Arc<ChildHandle>,
        result: watch::Receiver<FinalResult>,
        decoder: Decoder<T>,
    ) -> Self {
        Self { peer: Peer::Child(member), result: Some((result, decoder)), kind: PhantomData }
    }

    /// A portal to the same actor that knows nothing of its function.
    pub(crate) fn without_result(&self) -> Portal {
        Portal { peer: self.peer.clone(), result: None, kind: PhantomData }
    }

    /// Returns the actor at the other end.
    pub fn id(&self) -> &ActorId {
        self.peer.id()
    }

    /// Returns the connection to it.
    #[cfg(feature = "testing")]
    pub(crate) fn channel(&self) -> &Channel {
        self.peer.channel()
    }

    /// Returns whether the actor is alive, as far as can be known from here.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::Liveness;
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let portal = n.start_actor("worker").heartbeats().await?;
    ///     match portal.liveness() {
    ///         Liveness::Alive { rtt } => println!("answers within {rtt:?}"),
    ///         Liveness::Suspect { silent, phi } => println!("silent for {silent:?}, phi {phi:.1}"),
    ///         _ => println!("gone"),
    ///     }
    ///     portal.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn liveness(&self) -> Liveness {
        self.peer.channel().liveness()
    }

    /// Runs a function in the actor and returns its value.
    ///
    /// The call is a future, which is sent when it is first polled. It takes options before that:
    /// [`timeout`](PortalCall::timeout) and [`retry`](PortalCall::retry).
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use std::time::Duration;
    ///
    /// #[pleach::rpc]
    /// async fn add(a: i64, b: i64) -> Result<i64> {
    ///     Ok(a + b)
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let portal = n.start_actor("adder").enable(module_path!()).await?;
    ///     assert_eq!(portal.run(add(1, 2)).await?, 3);
    ///     assert_eq!(portal.run(add(1, 2)).timeout(Duration::from_secs(5)).await?, 3);
    ///     portal.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Remote`] with the function's own error, or [`Error::Group`] of several;
    /// [`Error::ContextCancelled`] when it was cancelled, but not by the scope around this; [`Error::Refused`]
    /// when the peer does not run it, or declares it differently;
    /// [`Error::ActorDied`] or [`Error::Disconnected`] when the peer goes away; [`Error::Transport`] when
    /// the arguments or the value can't be sent; [`Error::Cancelled`] when the scope around this is
    /// cancelled: the remote task has been cancelled then too, or has been asked to.
    ///
    /// [`Error::Timeout`] when [`timeout`](PortalCall::timeout) was set, and has passed.
    ///
    /// # Cancel safety
    /// If dropped before it is polled, nothing was sent; after that, the peer is asked to cancel the task, without waiting
    /// for it.
    pub fn run<R>(&self, call: Call<R>) -> PortalCall<'_, R, impl Future<Output = Result<R>> + use<'_, T, R>> {
        PortalCall::new(&self.peer, call, call::send)
    }

    /// Runs a function, as [`run`](Self::run); the call can be sent again afterwards.
    pub(crate) async fn run_again<R>(&self, call: &Mutex<Call<R>>) -> Result<R> {
        call::send_again(&self.peer, call).await
    }

    /// Runs a function that is known by its path only, e.g. of another program.
    ///
    /// `args` are the function's arguments: a structure with their names, or a tuple in their order, which is `()` if
    /// there are none. The
    /// peer can't check beforehand that both programs declare the function alike, as it does for
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// As [`run`](Self::run); [`Error::Transport`] when the value is not an `R`.
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_from_ns<R>(&self, path: &str, args: &(impl Serialize + Sync)) -> Result<R>
    where
        R: DeserializeOwned + Send + 'static,
    {
        if !self.peer.ready().await? && !self.peer.channel().is_small(args) {
            self.peer.ready_for_large().await?;
        }
        run_path(path, args, self.peer.channel(), &self.peer).await
    }

    /// Opens a context there and runs `body` in it, with this side of the context and its first value.
    ///
    /// Leaving the block waits for the remote task: for its result when `body` has returned, for the
    /// acknowledgement of its cancellation when `body` failed or was cancelled.
    ///
    /// # Errors
    /// The remote function's own error, which also cancels `body`; the error of `body`; as [`run`](Self::run) for the
    /// rest. The peer's failure overrides the body's own.
    ///
    /// [`Error::ContextCancelled`] when the function was cancelled: by its actor, by itself, or by the canceller of
    /// that actor, also from here with [`cancel_actor`](Self::cancel_actor). Only a block that has called
    /// [`OpenContext::cancel`] ends without it.
    ///
    /// # Cancel safety
    /// If dropped, the peer is asked to cancel the task, without waiting for it.
    #[expect(unsafe_code, reason = "see `Erased`")]
    pub fn open_context<'a, S, R, U, O, X, E, F, Fut>(
        &'a self,
        call: ContextCall<S, R, U, O>,
        body: F,
    ) -> impl Future<Output = Result<X, E>> + use<'a, T, S, R, U, O, X, E, F, Fut>
    where
        S: 'a,
        R: 'a,
        U: 'a,
        O: 'a,
        X: 'a,
        E: ScopeError,
        F: FnOnce(OpenContext<S, R, U, O>, S) -> Fut + 'a,
        Fut: Future<Output = Result<X, E>> + 'a,
    {
        // SAFETY: that is what `context_is_send` checks.
        unsafe { Erased::<Result<X, E>, F, Fut, S>::new(context(&self.peer, call, body)) }
    }

    /// Starts a remote stream function and runs `body` with its messages.
    ///
    /// Leaving the block cancels the function, wherever it is, and waits for the acknowledgement, which
    /// comes when the function has cleaned up.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// #[pleach::stream]
    /// async fn count(out: &mut StreamSender<u64>, from: u64) -> Result<()> {
    ///     for number in from.. {
    ///         out.send(number).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let portal = n.start_actor("counter").enable(module_path!()).await?;
    ///     portal
    ///         .open_stream_from(count(7), async |mut numbers| {
    ///             assert_eq!(numbers.recv().await?, Some(7));
    ///             assert_eq!(numbers.recv().await?, Some(8));
    ///             Ok::<_, Error>(())
    ///         })
    ///         .await?;
    ///     portal.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The function's own error, if it failed before the block was left; the error of `body`;
    /// [`Error::ActorTooSlow`] when the acknowledgement did not come within `cancel_ack`; as
    /// [`run`](Self::run) for the rest.
    ///
    /// # Cancel safety
    /// If dropped, the peer is asked to cancel the task, without waiting for it.
    #[expect(unsafe_code, reason = "see `Erased`")]
    pub fn open_stream_from<'a, U, X, E, F, Fut>(
        &'a self,
        call: StreamCall<U>,
        body: F,
    ) -> impl Future<Output = Result<X, E>> + use<'a, T, U, X, E, F, Fut>
    where
        U: 'a,
        X: 'a,
        E: ScopeError,
        F: FnOnce(StreamReceiver<U>) -> Fut + 'a,
        Fut: Future<Output = Result<X, E>> + 'a,
    {
        // SAFETY: that is what `stream_is_send` checks.
        unsafe { Erased::<Result<X, E>, F, Fut>::new(stream(&self.peer, call, body)) }
    }

    /// Returns the value of the actor's one function; any number of times.
    ///
    /// # Errors
    /// As [`run`](Self::run). A failed function also fails the nursery.
    ///
    /// # Cancel safety
    /// Nothing is lost; ask again.
    pub async fn result(&self) -> Result<T>
    where
        T: OneShot,
    {
        let Some((result, decoder)) = &self.result else {
            return Err(Error::Usage(format!("{} runs no function of its own", self.id())));
        };
        let mut result = result.clone();
        let payload = match scope::wait(result.wait_for(Option::is_some)).await?.as_deref() {
            Ok(Some(Ok(payload))) => payload.clone(),
            Ok(Some(Err(error))) => return Err(error.clone()),
            Ok(None) | Err(_) => return Err(Error::Cancelled(Cancelled::Nursery)),
        };
        decoder.read(payload, self.peer.channel()).await
    }
}

impl Portal {
    pub(crate) fn daemon(member: Arc<ChildHandle>) -> Self {
        Self { peer: Peer::Child(member), result: None, kind: PhantomData }
    }

    /// A portal to an actor that is not a child of this one.
    pub(crate) fn connected(connection: Arc<Connection>) -> Self {
        Self { peer: Peer::Other(connection), result: None, kind: PhantomData }
    }

    /// Has the actor's nursery bring it to its end. Returns at once.
    pub(crate) fn request_end(&self) {
        self.peer.mark_end_requested();
    }
}

/// The values of one-shot actors: everything but [`Daemon`].
pub trait OneShot {}

impl<T: DeserializeOwned> OneShot for T {}

impl<T> Clone for Portal<T> {
    fn clone(&self) -> Self {
        Self { peer: self.peer.clone(), result: self.result.clone(), kind: PhantomData }
    }
}

impl<T> fmt::Debug for Portal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Portal({})", self.id())
    }
}

async fn context<S, R, U, O, X, E, F, Fut>(peer: &Peer, call: ContextCall<S, R, U, O>, body: F) -> Result<X, E>
where
    E: ScopeError,
    F: FnOnce(OpenContext<S, R, U, O>, S) -> Fut,
    Fut: Future<Output = Result<X, E>>,
{
    if !peer.ready().await? && !peer.channel().is_small(call.args()) {
        peer.ready_for_large().await?;
    }
    call.open(peer.channel(), peer, body).await
}

#[expect(dead_code, reason = "the compiler has it")]
fn context_is_send<S, R, U, O, X, E, F, Fut>(peer: &Peer, call: ContextCall<S, R, U, O>, body: F) -> impl Send
where
    S: Send,
    X: Send,
    E: ScopeError,
    F: FnOnce(OpenContext<S, R, U, O>, S) -> Fut + Send,
    Fut: Future<Output = Result<X, E>> + Send,
{
    context(peer, call, body)
}

async fn stream<U, X, E, F, Fut>(peer: &Peer, call: StreamCall<U>, body: F) -> Result<X, E>
where
    E: ScopeError,
    F: FnOnce(StreamReceiver<U>) -> Fut,
    Fut: Future<Output = Result<X, E>>,
{
    if !peer.ready().await? && !peer.channel().is_small(call.args()) {
        peer.ready_for_large().await?;
    }
    call.open(peer.channel(), peer, body).await
}

#[expect(dead_code, reason = "the compiler has it")]
fn stream_is_send<U, X, E, F, Fut>(peer: &Peer, call: StreamCall<U>, body: F) -> impl Send
where
    X: Send,
    E: ScopeError,
    F: FnOnce(StreamReceiver<U>) -> Fut + Send,
    Fut: Future<Output = Result<X, E>> + Send,
{
    stream(peer, call, body)
}
