//! How a task that runs here for the peer ends: with a value, an error, or because it was cancelled.
//!
//! # Invariants
//! 1. Each task is answered once.

use std::sync::{Arc, OnceLock};

use pleach_wire::{Cid, Encode, TransportError};

use super::Channel;
use super::records::Kind;
use crate::actor::ActorId;
use crate::error::{Cancelled, ContextCancelled, Error, Packed, Raised, Refusal};
use crate::panics::{self, Panic};
use crate::proto::session::Finished;
use crate::proto::transmit::Answer;

/// The peer that asked this actor to end, if one has; all its channels share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndRequest(Arc<OnceLock<ActorId>>);

impl EndRequest {
    /// Notes the peer that asks. The first one counts.
    pub(crate) fn note(&self, by: &ActorId) {
        self.0.get_or_init(|| by.clone());
    }

    /// Returns the actor that has asked, if one has.
    pub(crate) fn asked(&self) -> Option<&ActorId> {
        self.0.get()
    }
}

impl Channel {
    /// Answers a task of the peer and ends its dialog.
    pub(crate) fn answer(&self, cid: Cid, value: &dyn Encode) {
        if let Err(end) = self.finish(cid, Answer::Value(value)) {
            let Some(count) = self.may_log(Kind::Untold) else { return };
            debug!(target: "pleach::runtime", peer = %self.peer(), %cid, %end, count, "an answer found the connection gone");
        }
    }

    /// Answers a task of the peer with its own error, or that it was cancelled if the error says no more.
    pub(crate) fn answer_failure(&self, cid: Cid, raised: Raised) {
        let here = self.here();
        let packed = match (raised.cancellation(), self.cancellation(cid)) {
            (Some(_), Some(cancelled)) => Packed::cancelled(cancelled),
            (Some(Error::Cancelled(cause)), None) => Packed::cancelled(ContextCancelled::inside(here, &cause)),
            _ => Packed::new(raised, here),
        };
        self.answer_error(cid, &packed);
    }

    /// Answers that a function will not be run.
    pub(crate) fn refuse(&self, cid: Cid, function: String, why: Refusal) {
        self.answer_error(cid, &Packed::Refused { function, why });
    }

    /// Answers for a task that panicked.
    pub(crate) fn answer_panic(&self, cid: Cid, panic: Panic, backtrace: Option<String>) {
        self.answer_error(cid, &Packed::panic(panic, backtrace, self.here()));
    }

    /// Answers for a task that was dropped: cancelled, or unwinding from a panic outside of its function. The
    /// backtrace of that is on standard error alone: this thread can't wait for its text.
    pub(crate) fn answer_dropped(&self, cid: Cid) {
        let packed = match panics::take_current() {
            Some(panic) => Packed::panic(panic, None, self.here()),
            None => {
                let unknown = || ContextCancelled::at(self.here(), None);
                Packed::cancelled(self.cancellation(cid).unwrap_or_else(unknown))
            }
        };
        self.answer_error(cid, &packed);
    }

    /// Returns how a task was cancelled, if it was.
    fn cancellation(&self, cid: Cid) -> Option<ContextCancelled> {
        let cause = self.session().task(cid)?.scope.cause()?;
        let inside = ContextCancelled::inside(self.here(), &cause);
        let canceller = match cause {
            Cancelled::Deadline => Some(self.peer().clone()), // it came with the call
            Cancelled::Actor => self.0.end_request.asked().cloned(),
            _ => inside.canceller,
        };
        Some(ContextCancelled { canceller, ..inside })
    }

    fn answer_error(&self, cid: Cid, error: &Packed) {
        if error.is_failure() {
            self.note_failure_told(error);
        }
        let Err(end) = self.finish(cid, Answer::Error(error)) else { return };
        let peer = self.peer();
        let kind = if error.is_failure() { Kind::UntoldFailure } else { Kind::Untold };
        match (kind, self.may_log(kind)) {
            (_, None) => {}
            (Kind::UntoldFailure, Some(count)) => {
                error!(target: "pleach::runtime", %peer, %cid, %end, %error, count, "a function failed, and its caller can't be told how")
            }
            (_, Some(count)) => {
                debug!(target: "pleach::runtime", %peer, %cid, %end, count, "dropped an answer whose caller has disconnected")
            }
        }
    }

    /// Sends the last message of a task and ends its dialog.
    ///
    /// # Errors
    /// The peer did not get the answer: the connection has ended, or the message can't be sent. In the second case the
    /// peer gets an error that says so.
    fn finish(&self, cid: Cid, answer: Answer<'_>) -> Result<(), TransportError> {
        self.0.unsent.queue_items_of(cid); // they go before the answer
        let Finished { answer, after, dialog, others } = self.session().finish(cid, answer);
        let under_way = others + 1;
        // Whatever the function has left behind finds the end.
        dialog.iter().for_each(|dialog| dialog.wake());
        let sent = self.transmit(&answer, under_way);
        if let Err(why @ (TransportError::Encode { .. } | TransportError::FrameTooLarge { .. })) = &sent {
            let error = Packed::of(Error::Transport(why.clone()), self.here());
            self.transmit_or_log(&after.unsendable(&error), under_way);
        }
        if let Some(ack) = after.acknowledge(sent.as_ref().ok().map(|sent| sent.lane)) {
            self.transmit_or_log(&ack, under_way);
        }
        if dialog.is_some() {
            self.release(cid);
        }
        sent.map(drop)
    }
}
