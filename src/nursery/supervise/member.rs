//! One child and the process that it is now: start it, notice its end, stop it.
//!
//! Which children, and when, is for [`group`](super::group) and [`policy`](super::policy) to say.
//!
//! # Invariants
//! 1. A child is started only when its old process has ended.
//! 2. Starting and stopping can be dropped at any wait: a process that runs or starts is in `running`, and
//!    [`stop`](Member::stop) waits for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::Shared;
use super::events::SupervisorEvent;
use super::policy::Restart;
use super::roster::{Entry, Joining, Status};
use super::spec::{ChildSpec, Settings};
use crate::error::{Cancelled, Error, Result};
use crate::nursery::Nursery;
use crate::nursery::monitor::Overseer;
use crate::portal::Portal;
use crate::scope::{Ended, run_until};

/// A child at its supervisor's.
pub(super) struct Member {
    pub(super) entry: Arc<Entry>,
    spec: ChildSpec,
    removal: Pin<Box<WaitForCancellationFutureOwned>>,
    running: Option<Running>,
    /// Whether it was started before.
    again: bool,
}

struct Running {
    /// None while it is being started; if that is cancelled, it ends by itself.
    portal: Option<Portal>,
    /// Tells of a failure, and closes when the process is gone.
    failures: mpsc::Receiver<Error>,
    /// Its end was announced.
    ended: bool,
    /// Ends when it is found not to be healthy.
    health: Option<BoxFuture<'static, Error>>,
}

/// Why a child was not started.
pub(super) enum NotStarted {
    Failed(Error),
    /// It is to be removed.
    Unwanted,
}

/// What became of a child.
pub(super) enum Change {
    /// It is to be removed.
    Unwanted,
    /// It was stopped, its function returned, or it was cancelled.
    Stopped,
    Died(Error),
    /// It lives, and does not work.
    Unhealthy(Error),
}

impl Member {
    pub(super) fn new(entry: Arc<Entry>, spec: ChildSpec) -> Self {
        let removal = Box::pin(entry.removal.clone().cancelled_owned());
        Self { entry, spec, removal, running: None, again: false }
    }

    /// Takes a child in that waits for that.
    pub(super) fn joining(joining: Joining) -> (Self, oneshot::Sender<Result<()>>) {
        (Self::new(joining.entry, joining.spec), joining.reply)
    }

    pub(super) fn restart(&self) -> Restart {
        self.spec.restart
    }

    /// Returns the next change. After `Unwanted` it must not be asked again.
    pub(super) fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Change> {
        if self.removal.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Change::Unwanted);
        }
        let Some(running) = self.running.as_mut().filter(|running| !running.ended) else { return Poll::Pending };
        let change = match (running.failures.poll_recv(cx), &mut running.health) {
            (Poll::Ready(Some(error)), _) => Change::Died(error),
            (Poll::Ready(None), _) => Change::Stopped,
            (Poll::Pending, Some(health)) => Change::Unhealthy(std::task::ready!(health.poll_unpin(cx))),
            (Poll::Pending, None) => return Poll::Pending,
        };
        running.ended = true;
        Poll::Ready(change)
    }

    /// Starts it. If that fails, no process of it is left.
    pub(super) async fn start(&mut self, nursery: &Nursery, shared: &Shared) -> Result<(), NotStarted> {
        let removal = self.entry.removal.clone();
        let started = match run_until(&removal, self.launch(nursery)).await {
            Ended::Returned(_) | Ended::Cancelled(_) if removal.is_cancelled() => Err(NotStarted::Unwanted),
            Ended::Returned(started) => started.map_err(NotStarted::Failed),
            Ended::Cancelled(_) => Err(NotStarted::Failed(Error::Cancelled(Cancelled::Nursery))),
            Ended::Panicked(panic) => Err(NotStarted::Failed(panic)),
        };
        let portal = match started {
            Ok(portal) => portal,
            Err(not_started) => {
                // A failure is reported by who asked for the start.
                let failed = matches!(not_started, NotStarted::Failed(_));
                self.running.iter_mut().for_each(|running| running.ended |= failed);
                self.stop(shared).await;
                return Err(not_started);
            }
        };
        if std::mem::replace(&mut self.again, true) {
            self.entry.count_restart();
        }
        if let (Some(running), Some(check)) = (&mut self.running, &self.spec.health) {
            running.health = Some(check.clone().until_unhealthy(self.entry.name.clone(), portal.clone()).boxed());
        }
        let (child, actor) = (self.entry.name.clone(), portal.id().clone());
        self.entry.set(Status::Up(portal));
        shared.announcer.announce(SupervisorEvent::Started { child, actor });
        Ok(())
    }

    async fn launch(&mut self, nursery: &Nursery) -> Result<Portal> {
        let (tell, failures) = mpsc::channel(1);
        let running = self.running.insert(Running { portal: None, failures, ended: false, health: None });
        let overseer = Overseer::Supervisor { failures: tell, again: self.again };
        let settings = Settings { name: self.entry.name.to_string(), soft_reap: self.spec.soft_reap };
        let portal = (self.spec.start)(nursery.clone(), settings, overseer).await?;
        running.portal = Some(portal.clone());
        if let Some(init) = &self.spec.init {
            tokio::select! {
                biased;
                failure = running.failures.recv() => return Err(failure.unwrap_or_else(|| ended_early(&self.entry.name))),
                initialised = init(portal.clone()) => initialised?,
            }
        }
        Ok(portal)
    }

    /// Brings it to its end, if it runs, and waits until it is gone (invariant 1).
    pub(super) async fn stop(&mut self, shared: &Shared) {
        let Some(running) = &mut self.running else { return };
        running.health = None;
        running.portal.iter().for_each(Portal::request_end);
        while let Some(error) = running.failures.recv().await {
            running.ended = true;
            shared.announcer.announce(SupervisorEvent::Died { child: self.entry.name.clone(), error });
        }
        if running.portal.is_some() && !running.ended {
            shared.announcer.announce(SupervisorEvent::Stopped { child: self.entry.name.clone() });
        }
        self.running = None;
        self.entry.set(Status::Down);
    }
}

fn ended_early(name: &str) -> Error {
    Error::Usage(format!("`{name}` ended while its `init` was under way"))
}
