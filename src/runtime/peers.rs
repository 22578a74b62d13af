//! The peers of an actor: their connections, children that have not connected back yet, and those declared dead.
//!
//! # Invariants
//! 1. No two of the locks are held together, and none across a wait.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::Runtime;
use super::connections::{SharedSlot, is_in_use};
use crate::channel::Channel;
use crate::proto::fencing::Fenced;
use crate::sync::lock;

/// Who an actor is connected with, or expects.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    connected: Mutex<BTreeMap<u64, Channel>>,
    next: AtomicU64,
    /// The connections that were opened for portals, while one uses them.
    shared: Mutex<BTreeMap<Uuid, SharedSlot>>,
    /// Children that have been started and have not connected back.
    pending: Mutex<BTreeMap<Uuid, Announced>>,
    /// Copied on change: handshakes hold on to it.
    fenced: Mutex<Arc<Fenced>>,
}

impl Peers {
    /// Adds a connection; returns its number.
    pub(super) fn insert(&self, channel: Channel) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.connected).insert(number, channel);
        number
    }

    pub(super) fn remove(&self, number: u64) {
        lock(&self.connected).remove(&number);
    }

    /// Returns the oldest connection of that kind.
    pub(super) fn find(&self, is_it: impl Fn(&Channel) -> bool) -> Option<Channel> {
        lock(&self.connected).values().find(|channel| is_it(channel)).cloned()
    }

    pub(super) fn all(&self) -> Vec<Channel> {
        lock(&self.connected).values().cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.connected).len()
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
}

impl Runtime {
    /// Announces that an actor with this uuid will connect back, and whether it exchanges heartbeats.
    ///
    /// # Errors
    /// Says so when this actor may have no more connections.
    pub(crate) fn expect(self: &Arc<Self>, uuid: Uuid, heartbeats: bool) -> Result<PendingChild, String> {
        let (connected, limit) = (self.peers.count(), self.config.max_connections);
        let (sender, receiver) = oneshot::channel();
        let mut pending = lock(&self.peers.pending);
        if connected + pending.len() >= limit {
            return Err(format!(
                "{} has {limit} connections, as many as `max_connections` allows; raise it, or start fewer actors in one",
                self.id()
            ));
        }
        pending.insert(uuid, Announced { connected: sender, heartbeats });
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
