//! The two halves of a connection, which may be used in different tasks.
//!
//! # Invariants
//! 1. One task receives, so the receiver is not `Clone`; senders may be many.
//! 2. Sending allocates nothing for a small value: it is encoded in a buffer of the thread's own.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TransportError;
use crate::msg::Msg;
use crate::transport::{Lane, MsgTransport, MsgTransportExt, PeerInfo};

/// The sending half of a [`Connection`](super::Connection). Clones send on the same connection.
///
/// Dropping it ends nothing as long as the other half is there, and the peer waits for more: [`close`](Self::close) it.
/// When all halves are dropped, the connection is aborted.
pub struct ConnectionSender<S> {
    transport: Arc<dyn MsgTransport>,
    values: PhantomData<fn(&S)>,
}

impl<S> ConnectionSender<S> {
    pub(super) fn new(transport: Arc<dyn MsgTransport>) -> Self {
        Self { transport, values: PhantomData }
    }

    pub(super) fn transport(&self) -> &Arc<dyn MsgTransport> {
        &self.transport
    }

    /// Returns both ends, as far as the network knows them.
    pub fn ends(&self) -> &PeerInfo {
        self.transport.ends()
    }

    /// Writes until nothing is queued, of any sender.
    ///
    /// # Errors
    /// The connection's end.
    ///
    /// # Cancel safety
    /// If dropped, the rest goes out with the next flush.
    pub async fn flush(&self) -> Result<(), TransportError> {
        self.transport.flush().await
    }

    /// Writes what is queued, and ends the sending direction, for all clones; the peer's `recv` returns `None` then.
    ///
    /// A peer that does not read keeps it waiting: put a deadline around it, such as `tokio::time::timeout`.
    ///
    /// # Errors
    /// The connection's end, when that came first.
    ///
    /// # Cancel safety
    /// If dropped, call it again, or drop the connection.
    pub async fn close(&self) -> Result<(), TransportError> {
        self.transport.close().await
    }

    /// Ends the connection at once, in both directions; what waits here is lost.
    pub fn abort(&self) {
        self.transport.abort();
    }
}

impl<S: Serialize> ConnectionSender<S> {
    /// Sends one value: waits for room, queues it, and writes until nothing is queued. When it returns, the network has
    /// the value; that the peer has read it, only an answer tells.
    ///
    /// # Errors
    /// [`TransportError::Encode`] and [`TransportError::FrameTooLarge`] concern this value only: nothing of it was sent,
    /// and the connection goes on. Any other error is the connection's end.
    ///
    /// # Cancel safety
    /// If dropped, the value was queued whole or not at all; a queued one goes out with the next flush.
    pub async fn send(&self, value: &S) -> Result<(), TransportError> {
        self.feed(value).await?;
        self.flush().await
    }

    /// Queues one value as soon as there is room, and leaves the writing to the next [`send`](Self::send) or
    /// [`flush`](Self::flush): many small values go out together.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was queued.
    pub async fn feed(&self, value: &S) -> Result<(), TransportError> {
        // It writes while it waits: there may be no other task that does.
        poll_fn(|cx| {
            if self.transport.poll_room(cx)?.is_ready() { Poll::Ready(Ok(())) } else { self.transport.poll_flush(cx) }
        })
        .await?;
        self.transport.queue(Lane::CONTROL, &Msg::Value { value }).map(drop)
    }
}

impl<S> Clone for ConnectionSender<S> {
    fn clone(&self) -> Self {
        Self::new(self.transport.clone())
    }
}

impl<S> fmt::Debug for ConnectionSender<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSender").field("ends", self.ends()).finish_non_exhaustive()
    }
}

/// The receiving half of a [`Connection`](super::Connection); also a [`Stream`].
///
/// Dropping it ends nothing as long as the other half is there: the peer's sends wait, once the network is full.
pub struct ConnectionReceiver<R> {
    transport: Arc<dyn MsgTransport>,
    /// What has come, the latest first.
    arrived: Vec<Msg>,
    /// Whether a fault of the connection has been returned.
    failed: bool,
    values: PhantomData<fn() -> R>,
}

impl<R> ConnectionReceiver<R> {
    pub(super) fn new(transport: Arc<dyn MsgTransport>) -> Self {
        Self { transport, arrived: Vec::new(), failed: false, values: PhantomData }
    }

    pub(super) fn transport(&self) -> &Arc<dyn MsgTransport> {
        &self.transport
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Returns both ends, as far as the network knows them.
    pub fn ends(&self) -> &PeerInfo {
        self.transport.ends()
    }
}

impl<R: DeserializeOwned> ConnectionReceiver<R> {
    /// Receives the next value; `None` when the peer has closed the connection, and all that it sent has been received.
    ///
    /// # Errors
    /// [`TransportError::Value`] when a value is not an `R`: the error names the type and the place in it, this value is
    /// skipped, and the connection goes on. [`TransportError::NotAValue`] when the peer is an actor; the connection is
    /// aborted. Any other error is how the connection ended, and comes behind all values that had arrived whole.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no value is lost.
    pub async fn recv(&mut self) -> Result<Option<R>, TransportError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<R>, TransportError>> {
        let msg = loop {
            if let Some(msg) = self.arrived.pop() {
                break msg;
            }
            match ready!(self.transport.poll_recv(cx, &mut self.arrived)) {
                Ok(()) => self.arrived.reverse(),
                Err(end) if end.is_closed() => return Poll::Ready(Ok(None)),
                Err(fault) => return Poll::Ready(Err(self.failed_by(fault))),
            }
        };
        Poll::Ready(match &msg {
            Msg::Value { value } => value.decode().map(Some),
            other => {
                let kind = other.kind().to_owned();
                self.arrived.clear();
                self.transport.abort();
                Err(self.failed_by(TransportError::NotAValue { kind }))
            }
        })
    }

    fn failed_by(&mut self, fault: TransportError) -> TransportError {
        self.failed = true;
        fault
    }
}

/// The values, and at most one fault of the connection, which is the last item.
impl<R: DeserializeOwned> Stream for ConnectionReceiver<R> {
    type Item = Result<R, TransportError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        this.poll_recv(cx).map(Result::transpose)
    }
}

impl<R> fmt::Debug for ConnectionReceiver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionReceiver").field("ends", self.ends()).finish_non_exhaustive()
    }
}
