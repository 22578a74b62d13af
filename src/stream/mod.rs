//! Streams: messages one way or both ways, with credits, until either side has had enough.
//!
//! | file | station |
//! |---|---|
//! | this one | [`MsgStream`]: the stream of a context, both ways |
//! | [`halves`] | its halves, for two tasks |
//! | [`open`], [`buffer`] | how a side opens its end: its buffer, and what happens when that is full |
//! | [`one_way`] | [`StreamSender`] and [`StreamReceiver`]: the ends of a one-way stream |
//! | [`subscription`] | further consumers of the messages |
//! | [`receiving`], [`sending`] | the halves that all of them are made of |
//!
//! How much may be on its way is decided in [`crate::proto::dialog`].
//!
//! # Invariants
//! 1. A message is taken from the dialog only by a poll that returns it: dropping a future loses nothing.
//! 2. One task at a time takes messages from a dialog. Where there are more, they take turns in a broadcast.

pub(crate) mod buffer;
mod halves;
mod one_way;
mod open;
mod receiving;
mod sending;
mod subscription;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::halves::{RecvHalf, SendHalf};
pub use self::one_way::{StreamReceiver, StreamSender};
pub use self::open::OpenStream;
use self::receiving::Receiving;
use self::sending::Sending;
pub use self::subscription::Subscription;
use crate::channel::dialog::DialogHandle;
use crate::error::{Error, Result};
use crate::fidelity::Reads;
pub use crate::proto::inbox::Lag;

/// One end of a context's stream: takes messages of type `R`, sends messages of type `T`.
///
/// It is opened with `open_stream()` on either side of a context. Dropping it ends the sending direction, as
/// [`close`](Self::close) does, and discards later messages; the context goes on.
///
/// It is also a [`Stream`] and a [`Sink`], so it can be forwarded and combined. Two tasks can each have
/// [a half](Self::split) of it.
pub struct MsgStream<R, T> {
    // Dropped in this order: first, the peer is let go that waits to send.
    receiver: RecvHalf<R>,
    sender: SendHalf<T>,
}

impl<R, T> MsgStream<R, T> {
    /// Sends a message.
    ///
    /// Waits while the peer's buffer is full, unless the peer has set `backpressure(false)`. A peer that has
    /// not opened its stream has a buffer of 64 messages, or 256 KiB; once that is full, it has half a second to open it.
    ///
    /// # Errors
    /// [`Error::StreamOverrun`] when the buffer is full and the peer does not let senders wait, or does not open its
    /// stream; the peer's own error when it has failed; [`Error::Usage`] when the context has ended; [`Error::Closed`]
    /// when this side was closed before; [`Error::Transport`] when the message can't be sent; [`Error::Disconnected`];
    /// [`Error::Cancelled`], if it would have to wait.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was sent.
    pub async fn send(&self, value: T) -> Result<()>
    where
        T: Serialize,
    {
        self.sender.0.send(value).await
    }

    /// Sends messages one after the other, as [`send`](Self::send) does; they go out together as far as they fit.
    ///
    /// # Errors
    /// As `send`, for the first message that fails: those before it were sent, those behind it were not taken.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, the messages that were taken from `values` were sent, but for at most one.
    ///
    /// With futures' `SinkExt` in scope, a `&mut` of this has that trait's method of the same name;
    /// `MsgStream::send_all(stream, values)` is this one.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// async fn squares(stream: &MsgStream<(), u64>) -> Result<()> {
    ///     stream.send_all((0..1000).map(|number| number * number)).await
    /// }
    /// ```
    pub async fn send_all(&self, values: impl IntoIterator<Item = T>) -> Result<()>
    where
        T: Serialize,
    {
        self.sender.0.send_all(values).await
    }

    /// Takes the next message; `None` once the peer sends no more.
    ///
    /// # Errors
    /// The peer's own error when it has failed; [`Error::Lagged`], if this side keeps the newest only or is slower than
    /// a subscription; [`Error::Transport`] when the message is not an `R`; [`Error::Disconnected`];
    /// [`Error::Cancelled`], if it would have to wait.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost: the next one to ask gets it, in whichever task.
    pub async fn recv(&mut self) -> Result<Option<R>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        self.receiver.0.recv().await
    }

    /// Takes the messages that are here, at least one and at most `limit`, and appends them to `messages`. Returns how
    /// many: 0 once the peer sends no more, or if `limit` is 0.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), if that concerns the first message; otherwise the next call returns the error.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// async fn add_up(stream: &mut MsgStream<u64, ()>) -> Result<u64> {
    ///     let (mut sum, mut batch) = (0, Vec::new());
    ///     while stream.recv_many(&mut batch, 1000).await? > 0 {
    ///         sum += batch.drain(..).sum::<u64>();
    ///     }
    ///     Ok(sum)
    /// }
    /// ```
    pub async fn recv_many(&mut self, messages: &mut Vec<R>, limit: usize) -> Result<usize>
    where
        R: DeserializeOwned + Send + 'static,
    {
        self.receiver.0.recv_many(messages, limit).await
    }

    /// Adds a consumer, which gets each message that comes from now on, as this one does.
    ///
    /// This stream remains usable; it has become one of several consumers, for good. One that is slower than the others
    /// by more than the stream's buffer loses messages, and learns how many. When this stream is closed or dropped, its
    /// subscriptions end with it.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// async fn in_both(stream: &mut MsgStream<u64, ()>) -> Result<()> {
    ///     let mut copy = stream.subscribe();
    ///     let (here, there) = tokio::try_join!(stream.recv(), copy.recv())?;
    ///     assert_eq!(here, there);
    ///     Ok(())
    /// }
    /// ```
    pub fn subscribe(&mut self) -> Subscription<R>
    where
        R: DeserializeOwned + Clone + Send + 'static,
    {
        self.receiver.0.subscribe(None)
    }

    /// As [`subscribe`](Self::subscribe), with a window of so many messages instead of the stream's buffer.
    /// The first subscription decides on the window of all.
    pub fn subscribe_with(&mut self, window: usize) -> Subscription<R>
    where
        R: DeserializeOwned + Clone + Send + 'static,
    {
        self.receiver.0.subscribe(Some(window))
    }

    /// Ends the sending direction: the peer's `recv` returns `None` after the earlier messages. The peer's later
    /// messages are discarded, and no longer block it.
    ///
    /// # Errors
    /// [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// If dropped, the end has been sent.
    pub async fn close(self) -> Result<()> {
        drop(self.receiver);
        self.sender.close().await
    }

    /// Takes it apart into its halves, for two tasks. Each ends its own direction when it is dropped.
    ///
    /// With futures' `StreamExt` in scope this one is meant, not that trait's method of the same name.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// /// Sends all numbers while it adds up what comes back.
    /// async fn add_up(stream: MsgStream<u64, u64>) -> Result<u64> {
    ///     let (sender, mut receiver) = stream.split();
    ///     let sends = async move {
    ///         sender.send_all(0..1000).await?;
    ///         sender.close().await
    ///     };
    ///     let takes = async {
    ///         let mut sum = 0;
    ///         while let Some(number) = receiver.recv().await? {
    ///             sum += number;
    ///         }
    ///         Ok(sum)
    ///     };
    ///     let ((), sum) = tokio::try_join!(sends, takes)?;
    ///     Ok(sum)
    /// }
    /// ```
    pub fn split(self) -> (SendHalf<T>, RecvHalf<R>) {
        (self.sender, self.receiver)
    }

    fn new(receiving: Receiving<R>, dialog: DialogHandle, sent: Reads<T>) -> Self {
        Self { receiver: RecvHalf(receiving), sender: SendHalf(Sending::new(dialog, sent)) }
    }
}

/// The received messages. A failure of the peer, or of the connection, is the last item.
impl<R: DeserializeOwned + Send + 'static, T> Stream for MsgStream<R, T> {
    type Item = Result<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        self.receiver.0.poll_next(cx)
    }
}

/// The sent messages. Unlike [`MsgStream::close`], closing it as a sink ends the sending direction only: messages can
/// still be received.
impl<R, T: Serialize> Sink<T> for MsgStream<R, T> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.sender.0.poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<()> {
        self.sender.0.start_send(&value)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.sender.0.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.sender.finish())
    }
}

impl<R, T> fmt::Debug for MsgStream<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MsgStream({:?})", self.sender.0.dialog())
    }
}
