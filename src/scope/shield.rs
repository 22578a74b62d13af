//! Shields: a cancelled scope waits for them before it drops its body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::body::{self, Around, Body, CURRENT};
use crate::task_local::within;

/// Keeps the body that it was taken in from being dropped by its scope.
///
/// This is for primitives that owe clean-up: take it before there is anything to clean up, watch
/// [`cancelled`](super::cancelled) beside the work, clean up inside [`shield`], and return
/// [`Error::Cancelled`](crate::error::Error::Cancelled) soon after: as long as the guard lives, the
/// scope can't end. Unlike inside [`shield`], the cancellation is seen by the code under the guard.
///
/// Dropping it releases it; the last one of a cancelled body lets the body be dropped. Dropping the
/// future that holds it, as `select!` and `timeout` do, can't be stopped by a shield.
#[must_use = "dropping the guard releases it"]
pub struct Shield {
    around: Option<Arc<Body>>,
}

impl Shield {
    /// Shields the body that the caller is part of; does nothing outside of any scope.
    pub fn enter() -> Self {
        let around = body::current();
        if let Some(around) = &around {
            around.hold();
        }
        Self { around }
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        if let Some(around) = &self.around {
            around.release();
        }
    }
}

impl fmt::Debug for Shield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("in_a_scope", &self.around.is_some()).finish()
    }
}

/// Runs `body` to its end, whatever happens to the enclosing scope.
///
/// Inside, the cancellation can't be seen: [`checkpoint`](super::checkpoint) is `Ok`, and deadlines and new scopes
/// have nothing to do with the ones outside, also those that were made out there, as the arguments of this function
/// are. The scope around waits for the body, so give whatever may take long a deadline with
/// [`move_on_after`](super::move_on_after).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::time::Duration;
///
/// use pleach::prelude::*;
///
/// let scope = CancelScope::new();
/// let ended = scope.run(async {
///     scope.cancel();
///     let cleaned_up = shield(move_on_after(Duration::from_secs(5), async { "cleaned up" })).await;
///     assert_eq!(cleaned_up, Some("cleaned up"));
/// });
/// assert!(ended.await.is_ok());
/// # }
/// ```
///
/// # Cancel safety
/// If dropped, the body is dropped with it: a shield stops scopes, not `select!` or `timeout`.
pub fn shield<F: Future>(body: F) -> Shielded<F> {
    Shielded { body: Some(body), current: Some(None), guard: None }
}

pin_project! {
    /// A body that its scope will not drop; made by [`shield`].
    ///
    /// Dropping it drops the body at once.
    #[must_use = "the body does not run unless this is awaited"]
    pub struct Shielded<F> {
        #[pin]
        body: Option<F>,
        current: Option<Around>,
        // Released after the body is gone.
        guard: Option<Shield>,
    }

    impl<F> PinnedDrop for Shielded<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.body.is_some() {
                within(&CURRENT, this.current, || this.body.set(None));
            }
        }
    }
}

impl<F: Future> Future for Shielded<F> {
    type Output = F::Output;

    /// # Panics
    /// When polled again after it ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.guard.get_or_insert_with(Shield::enter);
        let body = this.body.as_mut().as_pin_mut().expect("a shielded body is not polled after it ended");
        let output = ready!(within(&CURRENT, this.current, || body.poll(cx)));
        within(&CURRENT, this.current, || this.body.set(None));
        *this.guard = None;
        Poll::Ready(output)
    }
}

impl<F> fmt::Debug for Shielded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shielded").field("ended", &self.body.is_none()).finish()
    }
}
