//! The handle that the body of a context's block gets: the stream, the result, and the state.
//!
//! It owns nothing: [`super::block`] opens the context and ends it.

use std::fmt;
use std::marker::PhantomData;

use crate::actor::ActorId;
use crate::channel::cancelling::Reason;
use crate::channel::dialog::DialogHandle;
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::fidelity::Reads;
use crate::proto::dialog::ContextState;
use crate::proto::dialog::End;
use crate::scope::{self, Shield};
use crate::stream::OpenStream;

/// The caller's side of a context, inside its block: the peer says `S`, takes `R`, sends `T`, returns `O`.
///
/// Cloning is cheap. Dropping it does nothing: the block owns the context.
pub struct OpenContext<S, R, T, O> {
    dialog: DialogHandle,
    decoder: Decoder<O>,
    sent: Reads<R>,
    types: PhantomData<fn() -> (S, T)>,
}

impl<S, R, T, O> OpenContext<S, R, T, O> {
    pub(super) fn new(dialog: DialogHandle, decoder: Decoder<O>, sent: Reads<R>) -> Self {
        Self { dialog, decoder, sent, types: PhantomData }
    }

    /// Opens this side of the stream, once: for both directions.
    ///
    /// # Errors
    /// Awaiting it fails with [`Error::Usage`] when it was opened before, and with
    /// [`Error::ContextCancelled`] when [`cancel`](Self::cancel) was called; with [`Error::Usage`], too, when the
    /// block was left.
    pub fn open_stream(&self) -> OpenStream<T, R> {
        OpenStream::new(self.dialog.clone(), self.sent)
    }

    /// Waits for the function's result; any number of times.
    ///
    /// Stream messages that are here or come meanwhile are forgotten, because a function that waits to
    /// send them would never return: read the stream to its end first, if they matter.
    ///
    /// # Errors
    /// The function's own error; [`Error::ContextCancelled`] when it was cancelled, by this side too;
    /// [`Error::ActorTooSlow`] when this side has cancelled it and the peer does not acknowledge;
    /// [`Error::Disconnected`]; [`Error::Cancelled`].
    ///
    /// # Cancel safety
    /// Nothing but unread stream messages is lost; ask again.
    pub async fn result(&self) -> Result<O> {
        match scope::wait(self.dialog.settled()).await?? {
            End::Value(value) => self.decoder.read(value, self.dialog.channel()).await,
            failed => Err(self.dialog.error_of(failed)),
        }
    }

    /// Returns the outcome of [`result`](Self::result) without waiting; `None` while the function runs. A large value is
    /// decoded here, which holds this thread up.
    pub fn outcome(&self) -> Option<Result<O>> {
        Some(match self.dialog.end()? {
            End::Value(value) => self.decoder.read_here(&value).map_err(Error::from),
            failed => Err(self.dialog.error_of(failed)),
        })
    }

    /// Returns the error that the function ended with, if it did.
    pub fn maybe_error(&self) -> Option<Error> {
        match self.dialog.end()? {
            End::Value(_) => None,
            failed => Some(self.dialog.error_of(failed)),
        }
    }

    /// Cancels the remote task and waits until it has ended.
    ///
    /// The block then ends without the task's [`Error::ContextCancelled`], also if its actor is lost meanwhile or was
    /// before, and readers of its stream get the end of it. If the task fails while it cleans up, the block fails with
    /// that error; if it had returned before, [`result`](Self::result) has its value.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when the peer did not acknowledge within `cancel_ack`. `Ok` if the
    /// connection is gone.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub async fn cancel(&self) -> Result<()> {
        let _shield = Shield::enter();
        self.dialog.cancel(Reason::Asked).await
    }

    /// Returns whether this side has called [`cancel`](Self::cancel), or its block has because it failed.
    pub fn cancel_called(&self) -> bool {
        self.dialog.look(|state| state.cancel_called())
    }

    /// Returns whether that is so and the peer has reported, since then or before, that the function has ended.
    pub fn cancel_acked(&self) -> bool {
        self.dialog.look(|state| state.cancel_acked())
    }

    /// Returns at whose request the function was cancelled, if it was and that is known.
    pub fn canceller(&self) -> Option<ActorId> {
        match self.maybe_error()? {
            Error::ContextCancelled(cancelled) => cancelled.canceller,
            _ => None,
        }
    }

    /// Returns how far the context has come.
    pub fn state(&self) -> ContextState {
        self.dialog.look(|state| state.state())
    }
}

impl<S, R, T, O> Clone for OpenContext<S, R, T, O> {
    fn clone(&self) -> Self {
        Self { dialog: self.dialog.clone(), decoder: self.decoder, sent: self.sent, types: PhantomData }
    }
}

impl<S, R, T, O> fmt::Debug for OpenContext<S, R, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenContext({:?})", self.dialog)
    }
}
