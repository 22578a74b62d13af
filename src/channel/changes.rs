//! Waiting for a change of a state that is behind a lock elsewhere.
//!
//! All interleavings of its users are tried in `tests/loom`.
//!
//! # Invariants
//! 1. A writer wakes all waiters after its change.
//! 2. A waiter looks again after it has begun to listen.

use crate::sync::Notify;

/// The tasks that wait for a state to change.
pub(super) struct Changes(Notify);

impl Default for Changes {
    fn default() -> Self {
        Self(Notify::new())
    }
}

impl Changes {
    /// Wakes all waiters. A writer calls this after it has unlocked the state.
    pub(super) fn notify(&self) {
        self.0.notify_waiters();
    }

    /// Waits until `look` finds something; it locks the state.
    ///
    /// # Cancel safety
    /// If dropped, nothing has been taken.
    pub(super) async fn until<V>(&self, mut look: impl FnMut() -> Option<V>) -> V {
        loop {
            if let Some(found) = look() {
                return found;
            }
            let mut changed = std::pin::pin!(self.0.notified());
            changed.as_mut().enable();
            // Once more: it may have changed before the line above.
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }
}
