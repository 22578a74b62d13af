//! The wire of pleach: messages, their encoding, and the seam that carries them.
//!
//! This crate opens no socket and starts no task. It holds, in the order in which a message passes them:
//!
//! | file | station |
//! |---|---|
//! | [`msg`] | the messages that two actors exchange, and their ids |
//! | [`codec`] | a message as bytes: msgpack, json, or a user's own |
//! | [`blob`] | large byte strings, which travel beside a message and are never copied |
//! | [`framed`] | length-prefixed frames over any byte link; written once for all transports |
//! | [`transport`] | the [`MsgTransport`] seam, and the traits that a protocol implements |
//! | [`registry`] | `(codec, protocol)` → how to make a [`MsgTransport`] |
//! | [`connection`] | values of a user's own types over a [`MsgTransport`], without actors |
//! | [`address`] | where to dial, as URI or multiaddr |
//! | [`bind`] | binding a name that has several addresses |
//! | [`pending`] | handshakes that run beside each other at one listener, and how many may |
//! | [`tap`] | a look at messages as they pass |
//! | [`error`] | how a connection ends |
//! | [`log`] | records of a log, which can't end the code that writes them |

#![forbid(unsafe_code)]

pub mod address;
pub mod bind;
pub mod blob;
pub mod codec;
pub mod connection;
pub mod error;
pub mod framed;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod log;
pub mod msg;
pub mod pending;
pub mod registry;
pub mod sync;
pub mod tap;
mod terms;
mod trace;
pub mod transport;
mod window;

pub use address::Address;
pub use blob::Blob;
pub use codec::{Codec, Encode, Format, Json, Msgpack, Payload};
pub use connection::{Connection, ConnectionListener, ConnectionReceiver, ConnectionSender};
pub use error::{Direction, DrainLimit, EndReason, Ended, SilenceLimit, TransportClosed, TransportError, WrongPeer};
pub use msg::{ByteStr, Cid, Msg, Outgoing};
pub use registry::{Key, Registry, TransportType};
pub use terms::CallOptions;
pub use trace::{InvalidTraceparent, TraceContext};
pub use transport::{
    Flow, Link, Listener, MsgTransport, MsgTransportExt, Protocol, Reach, Settings, TlsIdentity, Traffic, Volume,
};
pub use window::{MESSAGE_COST, Window};
