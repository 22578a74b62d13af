//! The supervisor's task: it starts the children, has groups of them kept up, and stops them.
//!
//! ```text
//! start all, in order ──► Keeping up, group by group ◄── a child joins: a group of its own, or the one of all
//!      │                      │ no child left, and it does not stay open
//!      │ one fails            │ given up, shut down, nursery left
//!      ▼                      ▼
//! close the roster, end all groups, stop all children: in the opposite order, or dynamic ones at once
//! ```
//! Independent children are kept up at the same time; otherwise one restart comes after the other ([`group`](super::group)).
//!
//! # Invariants
//! 1. A group that is ended gives its children back, running or not, and they are waited for.
//! 2. A failure of the supervisor fails its nursery before any child is stopped for it.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::events::SupervisorEvent;
use super::group::Group;
use super::member::{Change, Member, NotStarted};
use super::policy::{Decision, Plan, Policy, Rules, Strategy};
use super::roster::{Closed, Entry, Joining, Status};
use crate::error::{Cancelled, Error, GaveUp, Result};
use crate::events::{self, ActorEventKind};
use crate::nursery::Nursery;
use crate::random;
use crate::scope::{Ended, run_until};
use crate::sync::{Mutex, MutexGuard, lock};

/// A supervisor at work.
pub(super) struct Runner {
    nursery: Nursery,
    pub(super) shared: Arc<Shared>,
    rules: Rules,
    policy: Mutex<Policy>,
    epoch: Instant,
    /// Cancelled when no child is kept up any more.
    halt: CancellationToken,
}

impl Runner {
    pub(super) fn new(nursery: Nursery, shared: Arc<Shared>, rules: Rules) -> Self {
        let policy = Mutex::new(Policy::new(rules.clone()));
        Self { nursery, shared, rules, policy, epoch: Instant::now(), halt: CancellationToken::new() }
    }

    /// Works until no child is left; `ready` learns when all have been started once.
    pub(super) async fn run(self, mut members: Vec<Member>, ready: oneshot::Sender<Result<()>>) {
        self.count_open(|open| open + 1);
        let halt = self.shared.stop.clone();
        let mut outcome = self.until(&halt, self.start_all(&mut members)).await;
        let ready = match outcome.is_ok() && !halt.is_cancelled() {
            true => {
                drop(ready.send(Ok(()))); // the caller may have left, which stops this
                (members, outcome) = self.keep_all_up(members).await;
                None
            }
            false => Some(ready),
        };
        self.stop_all(members, &outcome).await;
        if let Some(never_ready) = ready {
            let error = outcome.clone().err().unwrap_or(Error::Cancelled(Cancelled::Nursery));
            if let Err(Err(error)) = never_ready.send(Err(error)) {
                warn!(target: "pleach::cancel", %error, "an abandoned supervision did not start");
            }
        }
        self.count_open(|open| open - 1);
        self.shared.announcer.close();
        self.shared.outcome.send_replace(Some(outcome));
    }

    /// Has the nursery know of a supervisor that goes on without children.
    fn count_open(&self, change: impl FnOnce(usize) -> usize) {
        if self.rules.stays {
            let mut state = self.nursery.state();
            state.open_supervisors = change(state.open_supervisors);
        }
    }

    /// Runs `work` until it has ended, or is halted, which is not a failure.
    async fn until(&self, halt: &CancellationToken, work: impl Future<Output = Result<()>>) -> Result<()> {
        match run_until(halt, work).await {
            Ended::Returned(outcome) => outcome,
            Ended::Cancelled(_) => Ok(()),
            Ended::Panicked(panic) => Err(panic),
        }
    }

    async fn start_all(&self, members: &mut [Member]) -> Result<()> {
        for member in members {
            self.policy().handle_add(member.entry.number, member.restart());
            match self.start(member).await {
                Ok(()) => {}
                Err(NotStarted::Failed(error)) => return Err(error),
                Err(NotStarted::Unwanted) => return Err(Error::Cancelled(Cancelled::Nursery)),
            }
        }
        Ok(())
    }

    /// Keeps the children up, and those that join, until none is left, the supervisor is stopped, or it fails. Gives
    /// those back that may still run.
    async fn keep_all_up(&self, members: Vec<Member>) -> (Vec<Member>, Result<()>) {
        let apart = self.rules.strategy == Strategy::OneForOne;
        let mut groups = FuturesUnordered::new();
        match apart {
            true => groups.extend(members.into_iter().map(|member| self.keep(Group::of_one(member)))),
            false => groups.push(self.keep(Group::of_all(members))),
        }
        let mut left = Vec::new();
        let outcome = loop {
            let none_left = groups.is_empty();
            if none_left && !apart {
                break Ok(());
            }
            let joining = std::future::poll_fn(|cx| match apart {
                true => self.poll_joining(none_left, cx),
                false => Poll::Pending, // it joins that group
            });
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => break Ok(()),
                Some((group, outcome)) = groups.next() => {
                    left.extend(group.members);
                    if outcome.is_err() {
                        break outcome;
                    }
                }
                joining = joining => match joining {
                    Some(joining) => groups.push(self.keep(Group::of_newcomer(joining))),
                    None => break Ok(()),
                },
            }
        };
        self.close(&outcome);
        if let Err(error) = &outcome {
            self.nursery.fail(error.clone()); // invariant 2
        }
        self.halt.cancel();
        while let Some((group, _also)) = groups.next().await {
            left.extend(group.members); // the first failure counts
        }
        left.sort_by_key(|member| member.entry.number);
        (left, outcome)
    }

    async fn keep(&self, mut group: Group) -> (Group, Result<()>) {
        let outcome = self.until(&self.halt, group.keep_up(self)).await;
        (group, outcome)
    }

    /// Returns the next child that joins; `None` if there is `none_left` to keep up, and none will join any more.
    pub(super) fn poll_joining(&self, none_left: bool, cx: &mut Context<'_>) -> Poll<Option<Joining>> {
        match self.shared.roster.poll_joining(cx) {
            Poll::Ready(joining) => Poll::Ready(Some(joining)),
            Poll::Pending if none_left && !self.rules.stays && self.shared.roster.close_if_none_joins() => {
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Lets no child join any more.
    fn close(&self, outcome: &Result<()>) {
        let why = match outcome {
            Err(error) => Closed::Failed(error.clone()),
            Ok(()) if self.shared.stop.is_cancelled() => Closed::Stopped,
            Ok(()) => Closed::Ended,
        };
        for joining in self.shared.roster.close(why) {
            self.shared.roster.forget(&joining.entry); // its caller finds out why
        }
    }

    async fn stop_all(&self, mut members: Vec<Member>, outcome: &Result<()>) {
        self.close(outcome);
        let over = || outcome.as_ref().map_or_else(|error| Status::Failed(error.clone()), |()| Status::Over);
        if self.rules.dynamic {
            futures_util::future::join_all(members.iter_mut().map(|member| member.stop(&self.shared))).await;
        }
        for member in members.iter_mut().rev() {
            member.stop(&self.shared).await;
            member.entry.set(over());
        }
        for entry in self.shared.roster.all() {
            entry.set(over());
            if entry.removal.is_cancelled() {
                self.shared.forget(&entry);
            }
        }
    }

    pub(super) async fn start(&self, member: &mut Member) -> Result<(), NotStarted> {
        member.start(&self.nursery, &self.shared).await?;
        self.policy().handle_start(member.entry.number);
        Ok(())
    }

    /// A child has ended for good, and none of its processes is left.
    pub(super) fn retire(&self, entry: &Arc<Entry>) {
        entry.set(Status::Over);
        if self.rules.dynamic || entry.removal.is_cancelled() {
            self.shared.forget(entry);
        }
    }

    /// Decides what to do about a child that has ended, and emits the events.
    pub(super) fn decide(&self, member: &Member, change: Change) -> Result<Decision> {
        member.entry.set(Status::Down);
        let child = || member.entry.name.clone();
        let (event, failure) = match change {
            Change::Died(error) => (SupervisorEvent::Died { child: child(), error: error.clone() }, Some(error)),
            Change::Unhealthy(error) => {
                (SupervisorEvent::Unhealthy { child: child(), error: error.clone() }, Some(error))
            }
            Change::Stopped | Change::Unwanted => (SupervisorEvent::Stopped { child: child() }, None),
        };
        self.shared.announcer.announce(event);
        let random = random::bytes().map_or(0, u32::from_ne_bytes); // without one, a wait is not shortened
        let ran = self.epoch.elapsed();
        let decision = self.policy().handle_end(member.entry.number, failure.is_some(), ran, random);
        match &decision {
            Decision::Leave => {}
            Decision::Restart(Plan { attempt, after, .. }) => {
                let (attempt, after) = (*attempt, *after);
                self.shared.announcer.announce(SupervisorEvent::Restarting { child: child(), attempt, after });
            }
            Decision::GiveUp => {
                let Rules { restarts, within, .. } = self.rules;
                let gave_up = GaveUp { child: child().to_string(), restarts, within, last: failure };
                let error = Error::GaveUp(Box::new(gave_up));
                let parent = self.nursery.0.runtime.id();
                events::note(ActorEventKind::GaveUp, parent, parent, Some(error.to_string()));
                self.shared.announcer.announce(SupervisorEvent::GaveUp { child: child(), error: error.clone() });
                return Err(error);
            }
        }
        Ok(decision)
    }

    pub(super) fn policy(&self) -> MutexGuard<'_, Policy> {
        lock(&self.policy)
    }
}
