//! The seam between actors and networks.
//!
//! Above it: a [`MsgTransport`], one connection that carries messages. Below it: a [`Protocol`], which only dials and
//! listens and hands over byte [`Link`]s. Between the two stands [`crate::framed::Framed`], written once. A new
//! protocol implements [`Protocol`] and [`Listener`]; a whole message transport implements [`MsgTransport`].

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::address::Address;
use crate::codec::{Encode, Format, Items};
use crate::error::TransportError;
use crate::msg::{Cid, Msg, Outgoing};
use crate::tap::Tap;

/// One connection that carries messages, shared by all its senders and the one task that reads it.
///
/// Sending is split so that no caller waits for a task hop: [`queue`](Self::queue) encodes a message
/// and adds it to the connection's buffer, under a short lock, and then the caller either writes at once
/// ([`flush_now`](Self::flush_now)) or leaves it to the task that drives the connection
/// ([`wake_flusher`](Self::wake_flusher)), which writes everything queued until then in one go.
///
/// # What must stay true
/// 1. A message is queued whole or not at all, and received whole or not at all, whatever future is dropped.
/// 2. Messages of one [`Lane`] and one dialog ([`Msg::cid`]) arrive in the order in which they were queued.
///    Others of the lane overtake only large messages, and those behind them in their dialog.
/// 3. Messages on [`Lane::CONTROL`] overtake those that other lanes have queued and not yet written, and a large
///    message never blocks small ones: it goes out in pieces. The control lane may not starve the others.
/// 4. Messages that were queued before [`poll_close`](Self::poll_close) returned `Ready(Ok)` reach a peer that reads;
///    [`Msg::Bye`] comes after everything that was queued before it on lanes that share its stream.
/// 5. After an error, every call returns an error; no task waits for ever on a dead connection.
///
/// Dropping the last handle aborts the connection: the peer sees its end, and queued messages are lost.
/// The convenience methods are in [`MsgTransportExt`].
pub trait MsgTransport: Send + Sync + 'static {
    /// Encodes one message, without holding a lock, adds it to the send queue of its lane, and returns the bytes that
    /// wait for the same stream. Never waits.
    ///
    /// # Errors
    /// [`TransportError::Encode`] and [`TransportError::FrameTooLarge`] concern this message only:
    /// nothing was queued, and the connection goes on; too many open lanes are an `Encode` error too.
    /// Any other error is the connection's end.
    fn queue(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError>;

    /// [`queue`](Self::queue), and then [`wake_flusher`](Self::wake_flusher).
    ///
    /// # Errors
    /// As `queue`; then the flusher is not woken.
    fn queue_for_flusher(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        let waiting = self.queue(lane, msg)?;
        self.wake_flusher();
        Ok(waiting)
    }

    /// Returns whether small messages of a stream may share a frame.
    fn shares_frames(&self) -> bool {
        false
    }

    /// Adds stream messages of one dialog, at least one, to the send queue of a lane, if they may
    /// [share a frame](Self::shares_frames). Returns the bytes that wait for the same stream. Never waits, and wakes
    /// nothing.
    ///
    /// # Errors
    /// As [`queue`](Self::queue).
    fn queue_items(&self, lane: Lane, cid: Cid, items: &Items) -> Result<usize, TransportError> {
        let _ = (lane, cid, items);
        Err(TransportError::Encode { codec: self.format().name(), why: "it has no frames for several messages".into() })
    }

    /// Writes the queue, as far as the peer takes it right now. A failure shows in the next call.
    fn flush_now(&self);

    /// Wakes the task that last polled [`poll_flush`](Self::poll_flush), so that it writes the queue.
    fn wake_flusher(&self);

    /// Writes the queue; ready when it is empty. The last task to poll this is the flusher:
    /// it is woken whenever there is something to write, also after it has seen `Ready`.
    ///
    /// # Errors
    /// The connection's end.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Ready while the send queue is short enough for more; this is where a fast sender waits.
    /// It is the queue of the control lane: other lanes are not counted.
    ///
    /// # Errors
    /// The connection's end.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Ready while the send queue of the control lane is short enough for one more small message: large ones do not
    /// hold those up. Returns whether it is short enough for a large one as well. By default there is no difference.
    ///
    /// # Errors
    /// The connection's end.
    fn poll_small_room(&self, cx: &mut Context<'_>) -> Poll<Result<bool, TransportError>> {
        self.poll_room(cx).map_ok(|()| true)
    }

    /// Returns whether a message with this value is a small one. The value is encoded for that, so ask only if
    /// [`poll_small_room`](Self::poll_small_room) makes a difference.
    fn is_small(&self, value: &dyn Encode) -> bool {
        let _ = value; // there is no difference
        true
    }

    /// Ready while the send queue of `lane` is short enough for more, so that a stalled reader holds a
    /// bounded amount. Lanes without streams of their own share one bound for small messages, and each has
    /// one for large messages. Where all lanes share one queue, as the default assumes, it is
    /// [`poll_room`](Self::poll_room).
    ///
    /// # Errors
    /// The connection's end.
    fn poll_lane_room(&self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let _ = lane; // one queue for all
        self.poll_room(cx)
    }

    /// Ends the use of `lane`: its queue still goes out, then its stream is finished and its resources are freed. Never
    /// waits; a lane that was never used is not an error, and [`Lane::CONTROL`] can't be closed this way. Messages
    /// queued on the same lane later are in no order with those before. Where all lanes share one stream, as the
    /// default assumes, it does nothing.
    fn close_lane(&self, lane: Lane) {
        let _ = lane; // a lane of a shared stream costs nothing
    }

    /// Appends at least one received message to `batch`: all that have arrived whole. One task reads.
    ///
    /// # Errors
    /// How the connection ended, once every message that arrived before its end has been returned.
    /// [`TransportError::Closed`] is the graceful end.
    fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>>;

    /// Writes the queue and ends the sending direction. The peer's later messages can be received.
    ///
    /// # Errors
    /// The connection's end, when that came first.
    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>>;

    /// Ends the connection at once; wakes all its waiters. May be called again.
    fn abort(&self);

    /// Returns the bytes that have moved on this connection, and those still waiting; after its end, the lost ones. A
    /// close takes as long as bytes move. Where that is unknown, the default, it takes a fixed time.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// Returns what has crossed this connection so far, for those who watch it. It waits for no lock: `None` while that
    /// is changing. So does the default, which counts nothing.
    fn volume(&self) -> Option<Volume> {
        None
    }

    /// Shows `tap` each message from now on, while [connections are watched](crate::tap::is_watched): one that has been
    /// queued, and one that has come whole, before it is returned. The default shows nothing: `pleach trace` sees no
    /// messages of such a connection.
    fn set_tap(&self, tap: Arc<dyn Tap>) {
        let _ = tap;
    }

    /// Sets the largest frame, in bytes, that this side takes and sends. Small until the peer has proved itself.
    fn set_max_frame(&self, bytes: usize);

    /// Returns how payloads are written on this connection.
    fn format(&self) -> Format;

    /// Returns the peer, as far as the network knows it.
    fn ends(&self) -> &PeerInfo;

    /// Returns whether nothing has ended the connection yet, as far as this side has noticed.
    fn connected(&self) -> bool;
}

/// Which messages keep their order among each other.
///
/// A link with [`Lanes`] of its own (QUIC) carries each on a separate stream, so that a stalled one
/// holds up no other, and lanes are in no order among each other. On a link without (TCP, Unix sockets,
/// memory) all share one stream, on which the control lane goes first. On either, a message overtakes
/// large ones of other dialogs: a cancel passes what its dialog streams on a lane, and never the start
/// of its own dialog, which is on the control lane too. [`MsgTransport::close_lane`] ends a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u64);

impl Lane {
    /// The lane of calls, cancels, acks, credits and everything else that must not wait for data.
    pub const CONTROL: Self = Self(0);
}

/// The two ends of a connection.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// This side's address.
    pub local: Address,
    /// The peer's address; a dialer's may be one that can't be dialled.
    pub remote: Address,
    /// The peer's user and process, where the kernel vouches for them (Unix sockets).
    pub credentials: Option<Credentials>,
    /// A secret of the two ends of this encrypted connection (RFC 9266). A proof over it is valid for this connection
    /// only, which rules out a man in the middle. None if the connection is not encrypted.
    pub binding: Option<[u8; 32]>,
}

/// The user and process at the other end of a Unix socket, as the kernel reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id of the peer.
    pub uid: u32,
    /// Process id of the peer when it connected, where the system tells.
    pub pid: Option<u32>,
}

/// A way to reach other actors: it dials and listens, and knows nothing of messages.
#[async_trait::async_trait]
pub trait Protocol: fmt::Debug + Send + Sync + 'static {
    /// The name in addresses and in the registry, e.g. `tcp`.
    fn name(&self) -> &'static str;

    /// How far it reaches.
    fn reach(&self) -> Reach;

    /// Returns whether a connection ends when the process at its other end does, even one that was killed: where the
    /// system keeps connections, it ends them too. For a protocol that returns `false` (QUIC), the peers' processes are
    /// watched instead.
    fn ends_with_process(&self) -> bool {
        true
    }

    /// Returns whether it needs the actor's certificates, [`Settings::tls`], to dial and to listen.
    fn needs_tls(&self) -> bool {
        false
    }

    /// Returns a default address to listen on: a free port, a fresh path.
    fn any_address(&self, settings: &Settings) -> Address;

    /// Connects to `address`.
    ///
    /// # Errors
    /// [`TransportError::Dial`], within the caller's deadline or sooner; [`TransportError::Tls`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, the attempt is abandoned and nothing is left open.
    async fn dial(&self, address: &Address, settings: &Settings) -> Result<Link, TransportError>;

    /// Starts to listen on `address`.
    ///
    /// # Errors
    /// [`TransportError::Listen`]: in use, not allowed, or no address of this protocol.
    async fn listen(&self, address: &Address, settings: &Settings) -> Result<Box<dyn Listener>, TransportError>;
}

/// The progress of a connection, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Sent and received so far; where the peer's side acknowledges bytes, the acknowledged ones, too.
    pub moved: u64,
    /// Queued here, or taken by the network and not yet confirmed, as far as that is known.
    pub waiting: usize,
}

/// What has crossed a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume {
    /// Queued by this side: messages when they are queued, bytes when they are written.
    pub sent: Flow,
    /// Received by this side.
    pub received: Flow,
    /// The bytes that are queued here, or that the network has taken and not yet confirmed, as far as that is known.
    pub waiting: u64,
}

/// What has gone in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Flow {
    /// Messages, those of the protocol itself among them.
    pub messages: u64,
    /// Bytes, with those around messages.
    pub bytes: u64,
}

/// A bound address. Dropping it stops listening at once, but may free the address a moment later.
#[async_trait::async_trait]
pub trait Listener: Send {
    /// Returns the address that peers dial, with the real port.
    fn local_address(&self) -> &Address;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// When one connection could not be taken; the listener goes on and may be asked again.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no connection is lost.
    async fn accept(&mut self) -> Result<Link, TransportError>;

    /// Stops listening; the address is free when this returns. Accepted connections live on.
    ///
    /// Where accepted connections share the address with the listener (QUIC has one UDP socket for all), it is free
    /// when this returns unless such a connection lives on, and otherwise as soon as the last of them has ended; until
    /// then no new connection is accepted.
    async fn close(self: Box<Self>);
}

/// How far a protocol reaches; nearer ones are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Only inside this process.
    Process,
    /// Only on this host.
    Host,
    /// Over a network.
    Network,
}

/// A connection as bytes, just dialled or accepted.
pub struct Link {
    /// The receiving half. End of file is the peer's graceful end.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// The sending half. Its shutdown resolves when the peer will get everything written before.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Further streams of the same connection, where the protocol has them.
    pub lanes: Option<Lanes>,
    /// Where it leads.
    pub ends: PeerInfo,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// Further streams of one connection, each in one direction: this side opens those that it sends on,
/// and accepts those that the peer sends on. Dropping both halves opens and takes no more.
pub struct Lanes {
    /// Opens streams to the peer.
    pub opener: Box<dyn OpenLanes>,
    /// Takes streams from the peer.
    pub acceptor: Box<dyn AcceptLanes>,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

/// Opens further streams of a connection.
pub trait OpenLanes: Send {
    /// Opens a stream; the peer sees it once something was written. Its shutdown resolves when the
    /// peer will get everything written before. Waits while the peer allows no more streams.
    ///
    /// # Errors
    /// The connection's end.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<Box<dyn AsyncWrite + Send + Unpin>>>;

    /// Returns the acknowledged and the unacknowledged bytes of all streams of the connection. The default is unknown.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// Accepts further streams of a connection.
pub trait AcceptLanes: Send {
    /// Takes a stream that the peer opened. Its end of file is the stream's end, not the connection's.
    ///
    /// # Errors
    /// The connection's end, once every stream that came before it was taken.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<Box<dyn AsyncRead + Send + Unpin>>>;
}

/// The settings of protocols, for dialling and listening. Plain data, so that a parent can hand it to a child.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a dial may take. Applied by the caller of [`Protocol::dial`], for all protocols alike.
    pub dial_timeout: Duration,
    /// How long the network may leave a peer on another host without an answer before its connection has ended: the
    /// net below the heartbeats above. A peer on this host may be silent for any time: it is stopped, or busy.
    pub silence: Duration,
    /// The default directory for Unix sockets, mode 0700.
    pub socket_dir: PathBuf,
    /// Our TLS identity, for protocols that use it.
    pub tls: Option<Arc<TlsIdentity>>,
    /// Largest UDP payload that the path is known to carry, in bytes, where it is above the Internet's
    /// usual 1452 (loopback, jumbo frames). QUIC uses it.
    pub mtu: Option<u16>,
    /// The size of the ring for what this side sends over shared memory, in bytes; see [`is_ring_size`].
    pub shm_ring: usize,
    /// How long a reader of shared memory looks for bytes before it sleeps.
    pub shm_spin: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(3),
            silence: Duration::from_secs(10),
            socket_dir: std::env::temp_dir().join(format!("pleach-{}", std::process::id())),
            tls: None,
            mtu: None,
            shm_ring: 256 << 10,
            shm_spin: Duration::ZERO,
        }
    }
}

/// Returns whether a ring in shared memory may have so many bytes: a power of two, modulo which positions are counted.
pub fn is_ring_size(bytes: usize) -> bool {
    bytes.is_power_of_two() && RING_SIZES.contains(&bytes)
}

/// The smallest and the largest [ring](is_ring_size).
pub const RING_SIZES: RangeInclusive<usize> = 4 << 10..=64 << 20;

/// A certificate with its key, and the authorities that peers must show, all DER.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TlsIdentity {
    /// The authorities whose members are believed; one of them has signed this member's certificate.
    pub authorities: Vec<Vec<u8>>,
    /// This member's certificate, and behind it those between it and its authority.
    pub chain: Vec<Vec<u8>>,
    /// Its private key, PKCS #8.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

/// The awaitable face of [`MsgTransport`]. Its futures are [`Send`].
pub trait MsgTransportExt: MsgTransport {
    /// Queues a batch at once, and then writes until the queue is empty. A sender that awaits each batch has no more than
    /// one in the queue.
    ///
    /// It queues before it returns, so that the future is [`Send`] even where the values can't be shared by threads.
    ///
    /// # Errors
    /// As [`MsgTransport::queue`]; messages of the batch before the failed one have been queued.
    ///
    /// # Cancel safety
    /// If dropped, the batch stays queued, and goes out with the next flush.
    fn send(&self, batch: &[Outgoing<'_>]) -> impl Future<Output = Result<(), TransportError>> + Send + use<'_, Self> {
        let queued = batch.iter().try_for_each(|msg| self.queue(Lane::CONTROL, msg).map(drop));
        async move {
            queued?;
            self.flush().await
        }
    }

    /// Writes until nothing is queued.
    ///
    /// # Errors
    /// The connection's end.
    ///
    /// # Cancel safety
    /// If dropped, the rest goes out with the next flush.
    fn flush(&self) -> impl Future<Output = Result<(), TransportError>> + Send {
        std::future::poll_fn(|cx| self.poll_flush(cx))
    }

    /// Receives at least one message into `batch`.
    ///
    /// # Errors
    /// As [`MsgTransport::poll_recv`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no message is lost.
    fn recv(&self, batch: &mut Vec<Msg>) -> impl Future<Output = Result<(), TransportError>> + Send {
        std::future::poll_fn(|cx| self.poll_recv(cx, batch))
    }

    /// Receives all messages until the peer closes, e.g. after a close of our own. Put a deadline around it.
    ///
    /// # Errors
    /// A fault; the graceful end is `Ok`.
    ///
    /// # Cancel safety
    /// If dropped, messages received so far are in `batch`.
    fn drain(&self, batch: &mut Vec<Msg>) -> impl Future<Output = Result<(), TransportError>> + Send {
        async move {
            loop {
                match self.recv(batch).await {
                    Ok(()) => {}
                    Err(TransportError::Closed(_)) => return Ok(()),
                    Err(fault) => return Err(fault),
                }
            }
        }
    }

    /// Writes the queue and ends the sending direction.
    ///
    /// # Errors
    /// The connection's end, when that came first.
    ///
    /// # Cancel safety
    /// If dropped, call it again, or drop the transport.
    fn close(&self) -> impl Future<Output = Result<(), TransportError>> + Send {
        std::future::poll_fn(|cx| self.poll_close(cx))
    }
}

impl<T: MsgTransport + ?Sized> MsgTransportExt for T {}

/// Hands a pinned [`AsyncRead`] or [`AsyncWrite`] out of a box.
pub(crate) fn pin<T: ?Sized + Unpin>(half: &mut Box<T>) -> Pin<&mut T> {
    Pin::new(&mut **half)
}
