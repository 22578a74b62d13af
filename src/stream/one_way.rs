//! The two ends of a one-way stream: the function sends, its caller takes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Subscription;
use super::receiving::Receiving;
use super::sending::Sending;
use crate::channel::dialog::DialogHandle;
use crate::error::{Error, Result};
use crate::fidelity::Reads;
use crate::proto::inbox::Intake;

/// Where a function of `#[pleach::stream]` sends its messages; its first parameter.
///
/// Its caller is there from the start, and takes them for as long as it wants to. Then it cancels the
/// function's task, so there is nothing to close: dropping this does nothing.
pub struct StreamSender<T> {
    sending: Sending<T>,
}

impl<T> StreamSender<T> {
    pub(crate) fn new(dialog: DialogHandle, sent: Reads<T>) -> Self {
        Self { sending: Sending::new(dialog, sent) }
    }

    /// Sends a message; waits while the caller's buffer is full.
    ///
    /// # Errors
    /// [`Error::StreamOverrun`] when the buffer is full and the caller does not let senders wait;
    /// [`Error::Transport`] when the message can't be sent; [`Error::Disconnected`]; [`Error::Cancelled`], if it would
    /// have to wait. Pass it on with `?`.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was sent.
    pub async fn send(&self, value: T) -> Result<()>
    where
        T: Serialize,
    {
        self.sending.send(value).await
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
        self.sending.send_all(values).await
    }
}

/// The sent messages. Closing it does nothing: the stream ends with its function.
impl<T: Serialize> Sink<T> for StreamSender<T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.sending.poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<()> {
        self.sending.start_send(&value)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.sending.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.sending.poll_flush(cx)
    }
}

impl<T> fmt::Debug for StreamSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamSender({:?})", self.sending.dialog())
    }
}

/// The messages of a function of `#[pleach::stream]`, inside the block of
/// [`Portal::open_stream_from`](crate::Portal::open_stream_from).
///
/// Dropping it tells the function nothing, which waits when the buffer is full; leaving the block
/// cancels it.
pub struct StreamReceiver<T> {
    receiving: Receiving<T>,
}

impl<T> StreamReceiver<T> {
    pub(crate) fn new(dialog: DialogHandle, intake: Intake) -> Self {
        Self { receiving: Receiving::opened(dialog, intake) }
    }

    /// Takes the next message; `None` once the function has returned.
    ///
    /// # Errors
    /// The function's own error, after its messages; [`Error::Lagged`], with
    /// [`Lag::DropOldest`](crate::Lag::DropOldest) or if this is slower than a subscription; [`Error::Transport`] when
    /// the message is not a `T`; [`Error::Disconnected`]; [`Error::Cancelled`], if it would have to wait.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost: the next one to ask gets it, in whichever task.
    pub async fn recv(&mut self) -> Result<Option<T>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.receiving.recv().await
    }

    /// Takes the messages that are here; see [`MsgStream::recv_many`](crate::MsgStream::recv_many).
    ///
    /// # Errors
    /// As [`recv`](Self::recv), if that concerns the first message; otherwise the next call returns the error.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost.
    pub async fn recv_many(&mut self, messages: &mut Vec<T>, limit: usize) -> Result<usize>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.receiving.recv_many(messages, limit).await
    }

    /// Adds a consumer; see [`MsgStream::subscribe`](crate::MsgStream::subscribe).
    ///
    /// It takes messages as long as the block lasts, also when this one is dropped before.
    pub fn subscribe(&mut self) -> Subscription<T>
    where
        T: DeserializeOwned + Clone + Send + 'static,
    {
        self.receiving.subscribe(None)
    }

    /// As [`subscribe`](Self::subscribe), with a window of so many messages instead of the stream's buffer.
    /// The first subscription decides on the window of all.
    pub fn subscribe_with(&mut self, window: usize) -> Subscription<T>
    where
        T: DeserializeOwned + Clone + Send + 'static,
    {
        self.receiving.subscribe(Some(window))
    }
}

/// The received messages. A failure of the function, or of the connection, is the last item.
impl<T: DeserializeOwned + Send + 'static> Stream for StreamReceiver<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        self.receiving.poll_next(cx)
    }
}

impl<T> fmt::Debug for StreamReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamReceiver({:?})", self.receiving.dialog())
    }
}
