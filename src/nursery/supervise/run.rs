//! The supervisor's task: it starts the children, waits for their ends, and carries out decisions.
//!
//! ```text
//! start all, in order ──► Keeping up ── a child ended ──► decide ── restart ──► stop, wait, start ─┐
//!      │                      ▲  ▲                          │ leave it                             │
//!      │ one fails            │  └──────────────────────────┘                                      │
//!      ▼                      └────────────────────────────────────────────────────────────────────┘
//! stop all, in the opposite order ◄── given up, shut down, nursery left, or no child left
//! ```
//! Independent children are kept up at the same time; otherwise one restart comes after the other, and children that
//! end meanwhile are handled afterwards.
//!
//! # Invariants
//! 1. A child is restarted only when its old process has ended.
//! 2. The future that keeps children up can be dropped at any wait: children that run or start are in the list, and are
//!    waited for.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::events::SupervisorEvent;
use super::policy::{Decision, Plan, Policy, Rules, Strategy};
use super::{ChildSpec, Shared, Status};
use crate::error::{Cancelled, Error, GaveUp, Result};
use crate::events::{self, ActorEventKind};
use crate::nursery::Nursery;
use crate::nursery::monitor::Overseer;
use crate::portal::Portal;
use crate::scope::{CancelScope, Ended, run_to_end};
use crate::sync::lock;

/// A supervisor at work.
pub(super) struct Runner {
    nursery: Nursery,
    shared: Arc<Shared>,
    rules: Rules,
    policy: Mutex<Policy>,
    epoch: Instant,
}

/// A child and the process that it is now.
struct Child {
    number: usize,
    spec: ChildSpec,
    running: Option<Running>,
    /// Whether it was started before.
    again: bool,
}

struct Running {
    /// None while it is being started; if that is cancelled, it ends by itself.
    portal: Option<Portal>,
    /// Tells of a failure, and closes when the process is gone.
    failures: mpsc::Receiver<Error>,
    /// Its end was noticed.
    ended: bool,
}

/// The end of a child: its place in the group, and its failure if it failed.
type End = (usize, Option<Error>);

impl Runner {
    pub(super) fn new(nursery: Nursery, shared: Arc<Shared>, rules: Rules, children: &[ChildSpec]) -> Self {
        let policy = Mutex::new(Policy::new(rules.clone(), children.iter().map(|child| child.restart)));
        Self { nursery, shared, rules, policy, epoch: Instant::now() }
    }

    /// Works until no child is left; `ready` learns when all have been started once.
    pub(super) async fn run(self, children: Vec<ChildSpec>, ready: oneshot::Sender<Result<()>>) {
        let numbered = children.into_iter().enumerate();
        let mut children: Vec<_> =
            numbered.map(|(number, spec)| Child { number, spec, running: None, again: false }).collect();
        let mut ready = Some(ready);
        let outcome = self.work(&mut children, &mut ready).await;
        if let (Err(error), None) = (&outcome, &ready) {
            self.nursery.fail(error.clone());
        }
        for child in children.iter_mut().rev() {
            self.stop(child).await;
            self.set(child, outcome.as_ref().map_or_else(|error| Status::Failed(error.clone()), |()| Status::Over));
        }
        if let Some(never_ready) = ready {
            let error = outcome.clone().err().unwrap_or(Error::Cancelled(Cancelled::Nursery));
            if let Err(Err(error)) = never_ready.send(Err(error)) {
                warn!(target: "pleach::cancel", %error, "an abandoned supervision did not start");
            }
        }
        self.shared.announcer.close();
        self.shared.outcome.send_replace(Some(outcome));
    }

    /// Keeps the children up until they have ended, the supervisor is stopped, or it fails.
    async fn work(&self, children: &mut [Child], ready: &mut Option<oneshot::Sender<Result<()>>>) -> Result<()> {
        let scope = CancelScope::new();
        let mut keeping = std::pin::pin!(run_to_end(&scope, self.keep_all_up(children, ready)));
        let ended = tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => {
                scope.cancel_because(Cancelled::Nursery);
                keeping.await
            }
            ended = &mut keeping => ended,
        };
        match ended {
            Ended::Returned(outcome) => outcome,
            Ended::Cancelled(_) => Ok(()),
            Ended::Panicked(panic) => Err(panic),
        }
    }

    async fn keep_all_up(&self, children: &mut [Child], ready: &mut Option<oneshot::Sender<Result<()>>>) -> Result<()> {
        for child in children.iter_mut() {
            self.start(child).await?;
        }
        if let Some(ready) = ready.take() {
            drop(ready.send(Ok(()))); // the caller may have left, which stops this
        }
        let together = match self.rules.strategy {
            Strategy::OneForOne => 1,
            Strategy::OneForAll | Strategy::RestForOne => children.len(),
        };
        let groups = children.chunks_mut(together).map(|group| self.keep_up(group));
        futures_util::future::try_join_all(groups).await.map(drop)
    }

    /// Keeps a group of children up until all of them have ended.
    async fn keep_up(&self, group: &mut [Child]) -> Result<()> {
        let mut ended = next_end(group).await;
        while let Some((at, failure)) = ended {
            ended = match self.decide(&group[at], failure)? {
                Decision::Restart(plan) => match self.carry_out(group, at, &plan).await {
                    Ok(()) => next_end(group).await,
                    Err(end) => Some(end),
                },
                _leave => {
                    self.stop(&mut group[at]).await;
                    self.set(&group[at], Status::Over);
                    next_end(group).await
                }
            };
        }
        Ok(())
    }

    /// Decides what to do about a child that has ended, and emits the event.
    fn decide(&self, child: &Child, failure: Option<Error>) -> Result<Decision> {
        self.set(child, Status::Down);
        let name = child.spec.name.clone();
        self.shared.announcer.announce(match &failure {
            Some(error) => SupervisorEvent::Died { child: name.clone(), error: error.clone() },
            None => SupervisorEvent::Stopped { child: name.clone() },
        });
        let decision = self.policy().handle_end(child.number, failure.is_some(), self.epoch.elapsed());
        match &decision {
            Decision::Leave => {}
            Decision::Restart(Plan { attempt, after, .. }) => {
                let (attempt, after) = (*attempt, *after);
                self.shared.announcer.announce(SupervisorEvent::Restarting { child: name, attempt, after });
            }
            Decision::GiveUp => {
                let Rules { restarts, within, .. } = self.rules;
                let gave_up = GaveUp { child: name.to_string(), restarts, within, last: failure };
                let error = Error::GaveUp(Box::new(gave_up));
                let parent = self.nursery.0.runtime.id();
                events::note(ActorEventKind::GaveUp, parent, parent, Some(error.to_string()));
                self.shared.announcer.announce(SupervisorEvent::GaveUp { child: name, error: error.clone() });
                return Err(error);
            }
        }
        Ok(decision)
    }

    /// Stops, waits, starts. Tells of the first one that could not be started.
    async fn carry_out(&self, group: &mut [Child], ended: usize, plan: &Plan) -> Result<(), End> {
        let first = group[0].number;
        self.stop(&mut group[ended]).await;
        for number in &plan.stop {
            let child = &mut group[number - first];
            self.stop(child).await;
            if !plan.start.contains(number) {
                self.set(child, Status::Over);
            }
        }
        tokio::time::sleep(plan.after).await;
        for number in &plan.start {
            let at = number - first;
            self.start(&mut group[at]).await.map_err(|error| (at, Some(error)))?;
        }
        Ok(())
    }

    async fn start(&self, child: &mut Child) -> Result<()> {
        let (tell, failures) = mpsc::channel(1);
        let running = child.running.insert(Running { portal: None, failures, ended: false });
        let overseer = Overseer::Supervisor { failures: tell, again: child.again };
        let started = (child.spec.start)(self.nursery.clone(), overseer).await;
        child.again |= started.is_ok();
        let portal = match started {
            Ok(portal) => running.portal.insert(portal).clone(),
            Err(error) => {
                child.running = None;
                return Err(error);
            }
        };
        if let Some(init) = &child.spec.init {
            let initialised = tokio::select! {
                biased;
                failure = running.failures.recv() => Err(failure.unwrap_or_else(|| ended_early(&child.spec.name))),
                initialised = init(portal.clone()) => initialised,
            };
            if initialised.is_err() {
                running.ended = true;
                self.stop(child).await;
                return initialised;
            }
        }
        self.policy().handle_start(child.number);
        let (name, actor) = (child.spec.name.clone(), portal.id().clone());
        self.set(child, Status::Up(portal));
        self.shared.announcer.announce(SupervisorEvent::Started { child: name, actor });
        Ok(())
    }

    /// Brings a child to its end, if it runs, and waits until it is gone (invariant 1).
    async fn stop(&self, child: &mut Child) {
        let Some(running) = &mut child.running else { return };
        running.portal.iter().for_each(Portal::request_end);
        let name = &child.spec.name;
        while let Some(error) = running.failures.recv().await {
            running.ended = true;
            self.shared.announcer.announce(SupervisorEvent::Died { child: name.clone(), error });
        }
        if running.portal.is_some() && !running.ended {
            self.shared.announcer.announce(SupervisorEvent::Stopped { child: name.clone() });
        }
        child.running = None;
        self.set(child, Status::Down);
    }

    fn set(&self, child: &Child, status: Status) {
        if let Some(shown) = self.shared.children.get(&child.spec.name) {
            shown.send_replace(status);
        }
    }

    fn policy(&self) -> std::sync::MutexGuard<'_, Policy> {
        lock(&self.policy)
    }
}

/// Waits for the next end in a group; none when no child in it runs.
async fn next_end(group: &mut [Child]) -> Option<End> {
    std::future::poll_fn(|cx| {
        let mut all_over = true;
        for (at, child) in group.iter_mut().enumerate() {
            let Some(running) = child.running.as_mut().filter(|running| !running.ended) else { continue };
            all_over = false;
            if let Poll::Ready(failure) = running.failures.poll_recv(cx) {
                running.ended = true;
                return Poll::Ready(Some((at, failure)));
            }
        }
        if all_over { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

fn ended_early(name: &str) -> Error {
    Error::Usage(format!("`{name}` ended while its `init` was under way"))
}
