//! The two halves of a context's stream, which two tasks can have.
//!
//! # Invariants
//! 1. Dropping a half ends its direction, and no other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Subscription;
use super::receiving::Receiving;
use super::sending::Sending;
use crate::error::{Error, Result};

/// The half of a [`MsgStream`](crate::MsgStream) that sends; from [`MsgStream::split`](crate::MsgStream::split).
///
/// Dropping it ends the sending direction, as [`close`](Self::close) does.
pub struct SendHalf<T>(pub(super) Sending<T>);

impl<T> SendHalf<T> {
    /// Sends a message; see [`MsgStream::send`](crate::MsgStream::send).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was sent.
    pub async fn send(&self, value: T) -> Result<()>
    where
        T: Serialize,
    {
        self.0.send(value).await
    }

    /// Sends messages one after the other; see [`MsgStream::send_all`](crate::MsgStream::send_all).
    ///
    /// # Errors
    /// As [`send`](Self::send), for the first message that fails.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, the messages that were taken from `values` were sent, but for at most one.
    pub async fn send_all(&self, values: impl IntoIterator<Item = T>) -> Result<()>
    where
        T: Serialize,
    {
        self.0.send_all(values).await
    }

    /// Ends the sending direction: the peer's `recv` returns `None` after the earlier messages. The other half goes on.
    /// Later messages are refused with [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// If dropped, the end has been sent.
    pub async fn close(&self) -> Result<()> {
        self.finish()
    }

    pub(super) fn finish(&self) -> Result<()> {
        self.0.dialog().finish_stream()
    }
}

/// The sent messages. Closing it ends the sending direction.
impl<T: Serialize> Sink<T> for SendHalf<T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<()> {
        self.0.start_send(&value)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.finish())
    }
}

impl<T> Drop for SendHalf<T> {
    fn drop(&mut self) {
        // If the connection is gone, so is the stream.
        let _ = self.finish();
    }
}

impl<T> fmt::Debug for SendHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendHalf({:?})", self.0.dialog())
    }
}

/// The half of a [`MsgStream`](crate::MsgStream) that takes; from [`MsgStream::split`](crate::MsgStream::split).
///
/// Dropping it discards later messages, which no longer block the peer. The other half goes on.
pub struct RecvHalf<R>(pub(super) Receiving<R>);

impl<R> RecvHalf<R> {
    /// Takes the next message; see [`MsgStream::recv`](crate::MsgStream::recv).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost: the next one to ask gets it, in whichever task.
    pub async fn recv(&mut self) -> Result<Option<R>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        self.0.recv().await
    }

    /// Takes the messages that are here; see [`MsgStream::recv_many`](crate::MsgStream::recv_many).
    ///
    /// # Errors
    /// As [`recv`](Self::recv), if that concerns the first message; otherwise the next call returns the error.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost.
    pub async fn recv_many(&mut self, messages: &mut Vec<R>, limit: usize) -> Result<usize>
    where
        R: DeserializeOwned + Send + 'static,
    {
        self.0.recv_many(messages, limit).await
    }

    /// Adds a consumer; see [`MsgStream::subscribe`](crate::MsgStream::subscribe).
    pub fn subscribe(&mut self) -> Subscription<R>
    where
        R: DeserializeOwned + Clone + Send + 'static,
    {
        self.0.subscribe(None)
    }

    /// As [`subscribe`](Self::subscribe), with a window of so many messages instead of the stream's buffer.
    /// The first subscription decides on the window of all.
    pub fn subscribe_with(&mut self, window: usize) -> Subscription<R>
    where
        R: DeserializeOwned + Clone + Send + 'static,
    {
        self.0.subscribe(Some(window))
    }
}

/// The received messages. A failure of the peer, or of the connection, is the last item.
impl<R: DeserializeOwned + Send + 'static> Stream for RecvHalf<R> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        self.0.poll_next(cx)
    }
}

impl<R> Drop for RecvHalf<R> {
    fn drop(&mut self) {
        self.0.dialog().stop_receiving();
    }
}

impl<R> fmt::Debug for RecvHalf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvHalf({:?})", self.0.dialog())
    }
}
