//! Deadlines: scopes that are cancelled when their time is up.
//!
//! So a deadline waits for shielded clean-up like any cancellation, which `tokio::time::timeout`
//! does not, and takes the body's value if it comes to one on the way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::body;
use super::run::Run;
use super::tree::Node;
use crate::error::{Error, Result};

/// Runs `body`, and gives up on it `after` the given time: `None` if it was dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
///
/// let slow = std::future::pending::<()>();
/// assert_eq!(pleach::scope::move_on_after(Duration::from_millis(5), slow).await, None);
/// assert_eq!(pleach::scope::move_on_after(Duration::from_secs(5), async { 7 }).await, Some(7));
/// # }
/// ```
///
/// The time counts from the first poll, and the scope of the body is made then: in a [`shield`](super::shield()), it is
/// independent of the scopes outside of the shield. `None` is about this deadline (or this scope) only: when an
/// enclosing scope is cancelled, nothing after this line runs any more; unless an earlier [`Shield`](super::Shield)
/// still keeps the enclosing code from being dropped, which then gets `None` too.
///
/// # Panics
/// When polled outside of a tokio runtime with a timer.
///
/// # Cancel safety
/// If dropped, the body is dropped with it.
pub fn move_on_after<F: Future>(after: Duration, body: F) -> MoveOnAfter<F> {
    MoveOnAfter { limited: Limited::new(after, body) }
}

/// Runs `body`, which returns a `Result`, and fails if it was not done `after` the given time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> pleach::Result<()> {
/// use std::time::Duration;
///
/// use pleach::{Error, fail_after};
///
/// let quick = async { pleach::Ok(7) };
/// assert_eq!(fail_after(Duration::from_secs(5), quick).await?, 7);
/// let slow = std::future::pending::<pleach::Result<()>>();
/// let late = fail_after(Duration::from_millis(5), slow).await;
/// assert!(matches!(late, Err(Error::Timeout { .. })));
/// # Ok(())
/// # }
/// ```
///
/// For a body that returns another type there is [`fail_after_value`], and [`move_on_after`], whose `None` says that the
/// time was up.
///
/// # Errors
/// The error of `body`; [`Error::Timeout`] when the time was up and the body was dropped; [`Error::Cancelled`] when an
/// enclosing scope was cancelled. The last two come through `From<Error>`.
///
/// # Panics
/// When polled outside of a tokio runtime with a timer.
///
/// # Cancel safety
/// If dropped, the body is dropped with it.
pub fn fail_after<F>(after: Duration, body: F) -> FailAfter<F>
where
    F: Future<Output: Fallible>,
{
    FailAfter { limited: Limited::new(after, body) }
}

/// As [`fail_after`], for a body that returns a plain value.
///
/// # Errors
/// [`Error::Timeout`] when the time was up and the body was dropped; [`Error::Cancelled`] when an enclosing scope was
/// cancelled.
///
/// # Panics
/// When polled outside of a tokio runtime with a timer.
///
/// # Cancel safety
/// If dropped, the body is dropped with it.
pub async fn fail_after_value<F: Future>(after: Duration, body: F) -> Result<F::Output> {
    fail_after(after, async { Ok(body.await) }).await
}

/// The values that can be a failure of this crate: each [`Result`] whose error takes in an [`Error`].
#[diagnostic::on_unimplemented(
    message = "the body of `fail_after` returns `{Self}`, which can't be an error of this crate",
    label = "this body",
    note = "`fail_after` fails with the error type of its body, which has to be a `Result<T, E>` with `E: From<pleach::Error>`",
    note = "for a body that returns a plain value, use `pleach::scope::fail_after_value`, or `move_on_after`"
)]
pub trait Fallible {
    /// Returns the failure.
    fn failed(error: Error) -> Self;
}

impl<T, E: From<Error>> Fallible for Result<T, E> {
    fn failed(error: Error) -> Self {
        Err(error.into())
    }
}

pin_project! {
    /// A body with a deadline; made by [`move_on_after`]. Dropping it drops the body.
    #[must_use = "the body does not run unless this is awaited"]
    pub struct MoveOnAfter<F> {
        #[pin]
        limited: Limited<F>,
    }
}

impl<F: Future> Future for MoveOnAfter<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut limited = self.project().limited;
        let ended = if limited.run.has_ended() { None } else { Some(ready!(limited.as_mut().poll(cx))) };
        let under_guard = limited.under_guard && body::current().is_some_and(|around| around.is_held());
        match ended {
            Some(Ended::Done(value)) => Poll::Ready(Some(value)),
            // There is no value to return. The enclosing body is cancelled and this one's shield on it is released, so
            // its poller drops it as soon as its other shields are released too: the code here may hold one.
            _ if body::is_cancelled() && !under_guard => Poll::Pending,
            _ => Poll::Ready(None),
        }
    }
}

impl<F> fmt::Debug for MoveOnAfter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MoveOnAfter").field("after", &self.limited.after).finish_non_exhaustive()
    }
}

pin_project! {
    /// A body with a deadline; made by [`fail_after`]. Dropping it drops the body.
    #[must_use = "the body does not run unless this is awaited"]
    pub struct FailAfter<F> {
        #[pin]
        limited: Limited<F>,
    }
}

impl<F> Future for FailAfter<F>
where
    F: Future<Output: Fallible>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.project().limited.poll(cx)) {
            Ended::Done(outcome) => outcome,
            Ended::Expired(after) => {
                F::Output::failed(Error::Timeout { what: "the code under `fail_after`".into(), after })
            }
            Ended::Cancelled(error) => F::Output::failed(error),
        })
    }
}

impl<F> fmt::Debug for FailAfter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailAfter").field("after", &self.limited.after).finish_non_exhaustive()
    }
}

pin_project! {
    /// A body under a scope of its own, which gets its deadline when it is first polled.
    struct Limited<F> {
        #[pin]
        run: Run<F>,
        after: Duration,
        started: bool,
        // Whether a shield on the body around was held before this one's.
        under_guard: bool,
    }
}

/// How a body with a deadline ended.
enum Ended<T> {
    Done(T),
    Expired(Duration),
    Cancelled(Error),
}

impl<F: Future> Limited<F> {
    fn new(after: Duration, body: F) -> Self {
        Self { run: Run::without_scope(body), after, started: false, under_guard: false }
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<F::Output>> {
        let mut this = self.project();
        if !std::mem::replace(this.started, true) {
            *this.under_guard = body::current().is_some_and(|around| around.is_held());
            // One that is past all clocks is none.
            let at = Instant::now().checked_add(*this.after);
            this.run.place(Node::with_deadline(body::current_node(), at));
        }
        Poll::Ready(match ready!(this.run.as_mut().poll(cx)) {
            Ok(value) => Ended::Done(value),
            // A deadline belongs to this code only; a cancellation of the enclosing code overrides it.
            Err(_) if this.run.has_expired() && !body::is_cancelled() => Ended::Expired(*this.after),
            Err(error) => Ended::Cancelled(error),
        })
    }
}
