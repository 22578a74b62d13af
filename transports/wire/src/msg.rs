//! The messages that two actors exchange. Wire names are fixed here and never renamed.
//!
//! One enum serves both directions: an incoming [`Msg`] has a payload that is still encoded ([`Payload`]: the task that
//! knows its type decodes it); an [`Outgoing`] has one that is a borrowed value that the codec writes straight into a
//! buffer.
//!
//! | wire name | code | fields | meaning |
//! |---|---|---|---|
//! | `hello` | 1 | step | one step of the handshake |
//! | `start` | 2 | cid, target, args, terms | run a function of the peer |
//! | `return` | 3 | cid, value | its final value |
//! | `error` | 4 | cid or 0, error | it failed; without a cid: the peer's runtime failed |
//! | `cancel` | 5 | cid | cancel the task of that dialog |
//! | `cancel_ack` | 6 | cid, found | the cancel request has been carried out |
//! | `bye` | 7 | why | the sender closes the connection |
//! | `open` | 8 | cid, target, args, terms | run a context function of the peer: a dialog of many messages |
//! | `started` | 9 | cid, value | it runs; its first value |
//! | `stream` | 10 | cid, messages, waits, bytes | the sender takes stream messages now: its window, and what it does when they are too many |
//! | `yield` | 11 | cid, value | one message of the stream, either way |
//! | `credit` | 12 | cid, count | so many more of the peer's messages have been taken |
//! | `stop` | 13 | cid | the sender sends no more stream messages |
//! | `pull` | 14 | cid, target, messages, waits, bytes, args, terms | run a stream function of the peer: it yields, the sender only takes |
//! | `ping` | 15 | n | a heartbeat: answer at once |
//! | `pong` | 16 | n | the answer to that heartbeat |
//!
//! `terms` are two numbers, the schema and the microseconds that are left for the task ([`CallOptions`]). 0 says
//! nothing, and so does a number that is missing at the end. Behind them comes the trace that the request belongs to, if
//! there is one ([`TraceContext`](crate::TraceContext)).
//! A reader ignores extra fields at the end of a message, so that a later version may add some.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{Encode, Payload};
use crate::terms::CallOptions;
use crate::window::Window;

/// One message, with its payload either as it arrived or as a value to be written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Msg<P = Payload> {
    /// One step of the handshake; no other message is read before it completes.
    Hello {
        /// The step, as the handshake defines it.
        step: P,
    },
    /// Run the function `target` with `args`.
    Start {
        /// The dialog that this message opens.
        cid: Cid,
        /// Path of the function, or `self:` and the name of a runtime method.
        target: ByteStr,
        /// The argument structure.
        args: P,
        /// The caller's other terms.
        terms: CallOptions,
    },
    /// The final value of a dialog.
    Return {
        /// The dialog that ends.
        cid: Cid,
        /// The value.
        value: P,
    },
    /// A dialog failed or, without a cid, the peer's runtime did.
    Error {
        /// The dialog that ends.
        cid: Option<Cid>,
        /// The error, as the runtime writes errors.
        error: P,
    },
    /// Cancel the remote task of a dialog.
    Cancel {
        /// The dialog whose task is to be cancelled.
        cid: Cid,
    },
    /// Answers [`Msg::Cancel`] once the task has ended.
    CancelAck {
        /// The dialog of the request.
        cid: Cid,
        /// Whether there was still such a task.
        found: bool,
    },
    /// Run the context function `target` with `args`: opens a dialog of many messages.
    Open {
        /// The dialog that this message opens.
        cid: Cid,
        /// Path of the function.
        target: ByteStr,
        /// The argument structure.
        args: P,
        /// The caller's other terms.
        terms: CallOptions,
    },
    /// Run the stream function `target` with `args`: opens a dialog in which only the peer sends messages.
    /// It has neither a first value nor [`Msg::Stop`]: it ends with the function, or is cancelled.
    Pull {
        /// The dialog that this message opens.
        cid: Cid,
        /// Path of the function.
        target: ByteStr,
        /// How much the sender buffers.
        window: Window,
        /// Whether the function is to wait when the buffer is full; otherwise that is an error there.
        waits: bool,
        /// The argument structure.
        args: P,
        /// The caller's other terms.
        terms: CallOptions,
    },
    /// The task of a dialog runs; its first value.
    Started {
        /// The dialog.
        cid: Cid,
        /// The value.
        value: P,
    },
    /// The sender has opened its end of the dialog's stream.
    Stream {
        /// The dialog.
        cid: Cid,
        /// How much it buffers; [`Window::INITIAL`] before it says so.
        window: Window,
        /// Whether the peer is to wait when the buffer is full; otherwise that is an error there.
        waits: bool,
    },
    /// One message of a dialog's stream.
    Yield {
        /// The dialog.
        cid: Cid,
        /// The message.
        value: P,
    },
    /// Stream messages of the peer have been taken, or discarded: it may send more.
    Credit {
        /// The dialog.
        cid: Cid,
        /// How many since the last of these, the oldest first.
        count: u32,
    },
    /// The sender sends no more stream messages.
    Stop {
        /// The dialog.
        cid: Cid,
    },
    /// The sender is about to close the connection.
    Bye {
        /// Why, in words.
        why: ByteStr,
    },
    /// A heartbeat: the sender is alive, and wants to know whether the receiver is.
    Ping {
        /// Which one; the answer repeats it.
        n: u64,
    },
    /// Answers [`Msg::Ping`], at once.
    Pong {
        /// The number of the heartbeat.
        n: u64,
    },
    /// One value of a [`Connection`](crate::Connection), which has no dialogs. Actors send none.
    Value {
        /// The value.
        value: P,
    },
}

/// A message on its way out; its payload is encoded in place.
pub type Outgoing<'a> = Msg<&'a dyn Encode>;

/// The id of one dialog on one connection: odd where the dialer opened it, even where the listener did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid(pub u64);

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The kind of a function: which message opens its dialog, and which messages follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionKind {
    /// One question, one answer: [`Msg::Start`].
    Rpc,
    /// A dialog of many messages: [`Msg::Open`].
    Context,
    /// Messages one way: [`Msg::Pull`].
    Stream,
}

/// A text that is a slice of a received frame, or a constant: cloning it copies no bytes.
#[derive(Clone)]
pub struct ByteStr(Text);

#[derive(Clone)]
enum Text {
    /// The names that this side calls by; known to be text, so it isn't checked with each message.
    Constant(&'static str),
    Slice(Bytes),
}

impl ByteStr {
    /// A constant text; allocates nothing.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Text::Constant(text))
    }

    /// Takes bytes of a frame as text.
    ///
    /// # Errors
    /// When they are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(Text::Slice(bytes)))
    }

    /// Returns the bytes of the text, for a comparison: unlike [`as_str`](Self::as_str) it does not look at them.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::Constant(text) => text.as_bytes(),
            Text::Slice(bytes) => bytes,
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Constant(text) => text,
            Text::Slice(bytes) => std::str::from_utf8(bytes).expect("checked when it was made"),
        }
    }
}

impl From<String> for ByteStr {
    fn from(text: String) -> Self {
        Self(Text::Slice(Bytes::from(text)))
    }
}

impl PartialEq for ByteStr {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ByteStr {}

impl std::hash::Hash for ByteStr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl std::ops::Deref for ByteStr {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<P> Msg<P> {
    /// Returns the wire name of this kind of message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Start { .. } => "start",
            Self::Return { .. } => "return",
            Self::Error { .. } => "error",
            Self::Cancel { .. } => "cancel",
            Self::CancelAck { .. } => "cancel_ack",
            Self::Bye { .. } => "bye",
            Self::Open { .. } => "open",
            Self::Pull { .. } => "pull",
            Self::Started { .. } => "started",
            Self::Stream { .. } => "stream",
            Self::Yield { .. } => "yield",
            Self::Credit { .. } => "credit",
            Self::Stop { .. } => "stop",
            Self::Ping { .. } => "ping",
            Self::Pong { .. } => "pong",
            Self::Value { .. } => "value",
        }
    }

    /// Returns the dialog that this message belongs to, if its kind has one.
    pub fn cid(&self) -> Option<Cid> {
        match self {
            Self::Start { cid, .. }
            | Self::Return { cid, .. }
            | Self::Cancel { cid }
            | Self::CancelAck { cid, .. }
            | Self::Open { cid, .. }
            | Self::Pull { cid, .. }
            | Self::Started { cid, .. }
            | Self::Stream { cid, .. }
            | Self::Yield { cid, .. }
            | Self::Credit { cid, .. }
            | Self::Stop { cid } => Some(*cid),
            Self::Error { cid, .. } => *cid,
            Self::Hello { .. } | Self::Bye { .. } | Self::Ping { .. } | Self::Pong { .. } | Self::Value { .. } => None,
        }
    }

    /// Returns the path of the function that a request asks for.
    pub fn target(&self) -> Option<&ByteStr> {
        match self {
            Self::Start { target, .. } | Self::Open { target, .. } | Self::Pull { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Returns the terms of a request.
    pub fn terms(&self) -> Option<&CallOptions> {
        match self {
            Self::Start { terms, .. } | Self::Open { terms, .. } | Self::Pull { terms, .. } => Some(terms),
            _ => None,
        }
    }

    /// Returns the value that this message carries, if its kind carries one.
    pub fn payload(&self) -> Option<&P> {
        match self {
            Self::Hello { step: payload }
            | Self::Start { args: payload, .. }
            | Self::Return { value: payload, .. }
            | Self::Error { error: payload, .. }
            | Self::Open { args: payload, .. }
            | Self::Pull { args: payload, .. }
            | Self::Started { value: payload, .. }
            | Self::Yield { value: payload, .. }
            | Self::Value { value: payload } => Some(payload),
            Self::Cancel { .. }
            | Self::CancelAck { .. }
            | Self::Bye { .. }
            | Self::Stream { .. }
            | Self::Credit { .. }
            | Self::Stop { .. }
            | Self::Ping { .. }
            | Self::Pong { .. } => None,
        }
    }
}
