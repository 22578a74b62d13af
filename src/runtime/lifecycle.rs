//! The life of an actor: it runs, is asked to end or ends by itself, leaves, and has ended.
//!
//! ```text
//! running ──asked to, a signal, a failure──► ending ──shutting down──► leaving ──the last step──► ended
//! ```
//! What is done on the way is the business of [`shutdown`](super::shutdown).
//!
//! A failure of the runtime itself has no caller. It ends the actor, and climbs: a child reports it to its parent, whose
//! nursery raises it as that child's failure; the root returns it from `open_root`. A signal to a single actor is
//! reported in the same way: as the imminent death of that actor.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Runtime;
use crate::actor::ActorId;
use crate::channel::EndRequest;
use crate::error::{ActorDied, ActorPhase, Cancelled, Error, Packed, ScopeError, WaitStatus, boxed, signal_name};
use crate::events::{self, ActorEventKind};

/// How far an actor is, and why it ends.
#[derive(Debug, Default)]
pub(crate) struct Lifecycle {
    ending: CancellationToken,
    /// When it was asked to end, or began to end by itself.
    since: OnceLock<Instant>,
    /// The peer that asked it to end.
    end_request: EndRequest,
    /// Its body has ended: the next root may be opened.
    leaving: AtomicBool,
    ended: CancellationToken,
    /// The failure of the runtime itself.
    failure: OnceLock<Error>,
    /// The signal that ended this actor, if one did before anything else.
    signal: OnceLock<i32>,
}

impl Lifecycle {
    /// Has this actor end in the name of `by`. Returns at once.
    pub(crate) fn end_for(&self, by: &ActorId) {
        self.end_request.note(by);
        self.end();
    }

    /// Has this actor end by itself.
    pub(super) fn end(&self) {
        self.since.get_or_init(Instant::now);
        self.ending.cancel();
    }

    /// Ends this actor, whose body has ended: the next root may be opened.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.end();
    }

    pub(super) fn note_ended(&self) {
        self.ended.cancel();
    }

    /// Notes a failure of the runtime; returns whether it is the first, which counts.
    pub(super) fn note_failure(&self, failure: Error) -> bool {
        self.failure.set(failure).is_ok()
    }

    /// Notes a signal; returns whether it is what ends this actor.
    pub(super) fn note_signal(&self, signal: i32) -> bool {
        !self.end_requested() && self.signal.set(signal).is_ok()
    }

    /// Returns the actor that has asked this one to end, if one has; that may be itself.
    pub(crate) fn asked_by(&self) -> Option<&ActorId> {
        self.end_request.asked()
    }

    /// Returns how long this actor has been ending.
    pub(crate) fn ending_for(&self) -> Duration {
        self.since.get().map(Instant::elapsed).unwrap_or_default()
    }

    /// Returns the record of who has asked, for channels to tell their peers.
    pub(super) fn end_request(&self) -> &EndRequest {
        &self.end_request
    }

    /// Returns whether this actor was asked to end, or ends by itself.
    pub(crate) fn end_requested(&self) -> bool {
        self.ending.is_cancelled()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Waits until this actor is asked to end.
    pub(crate) async fn until_end_requested(&self) {
        self.ending.cancelled().await;
    }

    /// Returns whether this actor has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until this actor has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Returns the signal that ended this actor, if one did.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.signal.get().copied()
    }

    /// Returns why the runtime has failed, if it has.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// Returns why the tasks of an actor that ends are cancelled.
    pub(super) fn cause(&self) -> Cancelled {
        self.signal().map_or(Cancelled::Actor, Cancelled::Signal)
    }
}

impl Runtime {
    /// Asks this actor to end, in the name of `by`. Returns at once.
    pub(crate) fn request_end(&self, by: &ActorId) {
        if !self.lifecycle.end_requested() {
            events::note(ActorEventKind::CancelRequested, self.id(), self.id(), Some(format!("by {by}")));
        }
        self.lifecycle.end_for(by);
    }

    /// Ends this actor because its runtime has failed. The first failure counts.
    pub(crate) fn fail(&self, failure: Error) {
        let parent = self.parent_channel();
        if self.lifecycle.note_failure(failure.clone())
            && let Some(parent) = parent
        {
            parent.report_failure(&Packed::of(failure.clone(), self.id()));
        }
        self.lifecycle.end_for(self.id());
        error!(target: "pleach::runtime", actor = %self.id(), ?failure, "the runtime failed: ending this actor");
    }

    /// Ends this actor because its process got a signal. The parent learns of it before any task is cancelled, so
    /// that it meets one error, whatever it waits for. One that is ending already goes on with that.
    pub(crate) fn interrupt(&self, signal: i32) {
        if !self.lifecycle.note_signal(signal) {
            return;
        }
        let (actor, status) = (self.id().clone(), WaitStatus::Signalled(signal));
        let died = ActorDied::new(actor, status, ActorPhase::Running);
        if let Some(parent) = self.parent_channel() {
            parent.report_failure(&Packed::of(Error::ActorDied(Box::new(died)), self.id()));
        }
        events::note(
            ActorEventKind::CancelRequested,
            self.id(),
            self.id(),
            Some(format!("by {}", signal_name(signal))),
        );
        self.lifecycle.end();
        warn!(target: "pleach::cancel", actor = %self.id(), signal = signal_name(signal), "ending this actor");
    }

    /// Prefers the runtime's failure, if there is one, to the code's echo of its cancellation.
    pub(crate) fn or_failure<T, E: ScopeError>(&self, ended: Result<T, E>) -> Result<T, E> {
        let Some(failure) = self.lifecycle.failure() else { return ended };
        let own = ended.err().map(|own| Error::from_boxed(boxed(own))).filter(|own| !own.is_cancelled());
        let found = [failure.clone()].into_iter().chain(own).collect();
        Err(Error::join(found).expect_err("there is at least the failure").into())
    }
}
