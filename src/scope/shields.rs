//! The shields that are held in a body, and the poller that waits for the last one to go.
//!
//! All interleavings of its users are tried in `tests/loom`.
//!
//! # Invariants
//! 1. Whether a shield is held, and the waker for when none is, change under one lock: the last release finds the
//!    waker, or the caller finds no shield.

use std::task::Waker;

use crate::sync::{Mutex, MutexGuard, lock};

/// The shields of one body.
#[derive(Default)]
pub(super) struct Shields(Mutex<Held>);

#[derive(Default)]
struct Held {
    count: usize,
    /// Set while the body is cancelled and only waits for its shields.
    closing: Option<Waker>,
}

impl Shields {
    pub(super) fn hold(&self) {
        self.lock().count += 1;
    }

    pub(super) fn release(&self) {
        let mut held = self.lock();
        held.count -= 1;
        if held.count > 0 {
            return;
        }
        let closing = held.closing.take();
        drop(held);
        if let Some(waker) = closing {
            waker.wake();
        }
    }

    /// Returns whether one is held.
    pub(super) fn is_held(&self) -> bool {
        self.lock().count > 0
    }

    /// Returns whether none is held; if one is, the last release will wake `waker`.
    pub(super) fn all_released(&self, waker: &Waker) -> bool {
        let mut held = self.lock();
        if held.count == 0 {
            return true;
        }
        match &mut held.closing {
            Some(closing) => closing.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing under this lock can panic half-way.
        lock(&self.0)
    }
}
