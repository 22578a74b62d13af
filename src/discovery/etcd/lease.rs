//! Keeping one actor entered, until its registration is left.
//!
//! ```text
//! enter ──ok──► sleep a third of the lease ──► enter ──► …
//!   │                                            │
//!   └─first time: register fails                 └─failed: sleep a back-off, enter again
//!                     left or dropped, whenever it sleeps ──► revoke the lease
//! ```
//! `enter` does what is missing: renews the lease, or gets a new one if it has expired; puts the entry if it is not
//! there, because the lease had expired or the entry was removed by mistake.
//!
//! # Invariants
//! 1. A step is never interrupted: its effects in etcd are known before the lease is revoked.
//! 2. A newer incarnation's entry is never overwritten; this one waits until that has left.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::endpoint::Fault;
use super::requests::Requests;
use crate::actor::ActorId;
use crate::discovery::{Registered, Registration};
use crate::error::{Error, Result};

/// The task that keeps an actor entered.
pub(super) struct LeaseKeeper {
    pub(super) etcd: Requests,
    pub(super) actor: Registered,
    /// The length of a lease in seconds.
    pub(super) seconds: i64,
    /// The value to put.
    value: Vec<u8>,
    /// The lease, once there is one; it may be over.
    lease: Option<i64>,
}

impl LeaseKeeper {
    pub(super) fn new(etcd: Requests, actor: Registered, seconds: i64) -> Self {
        let value = serde_json::to_vec(&actor).expect("numbers and texts can be written as JSON");
        Self { etcd, actor, seconds, value, lease: None }
    }

    /// Enters the actor, tells `entered`, and keeps it until `left`.
    pub(super) async fn run(mut self, left: CancellationToken, entered: oneshot::Sender<Result<()>>) -> Result<()> {
        let first = self.enter().await.map_err(Error::from);
        let failed = first.is_err();
        // Dropping the registration's future drops the sender of `left`, too.
        let _ = entered.send(first);
        if !failed {
            self.keep(&left).await;
        }
        self.revoke().await
    }

    async fn keep(&mut self, left: &CancellationToken) {
        let usual = Duration::from_secs(self.seconds.unsigned_abs()) / 3;
        let (mut pause, mut back_off) = (usual, BackOff::default());
        loop {
            tokio::select! {
                biased;
                () = left.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = match self.enter().await {
                Ok(()) => {
                    back_off = BackOff::default();
                    usual
                }
                Err(Fault::Away(error) | Fault::Refused(error)) => {
                    back_off.after(&error, &format!("keeping {} registered", self.actor.who))
                }
            };
        }
    }

    async fn enter(&mut self) -> Result<(), Fault> {
        let lease = self.lease().await?;
        let key = self.etcd.keys.of(&self.actor.who);
        for _ in 0..ATTEMPTS {
            let found = self.etcd.value(&key).await?;
            let newest = found.as_ref().and_then(|found| found.entry.as_ref());
            if newest.is_some_and(|entry| entry.actor.incarnation > self.actor.incarnation) {
                debug!(target: "pleach::runtime", actor = %self.actor.who, "a newer incarnation is registered"); // Invariant 2
                return Ok(());
            }
            let in_place = newest.is_some_and(|entry| entry.actor == self.actor)
                && found.as_ref().is_some_and(|found| found.lease == lease);
            let changed = found.map_or(0, |found| found.changed);
            if in_place || self.etcd.put(&key, changed, &self.value, lease).await? {
                return Ok(());
            }
        }
        Err(self.etcd.endpoint.away("enter an actor", "another program keeps changing the entry"))
    }

    /// The lease, renewed, or a new one.
    async fn lease(&mut self) -> Result<i64, Fault> {
        if let Some(lease) = self.lease
            && self.etcd.renew(lease).await?
        {
            return Ok(lease);
        }
        let lease = self.etcd.grant(self.seconds).await?;
        self.lease = Some(lease);
        Ok(lease)
    }

    async fn revoke(&self) -> Result<()> {
        match self.lease {
            Some(lease) => Ok(self.etcd.revoke(lease).await?),
            None => Ok(()),
        }
    }
}

/// An actor's entry, while it lasts.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) who: ActorId,
    /// Dropping it ends the keeper.
    pub(super) left: DropGuard,
    pub(super) keeper: JoinHandle<Result<()>>,
}

#[async_trait::async_trait]
impl Registration for Kept {
    async fn leave(self: Box<Self>) -> Result<()> {
        let Self { who, left, keeper } = *self;
        drop(left);
        let panicked = |ended| Error::Panicked(format!("the task that kept {who} registered: {ended}"));
        keeper.await.unwrap_or_else(|ended| Err(panicked(ended)))
    }
}

/// The pauses between attempts: longer and longer, up to a bound.
#[derive(Default)]
pub(super) struct BackOff {
    last: Duration,
}

impl BackOff {
    /// Returns the pause after a failure; the log tells of the first one in a row.
    pub(super) fn after(&mut self, error: &Error, what: &str) -> Duration {
        match self.last.is_zero() {
            true => warn!(target: "pleach::runtime", %error, what, "the registry fails; retrying"),
            false => debug!(target: "pleach::runtime", %error, what, "the registry still fails"),
        }
        self.last = (self.last * 2).clamp(SHORTEST, LONGEST);
        self.last
    }
}

/// Enough unless another program keeps changing the entry.
pub(super) const ATTEMPTS: u32 = 3;

const SHORTEST: Duration = Duration::from_millis(100);

/// Short, so that an etcd that is back is used soon; long, so that it is not overrun meanwhile.
const LONGEST: Duration = Duration::from_secs(2);
