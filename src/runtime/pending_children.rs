//! Children that have been started and have not connected back.
//!
//! A child is known by the uuid that only it and its parent know until then.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::Runtime;
use crate::channel::Channel;
use crate::sync::lock;

/// A child that will connect back.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) connected: oneshot::Sender<Channel>,
    pub(super) heartbeats: bool,
}

impl Runtime {
    /// Announces that an actor with this uuid will connect back, and whether it exchanges heartbeats.
    ///
    /// # Errors
    /// Says so when this actor may have no more connections.
    pub(crate) fn expect(self: &Arc<Self>, uuid: Uuid, heartbeats: bool) -> Result<PendingChild, String> {
        let (connected, limit) = (lock(&self.peers).len(), self.config.max_connections);
        let (sender, receiver) = oneshot::channel();
        let entry = Entry { connected: sender, heartbeats };
        let mut pending = lock(&self.pending_children);
        if connected + pending.len() >= limit {
            return Err(format!(
                "{} has {limit} connections, as many as `max_connections` allows; raise it, or start fewer actors in one",
                self.id
            ));
        }
        pending.insert(uuid, entry);
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
        lock(&self.runtime.pending_children).remove(&self.uuid);
    }
}
