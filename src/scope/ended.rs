//! How the body or a task of a nursery ended, panics included, and the one result that is made of it all.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;

use super::checkpoint;
use super::tree::CancelScope;
use crate::crash;
use crate::error::{Cancelled, Error, Result, ScopeError, boxed};

/// The outcome of a body.
pub(crate) enum Ended<T> {
    /// It came to its end.
    Returned(T),
    /// It was dropped, or it ended after it had seen its cancellation.
    Cancelled(Option<T>),
    /// It panicked, or something in it did while it was dropped; always [`Error::Panicked`].
    Panicked(Error),
}

/// Runs `body` under `scope`, until nothing is left of it.
pub(crate) async fn run_to_end<F: Future>(scope: &CancelScope, body: F) -> Ended<F::Output> {
    // The scope's own result has no room for a cancelled body's return value, which may be a failure.
    let mut returned = None;
    let run = scope.run(async { returned = Some(body.await) });
    match (CatchPanic { body: Some(run) }.await, returned) {
        (Err(panic), _) => Ended::Panicked(panic),
        (Ok(Ok(())), Some(output)) => Ended::Returned(output),
        (Ok(_), returned) => Ended::Cancelled(returned),
    }
}

/// Runs `body` in a scope of its own, which is cancelled for a nursery's sake once `halt` is.
pub(crate) async fn run_until<F: Future>(halt: &CancellationToken, body: F) -> Ended<F::Output> {
    let scope = CancelScope::new();
    let mut running = std::pin::pin!(run_to_end(&scope, body));
    tokio::select! {
        biased;
        () = halt.cancelled() => {
            scope.cancel_because(Cancelled::Nursery);
            running.await
        }
        ended = &mut running => ended,
    }
}

/// Runs `body` under `scope`, and keeps a failure that it meets its cancellation with (C-4).
///
/// # Errors
/// The cancellation, if the body was dropped, or returned nothing worse after it had seen it.
pub(crate) async fn run_for_result<T, E: ScopeError>(
    scope: &CancelScope,
    body: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>> {
    let mut returned = None;
    let ended = scope.run(async { returned = Some(body.await) }).await;
    match (ended, returned) {
        (Ok(()), Some(output)) => Ok(output),
        (Err(cancelled), Some(Err(own))) => match Error::from_boxed(boxed(own)) {
            echo if echo.is_cancelled() => Err(cancelled),
            failure => Ok(Err(failure.into())),
        },
        (Err(cancelled), _) => Err(cancelled),
        (Ok(()), None) => unreachable!("a body that was not cancelled has returned"),
    }
}

impl<T, E: ScopeError> Ended<Result<T, E>> {
    /// Makes one result of the end of a nursery's body and the other failures, the body's first.
    ///
    /// The body's result comes back unchanged if nothing else failed. Its value counts only if the
    /// nursery is `whole`: if nothing was cut short. `is_known` says which of the body's failures are
    /// among `failures` already. `scope` is the one that the body ran under.
    ///
    /// # Errors
    /// The failures; if there are none, the cancellation.
    pub(crate) fn settle(
        self,
        scope: &CancelScope,
        whole: bool,
        failures: Vec<Error>,
        is_known: impl FnOnce(&Error) -> bool,
    ) -> Result<T, E> {
        let own = match self {
            Self::Returned(Ok(value)) if failures.is_empty() && whole => return Ok(value),
            Self::Returned(Err(own)) if failures.is_empty() => return Err(own),
            Self::Returned(Err(own)) | Self::Cancelled(Some(Err(own))) => Some(Error::from_boxed(boxed(own))),
            Self::Panicked(panic) => Some(panic),
            Self::Returned(Ok(_)) | Self::Cancelled(_) => None,
        };
        let own = own.filter(|own| !own.is_cancelled() && !is_known(own));
        match Error::join(own.into_iter().chain(failures).collect()) {
            Err(error) => Err(error.into()),
            Ok(()) => {
                checkpoint()?;
                Err(scope.error().into())
            }
        }
    }
}

pin_project! {
    /// Makes an error of a panic, and drops the rest of the body.
    struct CatchPanic<F> {
        #[pin]
        body: Option<F>,
    }
}

impl<F: Future> Future for CatchPanic<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut body = self.project().body;
        // The body is not used after it has panicked.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let body = body.as_mut().as_pin_mut().expect("it is not polled after it ended");
            crash::within_task(|| body.poll(cx))
        }));
        let panic = match polled {
            Ok(polled) => return Poll::Ready(Ok(ready!(polled))),
            Err(panic) => panic,
        };
        // A body may be joined of several parts; those that did not panic may do so now. The first counts.
        drop(catch_unwind(AssertUnwindSafe(|| body.set(None))));
        Poll::Ready(Err(Error::Panicked(message(&*panic))))
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("with a value that is not text").to_owned()
}
