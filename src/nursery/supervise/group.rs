//! Children that are restarted together. It handles what happens to them one by one.
//!
//! ```text
//!               ┌── a child ended ──► decide ── restart ──► stop, and wait until it is due ──► start ─┐
//! Keeping up ───┤                       │ leave it                                │ one fails         │
//!   ▲           ├── one is to go ──► stop, forget                                 └──► decide         │
//!   │           └── one is to join, and none is to be restarted ──► start                             │
//!   └─────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Independent children have a group each. A wait before a restart is a state, so that a child can go meanwhile; one that
//! joins waits for its end.
//!
//! # Invariants
//! 1. [`Group::keep_up`] can be dropped at any wait: children that run or start are in the group, and the supervisor's
//!    task stops them.
//! 2. A child that has ended for good is not in the group any more.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;

use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::events::SupervisorEvent;
use super::member::{Change, Member, NotStarted};
use super::policy::{Decision, Plan};
use super::roster::Joining;
use super::run::Runner;
use crate::error::Result;

/// Children that are restarted together.
pub(super) struct Group {
    /// In the order in which they were added.
    pub(super) members: Vec<Member>,
    /// A restart that is under way.
    due: Option<Due>,
    /// Learns whether the first member, which has joined, could be started.
    newcomer: Option<oneshot::Sender<Result<()>>>,
    /// Whether others join this group.
    shared: bool,
}

/// Children that are to be started again, and when.
struct Due {
    at: Pin<Box<Sleep>>,
    /// Their numbers, the first one first.
    start: VecDeque<usize>,
}

enum Next {
    /// A member, by its place.
    Changed(usize, Change),
    RestartDue,
    Joins(Joining),
    /// None is left, and none comes.
    Nothing,
}

impl Group {
    /// A group of its own for one child, which is up.
    pub(super) fn of_one(member: Member) -> Self {
        Self { members: vec![member], due: None, newcomer: None, shared: false }
    }

    /// A group of its own for a child that is to be started.
    pub(super) fn of_newcomer(joining: Joining) -> Self {
        let (member, reply) = Member::joining(joining);
        Self { newcomer: Some(reply), ..Self::of_one(member) }
    }

    /// The group of all, which others will join.
    pub(super) fn of_all(members: Vec<Member>) -> Self {
        Self { members, due: None, newcomer: None, shared: true }
    }

    /// Keeps its members up until none is left.
    pub(super) async fn keep_up(&mut self, runner: &Runner) -> Result<()> {
        if let Some(reply) = self.newcomer.take() {
            self.start_newcomer(runner, reply).await;
        }
        loop {
            match self.next(runner).await {
                Next::Changed(at, Change::Unwanted) => self.remove(runner, at).await,
                Next::Changed(at, change) => self.handle_end(runner, at, change).await?,
                Next::RestartDue => self.start_due(runner).await?,
                Next::Joins(joining) => {
                    let (member, reply) = Member::joining(joining);
                    self.members.push(member);
                    self.start_newcomer(runner, reply).await;
                }
                Next::Nothing => return Ok(()),
            }
        }
    }

    async fn next(&mut self, runner: &Runner) -> Next {
        std::future::poll_fn(|cx| {
            for (at, member) in self.members.iter_mut().enumerate() {
                if let Poll::Ready(change) = member.poll_change(cx) {
                    return Poll::Ready(Next::Changed(at, change));
                }
            }
            if let Some(due) = &mut self.due {
                return due.at.as_mut().poll(cx).map(|()| Next::RestartDue);
            }
            let none_left = self.members.is_empty();
            match self.shared {
                true => runner.poll_joining(none_left, cx).map(|joining| joining.map_or(Next::Nothing, Next::Joins)),
                false if none_left => Poll::Ready(Next::Nothing),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Starts the last member, which has joined; if that fails, it leaves again.
    async fn start_newcomer(&mut self, runner: &Runner, reply: oneshot::Sender<Result<()>>) {
        let at = self.members.len() - 1;
        let member = &mut self.members[at];
        runner.policy().handle_add(member.entry.number, member.restart());
        runner.shared.announcer.announce(SupervisorEvent::Added { child: member.entry.name.clone() });
        let outcome = match runner.start(member).await {
            Ok(()) => Ok(()),
            Err(NotStarted::Unwanted) => return self.remove(runner, at).await,
            Err(NotStarted::Failed(error)) => {
                self.remove(runner, at).await;
                Err(error)
            }
        };
        drop(reply.send(outcome)); // a caller that has left has it removed
    }

    /// Stops a member and forgets it.
    async fn remove(&mut self, runner: &Runner, at: usize) {
        self.members[at].stop(&runner.shared).await;
        let number = self.members[at].entry.number;
        runner.policy().handle_remove(number);
        if let Some(due) = &mut self.due {
            due.start.retain(|other| *other != number);
        }
        runner.shared.forget(&self.members.remove(at).entry);
    }

    async fn handle_end(&mut self, runner: &Runner, at: usize, change: Change) -> Result<()> {
        match runner.decide(&self.members[at], change)? {
            Decision::Restart(plan) => {
                self.members[at].stop(&runner.shared).await;
                self.stop_planned(runner, &plan).await;
                self.due = Some(Due { at: Box::pin(tokio::time::sleep(plan.after)), start: plan.start.into() });
            }
            _leave => {
                self.members[at].stop(&runner.shared).await;
                runner.retire(&self.members.remove(at).entry);
            }
        }
        Ok(())
    }

    async fn stop_planned(&mut self, runner: &Runner, plan: &Plan) {
        for number in &plan.stop {
            let Some(at) = self.place_of(*number) else { continue };
            self.members[at].stop(&runner.shared).await;
            if plan.start.binary_search(number).is_err() {
                runner.retire(&self.members.remove(at).entry);
            }
        }
    }

    /// Starts those that are due, one after the other, until one fails.
    async fn start_due(&mut self, runner: &Runner) -> Result<()> {
        while let Some(number) = self.due.as_ref().and_then(|due| due.start.front().copied()) {
            if let Some(at) = self.place_of(number) {
                match runner.start(&mut self.members[at]).await {
                    Ok(()) => {}
                    Err(NotStarted::Unwanted) => self.remove(runner, at).await,
                    Err(NotStarted::Failed(error)) => {
                        return self.handle_end(runner, at, Change::Died(error)).await;
                    }
                }
            }
            if let Some(due) = self.due.as_mut().filter(|due| due.start.front() == Some(&number)) {
                due.start.pop_front();
            }
        }
        self.due = None;
        Ok(())
    }

    fn place_of(&self, number: usize) -> Option<usize> {
        self.members.binary_search_by_key(&number, |member| member.entry.number).ok()
    }
}
