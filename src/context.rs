//! A context: a dialog between two tasks in two actors, of a first value, a stream and a result.
//!
//! ```text
//! caller: portal.open_context(f(args), body)         callee: f(ctx, args)
//!    waits for the first value           ◄─────────     ctx.started(value)
//!    body(ctx, value)   ◄── ctx.open_stream() ──►       ctx.open_stream()
//!    ctx.result()                        ◄─────────     returns
//! ```
//! Leaving the block always waits for the remote task: for its result if the body has returned, for
//! the acknowledgement of its cancellation if the body failed or was cancelled.

use std::fmt;
use std::marker::PhantomData;

use pleach_wire::{ByteStr, Encode, Outgoing, Payload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Decode;
use crate::channel::dialog::{DialogHandle, OpenedDialog};
use crate::channel::{Channel, Explain};
use crate::error::{Cancelled, Error, Result, ScopeError};
use crate::exports::{Export, Invoked, Outcome, Request, answered};
use crate::proto::dialog::{End, TakeFirst};
use crate::scope::{self, CancelScope, Shield, shield};
use crate::stream::OpenStream;

/// The callee's side of a context: says `S` first, takes `R` and sends `T` over the stream.
///
/// A function of `#[pleach::context]` has it as its first parameter. When the caller cancels, the
/// function's task is cancelled; when the function ends, so does the context.
pub struct Context<S, R, T> {
    dialog: DialogHandle,
    types: PhantomData<fn(S, T) -> R>,
}

impl<S, R, T> Context<S, R, T> {
    pub(crate) fn new(dialog: DialogHandle) -> Self {
        Self { dialog, types: PhantomData }
    }

    /// Sends the first value: the caller's block begins.
    ///
    /// # Errors
    /// [`Error::Usage`] when it was sent before; [`Error::Transport`] when it can't be sent.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, it has been sent.
    pub async fn started(&mut self, value: S) -> Result<()>
    where
        S: Serialize,
    {
        self.dialog.with(|state| state.start()).map_err(|misuse| Error::Usage(misuse.to_string()))?;
        self.dialog.send(&Outgoing::Started { cid: self.dialog.cid(), value: &value })
    }

    /// Opens this side of the stream, once, after [`started`](Self::started).
    ///
    /// # Errors
    /// Awaiting it fails with [`Error::Usage`] when it is too early or was done before.
    pub fn open_stream(&mut self) -> OpenStream<R, T> {
        OpenStream::new(self.dialog.clone())
    }
}

impl<S, R, T> fmt::Debug for Context<S, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({:?})", self.dialog)
    }
}

/// The caller's side of a context, inside its block: the peer says `S`, takes `R`, sends `T`, returns `O`.
///
/// Cloning is cheap. Dropping it does nothing: the block owns the context.
pub struct OpenContext<S, R, T, O> {
    dialog: DialogHandle,
    decode: Decode<O>,
    types: PhantomData<fn(R) -> (S, T)>,
}

impl<S, R, T, O> OpenContext<S, R, T, O> {
    /// Opens this side of the stream, once: takes what the peer sends, and sends what it takes.
    ///
    /// # Errors
    /// Awaiting it fails with [`Error::Usage`] when it was opened before, and with
    /// [`Error::Cancelled`] when the context was cancelled.
    pub fn open_stream(&self) -> OpenStream<T, R> {
        OpenStream::new(self.dialog.clone())
    }

    /// Waits for the function's result; any number of times.
    ///
    /// Stream messages that are here or come meanwhile are forgotten, because a function that waits to
    /// send them would never return: read the stream to its end first, if they matter.
    ///
    /// # Errors
    /// The function's own error; [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// Nothing but unread stream messages is lost; ask again.
    pub async fn result(&self) -> Result<O> {
        match self.dialog.ended().await {
            End::Value(value) => Ok((self.decode)(&value)?),
            failed => Err(self.dialog.error_of(failed)),
        }
    }

    /// Cancels the remote task and waits until it is over.
    ///
    /// The block then ends without an error of the context, if its body does.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when the peer did not acknowledge within `cancel_ack`.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub async fn cancel(&self) -> Result<()> {
        let _shield = Shield::enter();
        self.dialog.cancel().await
    }
}

impl<S, R, T, O> Clone for OpenContext<S, R, T, O> {
    fn clone(&self) -> Self {
        Self { dialog: self.dialog.clone(), decode: self.decode, types: PhantomData }
    }
}

impl<S, R, T, O> fmt::Debug for OpenContext<S, R, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenContext({:?})", self.dialog)
    }
}

/// A function of `#[pleach::context]` with its arguments, ready to be opened by
/// [`Portal::open_context`](crate::Portal::open_context). Dropping it does nothing.
#[must_use = "a context does nothing until a portal opens it"]
pub struct ContextCall<S, R, T, O> {
    export: &'static Export,
    args: Box<dyn Encode + Send>,
    first: Decode<S>,
    result: Decode<O>,
    types: PhantomData<fn(R) -> T>,
}

impl<S, R, T, O> ContextCall<S, R, T, O> {
    pub(crate) fn new(
        export: &'static Export,
        args: Box<dyn Encode + Send>,
        first: Decode<S>,
        result: Decode<O>,
    ) -> Self {
        Self { export, args, first, result, types: PhantomData }
    }

    /// Returns the module of the function, as in `.enable(…)`.
    pub fn module(&self) -> &'static str {
        self.export.module()
    }

    /// Opens the context over `channel` and runs `body` in it; `peer` explains why the connection was lost.
    pub(crate) async fn open<X, E, F, Fut>(self, channel: &Channel, peer: &impl Explain, body: F) -> Result<X, E>
    where
        E: ScopeError,
        F: FnOnce(OpenContext<S, R, T, O>, S) -> Fut,
        Fut: Future<Output = Result<X, E>>,
    {
        let _shield = Shield::enter();
        let Self { export, args, first, result, .. } = self;
        let opened = OpenedDialog::open(channel, ByteStr::from_static(export.path), &*args)?;
        drop(args);
        let dialog = opened.handle();
        let value = match first_value(dialog, export).await.and_then(|value| Ok(first(&value)?)) {
            Ok(value) => value,
            Err(error) => {
                end_remote(dialog).await; // it is over already, unless this scope was cancelled or the value is no `S`
                return Err(peer.explain(error).await.into());
            }
        };
        let context = OpenContext { dialog: dialog.clone(), decode: result, types: PhantomData };
        let scope = CancelScope::new();
        dialog.interrupt_with(scope.clone());
        // In a shield, so that the code around is told of its cancellation only when this is settled.
        let ended = shield(scope.run(body(context, value))).await;
        settle(dialog, peer, ended).await
    }
}

impl<S, R, T, O> fmt::Debug for ContextCall<S, R, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContextCall({})", self.export.path)
    }
}

async fn first_value(dialog: &DialogHandle, export: &Export) -> Result<Payload> {
    let first = tokio::select! {
        biased;
        first = dialog.first() => first,
        () = scope::cancelled() => return Err(cancelled()),
    };
    match first {
        TakeFirst::Value(value) => Ok(value),
        TakeFirst::Ended(End::Value(_)) => {
            Err(Error::Usage(format!("`{}` returned without calling `ctx.started()`", export.path)))
        }
        TakeFirst::Ended(failed) => Err(dialog.error_of(failed)),
        TakeFirst::Wait => Err(Error::Usage("the context is over".into())),
    }
}

/// Leaves the block: the peer's failure goes before the body's, and that before the result.
async fn settle<X, E: ScopeError>(
    dialog: &DialogHandle,
    peer: &impl Explain,
    ended: Result<Result<X, E>>,
) -> Result<X, E> {
    match ended {
        Ok(Ok(value)) => {
            let end = tokio::select! {
                biased;
                end = dialog.ended() => end,
                () = scope::cancelled() => {
                    end_remote(dialog).await;
                    return Err(cancelled().into());
                }
            };
            match end {
                End::Value(_) => Ok(value),
                _asked_for if dialog.cancel_called() => Ok(value),
                failed => Err(peer.explain(dialog.error_of(failed)).await.into()),
            }
        }
        failed_here => {
            let failed_there = dialog.with(|state| state.end().cloned());
            match failed_there {
                Some(failed @ (End::Error(_) | End::Lost)) if !dialog.cancel_called() => {
                    return Err(peer.explain(dialog.error_of(failed)).await.into());
                }
                Some(_) => {}
                None => end_remote(dialog).await,
            }
            match failed_here {
                Ok(failed) => failed,
                Err(_) => Err(cancelled().into()),
            }
        }
    }
}

/// Cancels the remote task because there is an error here already, which a late answer must not hide.
pub(crate) async fn end_remote(dialog: &DialogHandle) {
    if let Err(late) = dialog.cancel().await {
        tracing::warn!(target: "pleach::cancel", %late, "the task of a cancelled context or stream may still be running");
    }
}

/// The error of code whose scope was cancelled around it.
pub(crate) fn cancelled() -> Error {
    scope::checkpoint().err().unwrap_or(Error::Cancelled(Cancelled::Scope))
}

/// Prepares a context; `#[pleach::context]` calls this.
pub fn context_call<S, R, T, O, A>(export: &'static Export, args: A) -> ContextCall<S, R, T, O>
where
    A: Serialize + Send + 'static,
    S: DeserializeOwned,
    O: DeserializeOwned,
{
    ContextCall::new(export, Box::new(args), Payload::decode, Payload::decode)
}

/// Decodes the arguments and makes the task of a context; `#[pleach::context]` calls this.
///
/// # Errors
/// The arguments do not fit.
pub fn invoke_context<S, T, U, A, R, F>(request: Request, run: impl FnOnce(Context<S, T, U>, A) -> F) -> Invoked
where
    A: DeserializeOwned,
    F: Future<Output = R> + Send + 'static,
    R: Outcome,
    R::Value: Serialize + 'static,
{
    let Request { args, answer, dialog } = request;
    let args = match args.decode() {
        Ok(args) => args,
        Err(why) => return Err((why, answer)),
    };
    let dialog = dialog.expect("dispatch calls a context's function only for a dialog");
    Ok(answered(run(Context::new(dialog), args), answer, |value| value))
}
