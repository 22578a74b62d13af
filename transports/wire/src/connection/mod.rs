//! A connection that carries values of the user's own types: the transport stack without actors.
//!
//! It is a typed face of a [`MsgTransport`], and adds nothing to the wire but one kind of message ([`Msg::Value`]). It has
//! no calls, no answers that belong to questions, no heartbeats and no task of its own: that is what actors are for.
//! [`Registry::connect`](crate::Registry::connect) and [`Registry::listen`](crate::Registry::listen) make connections.
//!
//! | file | station |
//! |---|---|
//! | `mod` | the whole connection |
//! | `halves` | sending and receiving, for two tasks |
//! | `listener` | accepts connections |
//!
//! # Who is at the other end
//! Actors prove to each other that they are of one tree. Here there is no such proof, only what the protocol checks by
//! itself:
//!
//! | protocol | who gets a connection |
//! |---|---|
//! | `mem` | code of this process |
//! | `uds` | processes of the same user, and root's; the kernel vouches ([`PeerInfo::credentials`]) |
//! | `tcp` | all who reach the port; nothing is encrypted |
//! | `tls+tcp`, `quic` | those with a certificate of one of our [authorities](crate::TlsIdentity), on both sides |
//!
//! The first value of a stranger may be as large as any other: [`MAX_FRAME`](crate::framed::MAX_FRAME), 64 MiB, unless
//! [`ConnectionListener::set_max_frame`] says less. What is announced takes no memory, only what has arrived does.
//!
//! # What must stay true
//! 1. A value is sent whole or not at all, and received whole or not at all, whatever future is dropped.
//! 2. Values arrive in the order in which they were queued, whatever their size.
//! 3. Nothing is queued before there is room: a peer that does not read makes its sender wait.

mod halves;
mod listener;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::halves::{ConnectionReceiver, ConnectionSender};
pub use self::listener::ConnectionListener;
use crate::error::TransportError;
#[cfg(doc)]
use crate::msg::Msg;
use crate::transport::{MsgTransport, PeerInfo};

/// A connection that sends values of type `S` and receives values of type `R`.
///
/// Several kinds of messages are the variants of an enum. A [`Blob`](crate::Blob), or a field of type
/// [`Bytes`](bytes::Bytes) with `#[serde(with = "pleach_wire::blob")]`, crosses without a copy where the codec is
/// `msgpack`. All futures are [`Send`] if `S` is [`Sync`].
///
/// The dialer sends the first value: over QUIC a listener does not see a connection before that. Two peers that both
/// send much before they receive wait for each other: [`split`](Self::split) the connection, and receive in another task.
///
/// Dropping it aborts it: the peer sees its end, and what [`feed`](Self::feed) has queued is lost. [`close`](Self::close)
/// it first.
///
/// # Examples
/// ```
/// # async fn shows(registry: pleach_wire::Registry) -> Result<(), Box<dyn std::error::Error>> {
/// use pleach_wire::{Address, Connection, Settings};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// enum Question {
///     Length(String),
///     Quit,
/// }
///
/// let address: Address = "tcp://127.0.0.1:1616".parse()?;
/// let mut connection: Connection<Question, usize> = registry.connect("msgpack", &address, &Settings::default()).await?;
/// connection.send(&Question::Length("three".into())).await?;
/// assert_eq!(connection.recv().await?, Some(5));
/// connection.send(&Question::Quit).await?;
/// connection.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct Connection<S, R = S> {
    sender: ConnectionSender<S>,
    receiver: ConnectionReceiver<R>,
}

impl<S, R> Connection<S, R> {
    /// Carries values over `transport`, whose peer does so, too. Nothing else may send or receive on it.
    pub fn new(transport: Arc<dyn MsgTransport>) -> Self {
        Self { sender: ConnectionSender::new(transport.clone()), receiver: ConnectionReceiver::new(transport) }
    }

    /// Separates sending from receiving, for two tasks.
    pub fn split(self) -> (ConnectionSender<S>, ConnectionReceiver<R>) {
        (self.sender, self.receiver)
    }

    /// Puts the halves of one connection together again.
    ///
    /// # Errors
    /// They are of two connections; both are returned.
    pub fn unsplit(
        sender: ConnectionSender<S>,
        receiver: ConnectionReceiver<R>,
    ) -> Result<Self, (ConnectionSender<S>, ConnectionReceiver<R>)> {
        let same = Arc::ptr_eq(sender.transport(), receiver.transport());
        if same { Ok(Self { sender, receiver }) } else { Err((sender, receiver)) }
    }

    /// Returns both ends, as far as the network knows them.
    pub fn ends(&self) -> &PeerInfo {
        self.sender.ends()
    }

    /// Sets the largest value that this side takes and sends, in bytes as they are encoded; 64 MiB at first.
    pub fn set_max_frame(&self, bytes: usize) {
        self.transport().set_max_frame(bytes);
    }

    /// Returns the transport below, e.g. for its [counters](MsgTransport::traffic).
    pub fn transport(&self) -> &Arc<dyn MsgTransport> {
        self.sender.transport()
    }

    /// Ends the connection at once, without a word; what waits here is lost.
    pub fn abort(&self) {
        self.sender.abort();
    }

    /// Writes what is queued, and ends the sending direction; the peer's [`recv`](Self::recv) returns `None` then. What
    /// it still sends can be received. After this the connection may be dropped: what was sent reaches a peer that reads.
    ///
    /// A peer that does not read keeps it waiting: put a deadline around it, such as `tokio::time::timeout`.
    ///
    /// # Errors
    /// The connection's end, when that came first.
    ///
    /// # Cancel safety
    /// If dropped, call it again, or drop the connection.
    pub async fn close(&self) -> Result<(), TransportError> {
        self.sender.close().await
    }

    /// Writes until nothing is queued; as [`ConnectionSender::flush`].
    ///
    /// # Errors
    /// The connection's end.
    ///
    /// # Cancel safety
    /// If dropped, the rest goes out with the next flush.
    pub async fn flush(&self) -> Result<(), TransportError> {
        self.sender.flush().await
    }
}

impl<S: Serialize, R> Connection<S, R> {
    /// Sends one value; as [`ConnectionSender::send`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// If dropped, the value was queued whole or not at all; a queued one goes out with the next flush.
    pub async fn send(&self, value: &S) -> Result<(), TransportError> {
        self.sender.send(value).await
    }

    /// Queues one value as soon as there is room; as [`ConnectionSender::feed`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was queued.
    pub async fn feed(&self, value: &S) -> Result<(), TransportError> {
        self.sender.feed(value).await
    }
}

impl<S, R: DeserializeOwned> Connection<S, R> {
    /// Receives the next value; as [`ConnectionReceiver::recv`]. While it waits, it also writes what is queued.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no value is lost.
    pub async fn recv(&mut self) -> Result<Option<R>, TransportError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<R>, TransportError>> {
        let polled = self.receiver.poll_recv(cx);
        if polled.is_pending() {
            let _ = self.transport().poll_flush(cx); // a fault shows in the next send; the peer's values still come
        }
        polled
    }
}

/// The values, and at most one fault of the connection, which is the last item.
impl<S, R: DeserializeOwned> Stream for Connection<S, R> {
    type Item = Result<R, TransportError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.receiver.has_failed() {
            return Poll::Ready(None);
        }
        this.poll_recv(cx).map(Result::transpose)
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("ends", self.ends()).finish_non_exhaustive()
    }
}
