//! The peers of an actor: their connections, children that have not connected back yet, and those declared dead.
//!
//! # Invariants
//! 1. No two of the locks are held together, and none across a wait.
//! 2. A connection that was accepted, and a child that has not connected back, has one of `max_connections` permits. Own
//!    dials take one too while there are some.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pleach_wire::sync::try_lock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;
use uuid::Uuid;

use super::Runtime;
use super::connections::{SharedSlot, is_in_use};
use crate::channel::Channel;
use crate::proto::fencing::Fenced;
use crate::sync::lock;

/// Who an actor is connected with, or expects.
#[derive(Debug)]
pub(crate) struct Peers {
    /// The permits that are left (invariant 2).
    permits: Arc<Semaphore>,
    connected: Mutex<BTreeMap<u64, Connected>>,
    next: AtomicU64,
    /// The connections that were opened for portals, while one uses them.
    shared: Mutex<BTreeMap<Uuid, SharedSlot>>,
    /// Children that have been started and have not connected back.
    pending: Mutex<BTreeMap<Uuid, Announced>>,
    /// Copied on change: handshakes hold on to it.
    fenced: Mutex<Arc<Fenced>>,
}

#[derive(Debug)]
struct Connected {
    channel: Channel,
    /// Freed when this is removed.
    _permit: Option<Permit>,
}

/// One of the connections that an actor may have. Dropping it frees it.
pub(super) type Permit = OwnedSemaphorePermit;

impl Peers {
    pub(super) fn new(max_connections: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS))),
            connected: Mutex::default(),
            next: AtomicU64::default(),
            shared: Mutex::default(),
            pending: Mutex::default(),
            fenced: Mutex::default(),
        }
    }

    /// Takes a permit, if there is one.
    pub(super) fn take_permit(&self) -> Option<Permit> {
        self.permits.clone().try_acquire_owned().ok()
    }

    /// Takes a permit; waits that long for one, which a connection that is ending may have.
    ///
    /// # Cancel safety
    /// If dropped, none is taken.
    pub(super) async fn permit_within(&self, bound: Duration) -> Option<Permit> {
        timeout(bound, self.permits.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Adds a connection; returns its number.
    pub(super) fn insert(&self, channel: Channel, permit: Option<Permit>) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.connected).insert(number, Connected { channel, _permit: permit });
        number
    }

    pub(super) fn remove(&self, number: u64) {
        lock(&self.connected).remove(&number);
    }

    /// Returns the oldest connection of that kind.
    pub(super) fn find(&self, is_it: impl Fn(&Channel) -> bool) -> Option<Channel> {
        lock(&self.connected).values().map(|peer| &peer.channel).find(|channel| is_it(channel)).cloned()
    }

    /// Returns all connections, unless they are changing.
    pub(super) fn all_now(&self) -> Option<Vec<Channel>> {
        Some(try_lock(&self.connected)?.values().map(|peer| peer.channel.clone()).collect())
    }

    pub(super) fn all(&self) -> Vec<Channel> {
        lock(&self.connected).values().map(|peer| peer.channel.clone()).collect()
    }

    /// The slot of the connection to an actor that portals share; unused slots are removed.
    pub(super) fn slot(&self, uuid: Uuid) -> SharedSlot {
        let mut shared = lock(&self.shared);
        shared.retain(|_, slot| is_in_use(slot));
        shared.entry(uuid).or_default().clone()
    }

    /// Keeps a peer of this incarnation from coming back as the same one.
    pub(super) fn fence(&self, uuid: Uuid, incarnation: u64) {
        Arc::make_mut(&mut lock(&self.fenced)).note(uuid, incarnation);
    }

    pub(super) fn fenced(&self) -> Arc<Fenced> {
        lock(&self.fenced).clone()
    }

    /// Returns whether a child of this uuid has been announced.
    pub(super) fn is_pending(&self, uuid: Uuid) -> bool {
        lock(&self.pending).contains_key(&uuid)
    }

    pub(super) fn count_pending(&self) -> usize {
        lock(&self.pending).len()
    }

    /// Takes the announcement of a child that has connected.
    pub(super) fn take_pending(&self, uuid: Uuid) -> Option<Announced> {
        lock(&self.pending).remove(&uuid)
    }
}

/// A child that will connect back. It is known by the uuid that only it and its parent know until then.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) connected: oneshot::Sender<Channel>,
    pub(super) heartbeats: bool,
    pub(super) permit: Permit,
}

impl Runtime {
    /// Announces that an actor with this uuid will connect back, and whether it exchanges heartbeats.
    ///
    /// # Errors
    /// Says so when this actor may have no more connections.
    pub(crate) fn expect(self: &Arc<Self>, uuid: Uuid, heartbeats: bool) -> Result<PendingChild, String> {
        let permit = self.peers.take_permit().ok_or_else(|| {
            let limit = self.config.max_connections;
            format!(
                "{} has {limit} connections, as many as `max_connections` allows; raise it, or start fewer actors in one",
                self.id()
            )
        })?;
        let (connected, receiver) = oneshot::channel();
        lock(&self.peers.pending).insert(uuid, Announced { connected, heartbeats, permit });
        Ok(PendingChild { runtime: self.clone(), uuid, receiver })
    }
}

/// A child that has been announced; dropping this withdraws the announcement.
pub(crate) struct PendingChild {
    runtime: Arc<Runtime>,
    uuid: Uuid,
    receiver: oneshot::Receiver<Channel>,
}

impl PendingChild {
    /// Waits until it has connected.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn connected(&mut self) -> Channel {
        match (&mut self.receiver).await {
            Ok(channel) => channel,
            // The sender stays in the table until it is used or this is dropped.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for PendingChild {
    fn drop(&mut self) {
        self.runtime.peers.take_pending(self.uuid);
    }
}
