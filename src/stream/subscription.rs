//! A further consumer of a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use super::receiving::{over, poll_broadcast};
use crate::broadcast::{BroadcastReceiver, Statistics};
use crate::channel::dialog::DialogHandle;
use crate::error::Result;

/// One of several consumers of a stream: gets each message that comes after it was made.
///
/// It comes from [`MsgStream::subscribe`](crate::MsgStream::subscribe), may be handed to another task,
/// and ends with the stream. Dropping it closes it, without effect on the others.
pub struct Subscription<R> {
    dialog: DialogHandle,
    receiver: BroadcastReceiver<Result<R>>,
}

impl<R> Subscription<R> {
    pub(super) fn new(dialog: DialogHandle, receiver: BroadcastReceiver<Result<R>>) -> Self {
        Self { dialog, receiver }
    }

    /// Takes the next message; `None` once the peer sends no more.
    ///
    /// # Errors
    /// [`Error::Lagged`](crate::Error::Lagged) when this consumer was too slow, once for each time: the next one is the
    /// oldest message in the window. [`Error::Closed`](crate::Error::Closed) after [`close`](Self::close). For the rest
    /// as [`MsgStream::recv`](crate::MsgStream::recv).
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost, for this consumer or for another.
    pub async fn recv(&mut self) -> Result<Option<R>> {
        match self.receiver.recv().await? {
            Some(message) => message.map(Some),
            None => over(&self.dialog),
        }
    }

    /// Adds a consumer, which gets each message that comes from now on.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) after [`close`](Self::close).
    pub fn subscribe(&self) -> Result<Self> {
        Ok(Self { dialog: self.dialog.clone(), receiver: self.receiver.subscribe()? })
    }

    /// Ends this subscription and discards its unread messages. Other consumers notice nothing.
    pub fn close(&mut self) {
        self.receiver.close();
    }

    /// Returns how things stand.
    pub fn statistics(&self) -> Statistics {
        self.receiver.statistics()
    }
}

/// The received messages. A failure of the peer, or of the connection, is the last item.
impl<R> Stream for Subscription<R> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        poll_broadcast(&mut self.receiver, cx)
    }
}

impl<R> fmt::Debug for Subscription<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({:?})", self.dialog)
    }
}
