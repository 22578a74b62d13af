//! Locks whose holders leave nothing half-way changed when they panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a panic of a thread that held it.
///
/// For state that each holder changes in one step, so that a panic in between finds it as it was. It blocks the thread
/// until the lock is free.
///
/// ```
/// use std::sync::Mutex;
///
/// let names = Mutex::new(vec!["ada"]);
/// let panicked = std::thread::scope(|s| s.spawn(|| { let _held = names.lock(); panic!() }).join());
/// assert!(panicked.is_err() && names.is_poisoned());
/// assert_eq!(*pleach_wire::sync::lock(&names), ["ada"]);
/// ```
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
