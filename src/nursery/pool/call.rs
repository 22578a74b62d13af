//! A call of a pool, with its options: a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Shared, attempt};
use crate::error::Result;
use crate::retry::{Retry, limited};
use crate::rpc::call::Call;
use crate::scope;

/// A call of a pool, from [`Pool::run`](crate::Pool::run): a future, which waits for a place in a worker from its first
/// poll on.
///
/// # Cancel safety
/// If dropped before it is polled, nothing was sent; after that, the call is cancelled.
#[must_use = "a call does nothing until it is awaited"]
pub struct PoolCall<'a, T>(Stage<'a, T>);

enum Stage<'a, T> {
    Unsent(Unsent<'a, T>),
    Sent(BoxFuture<'a, Result<T>>),
    Ended,
}

/// A call that has not been sent, with its options.
struct Unsent<'a, T> {
    shared: &'a Shared,
    worker: Option<usize>,
    call: Call<T>,
    timeout: Option<Duration>,
    retry: Option<Retry>,
}

impl<'a, T: Send + 'a> PoolCall<'a, T> {
    pub(super) fn new(shared: &'a Shared, worker: Option<usize>, call: Call<T>) -> Self {
        Self(Stage::Unsent(Unsent { shared, worker, call, timeout: None, retry: None }))
    }

    /// Gives up after this time, from the first poll on, the wait for a worker and all attempts together: the call is
    /// cancelled, and fails with [`Error::Timeout`](crate::Error::Timeout), which names the function and the time. Without
    /// effect once it was polled.
    ///
    /// [`PoolStart::timeout`](crate::PoolStart::timeout) is for each attempt, and notices workers that are blocked.
    pub fn timeout(mut self, after: Duration) -> Self {
        if let Stage::Unsent(unsent) = &mut self.0 {
            unsent.timeout = Some(after);
        }
        self
    }

    /// Repeats the call when it fails, as `retry` says; the deaths of workers are dealt with before that
    /// ([`PoolStart::retries`](crate::PoolStart::retries)). Without effect once it was polled.
    pub fn retry(mut self, retry: Retry) -> Self {
        if let Stage::Unsent(unsent) = &mut self.0 {
            unsent.retry = Some(retry);
        }
        self
    }
}

impl<'a, T: Send + 'a> Future for PoolCall<'a, T> {
    type Output = Result<T>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        if let Stage::Unsent(_) = self.0
            && let Stage::Unsent(unsent) = std::mem::replace(&mut self.0, Stage::Ended)
        {
            self.0 = Stage::Sent(Box::pin(run(unsent)));
        }
        let Stage::Sent(running) = &mut self.0 else { panic!("a call was polled after it ended") };
        let ended = running.as_mut().poll(cx);
        if ended.is_ready() {
            self.0 = Stage::Ended;
        }
        ended
    }
}

impl<T> Unpin for PoolCall<'_, T> {}

impl<T> fmt::Debug for PoolCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Stage::Unsent(unsent) => write!(f, "PoolCall({:?})", unsent.call),
            Stage::Sent(_) => f.write_str("PoolCall(sent)"),
            Stage::Ended => f.write_str("PoolCall(ended)"),
        }
    }
}

async fn run<T>(Unsent { shared, worker, call, timeout, retry }: Unsent<'_, T>) -> Result<T> {
    scope::checkpoint()?;
    let _taken = shared.admit()?;
    let what = format!("`{}` in a pool", call.name());
    let call = Mutex::new(call);
    let attempts = Box::pin(async {
        match &retry {
            Some(retry) => retry.run(&what, || attempt::run(shared, worker, &call)).await,
            None => attempt::run(shared, worker, &call).await,
        }
    });
    let result = match timeout {
        Some(after) => limited(&what, after, attempts).await,
        None => attempts.await,
    };
    shared.progress.ended(&result);
    result
}

/// Runs a call without options; for the many of a stream of results.
pub(super) async fn run_plainly<T>(shared: &Shared, call: Call<T>) -> Result<T> {
    scope::checkpoint()?;
    let _taken = shared.admit()?;
    let call = Mutex::new(call);
    let result = attempt::run(shared, None, &call).await;
    shared.progress.ended(&result);
    result
}
