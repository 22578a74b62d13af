//! A call that has not been made yet: the return value of an exposed function.

use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use pleach_wire::{Blob, Encode, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::answer::Outcome;
use super::export::{Export, target_of};
use super::method::MethodArguments;
use super::request::{Invoked, Request};
use crate::callers::Callers;
use crate::channel::explain::{Explain, told};
use crate::channel::{Channel, Pending, UNCHECKED, call_terms};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::fidelity;
use crate::scope;
use crate::sync::lock;

/// A function of `#[pleach::rpc]` together with its arguments, ready to run anywhere.
///
/// Awaiting it runs it here, in the current task. [`Portal::run`](crate::Portal::run) runs it in
/// another actor, [`Nursery::run_in_actor`](crate::Nursery::run_in_actor) in a new one. Dropping it
/// does nothing.
///
/// ```
/// #[pleach::rpc]
/// async fn add(a: i64, b: i64) -> pleach::Result<i64> {
///     Ok(a + b)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let call: pleach::Call<i64> = add(1, 2);
/// assert_eq!(call.await?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a call does nothing until it is awaited or given to a portal"]
pub struct Call<T> {
    export: &'static Export,
    prepared: Box<dyn Prepared<T>>,
    decoder: Decoder<T>,
}

trait Prepared<T>: Send {
    fn args(&self) -> &dyn Encode;
    fn run(self: Box<Self>) -> BoxFuture<'static, Result<T>>;
}

struct Local<A, F> {
    args: A,
    run: F,
}

impl<A, F, Fut, R> Prepared<R::Value> for Local<A, F>
where
    A: Serialize + DeserializeOwned + Send,
    F: FnOnce(A) -> Fut + Send,
    Fut: Future<Output = R> + Send + 'static,
    R: Outcome,
{
    fn args(&self) -> &dyn Encode {
        fidelity::check(&self.args);
        &self.args
    }

    fn run(self: Box<Self>) -> BoxFuture<'static, Result<R::Value>> {
        let task = (self.run)(self.args);
        Box::pin(async move { task.await.into_outcome().map_err(|raised| Error::from_boxed(raised.into_error())) })
    }
}

impl<T> Call<T> {
    /// Returns the module of the function, as in `.enable(…)`.
    pub fn module(&self) -> &'static str {
        self.export.module()
    }

    /// Returns the name of the function.
    pub fn name(&self) -> &'static str {
        self.export.name
    }

    pub(crate) fn export(&self) -> &'static Export {
        self.export
    }

    /// Returns the arguments.
    pub(crate) fn args(&self) -> &dyn Encode {
        self.prepared.args()
    }

    /// Returns how the value that comes back is read.
    pub(crate) fn decoder(&self) -> Decoder<T> {
        self.decoder
    }

    /// Sends the request; at the deadline the peer cancels the task by itself.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn send(&self, channel: &Channel, deadline: Option<Instant>) -> Result<Pending> {
        channel.call(self.export.target(), self.args(), self.export.terms(deadline))
    }

    /// Returns what is needed to read its value.
    pub(crate) fn answer(&self) -> RemoteAnswer<T> {
        RemoteAnswer { export: self.export, decoder: self.decoder }
    }

    /// Runs it over `channel`; `peer` explains why the connection was lost.
    pub(crate) async fn run_over(self, channel: &Channel, peer: &impl Explain) -> Result<T> {
        let (decoder, export) = (self.decoder, self.export);
        let sent = self.send(channel, scope::current_deadline());
        drop(self);
        answered(sent, export, decoder, channel, peer).await
    }
}

/// A call of a method of an actor's state: it runs there only.
pub(crate) struct RemoteCall<T> {
    export: &'static Export,
    /// Shared, so that a call can be sent again.
    args: Arc<Mutex<dyn RemoteArguments>>,
    decoder: Decoder<T>,
}

impl<T> Clone for RemoteCall<T> {
    fn clone(&self) -> Self {
        Self { export: self.export, args: self.args.clone(), decoder: self.decoder }
    }
}

/// The arguments of any method.
trait RemoteArguments: Send {
    fn encode(&self) -> &dyn Encode;
    fn callers(&mut self) -> &mut Callers;
}

impl<A: MethodArguments + Serialize> RemoteArguments for A {
    fn encode(&self) -> &dyn Encode {
        self
    }

    fn callers(&mut self) -> &mut Callers {
        MethodArguments::callers(self)
    }
}

impl<T> RemoteCall<T> {
    pub(crate) fn new<A>(export: &'static Export, args: A, decoder: Decoder<T>) -> Self
    where
        A: MethodArguments + Serialize,
    {
        fidelity::check(&args);
        Self { export, args: Arc::new(Mutex::new(args)), decoder }
    }

    /// Returns the name of the method.
    pub(crate) fn name(&self) -> &'static str {
        self.export.name
    }

    /// Returns whether it is a small message on that channel.
    pub(crate) fn is_small(&self, channel: &Channel) -> bool {
        channel.is_small(lock(&self.args).encode())
    }

    /// Says that the running code waits for it.
    pub(crate) fn note_callers(&self) {
        *lock(&self.args).callers() = Callers::current();
    }

    /// Sends the request; at the deadline the peer cancels the task by itself.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn send(&self, channel: &Channel, deadline: Option<Instant>) -> Result<Pending> {
        channel.call(self.export.target(), lock(&self.args).encode(), self.export.terms(deadline))
    }

    /// Returns what is needed to read its value.
    pub(crate) fn answer(&self) -> RemoteAnswer<T> {
        RemoteAnswer { export: self.export, decoder: self.decoder }
    }
}

/// The value of a call, to come.
pub(crate) struct RemoteAnswer<T> {
    export: &'static Export,
    decoder: Decoder<T>,
}

impl<T> RemoteAnswer<T> {
    /// Waits for it; `peer` explains why the connection was lost.
    pub(crate) async fn read(self, sent: Result<Pending>, channel: &Channel, peer: &impl Explain) -> Result<T> {
        answered(sent, self.export, self.decoder, channel, peer).await
    }
}

/// The arguments of a state that can be made here or in another actor.
pub(crate) struct Constructor<S> {
    export: &'static Export,
    prepared: Box<dyn Prepared<S>>,
}

impl<S> Constructor<S> {
    pub(crate) fn new<A, F, Fut, R>(export: &'static Export, args: A, run: F) -> Self
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        F: FnOnce(A) -> Fut + Send + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Outcome<Value = S>,
    {
        Self { export, prepared: Box::new(Local { args, run }) }
    }

    pub(crate) fn args(&self) -> &dyn Encode {
        self.prepared.args()
    }

    /// Sends the request to make the state there; as often as need be.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn send(&self, channel: &Channel) -> Result<Pending> {
        channel.call(self.export.target(), self.args(), self.export.terms(scope::current_deadline()))
    }

    /// Returns what is needed to learn that the state was made there.
    pub(crate) fn answer(&self) -> RemoteAnswer<()> {
        RemoteAnswer { export: self.export, decoder: Decoder::new() }
    }

    /// Makes the state here.
    pub(crate) fn run(self) -> BoxFuture<'static, Result<S>> {
        self.prepared.run()
    }
}

/// Waits for the value of a call, and reads it.
async fn answered<T>(
    sent: Result<Pending>,
    export: &'static Export,
    decoder: Decoder<T>,
    channel: &Channel,
    peer: &impl Explain,
) -> Result<T> {
    let value = answer(sent, peer, || export.shown()).await?;
    decoder.read(value, channel).await
}

/// Runs the function of a path over `channel`, without a check of its declaration; otherwise as [`Call::run_over`].
pub(crate) async fn run_path<R: DeserializeOwned + Send + 'static>(
    path: &str,
    args: &dyn Encode,
    channel: &Channel,
    peer: &impl Explain,
) -> Result<R> {
    let terms = call_terms(UNCHECKED, scope::current_deadline());
    let sent = channel.call(target_of(path), args, terms);
    let value = answer(sent, peer, String::new).await?;
    Decoder::new().read(value, channel).await
}

/// Waits for the answer of a call, if it could be sent, of a function that this program declares like that.
async fn answer(sent: Result<Pending>, peer: &impl Explain, declared: impl FnOnce() -> String) -> Result<Payload> {
    let answer = match sent {
        Ok(pending) => pending.answer().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(payload) => Ok(payload),
        Err(error) => Err(told(error, peer, declared).await),
    }
}

impl<T> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        self.prepared.run()
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.export.path)
    }
}

/// Prepares a call; `#[pleach::rpc]` calls this.
pub fn call<A, F, Fut, R>(export: &'static Export, args: A, run: F) -> Call<R::Value>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: Outcome,
    R::Value: DeserializeOwned + 'static,
{
    Call { export, prepared: Box::new(Local { args, run }), decoder: Decoder::new() }
}

/// As [`call`], for a function that returns a byte string.
pub fn call_blob<A, F, Fut, R>(export: &'static Export, args: A, run: F) -> Call<Bytes>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: Outcome<Value = Bytes>,
{
    Call { export, prepared: Box::new(Local { args, run }), decoder: Decoder::blob() }
}

/// Invokes a function of `#[pleach::rpc]`, which calls this.
pub fn invoke<A, R, F>(request: Request<'_>, run: impl FnOnce(A) -> F + Send + 'static) -> Invoked
where
    A: DeserializeOwned + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Outcome + 'static,
    R::Value: Serialize + DeserializeOwned + 'static,
{
    request.start(|(), args| run(args), |value| value)
}

/// As [`invoke`], for a function that returns a byte string: it travels without being copied.
pub fn invoke_blob<A, R, F>(request: Request<'_>, run: impl FnOnce(A) -> F + Send + 'static) -> Invoked
where
    A: DeserializeOwned + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Outcome<Value = Bytes> + 'static,
{
    request.start(|(), args| run(args), Blob)
}
