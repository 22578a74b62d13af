//! How a connection ends, and what can go wrong on it.
//!
//! [`TransportClosed`] is the graceful end: it ends a message loop quietly. Every other variant of
//! [`TransportError`] is a fault. All are `Clone`, because one end of a connection wakes many waiters.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Address;

/// What went wrong on a connection, or how it ended.
#[derive(Clone, Debug, thiserror::Error)]
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
    Reset(#[source] Arc<io::Error>),
    /// The peer sent bytes that are no message of the agreed codec.
    #[error("a frame from the peer is no {codec} message: {why} (does the peer speak another codec?)")]
    Decode {
        /// The codec that this side expected.
        codec: &'static str,
        /// What the decoder found.
        why: String,
    },
    /// The peer sent a message as agreed, and the value in it is not of the type that is expected here.
    #[error("can't read this value as {codec}: {why}")]
    Value {
        /// The codec that it is written in.
        codec: &'static str,
        /// Where in the value, and what the decoder found.
        why: String,
    },
    /// A value of our own could not be encoded; nothing was sent.
    #[error("a value can't be sent as {codec}: {why}")]
    Encode {
        /// The codec of the connection.
        codec: &'static str,
        /// Where in the value, and what the encoder found.
        why: String,
    },
    /// A frame is larger than the limit allows.
    #[error(
        "a frame of {size} bytes {direction} is over the limit of {limit} bytes; raise `max_frame` \
         (PLEACH_MAX_FRAME, or `max_frame` in pleach.toml) on both sides, or send it in smaller pieces"
    )]
    FrameTooLarge {
        /// The size that was announced or encoded, in bytes.
        size: usize,
        /// The limit in force, in bytes.
        limit: usize,
        /// "from the peer" or "to the peer".
        direction: &'static str,
    },
    /// The peer did not get through the handshake.
    #[error("handshake: {0}")]
    Handshake(String),
    /// The peer does not read what is sent to it, and too much waits here.
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
    /// The peer was given up: nothing that shows it alive has come for too long.
    #[error("the peer was given up after {silent:?} of silence: {limit}")]
    Silent {
        /// How long, when it was given up.
        silent: Duration,
        /// Which limit that was over.
        limit: SilenceLimit,
    },
    /// Nobody could be reached at the address.
    #[error("can't connect to {address}: {source}")]
    Dial {
        /// Where the connection should have gone.
        address: Address,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The address could not be bound.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: Address,
        /// What the operating system said.
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

/// How long a peer may be silent before it is given up.
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
}

impl std::fmt::Display for SilenceLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lease(lease) => write!(f, "its lease of {lease:?} is over (`lease`)"),
            Self::OwnLease(lease) => {
                write!(f, "no heartbeat sent in this time was answered, and the lease of {lease:?} is over (`lease`)")
            }
            Self::Phi(limit) => write!(f, "so long a silence is too unlikely, phi is over {limit} (`dead_after`)"),
        }
    }
}

/// The graceful end of a connection: who ended it, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was closed by {by}: {why}")]
pub struct TransportClosed {
    /// Which side ended it.
    pub by: Ended,
    /// The reason in words, as far as it is known.
    pub why: String,
}

impl TransportClosed {
    /// The end of a connection that the peer closed.
    pub fn by_peer(why: impl Into<String>) -> Self {
        Self { by: Ended::Peer, why: why.into() }
    }

    /// The end of a connection that this side closed.
    pub fn by_us(why: impl Into<String>) -> Self {
        Self { by: Ended::Us, why: why.into() }
    }
}

/// Which side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
