//! The answers that a dialog gives: how far it has come, how it ended, what may be sent, what was taken.
//!
//! ```text
//! Opening ──► Open ──► Streaming ──► StreamFinished ──► Returned, Failed or Cancelled…
//!     └─────────┴───────────┴──────────────┴── cancel ──► Cancelling ──────►┘
//! ```
//! That is [`ContextState`]: one word for people, logs and introspection. It is derived from a [`Dialog`](super::Dialog),
//! which holds the rules; nothing is decided by it.

use pleach_wire::Payload;

/// How far a context has come, as the side that is asked sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContextState {
    /// The function has not sent its first value yet.
    Opening,
    /// The first value was sent; this side has not opened its stream.
    Open,
    /// This side's stream is open.
    Streaming,
    /// This side's stream is closed; the function goes on.
    StreamFinished,
    /// This side has asked to cancel the function, and it is not over yet.
    Cancelling,
    /// The function has returned.
    Returned,
    /// The function was cancelled at the request of this side's actor.
    CancelledBySelf,
    /// The function was cancelled by the actor that ran it.
    CancelledByPeer,
    /// The function was cancelled by another actor, or by an unknown one.
    CancelledByOther,
    /// The function failed, or the connection was lost.
    Failed,
}

/// How a dialog ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The function returned.
    Value(Payload),
    /// It failed.
    Error(Payload),
    /// It was cancelled.
    Cancelled(Payload, Canceller),
    /// The connection ended first.
    Lost,
    /// The function of this side has ended; its leftover handles can't use the dialog any more.
    Left,
}

/// At whose request a function was cancelled, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Canceller {
    /// The caller's actor.
    Us,
    /// The actor that ran it.
    Peer,
    /// Another actor, or an unknown one.
    Other,
}

/// The caller's outcome of waiting for the first value.
#[derive(Debug)]
pub(crate) enum TakeFirst {
    /// The function has sent it.
    Value(Payload),
    /// The dialog ended without it.
    Ended(End),
    /// Not yet.
    Wait,
}

/// Why a stream message may not be sent, or not now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPermit {
    /// When the peer has taken some.
    Wait,
    /// When the peer has opened its stream, if it does.
    NotOpened,
    /// Never: the peer's buffer is full, and it does not let senders wait.
    Overrun,
    /// Never: the dialog, or this side's stream, has ended.
    Closed,
}

/// The fate of a received stream message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It waits for the task.
    Kept,
    /// It waits for the task, and this credit is to be given back now.
    Credited(u32),
    /// This side has closed its stream: no task will take it. The credit is to be given back now, if any.
    Discarded(Option<u32>),
    /// The peer had no credit for it.
    Unallowed,
}

/// The outcome of receiving from a stream.
#[derive(Debug)]
pub(crate) enum Take {
    /// A message.
    Item(Payload),
    /// So many messages were lost here; the next ones came after them.
    Lost(u64),
    /// Nothing will come any more.
    Stopped,
    /// The dialog failed.
    Failed(End),
    /// Not yet.
    Wait,
}

/// A use of the dialog that can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misuse {
    /// `started` where it makes no sense.
    #[error("`started()` was called twice: it sends the first value, and there is one")]
    StartedTwice,
    /// The callee opened its stream too early.
    #[error("`open_stream()` was called before `started()`: the caller is not there yet")]
    NotStarted,
    /// Only one stream.
    #[error("the stream of this context was opened before: it can be opened once")]
    OpenedBefore,
    /// Too late.
    #[error("the context has ended: its function has returned, or its block was left")]
    Over,
    /// This side has cancelled the context.
    #[error("this side has cancelled the context")]
    Cancelled,
}
