//! The caller's block of a context: opening it, leaving it, and which error comes out.
//!
//! Leaving the block always waits for the remote task: for its result if the body has returned, for
//! the acknowledgement of its cancellation if the body failed or was cancelled.
//!
//! | the remote task | body returned | body failed, or was cancelled from around |
//! |---|---|---|
//! | returned | the body's value | the body's error |
//! | failed before | its error | its error |
//! | was cancelled, not by this block | [`Error::ContextCancelled`] | the same, if it came before |
//! | was cancelled by this block | the body's value | the body's error |
//! | its connection was lost, and this block has cancelled it | the body's value | the body's error |

use std::fmt;
use std::marker::PhantomData;

use pleach_wire::{ByteStr, Encode, Payload};

use super::OpenContext;
use crate::channel::dialog::DialogHandle;
use crate::channel::explain::{Explain, told};
use crate::channel::opened::OpenedDialog;
use crate::channel::{Channel, call_terms};
use crate::error::{Error, Result, ScopeError};
use crate::fidelity::Reads;
use crate::proto::dialog::{End, TakeFirst};
use crate::rpc::call::Decode;
use crate::rpc::export::Export;
use crate::scope::{self, CancelScope, Shield, cancellation, run_for_result, shield};

/// A function of `#[pleach::context]` with its arguments, ready to be opened by
/// [`Portal::open_context`](crate::Portal::open_context). Dropping it does nothing.
#[must_use = "a context does nothing until a portal opens it"]
pub struct ContextCall<S, R, T, O> {
    export: &'static Export,
    args: Box<dyn Encode + Send>,
    first: Decode<S>,
    result: Decode<O>,
    sent: Reads<R>,
    types: PhantomData<fn() -> T>,
}

impl<S, R, T, O> ContextCall<S, R, T, O> {
    pub(crate) fn new(
        export: &'static Export,
        args: Box<dyn Encode + Send>,
        first: Decode<S>,
        result: Decode<O>,
        sent: Reads<R>,
    ) -> Self {
        Self { export, args, first, result, sent, types: PhantomData }
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
        let Self { export, args, first, result, sent, .. } = self;
        let terms = call_terms(export.schema(), scope::current_deadline());
        let opened = match OpenedDialog::open(channel, ByteStr::from_static(export.path), &*args, terms) {
            Ok(opened) => opened,
            Err(error) => return Err(told(error, peer, || export.shown()).await.into()),
        };
        drop(args);
        let dialog = opened.handle();
        let value = match first_value(dialog, export).await.and_then(|value| Ok(first(&value)?)) {
            Ok(value) => value,
            Err(error) => {
                end_remote(dialog).await; // it has already ended, unless this scope was cancelled or the value is not an `S`
                return Err(told(error, peer, || export.shown()).await.into());
            }
        };
        let scope = CancelScope::of_primitive();
        dialog.interrupt_with(scope.clone());
        // In a shield, so that the enclosing code sees its cancellation only when this is settled.
        let ended = shield(run_for_result(&scope, body(OpenContext::new(dialog.clone(), result, sent), value))).await;
        settle(&opened, export, peer, ended).await
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
        () = scope::cancelled() => return Err(cancellation()),
    };
    match first {
        TakeFirst::Value(value) => Ok(value),
        TakeFirst::Ended(End::Value(_)) => {
            Err(Error::Usage(format!("`{}` returned without calling `ctx.started()`", export.path)))
        }
        TakeFirst::Ended(failed) => Err(dialog.error_of(failed)),
        TakeFirst::Wait => Err(Error::Usage("the context has ended".into())),
    }
}

/// Leaves the block: the peer's failure overrides the body's, and that overrides the result.
async fn settle<X, E: ScopeError>(
    opened: &OpenedDialog,
    export: &Export,
    peer: &impl Explain,
    ended: Result<Result<X, E>>,
) -> Result<X, E> {
    let dialog = opened.handle();
    if let Ok(Ok(_)) = ended {
        opened.leave();
        tokio::select! {
            biased;
            end = dialog.settled() => drop(end?),
            () = scope::cancelled() => {
                end_remote(dialog).await;
                return Err(cancellation().into());
            }
        }
    }
    if let Some(failed) = dialog.failure() {
        return Err(told(dialog.error_of(failed), peer, || export.shown()).await.into());
    }
    match ended {
        Ok(Ok(value)) => Ok(value),
        failed_here => {
            end_remote(dialog).await;
            failed_here.unwrap_or_else(|_| Err(cancellation().into()))
        }
    }
}

/// Cancels the remote task because there is an error here already, which a late answer must not hide.
pub(crate) async fn end_remote(dialog: &DialogHandle) {
    if let Err(late) = cancel_remote(dialog).await {
        warn!(target: "pleach::cancel", %late, "the task of a cancelled context or stream may still be running");
    }
}

/// Cancels the remote task, if it still runs, for a caller that needs no answer.
pub(crate) async fn cancel_remote(dialog: &DialogHandle) -> Result<()> {
    if dialog.look(|state| state.end().is_some()) {
        return Ok(());
    }
    dialog.cancel().await?;
    if let Some(failed) = dialog.failure() {
        let error = dialog.error_of(failed);
        warn!(target: "pleach::cancel", ?dialog, %error, "a task failed while it was cancelled");
    }
    Ok(())
}
