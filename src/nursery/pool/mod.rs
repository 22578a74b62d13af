//! Pools: calls spread over several workers, which are replaced when they die.
//!
//! | file | station |
//! |---|---|
//! | this one | the handle: calls, results, the end |
//! | [`start`] | the settings of a pool, and its start |
//! | [`results`] | many calls, and the stream of their results |
//! | [`call`] | one call with its options |
//! | [`attempt`] | one call: its attempts, until it has a result |
//! | [`board`] | which worker takes which call |
//! | [`worker`] | a worker: started, replaced, ended |
//! | [`inside`] | functions that a pool runs in its workers |
//! | [`progress`] | what has been done |
//!
//! A pool is not a supervisor: it knows the calls of its workers, and repeats them. Both keep processes up, and both fail
//! their nursery when they can't.
//!
//! # Invariants
//! 1. Each worker has one task, which ends when its process has. The nursery waits for these tasks.
//! 2. A pool ends when its nursery's body has returned, after the calls that it has taken by then.

mod attempt;
mod board;
mod call;
mod inside;
mod progress;
mod results;
mod start;
mod worker;

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

pub use self::call::PoolCall;
pub use self::progress::PoolProgress;
pub use self::results::Results;
pub use self::start::PoolStart;

use self::board::{Board, Process};
use self::progress::Progress;
use super::Nursery;
use crate::error::{Error, Result};
use crate::portal::Portal;
use crate::rpc::call::Call;
use crate::scope;

/// Workers that share calls, from [`Start::pool`](crate::Start::pool). Cloning is cheap; dropping it does nothing: the
/// nursery owns the workers.
///
/// A worker that dies is replaced, and its calls are tried again: see [`PoolStart::retries`]. So a call has one result,
/// but may run more than once. The error of a function is a result, and is not tried again.
///
/// The pool ends when the body of its nursery has returned, after the calls that it has taken by then.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

/// State shared by a pool's handles, its calls and its workers.
struct Shared {
    board: Board<Portal>,
    retries: u32,
    timeout: Option<Duration>,
    hedge: Option<Duration>,
    /// How long a worker may take to answer that has not ended a call in time.
    patience: Duration,
    keys: RandomState,
    progress: Progress,
    /// Whether no further call is taken.
    is_closed: AtomicBool,
    /// The calls that have been taken.
    calls: TaskTracker,
    /// Cancelled when the workers are to end.
    stop: CancellationToken,
    /// The workers' tasks.
    workers: TaskTracker,
}

impl Pool {
    /// Runs a call in the worker that has the fewest, once one has room.
    ///
    /// It is a future, with options: [`timeout`](PoolCall::timeout) and [`retry`](PoolCall::retry).
    ///
    /// # Errors
    /// The function's own error, and as [`Portal::run`](crate::Portal::run); [`Error::Poison`] when workers die of the
    /// call; [`Error::Timeout`] when it took longer than [`PoolStart::timeout`]; [`Error::Closed`] when the pool has
    /// ended or is about to.
    ///
    /// # Cancel safety
    /// If dropped, the call is cancelled.
    pub fn run<'a, T: Send + 'a>(&'a self, call: Call<T>) -> PoolCall<'a, T> {
        PoolCall::new(&self.0, None, call)
    }

    /// Runs a call in the worker of a key: calls with equal keys meet in one worker, as long as that lives, and find what
    /// earlier ones have left there. They run beside each other.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub fn run_keyed<'a, T: Send + 'a>(&'a self, key: &(impl Hash + ?Sized), call: Call<T>) -> PoolCall<'a, T> {
        let worker = self.0.keys.hash_one(key) % self.0.board.workers() as u64;
        PoolCall::new(&self.0, Some(worker as usize), call)
    }

    /// Returns what the pool has done so far.
    pub fn progress(&self) -> PoolProgress {
        self.0.progress.now()
    }

    /// Takes no more calls, waits for those that it has, and ends the workers.
    ///
    /// The results of [`map`](Self::map) and [`map_unordered`](Self::map_unordered) end after those of the items that are
    /// under way; the others are not taken from their iterators. Poll them meanwhile, as their calls wait for that.
    ///
    /// # Cancel safety
    /// If dropped once it was polled, no more calls are taken, and the workers are ended when the nursery is left.
    pub async fn drain(&self) {
        self.0.close();
        if scope::wait(self.0.calls.wait()).await.is_ok() {
            self.shutdown().await;
        }
    }

    /// Ends the workers, and waits until they have ended. The calls that they have are cancelled.
    ///
    /// # Cancel safety
    /// If dropped once it was polled, the workers are ended all the same.
    pub async fn shutdown(&self) {
        self.0.stop();
        let _ = scope::wait(self.0.workers.wait()).await; // it has no error to return
    }
}

impl Process for Portal {
    fn is_gone(&self) -> bool {
        Self::is_gone(self)
    }
}

impl Shared {
    /// Takes a call: the pool's orderly end waits for the token.
    fn admit(&self) -> Result<TaskTrackerToken> {
        match self.is_closed() {
            false => Ok(self.calls.token()),
            true => Err(closed()),
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Takes no more calls.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.calls.close();
    }

    fn stop(&self) {
        self.close();
        self.board.close(closed());
        self.stop.cancel();
    }

    /// The workers can't be kept up: that is a failure of the nursery.
    fn fail(&self, nursery: &Nursery, error: Error) {
        self.close();
        self.board.close(error.clone());
        nursery.fail(error);
        self.stop.cancel();
    }
}

fn closed() -> Error {
    Error::Closed("this pool has ended, or is about to".into())
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("workers", &self.0.board.workers()).field("progress", &self.progress()).finish()
    }
}
