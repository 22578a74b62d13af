//! The handle of a task in a nursery: how its value reaches a joiner.

use std::fmt;

use tokio::sync::oneshot;

use super::wait;
use crate::error::{Cancelled, Error, Result};

/// A task of a [`TaskNursery`](super::TaskNursery), for joining it.
///
/// Dropping it lets the task go on; its value is dropped, its failure still is the nursery's.
pub struct Task<T> {
    result: oneshot::Receiver<Result<T>>,
}

impl<T> Task<T> {
    pub(super) fn new(result: oneshot::Receiver<Result<T>>) -> Self {
        Self { result }
    }

    /// Waits for the task, and returns its value.
    ///
    /// # Errors
    /// The task's error, which its nursery reports too; [`Error::Panicked`] if it panicked;
    /// [`Error::Cancelled`] if it, or the code that waits, was cancelled.
    ///
    /// # Cancel safety
    /// If dropped, the task goes on and its value is lost.
    pub async fn join(self) -> Result<T> {
        // Only a tokio runtime that shuts down drops a task before it has settled.
        wait(self.result).await?.unwrap_or(Err(Error::Cancelled(Cancelled::Actor)))
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}
