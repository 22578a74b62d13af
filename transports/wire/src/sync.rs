//! Locks whose holders leave nothing half-way changed when they panic.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

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

/// Locks `mutex` as [`lock`] does, unless that would have to wait.
///
/// ```
/// use pleach_wire::sync::{lock, try_lock};
///
/// let name = std::sync::Mutex::new("ada");
/// assert_eq!(try_lock(&name).as_deref(), Some(&"ada"));
/// let _held = lock(&name);
/// assert!(try_lock(&name).is_none());
/// ```
pub fn try_lock<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
