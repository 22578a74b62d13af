//! A call of a pool, with its options: a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Shared, attempt};
use crate::error::Result;
use crate::lazy::Lazy;
use crate::retry::{Options, Retry};
use crate::rpc::call::Call;
use crate::scope;
use crate::sync::lock;

/// A call of a pool, from [`Pool::run`](crate::Pool::run): a future, which waits for a place in a worker from its first
/// poll on.
///
/// # Cancel safety
/// If dropped before it is polled, nothing was sent; after that, the call is cancelled.
#[must_use = "a call does nothing until it is awaited"]
pub struct PoolCall<'a, T>(Lazy<'a, Unsent<'a, T>, Result<T>>);

struct Unsent<'a, T> {
    shared: &'a Shared,
    worker: Option<usize>,
    call: Call<T>,
}

impl<'a, T: Send + 'a> PoolCall<'a, T> {
    pub(super) fn new(shared: &'a Shared, worker: Option<usize>, call: Call<T>) -> Self {
        Self(Lazy::new(Unsent { shared, worker, call }))
    }

    /// Gives up after this time, from the first poll on, the wait for a worker and all attempts together: the call is
    /// cancelled, and fails with [`Error::Timeout`](crate::Error::Timeout), which names the function and the time. Without
    /// effect once it was polled.
    ///
    /// [`PoolStart::timeout`](crate::PoolStart::timeout) is for each attempt, and notices workers that are blocked.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.0.set_timeout(after);
        self
    }

    /// Repeats the call when it fails, as `retry` says; the deaths of workers are dealt with before that
    /// ([`PoolStart::retries`](crate::PoolStart::retries)). Without effect once it was polled.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.set_retry(retry);
        self
    }
}

impl<'a, T: Send + 'a> Future for PoolCall<'a, T> {
    type Output = Result<T>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.poll(cx, |Unsent { shared, worker, call }, options| Box::pin(run(shared, worker, call, options)))
    }
}

impl<T> Unpin for PoolCall<'_, T> {}

impl<T> fmt::Debug for PoolCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.unsent() {
            Some(unsent) => write!(f, "PoolCall({:?})", unsent.call),
            None => f.write_str("PoolCall(sent)"),
        }
    }
}

/// Has the pool take a call, and runs it until it has a result.
pub(super) async fn run<T>(shared: &Shared, worker: Option<usize>, call: Call<T>, options: Options) -> Result<T> {
    scope::checkpoint()?;
    let _taken = shared.admit()?;
    let call = Mutex::new(call);
    let what = || format!("`{}` in a pool", lock(&call).name());
    let result = options.run(what, || attempt::run(shared, worker, &call)).await;
    shared.progress.ended(&result);
    result
}
