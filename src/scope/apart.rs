//! Work that needs no poll of the code that waits for it.
//!
//! Code may keep a future, and wait for something else. What has a place in a queue, or a lock, would then hold up all
//! others; so it runs in a task of its own.

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::wait::wait;
use crate::current::inherited;
use crate::error::Result;
use crate::telemetry::calls::in_current_span;

/// Runs `work` in a task of its own, and waits for it. A panic of it is a panic of the waiting code.
///
/// # Errors
/// [`Error::Cancelled`](crate::Error::Cancelled) when the scope around is cancelled.
///
/// # Cancel safety
/// If dropped, the task is aborted.
pub(crate) async fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T> {
    let task = Handle::current().spawn(in_current_span(inherited(work)));
    match wait(AbortOnDropHandle::new(task)).await? {
        Ok(done) => Ok(done),
        Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
        // The async runtime is being dropped, and the task that polls this with it.
        Err(_cancelled) => std::future::pending().await,
    }
}
