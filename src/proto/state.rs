//! How far a context has come, in one word: for people, logs and introspection.
//!
//! ```text
//! Opening ──► Open ──► Streaming ──► StreamFinished ──► Returned, Failed or Cancelled…
//!     └─────────┴───────────┴──────────────┴── cancel ──► Cancelling ──────►┘
//! ```
//! It is derived from a [`Dialog`](super::dialog::Dialog), which holds the rules; nothing is decided by it.

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
