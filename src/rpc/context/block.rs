//! The caller's block of a context: opening it, and leaving it.

use std::fmt;
use std::marker::PhantomData;

use pleach_wire::Encode;

use super::super::block::{end_remote, settle};
use super::super::export::Export;
use super::OpenContext;
use crate::channel::Channel;
use crate::channel::cancelling::Reason;
use crate::channel::dialog::DialogHandle;
use crate::channel::explain::Explain;
use crate::channel::opened::OpenedDialog;
use crate::decode::{self, Decoder};
use crate::error::{Error, Result, ScopeError};
use crate::fidelity::Reads;
use crate::proto::dialog::{End, TakeFirst};
use crate::scope::{self, CancelScope, Shield, cancellation, run_for_result, shield};

/// A function of `#[pleach::context]` with its arguments, ready to be opened by
/// [`Portal::open_context`](crate::Portal::open_context). Dropping it does nothing.
#[must_use = "a context does nothing until a portal opens it"]
pub struct ContextCall<S, R, T, O> {
    export: &'static Export,
    args: Box<dyn Encode + Send>,
    first: Decoder<S>,
    result: Decoder<O>,
    sent: Reads<R>,
    types: PhantomData<fn() -> T>,
}

impl<S, R, T, O> ContextCall<S, R, T, O> {
    pub(crate) fn new(
        export: &'static Export,
        args: Box<dyn Encode + Send>,
        first: Decoder<S>,
        result: Decoder<O>,
        sent: Reads<R>,
    ) -> Self {
        Self { export, args, first, result, sent, types: PhantomData }
    }

    /// Returns the module of the function, as in `.enable(…)`.
    pub fn module(&self) -> &'static str {
        self.export.module()
    }

    /// Returns the arguments.
    pub(crate) fn args(&self) -> &dyn Encode {
        &*self.args
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
        let terms = export.terms(scope::current_deadline());
        let opened = match OpenedDialog::open(channel, export.target(), &*args, terms) {
            Ok(opened) => opened,
            Err(error) => return Err(Box::pin(export.told(error, peer)).await.into()),
        };
        drop(args);
        let dialog = opened.handle();
        let value = match first_value(dialog, export, first).await {
            Ok(value) => value,
            Err(error) => {
                // It has already ended, unless this scope was cancelled or the value is not an `S`.
                Box::pin(end_remote(dialog, Reason::of(&error))).await;
                return Err(Box::pin(export.told(error, peer)).await.into());
            }
        };
        let scope = CancelScope::of_primitive();
        dialog.interrupt_with(scope.clone());
        // An open context should not take the memory of all that may happen at its ends: what ends it has a box of its
        // own, and so has the body, which each future around it would have room for twice.
        let body = Box::pin(body(OpenContext::new(dialog.clone(), result, sent), value));
        // In a shield, so that the enclosing code sees its cancellation only when this is settled.
        let ended = shield(run_for_result(&scope, body)).await;
        if let Ok(Ok(_)) = ended {
            Box::pin(leave(&opened)).await?;
        }
        Box::pin(settle(dialog, export, peer, ended)).await
    }
}

impl<S, R, T, O> fmt::Debug for ContextCall<S, R, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContextCall({})", self.export.path)
    }
}

async fn first_value<S>(dialog: &DialogHandle, export: &Export, decoder: Decoder<S>) -> Result<S> {
    // Not `scope::wait`, whose future has room for this one twice.
    let first = tokio::select! {
        biased;
        first = dialog.first() => first,
        () = scope::cancelled() => return Err(cancellation()),
    };
    match first {
        TakeFirst::Value(value) if !decode::is_large(&value) => Ok(decoder.read_here(&value)?),
        TakeFirst::Value(value) => Box::pin(decoder.read(value, dialog.channel())).await,
        TakeFirst::Ended(End::Value(_)) => {
            Err(Error::Usage(format!("`{}` returned without calling `ctx.started()`", export.path)))
        }
        TakeFirst::Ended(failed) => Err(dialog.error_of(failed)),
        TakeFirst::Wait => Err(Error::Usage("the context has ended".into())),
    }
}

/// Tells the function that nothing more comes from here, and waits for its end.
async fn leave(opened: &OpenedDialog) -> Result<()> {
    let dialog = opened.handle();
    opened.leave();
    tokio::select! {
        biased;
        end = dialog.settled() => end.map(drop),
        () = scope::cancelled() => {
            let cancelled = cancellation();
            end_remote(dialog, Reason::of(&cancelled)).await;
            Err(cancelled)
        }
    }
}
