//! Watching members: each has one task that learns of its end and judges it, or brings it about.
//!
//! ```text
//! Running ── asked ──────────────────────────────────────► Ending ──► gone: judged, and in the report
//!    ├── its process, its connection or its runtime ended: judged ──► ▲
//!    └── its function has ended, and it may exit ───────────────────► ┘
//! ```
//! It is asked through its portal, by [`Nursery::cancel`], or because the nursery is being left. A failure is reported
//! before the process is ended, which may take a while. [`judge`](crate::spawn::judge) decides what counts as a
//! failure, also of a member that was asked.
//!
//! # Invariants
//! 1. A member fails once: consequences of its failure are not reported.

use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, watch};

use super::stage::Stage;
use super::{Nursery, managed};
use crate::channel::Pending;
use crate::channel::explain::Explain as _;
use crate::error::{Error, Result, WaitStatus};
use crate::events::{self, ActorEventKind};
use crate::portal::{ChildHandle, FinalResult};
use crate::spawn::reap::{EndedBy, Ending, reap};
use crate::telemetry::meters::{self, Event};

/// The receiver of a member's failure.
pub(super) enum Overseer {
    /// The nursery fails with it.
    Nursery,
    /// A supervisor decides what to do. The channel closes once the member has ended.
    Supervisor {
        failures: mpsc::Sender<Error>,
        /// Whether the member takes the place of one that has ended.
        again: bool,
    },
}

impl Overseer {
    /// Returns what its start is.
    pub(super) fn kind_of_start(&self) -> ActorEventKind {
        match self {
            Self::Supervisor { again: true, .. } => ActorEventKind::Restarted,
            Self::Supervisor { again: false, .. } | Self::Nursery => ActorEventKind::Started,
        }
    }
}

/// Watches one member.
pub(super) struct Monitor {
    nursery: Nursery,
    member: Arc<ChildHandle>,
    overseer: Overseer,
    /// Its failure in words (invariant 1).
    failure: OnceLock<String>,
}

impl Monitor {
    /// Enters a member; one of the `watch_` functions has to follow.
    pub(super) fn enter(nursery: &Nursery, member: Arc<ChildHandle>, overseer: Overseer) -> Self {
        let id = &member.child.id;
        nursery.state().members.insert(id.uuid(), id.clone());
        managed().insert(id.uuid(), Arc::downgrade(&nursery.0));
        Self { nursery: nursery.clone(), member, overseer, failure: OnceLock::new() }
    }

    /// Watches a daemon until it has ended; it is ended with the body of its nursery if it `ends_with_body`.
    pub(super) async fn watch_daemon(self, ends_with_body: bool) {
        let uuid = self.member.child.id.uuid();
        if !ends_with_body {
            self.nursery.state().daemons.insert(uuid);
        }
        let body_has_returned = self.nursery.0.stages.token(Stage::Joining).clone();
        tokio::select! {
            biased;
            () = self.member.ended() => self.judge(),
            () = self.member.until_end_requested() => {}
            () = body_has_returned.cancelled(), if ends_with_body => self.member.mark_end_requested(),
        }
        self.nursery.state().daemons.remove(&uuid);
        self.end().await;
    }

    /// Waits for the function's result, then until the actor may go, and ends it.
    pub(super) async fn watch_one_shot(self, pending: Result<Pending>, settle: watch::Sender<FinalResult>) {
        {
            let mut attending = std::pin::pin!(self.attend(pending, settle));
            tokio::select! {
                biased;
                () = &mut attending => {}
                () = self.member.until_end_requested() => {
                    // The function may still answer while its actor is brought to its end; if not, that does.
                    tokio::join!(attending, self.end());
                    return;
                }
            }
        }
        self.end().await;
    }

    async fn attend(&self, pending: Result<Pending>, settle: watch::Sender<FinalResult>) {
        let outcome = match pending {
            Ok(mut pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(value) => {
                settle.send_replace(Some(Ok(value)));
                tokio::select! {
                    biased;
                    () = self.may_go() => {}
                    () = self.member.until_end_requested() => {}
                    () = self.member.ended() => self.judge(),
                }
            }
            Err(error) => {
                let error = self.member.explain(error).await;
                settle.send_replace(Some(Err(error.clone())));
                let echo = match &error {
                    Error::Disconnected { .. } => true,
                    other => other.is_cancelled(),
                };
                if !(echo && (self.member.end_requested() || self.nursery.0.scope.cancel_called())) {
                    self.tell(error);
                }
            }
        }
    }

    /// Waits until an actor whose function has returned is of no more use.
    async fn may_go(&self) {
        match self.overseer {
            // The body may still call its other functions.
            Overseer::Nursery => self.nursery.0.stages.token(Stage::Joining).cancelled().await,
            Overseer::Supervisor { .. } => {}
        }
    }

    /// Tells of the end of a member, if it is a failure.
    fn judge(&self) {
        if let Some(failure) = self.member.failure() {
            self.tell(failure);
        }
    }

    fn tell(&self, error: Error) {
        if self.failure.set(error.to_string()).is_err() {
            return;
        }
        match &self.overseer {
            Overseer::Nursery => self.nursery.fail(error),
            Overseer::Supervisor { failures, .. } => {
                if let Err(untold) = failures.try_send(error) {
                    warn!(target: "pleach::cancel", error = %untold.into_inner(), "a child failed after its supervisor was gone");
                }
            }
        }
    }

    /// Brings the member to its end, judges that, and takes it off the lists.
    async fn end(&self) {
        let Self { nursery, member, .. } = self;
        if !member.is_leaving() {
            member.mark_end_requested();
        }
        let mut ending = reap(&member.child, member.killing(), nursery.0.runtime.config()).await;
        if ending.by == EndedBy::Request && member.ended_by_itself() {
            ending.by = EndedBy::Itself;
        }
        self.judge();
        self.leave(ending);
    }

    fn leave(&self, ending: Ending) {
        let uuid = ending.actor.uuid();
        managed().remove(&uuid);
        {
            let mut state = self.nursery.state();
            state.members.remove(&uuid);
            state.ledger.add(ending.clone());
        }
        self.member.note_ending(&ending);
        let Ending { actor, by, why, took, status } = &ending;
        meters::count(Event::Ended { by: by.label(), status: label(*status) });
        let failure = self.failure.get().map(|failure| format!("{failure}; ")).unwrap_or_default();
        let how = format!("{failure}{by}, {status}");
        events::note(ActorEventKind::Ended, self.nursery.0.runtime.id(), actor, Some(how));
        // The reasons of escalations have records.
        let why = why.as_deref().filter(|_| *by == EndedBy::Lease);
        debug!(target: "pleach::cancel", child = %actor, how = %by, ?took, %status, why, "a child has ended");
    }
}

/// The name of an exit status in metrics.
const fn label(status: WaitStatus) -> &'static str {
    match status {
        WaitStatus::Exited(0) => "ok",
        WaitStatus::Exited(_) => "error",
        WaitStatus::Signalled(_) => "killed",
        WaitStatus::OutOfMemory => "out_of_memory",
        WaitStatus::Unknown => "unknown",
    }
}
