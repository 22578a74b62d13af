//! Locks and wake-ups.
//!
//! `tests/loom` compiles the small pieces whose interleavings are all tried a second time, with loom's versions of
//! these types.

use std::sync::PoisonError;
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use tokio::sync::Notify;

/// Locks what no panic leaves half-way changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
