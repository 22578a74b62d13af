//! What a caller is told when its call, context or stream fails: the one place that says it.
//!
//! | what happened | the caller's error |
//! |---|---|
//! | its message can't be sent | [`Error::Transport`]: this message only, the connection goes on |
//! | the connection is gone | [`Error::Disconnected`], or the death of the peer if that explains it ([`Explain`]) |
//! | the peer answered with an error | that error ([`Packed::unpack`]); [`Error::Transport`] if it can't be read |
//! | the peer declares the function differently | its refusal, with this program's declaration beside the peer's |
//! | it was cancelled, and so is the code that waits | [`Error::Cancelled`]: the code's own cancellation |
//! | its own side has used the dialog wrongly | [`Error::Usage`] |

use pleach_wire::{EndReason, Ended, Payload, TransportClosed, TransportError};

use super::Channel;
use super::dialog::DialogHandle;
use crate::error::{ContextCancelled, Error, Packed, Refusal};
use crate::proto::dialog::{End, Misuse};
use crate::scope;

/// Knows more about a peer than its connection does.
pub(crate) trait Explain: Sync {
    /// Says why a connection was lost, if the end of the peer's process explains it.
    fn explain(&self, error: Error) -> impl Future<Output = Error> + Send;
}

/// Turns the failure of a dialog with `peer` into the error of the code that waits for it. `declared` is how this
/// program declares the function.
pub(crate) async fn told(error: Error, peer: &impl Explain, declared: impl FnOnce() -> String) -> Error {
    peer.explain(scope::own_cancellation_or(with_declaration(error, declared))).await
}

/// Adds this program's declaration to the error of a peer that has another one.
pub(crate) fn with_declaration(mut error: Error, declared: impl FnOnce() -> String) -> Error {
    if let Error::Refused { why: Refusal::SchemaMismatch { here, .. }, .. } = &mut error {
        *here = declared().into();
    }
    error
}

impl Channel {
    /// The error for uses of the connection after its end.
    pub(crate) fn gone(&self) -> Error {
        self.disconnected(self.end().cloned().unwrap_or_else(|| TransportClosed::by_us(EndReason::Closing).into()))
    }

    /// The error of a message that was not sent.
    pub(super) fn not_sent(&self, why: TransportError) -> Error {
        match why {
            TransportError::Encode { .. } | TransportError::FrameTooLarge { .. } => Error::Transport(why),
            end => self.disconnected(end),
        }
    }

    fn disconnected(&self, end: TransportError) -> Error {
        let end = match end {
            TransportError::Closed(TransportClosed { by: Ended::Us, .. }) => {
                self.closed_because_of_peer().unwrap_or(end)
            }
            end => end,
        };
        Error::Disconnected { actor: Box::new(self.peer().clone()), end }
    }

    /// Returns what the peer has done, if this side closes the connection only because of that.
    fn closed_because_of_peer(&self) -> Option<TransportError> {
        let by_peer = |reason| TransportClosed::by_peer(reason).into();
        match self.peer_gone() {
            Some(_) => Some(by_peer(EndReason::ProcessEnded)),
            None if self.life().closing().is_some() => None,
            None => self.life().goodbye().cloned().map(by_peer),
        }
    }

    /// The error that the peer has answered with.
    pub(super) fn answered(&self, error: &Payload) -> Error {
        match error.decode::<Packed>() {
            Ok(packed) => packed.unpack(self.peer()),
            Err(unreadable) => Error::Transport(unreadable),
        }
    }
}

impl DialogHandle {
    /// Turns an end that is a failure into the error for its observer.
    pub(crate) fn error_of(&self, end: End) -> Error {
        match end {
            End::Error(error) | End::Cancelled(error, _) => self.channel().answered(&error),
            End::Lost => self.channel().gone(),
            End::Value(_) | End::Left => Error::Usage("the context has ended: its function has returned".into()),
        }
    }

    /// Turns a use of the dialog that can't work into the error of its user.
    pub(crate) fn error_of_misuse(&self, misuse: Misuse) -> Error {
        match misuse {
            Misuse::Cancelled => {
                let (here, there) = (self.channel().here(), self.channel().peer());
                Error::ContextCancelled(Box::new(ContextCancelled::at(there, Some(here.clone()))))
            }
            other => Error::Usage(other.to_string()),
        }
    }
}
