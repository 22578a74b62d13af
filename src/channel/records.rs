//! The log records that a peer's messages can cause: each connection limits each kind.
//!
//! A member may be broken, or broken into. It must not fill the log of another, nor have it do nothing but log.

use super::Channel;
use crate::log::Limit;

/// The kinds of records that a peer can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message for a dialog that has ended.
    Late,
    /// A message that fits no dialog.
    Ignored,
    /// A message that its dialog does not take.
    Undelivered,
    /// An answer whose caller has left.
    LateAnswer,
    /// An error whose caller has left.
    LateFailure,
    /// A result that the peer did not wait for.
    Untold,
    /// An error that the peer did not wait for.
    UntoldFailure,
    /// A message of the runtime that could not be sent.
    NotSent,
    /// Stream messages that were not taken.
    NotTaken,
    /// The failure of its runtime.
    PeerFailed,
    /// The same, in a form that can't be read.
    Unreadable,
    /// A request to end this actor.
    AskedToEnd,
    /// A method that the runtime does not have.
    UnknownMethod,
    /// A stream whose messages are not taken.
    Stalled,
}

/// One limit for each kind.
#[derive(Debug, Default)]
pub(super) struct Records([Limit; ALL.len()]);

impl Channel {
    /// Returns whether a record of this kind may be written now, as the number of those since the last one.
    pub(crate) fn may_log(&self, kind: Kind) -> Option<u64> {
        self.0.records.0[kind as usize].count()
    }

    /// Logs how many records have been left out since the last ones that were written.
    pub(super) fn log_left_out(&self) {
        for kind in ALL {
            match self.0.records.0[kind as usize].take_left_out() {
                0 => {}
                count => {
                    warn!(target: "pleach::runtime", peer = %self.peer(), ?kind, count, "further records of this kind")
                }
            }
        }
    }
}

const ALL: [Kind; 14] = [
    Kind::Late,
    Kind::Ignored,
    Kind::Undelivered,
    Kind::LateAnswer,
    Kind::LateFailure,
    Kind::Untold,
    Kind::UntoldFailure,
    Kind::NotSent,
    Kind::NotTaken,
    Kind::PeerFailed,
    Kind::Unreadable,
    Kind::AskedToEnd,
    Kind::UnknownMethod,
    Kind::Stalled,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_limit_of_its_own() {
        assert!(ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
    }
}
