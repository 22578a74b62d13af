//! What a pool has done: counters, and the callback that watches them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// What a pool has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolProgress {
    /// Calls that returned a value.
    pub done: u64,
    /// Calls that failed: their function returned an error, was cancelled, or took too long.
    pub failed: u64,
    /// Calls that were given up because workers died of them.
    pub poisoned: u64,
    /// Attempts that were lost with their worker, and repeated.
    pub retried: u64,
    /// Workers that died and were replaced.
    pub restarted: u64,
}

#[derive(Default)]
pub(super) struct Progress {
    done: AtomicU64,
    failed: AtomicU64,
    poisoned: AtomicU64,
    retried: AtomicU64,
    restarted: AtomicU64,
    pub(super) watch: Option<Watch>,
}

pub(super) type Watch = Box<dyn Fn(PoolProgress) + Send + Sync>;

impl Progress {
    /// A call has its result.
    pub(super) fn ended<T>(&self, result: &Result<T>) {
        count(match result {
            Ok(_) => &self.done,
            Err(Error::Poison(_)) => &self.poisoned,
            Err(_) => &self.failed,
        });
        if let Some(watch) = &self.watch {
            watch(self.now());
        }
    }

    pub(super) fn retried(&self) {
        count(&self.retried);
    }

    pub(super) fn restarted(&self) {
        count(&self.restarted);
    }

    pub(super) fn now(&self) -> PoolProgress {
        let [done, failed, poisoned, retried, restarted] =
            [&self.done, &self.failed, &self.poisoned, &self.retried, &self.restarted]
                .map(|counter| counter.load(Ordering::Relaxed));
        PoolProgress { done, failed, poisoned, retried, restarted }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
