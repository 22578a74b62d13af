//! The end of a body whose error type nothing else says.

use super::Result;

/// Returns `Ok` of this crate's [`Result`]: the last line of a body that fails with [`Error`](crate::Error)
/// and whose error type can't be inferred.
///
/// Bodies of scopes may fail with any error type, so of a plain `Ok(())` the compiler can't tell which. This says
/// it shorter than `Ok::<_, Error>(())`. It is not in the prelude, where it would stand in for the `Ok` of patterns.
///
/// ```
/// # use pleach::prelude::*;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// pleach::open_task_nursery(async |t| {
///     t.spawn(async { pleach::Ok(1) })?;
///     pleach::Ok(())
/// })
/// .await
/// # }
/// ```
#[expect(non_snake_case, reason = "it stands where `Ok` does")]
pub fn Ok<T>(value: T) -> Result<T> {
    Result::Ok(value)
}
