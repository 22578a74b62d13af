//! How a side opens its end of a stream: the size of its buffer, and the policy when that is full.

use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::marker::PhantomData;

use super::buffer::Buffer;
use super::{MsgStream, Receiving};
use crate::channel::dialog::DialogHandle;
use crate::error::Result;
use crate::fidelity::Reads;
use crate::proto::inbox::Lag;

/// A stream about to be opened: say more about it, then await it. Dropping it opens nothing.
#[must_use = "the stream is opened when this is awaited"]
pub struct OpenStream<R, T> {
    dialog: DialogHandle,
    buffer: Buffer,
    sent: Reads<T>,
    types: PhantomData<fn(T) -> R>,
}

impl<R, T> OpenStream<R, T> {
    pub(crate) fn new(dialog: DialogHandle, sent: Reads<T>) -> Self {
        Self { dialog, buffer: Buffer::new(), sent, types: PhantomData }
    }

    /// Buffers this many messages here, at least one, of any size. Without this, the configuration says how much is
    /// buffered: [`stream_bytes`](crate::Config::stream_bytes) and, where senders do not wait,
    /// [`stream_buffer`](crate::Config::stream_buffer).
    ///
    /// The first 64 may come before the peer knows of a smaller buffer; with [`Lag::DropOldest`], those
    /// that are too many are lost.
    pub fn buffer(mut self, messages: u32) -> Self {
        self.buffer = self.buffer.messages(messages);
        self
    }

    /// Buffers this many bytes of messages here, at least one message: each counts for its payload and
    /// [64 bytes](pleach_wire::MESSAGE_COST). Where [`buffer`](Self::buffer) is set too, both hold.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer = self.buffer.bytes(bytes);
        self
    }

    /// Whether the peer waits when the buffer is full (the default), or gets an error: [`Lag::Wait`] or
    /// [`Lag::Error`].
    pub fn backpressure(self, wait: bool) -> Self {
        self.lag(if wait { Lag::Wait } else { Lag::Error })
    }

    /// Sets the policy for messages that arrive while the buffer is full.
    pub fn lag(mut self, lag: Lag) -> Self {
        self.buffer = self.buffer.lag(lag);
        self
    }
}

impl<R, T> IntoFuture for OpenStream<R, T> {
    type Output = Result<MsgStream<R, T>>;
    type IntoFuture = Ready<Result<MsgStream<R, T>>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { dialog, buffer, sent, .. } = self;
        let intake = buffer.intake(dialog.channel().stream_window());
        ready(Receiving::open(dialog.clone(), intake).map(|receiving| MsgStream::new(receiving, dialog, sent)))
    }
}

impl<R, T> fmt::Debug for OpenStream<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenStream({:?}, {:?})", self.dialog, self.buffer)
    }
}
