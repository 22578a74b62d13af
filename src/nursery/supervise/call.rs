//! A call of a supervised child, with its options: a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use super::SupervisedPortal;
use crate::error::Result;
use crate::lazy::Lazy;
use crate::retry::Retry;
use crate::rpc::call::Call;
use crate::sync::lock;

/// A call of a supervised child, from [`SupervisedPortal::run`]: a future, which waits while the child is being started
/// again, and sends the call then.
///
/// # Cancel safety
/// If dropped before it is polled, nothing was sent; after that, the call is cancelled.
#[must_use = "a call does nothing until it is awaited"]
pub struct SupervisedCall<'a, T>(Lazy<'a, Unsent<'a, T>, Result<T>>);

struct Unsent<'a, T> {
    child: &'a SupervisedPortal,
    call: Call<T>,
}

impl<'a, T: Send + 'a> SupervisedCall<'a, T> {
    pub(super) fn new(child: &'a SupervisedPortal, call: Call<T>) -> Self {
        Self(Lazy::new(Unsent { child, call }))
    }

    /// Gives up after this time, from the first poll on, the waits for restarts and all attempts together: the call is
    /// cancelled, and fails with [`Error::Timeout`](crate::Error::Timeout), which names the child, the function and the
    /// time. Without effect once it was polled.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.0.set_timeout(after);
        self
    }

    /// Repeats the call when it fails, as `retry` says. Without effect once it was polled.
    ///
    /// Each attempt goes to the process that is the child then: it waits out a restart.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.set_retry(retry);
        self
    }
}

impl<'a, T: Send + 'a> Future for SupervisedCall<'a, T> {
    type Output = Result<T>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.poll(cx, |Unsent { child, call }, options| {
            let call = Mutex::new(call);
            Box::pin(async move {
                let what = || format!("`{}` in `{}`", lock(&call).name(), child.name());
                options.run(what, || async { child.portal().await?.run_again(&call).await }).await
            })
        })
    }
}

impl<T> Unpin for SupervisedCall<'_, T> {}

impl<T> fmt::Debug for SupervisedCall<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.unsent() {
            Some(Unsent { child, call }) => write!(f, "SupervisedCall({call:?} in {:?})", child.name()),
            None => f.write_str("SupervisedCall(sent)"),
        }
    }
}
