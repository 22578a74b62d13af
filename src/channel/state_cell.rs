//! A state that some change and others wait on.
//!
//! All interleavings of its users are tried in `tests/loom`.
//!
//! # Invariants
//! 1. A writer wakes all waiters after its change.
//! 2. A waiter looks again after it has begun to listen.

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard, Notify};

/// A value behind a lock, and the tasks that wait for it to change.
pub(super) struct StateCell<T> {
    state: Mutex<T>,
    changed: Notify,
}

impl<T> StateCell<T> {
    pub(super) fn new(state: T) -> Self {
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Locks the state. A caller that changes it calls [`changed`](Self::changed) after unlocking.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all waiters.
    pub(super) fn changed(&self) {
        self.changed.notify_waiters();
    }

    /// Changes the state.
    pub(super) fn with<V>(&self, act: impl FnOnce(&mut T) -> V) -> V {
        let done = act(&mut self.lock());
        self.changed();
        done
    }

    /// Waits until `look` finds something.
    ///
    /// # Cancel safety
    /// If dropped, nothing has been taken.
    pub(super) async fn until<V>(&self, mut look: impl FnMut(&mut T) -> Option<V>) -> V {
        loop {
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            // Once more: it may have changed before the line above.
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }
}
