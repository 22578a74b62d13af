//! How long a call may take, how often it is repeated, and for which errors.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::random;
use crate::scope::{checkpoint, fail_after_value};

/// How often a call is repeated, how soon, and for which errors.
///
/// A repeated call may run more than once: that its actor died, or the connection to it broke, does not tell how far it
/// had come. Only calls that may run twice should be repeated.
///
/// ```
/// use std::time::Duration;
///
/// use pleach::{Backoff, Error, Retry};
///
/// // Three more attempts, 10, 20 and 40 ms later, if the actor could not be reached or did not answer within a second.
/// let retry = Retry::times(3)
///     .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)))
///     .attempt_timeout(Duration::from_secs(1))
///     .when(|error| Retry::is_lost(error) || matches!(error, Error::Timeout { .. }));
/// # let _ = retry;
/// ```
#[derive(Clone)]
#[must_use = "give it to a call"]
pub struct Retry {
    times: u32,
    backoff: Backoff,
    attempt_timeout: Option<Duration>,
    when: Arc<dyn Fn(&Error) -> bool + Send + Sync>,
}

impl Retry {
    /// Repeats a call as many times after its first attempt, when its actor [was lost](Self::is_lost).
    pub fn times(times: u32) -> Self {
        let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1));
        Self { times, backoff, attempt_timeout: None, when: Arc::new(Self::is_lost) }
    }

    /// Sets how long to wait before each further attempt. Default: 10 ms, doubled each time, up to 1 s.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Gives up on an attempt after this time: it is cancelled, and fails with [`Error::Timeout`]. Default: never.
    pub fn attempt_timeout(self, after: Duration) -> Self {
        Self { attempt_timeout: Some(after), ..self }
    }

    /// Sets after which errors the call is repeated. The end of the enclosing scope is never one of them.
    pub fn when(self, when: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        Self { when: Arc::new(when), ..self }
    }

    /// Returns whether an error says that the actor was not there, or has gone: it died, its connection broke, or its
    /// state is gone. The default.
    pub fn is_lost(error: &Error) -> bool {
        matches!(error, Error::ActorDied(_) | Error::Disconnected { .. } | Error::Closed(_))
    }

    /// Makes attempts until one succeeds, or fails for good. `what` names them in time-outs.
    async fn run<T, F, Fut>(&self, what: &str, mut attempt: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let mut made = 0;
        loop {
            let ended = match self.attempt_timeout {
                Some(after) => limited(what, after, Box::pin(attempt())).await,
                None => attempt().await,
            };
            made += 1;
            match ended {
                Err(error) if made <= self.times && (self.when)(&error) => {
                    checkpoint()?;
                    let random = random::bytes().map_or(0, u32::from_ne_bytes); // without one, a wait is not shortened
                    tokio::time::sleep(self.backoff.wait(made, random)).await;
                }
                ended => return ended,
            }
        }
    }
}

/// The options of a call.
#[derive(Default)]
pub(crate) struct Options {
    /// For all attempts together.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retry>,
}

impl Options {
    /// Makes the attempts of a call that they allow. `what` names it in time-outs.
    pub(crate) async fn run<T, F, Fut>(self, what: impl FnOnce() -> String, mut attempt: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let Self { timeout, retry } = self;
        if timeout.is_none() && retry.is_none() {
            return attempt().await;
        }
        let what = what();
        let attempts = Box::pin(async {
            match &retry {
                Some(retry) => retry.run(&what, attempt).await,
                None => attempt().await,
            }
        });
        match timeout {
            Some(after) => limited(&what, after, attempts).await,
            None => attempts.await,
        }
    }
}

/// Gives up on a call after a time, with an error that says what was waited for. The call is behind a pointer: each
/// layer of futures around it would double its size.
pub(crate) async fn limited<T>(
    what: &str,
    after: Duration,
    call: Pin<Box<impl Future<Output = Result<T>>>>,
) -> Result<T> {
    fail_after_value(after, call).await.map_err(|error| match error {
        Error::Timeout { after, .. } => Error::Timeout { what: what.to_owned(), after },
        other => other,
    })?
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("times", &self.times)
            .field("backoff", &self.backoff)
            .field("attempt_timeout", &self.attempt_timeout)
            .finish_non_exhaustive()
    }
}
