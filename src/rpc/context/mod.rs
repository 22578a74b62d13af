//! A context: a dialog between two tasks in two actors, of a first value, a stream and a result.
//!
//! ```text
//! caller: portal.open_context(f(args), body)         callee: f(ctx, args)
//!    waits for the first value           ◄─────────     ctx.started(value)
//!    body(ctx, value)   ◄── ctx.open_stream() ──►       ctx.open_stream()
//!    ctx.result()                        ◄─────────     returns
//! ```
//! | file | station |
//! |---|---|
//! | this one | the function's side |
//! | [`block`] | the caller's block: opening it, and leaving it |
//! | [`open`] | the handle that the block's body gets |
//!
//! The rules of one dialog are in `proto/dialog`.

mod block;
mod open;

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::block::ContextCall;
pub use self::open::OpenContext;
use super::answer::Outcome;
use super::export::Export;
use super::request::{DialogRequest, Invoked};
use crate::channel::dialog::DialogHandle;
use crate::decode::Decoder;
use crate::error::Result;
use crate::fidelity::{self, Reads};
use crate::stream::OpenStream;

/// The callee's side of a context: says `S` first, takes `R` and sends `T` over the stream.
///
/// A function of `#[pleach::context]` has it as its first parameter. When the caller cancels, the
/// function's task is cancelled; when the function ends, so does the context.
///
/// Cloning is cheap, so several tasks of the function can have it. Dropping it does nothing.
pub struct Context<S, R, T> {
    dialog: DialogHandle,
    first: Reads<S>,
    sent: Reads<T>,
    types: PhantomData<fn() -> R>,
}

impl<S, R, T> Context<S, R, T> {
    fn new(dialog: DialogHandle) -> Self
    where
        S: DeserializeOwned,
        T: DeserializeOwned,
    {
        Self { dialog, first: Reads::declared(), sent: Reads::declared(), types: PhantomData }
    }

    /// Sends the first value: the caller's block begins.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) when it was sent before;
    /// [`Error::Transport`](crate::Error::Transport) when it can't be sent.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, it has been sent.
    pub async fn started(&self, value: S) -> Result<()>
    where
        S: Serialize,
    {
        let sent = self.dialog.start(&value);
        self.first.check(&value);
        sent
    }

    /// Opens this side of the stream, once, after [`started`](Self::started).
    ///
    /// # Errors
    /// Awaiting it fails with [`Error::Usage`](crate::Error::Usage) when it is too early or was done before.
    pub fn open_stream(&self) -> OpenStream<R, T> {
        OpenStream::new(self.dialog.clone(), self.sent)
    }

    /// Cancels the function itself: returns at once, and the function is dropped at its next wait.
    ///
    /// The caller's block then fails with
    /// [`Error::ContextCancelled`](crate::Error::ContextCancelled), and this actor is the canceller. A
    /// function that returns without waiting again keeps its value.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// #[pleach::context]
    /// async fn gives_up(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ///     ctx.started(()).await?;
    ///     ctx.cancel();
    ///     std::future::pending().await
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let portal = n.start_actor("peer").enable(module_path!()).await?;
    ///     let block = portal.open_context(gives_up(), async |ctx, ()| ctx.result().await);
    ///     match block.await {
    ///         Err(Error::ContextCancelled(why)) => assert_eq!(why.canceller.as_ref(), Some(portal.id())),
    ///         other => panic!("{other:?}"),
    ///     }
    ///     portal.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn cancel(&self) {
        self.dialog.cancel_here();
    }
}

impl<S, R, T> Clone for Context<S, R, T> {
    fn clone(&self) -> Self {
        Self { dialog: self.dialog.clone(), first: self.first, sent: self.sent, types: PhantomData }
    }
}

impl<S, R, T> fmt::Debug for Context<S, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?})", self.dialog)
    }
}

/// Prepares a context; `#[pleach::context]` calls this.
pub fn context_call<S, R, T, O, A>(export: &'static Export, args: A) -> ContextCall<S, R, T, O>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    S: DeserializeOwned + Send + 'static,
    R: DeserializeOwned,
    O: DeserializeOwned + Send + 'static,
{
    fidelity::check(&args);
    ContextCall::new(export, Box::new(args), Decoder::new(), Decoder::new(), Reads::declared())
}

/// Invokes a function of `#[pleach::context]`, which calls this.
pub fn invoke_context<S, T, U, A, R, F>(
    request: DialogRequest<'_>,
    run: impl FnOnce(Context<S, T, U>, A) -> F + Send + 'static,
) -> Invoked
where
    S: DeserializeOwned,
    U: DeserializeOwned,
    A: DeserializeOwned + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Outcome + 'static,
    R::Value: Serialize + DeserializeOwned + 'static,
{
    request.start(|dialog, args| run(Context::new(dialog), args), |value| value)
}
