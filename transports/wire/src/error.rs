//! Errors of a connection, and the ways it ends.
//!
//! [`TransportClosed`] is the graceful end: it ends a message loop quietly. Every other variant of
//! [`TransportError`] is a fault. All are `Clone`, because one end of a connection wakes many waiters. All are plain data
//! for serde, too, and come back from another process as they were; only an operating system error of another kind of
//! system comes back approximately (`saved`).

mod saved;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;

/// The failure of a connection, or its graceful end.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TransportError {
    /// The connection ended gracefully, between two frames.
    #[error(transparent)]
    Closed(#[from] TransportClosed),
    /// The peer's bytes ended inside a frame.
    #[error("the connection ended inside a frame: {received} of {expected} bytes had arrived")]
    Truncated {
        /// Bytes of the frame that had arrived, length prefix included.
        received: usize,
        /// Bytes of the whole frame as far as known, length prefix included.
        expected: usize,
    },
    /// The operating system reported a fault inside a frame, or while writing.
    #[error("the connection broke: {0}")]
    Reset(
        #[source]
        #[serde(with = "saved::io_error")]
        Arc<io::Error>,
    ),
    /// The peer sent bytes that are not a message of the agreed codec.
    #[error("a frame from the peer is no {codec} message: {why} (does the peer speak another codec?)")]
    Decode {
        /// The codec that this side expected.
        #[serde(with = "saved::codec_name")]
        codec: CodecName,
        /// The decoder's error.
        why: String,
    },
    /// The peer sent a message as agreed, and the value in it is not of the type that is expected here.
    #[error("can't read this value as {codec}: {why}")]
    Value {
        /// The codec that it is written in.
        #[serde(with = "saved::codec_name")]
        codec: CodecName,
        /// The place in the value, and the decoder's error.
        why: String,
    },
    /// The peer sent a message between actors on a [connection](crate::Connection) that carries values only.
    #[error(
        "the peer sent `{kind}`, a message between actors, on a connection that carries values: is its address that of \
         an actor?"
    )]
    NotAValue {
        /// The kind of the message.
        kind: String,
    },
    /// A value of our own could not be encoded; nothing was sent.
    #[error("a value can't be sent as {codec}: {why}")]
    Encode {
        /// The codec of the connection.
        #[serde(with = "saved::codec_name")]
        codec: CodecName,
        /// The place in the value, and the encoder's error.
        why: String,
    },
    /// A frame is larger than the limit allows.
    #[error(
        "a frame of {size} bytes {direction} exceeds the limit of {limit} bytes; raise `max_frame` \
         (PLEACH_MAX_FRAME, or `max_frame` in pleach.toml; without actors, `set_max_frame`) on both sides, or send it \
         in smaller pieces"
    )]
    FrameTooLarge {
        /// The size that was announced or encoded, in bytes.
        size: usize,
        /// The limit in force, in bytes.
        limit: usize,
        /// Which way it goes.
        direction: Direction,
    },
    /// The peer did not get through the handshake.
    #[error("handshake: {0}")]
    Handshake(String),
    /// The peer belongs to the tree, and is another one than was to be there.
    #[error("handshake: {0}")]
    WrongPeer(Box<WrongPeer>),
    /// The peer does not read its messages, and too much waits here.
    #[error(
        "{waiting} bytes wait for a peer that does not read them, over the limit of {limit} bytes: is it stopped, or \
         busy without a pause? Otherwise raise `max_backlog` (PLEACH_MAX_BACKLOG, or `max_backlog` in pleach.toml)"
    )]
    Backlog {
        /// Bytes that wait to be sent.
        waiting: usize,
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// Nothing arrived for longer than allowed.
    #[error("the peer was silent for {0:?}")]
    Idle(Duration),
    /// The peer was declared dead: it has been silent for too long.
    #[error("the peer was declared dead after {silent:?} of silence: {limit}")]
    Silent {
        /// The duration of its silence.
        silent: Duration,
        /// Which limit that was over.
        limit: SilenceLimit,
    },
    /// This side closed the connection, and not all that it had sent has reached the peer.
    #[error("the connection was closed before {bytes} bytes had reached the peer: {limit}")]
    Undelivered {
        /// How many, as far as this side knows.
        bytes: usize,
        /// Why it did not wait for longer.
        limit: DrainLimit,
    },
    /// The address could not be reached.
    #[error("can't connect to {address}: {source}")]
    Dial {
        /// Where the connection should have gone.
        #[serde(with = "saved::address")]
        address: Address,
        /// The error of the operating system.
        #[serde(with = "saved::io_error")]
        source: Arc<io::Error>,
    },
    /// The address could not be bound.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        #[serde(with = "saved::address")]
        address: Address,
        /// The error of the operating system.
        #[serde(with = "saved::io_error")]
        source: Arc<io::Error>,
    },
    /// The registry has no transport of this name.
    #[error("no transport for codec `{codec}` over `{protocol}`; available: {available}")]
    Unknown {
        /// The codec asked for.
        codec: String,
        /// The protocol asked for.
        protocol: String,
        /// The keys that the registry has.
        available: String,
    },
    /// TLS refused a certificate, a key or a peer.
    #[error("tls: {0}")]
    Tls(String),
}

impl TransportError {
    /// Wraps an I/O error that happened while dialling `address`.
    pub fn dial(address: &Address, source: io::Error) -> Self {
        Self::Dial { address: address.clone(), source: Arc::new(source) }
    }

    /// Wraps an I/O error that happened while binding `address`.
    pub fn listen(address: &Address, source: io::Error) -> Self {
        Self::Listen { address: address.clone(), source: Arc::new(source) }
    }

    /// Returns whether the connection ended gracefully, so that a message loop may end quietly.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

/// The name of a codec. Under a name of its own, because serde takes a `&'static str` for borrowed from its input.
pub type CodecName = &'static str;

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The peer has sent it.
    FromPeer,
    /// It was to be sent to the peer.
    ToPeer,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FromPeer => "from the peer",
            Self::ToPeer => "to the peer",
        })
    }
}

/// The limit of a peer's silence before it is declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SilenceLimit {
    /// A child's lease, as its parent sees it: all that the child sends renews it.
    Lease(Duration),
    /// A child's lease, as the child sees it: answers to its heartbeats renew it, from when they were sent.
    OwnLease(Duration),
    /// So long a silence was too unlikely, after how the peer's heartbeats had come: this value of phi.
    Phi(usize),
    /// The network had no answer from the peer's host for so long.
    Network(Duration),
}

impl std::fmt::Display for SilenceLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lease(lease) => write!(f, "its lease of {lease:?} has expired (`lease`)"),
            Self::OwnLease(lease) => {
                write!(
                    f,
                    "no heartbeat sent in this time was answered, and the lease of {lease:?} has expired \
                    (`lease`)"
                )
            }
            Self::Network(time) => write!(f, "the network had no answer from there within {time:?}"),
            Self::Phi(limit) => write!(f, "so long a silence is too unlikely, phi exceeds {limit} (`dead_after`)"),
        }
    }
}

/// Another actor than the one that was dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{found} answers at {address} instead of {wanted}")]
pub struct WrongPeer {
    /// Where it was found.
    pub address: String,
    /// The expected peer.
    pub wanted: String,
    /// The actual peer.
    pub found: String,
}

/// Why a connection that is being closed waited no longer for the peer to take the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DrainLimit {
    /// For so long, nothing had moved.
    Stalled(Duration),
    /// It had taken so long altogether.
    Total(Duration),
    /// The peer took no more: it had ended, or the connection had.
    Broken,
}

impl std::fmt::Display for DrainLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stalled(time) => write!(f, "none of them had moved for {time:?} (`drain`)"),
            Self::Total(time) => write!(f, "closing had taken {time:?} (`peers`)"),
            Self::Broken => f.write_str("the peer took no more"),
        }
    }
}

/// The graceful end of a connection: the side that ended it, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("the connection was closed by {by}: {reason}")]
pub struct TransportClosed {
    /// Which side ended it.
    pub by: Ended,
    /// The reason, as far as it is known.
    pub reason: EndReason,
    /// Whether it ended with an orderly [`Msg::Bye`](crate::msg::Msg::Bye) that the other side received.
    pub in_order: bool,
}

impl TransportClosed {
    /// The end of a connection that the peer closed.
    pub fn by_peer(reason: impl Into<EndReason>) -> Self {
        Self { by: Ended::Peer, reason: reason.into(), in_order: false }
    }

    /// The end of a connection that this side closed.
    pub fn by_us(reason: impl Into<EndReason>) -> Self {
        Self { by: Ended::Us, reason: reason.into(), in_order: false }
    }

    /// The same end, after a goodbye.
    #[must_use]
    pub fn after_goodbye(self) -> Self {
        Self { in_order: true, ..self }
    }

    /// Returns whether the connection ended because the peer's actor, or its process, has.
    pub fn peer_has_exited(&self) -> bool {
        self.by == Ended::Peer && matches!(self.reason, EndReason::ActorEnded | EndReason::ProcessEnded)
    }
}

/// Which side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// This side closed it.
    Us,
    /// The other side closed it, or it is gone.
    Peer,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Us => "this side",
            Self::Peer => "the peer",
        })
    }
}

/// Why a connection ended gracefully.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The actor on the side that closed it has ended.
    #[error("its actor has ended")]
    ActorEnded,
    /// The process on the side that closed it has ended.
    #[error("its process has ended")]
    ProcessEnded,
    /// Nothing uses the connection any more.
    #[error("it is no longer used")]
    Unused,
    /// The stream of bytes ended between two frames.
    #[error("end of file between two frames")]
    EndOfFile,
    /// The operating system reported the peer gone between two frames: its error, in words.
    #[error("{0}, between two frames")]
    Vanished(String),
    /// A lane was opened, and ended before its first byte.
    #[error("a lane without a byte")]
    EmptyLane,
    /// The connection is being closed, and takes no more messages.
    #[error("it is closing")]
    Closing,
    /// Everything was sent, and the sending direction has ended.
    #[error("this side has finished sending")]
    Sent,
    /// The peer was asked to close its side, and did not in time.
    #[error("the peer did not close in time: {0}")]
    NotAnswered(DrainLimit),
    /// The actor is shutting down, and takes no more connections.
    #[error("this actor is shutting down")]
    ShuttingDown,
    /// The connection was aborted.
    #[error("aborted")]
    Aborted,
    /// The message loop of the connection was dropped.
    #[error("its message loop was dropped")]
    Dropped,
    /// A reason of a transport that the program brought along, or of a later version, in its words.
    #[error("{0}")]
    Other(String),
}

impl EndReason {
    /// Reads the last message of a peer, [`Msg::Bye`](crate::msg::Msg::Bye).
    pub fn of_goodbye(text: &str) -> Self {
        match text {
            ENDED => Self::ActorEnded,
            UNUSED => Self::Unused,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Returns the text for such a message: whether the actor has ended.
    pub fn goodbye(&self) -> &'static str {
        if *self == Self::ActorEnded { ENDED } else { UNUSED }
    }
}

impl From<&str> for EndReason {
    fn from(words: &str) -> Self {
        Self::Other(words.to_owned())
    }
}

impl From<String> for EndReason {
    fn from(words: String) -> Self {
        Self::Other(words)
    }
}

/// The texts of goodbyes on the wire.
const ENDED: &str = "ended";
const UNUSED: &str = "finished";
