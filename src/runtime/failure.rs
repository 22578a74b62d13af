//! Failures of the runtime itself: of its own tasks, not those of its peers.
//!
//! Such a failure has no caller. It ends the actor, and climbs: a child reports it to its parent, whose nursery raises
//! it as that child's failure; the root returns it from `open_root`. A signal to a single actor is reported in the same
//! way: as the imminent death of that actor.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_util::task::TaskTracker;

use super::Runtime;
use crate::error::{ActorDied, Error, Packed, ScopeError, WaitStatus, boxed, signal_name};
use crate::panics;

impl Runtime {
    /// Runs a future that lives as long as the object it serves (invariant 1). Its panic is the actor's failure.
    pub(crate) fn keep(self: &Arc<Self>, service: impl Future<Output = ()> + Send + 'static) {
        self.keep_among(&self.services, service);
    }

    pub(super) fn keep_among(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        service: impl Future<Output = ()> + Send + 'static,
    ) {
        let runtime = self.clone();
        tasks.spawn(async move {
            if AssertUnwindSafe(service).catch_unwind().await.is_err() {
                let panic = panics::take_caught().message;
                runtime.fail(Error::Panicked(format!("{panic}, in the runtime of {}", runtime.id)));
            }
        });
    }

    /// Ends this actor because its runtime has failed. The first failure counts.
    pub(crate) fn fail(&self, failure: Error) {
        let parent = self.parent_channel();
        if self.failure.set(failure.clone()).is_ok()
            && let Some(parent) = parent
        {
            parent.report_failure(&Packed::of(failure.clone(), &self.id));
        }
        self.request_end(&self.id);
        error!(target: "pleach::runtime", actor = %self.id, ?failure, "the runtime failed: ending this actor");
    }

    /// Ends this actor because its process got a signal. The parent learns of it before any task is cancelled, so
    /// that it meets one error, whatever it waits for. One that is ending already goes on with that.
    pub(crate) fn interrupt(&self, signal: i32) {
        if self.end_requested() || self.interrupted.set(signal).is_err() {
            return;
        }
        let (actor, status) = (self.id.clone(), WaitStatus::Signalled(signal));
        let died = ActorDied { actor, status, stderr: Vec::new(), when: "while it was running".into() };
        if let Some(parent) = self.parent_channel() {
            parent.report_failure(&Packed::of(Error::ActorDied(Box::new(died)), &self.id));
        }
        self.stop.cancel();
        warn!(target: "pleach::cancel", actor = %self.id, signal = signal_name(signal), "ending this actor");
    }

    /// Returns the signal that ended this actor, if one did.
    pub(crate) fn interrupted(&self) -> Option<i32> {
        self.interrupted.get().copied()
    }

    /// Returns why the runtime has failed, if it has.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.get()
    }

    /// Prefers the runtime's failure, if there is one, to the code's echo of its cancellation.
    pub(crate) fn or_failure<T, E: ScopeError>(&self, ended: Result<T, E>) -> Result<T, E> {
        let Some(failure) = self.failure.get() else { return ended };
        let own = ended.err().map(|own| Error::from_boxed(boxed(own))).filter(|own| !own.is_cancelled());
        let found = [failure.clone()].into_iter().chain(own).collect();
        Err(Error::join(found).expect_err("there is at least the failure").into())
    }
}
