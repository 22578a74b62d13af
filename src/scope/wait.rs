//! Waits that a cancellation ends: the one rule of all primitives that wait (C-2).
//!
//! In a cancelled scope, values that have arrived are taken, and steps that need no wait are done; only a wait fails.
//! Without a [`Shield`](super::Shield), the scope drops such code before it gets here.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::body::current_node;
use super::tree::Node;
use super::{cancelled, checkpoint, dump};
use crate::error::{Cancelled, Error, Result};

/// Waits for `work`, which runs no code of the user, unless the code that waits is cancelled first.
///
/// # Errors
/// The cancellation. `work` was dropped then.
///
/// # Cancel safety
/// That of `work`.
pub(crate) async fn wait<F: Future>(work: F) -> Result<F::Output> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = cancelled() => Err(cancellation()),
    }
}

/// The error of code whose scope is cancelled.
pub(crate) fn cancellation() -> Error {
    checkpoint().err().unwrap_or(Error::Cancelled(Cancelled::Scope))
}

/// [`wait`] for code that polls: it sees the cancellation of the polling code.
///
/// It is asked only when there is nothing else, and kept from one wait to the next, so that most cost nothing.
#[derive(Default)]
pub(crate) struct CancelWatch(Option<Watched>);

struct Watched {
    scope: Arc<Node>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl CancelWatch {
    /// Ready with the cancellation of the scope that this is polled in.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(scope) = current_node() else { return Poll::Pending };
        if self.0.as_ref().is_none_or(|watched| !Arc::ptr_eq(&watched.scope, &scope)) {
            let cancelled = Box::pin(scope.token().clone().cancelled_owned());
            self.0 = Some(Watched { scope, cancelled });
        }
        let watched = self.0.as_mut().expect("it was set above, if it was not there");
        dump::in_background(|| watched.cancelled.as_mut().poll(cx)).map(|()| cancellation())
    }
}

impl fmt::Debug for CancelWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelWatch")
    }
}
