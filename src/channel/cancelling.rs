//! The cancellations that this side asks its peer for: each leaves one record, of a call, a context, a stream, an
//! actor.
//!
//! The other side records its own part: the task that was cancelled, and the end of the actor.
//!
//! # Invariants
//! 1. A [`Cancelling`] is recorded once: with its outcome, or when it is dropped, as one that was not awaited.

use std::fmt;

use pleach_wire::ByteStr;
use pleach_wire::msg::FunctionKind;
use tokio::time::Instant;

use super::Channel;
use crate::error::{Cancelled, Error};

/// What is cancelled.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A function that the peer runs for this side.
    Function(FunctionKind, ByteStr),
    /// The peer itself.
    Actor,
}

/// The reason of a cancellation.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// The program asked for it.
    Asked,
    /// The code that waited was dropped.
    Dropped,
    /// The block around it was left.
    Left,
    /// The block around it failed.
    Failed,
    /// The scope around it was cancelled.
    Scope(Cancelled),
}

impl Reason {
    /// Takes the cause of a cancellation out of the error of the code that it has met.
    pub(crate) fn of(cancellation: &Error) -> Self {
        match cancellation {
            Error::Cancelled(cause) => Self::Scope(cause.clone()),
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "the program asked for it",
            Self::Dropped => "the code that waited for it was dropped",
            Self::Left => "its block was left",
            Self::Failed => "its block failed",
            Self::Scope(cause) => return cause.fmt(f),
        })
    }
}

/// How a cancellation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CancelOutcome {
    /// The peer has acknowledged it.
    Acknowledged,
    /// There was nothing left to cancel.
    FinishedFirst,
    /// The function failed while it was cancelled.
    Failed,
    /// The connection has ended.
    Gone,
    /// No acknowledgement came in time.
    TooLate,
    /// The code that asked does not wait.
    NotAwaited,
}

impl fmt::Display for CancelOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acknowledged => "acknowledged",
            Self::FinishedFirst => "finished first",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::TooLate => "not acknowledged in time",
            Self::NotAwaited => "not awaited",
        })
    }
}

/// A cancellation under way, and its record (invariant 1).
pub(crate) struct Cancelling {
    channel: Channel,
    subject: Subject,
    reason: Reason,
    begun: Instant,
    recorded: bool,
}

impl Cancelling {
    /// To be made before the request is sent.
    pub(crate) fn begin(channel: &Channel, subject: Subject, reason: Reason) -> Self {
        Self { channel: channel.clone(), subject, reason, begun: Instant::now(), recorded: false }
    }

    /// Records how it went.
    pub(crate) fn end(self, outcome: CancelOutcome) {
        self.end_with(outcome, None);
    }

    /// As [`end`](Self::end), with a failure that the code that waits does not get.
    pub(crate) fn end_with(mut self, outcome: CancelOutcome, failure: Option<&Error>) {
        self.record(outcome, failure);
    }

    fn record(&mut self, outcome: CancelOutcome, failure: Option<&Error>) {
        if std::mem::replace(&mut self.recorded, true) {
            return;
        }
        let (peer, took, why) = (self.channel.peer(), self.begun.elapsed(), &self.reason);
        let Subject::Function(kind, function) = &self.subject else {
            debug!(target: "pleach::cancel", %peer, %outcome, ?took, %why, "asked an actor to end");
            return;
        };
        let what = noun(*kind);
        match (outcome, failure) {
            (CancelOutcome::TooLate, _) => {
                warn!(target: "pleach::cancel", %function, %peer, %outcome, ?took, %why, "cancelled a {what}, which may still be running");
            }
            (_, Some(error)) => {
                warn!(target: "pleach::cancel", %function, %peer, %outcome, ?took, %why, %error, "cancelled a {what}");
            }
            _ => debug!(target: "pleach::cancel", %function, %peer, %outcome, ?took, %why, "cancelled a {what}"),
        }
    }
}

impl Drop for Cancelling {
    fn drop(&mut self) {
        self.record(CancelOutcome::NotAwaited, None);
    }
}

fn noun(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Rpc => "call",
        FunctionKind::Context => "context",
        FunctionKind::Stream => "stream",
    }
}
