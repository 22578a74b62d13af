//! A call that is sent when it is first polled; until then, its options can be set.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::retry::{Options, Retry};

/// What a call is made of and its options, then the future that it is.
pub(crate) enum Lazy<'a, P, T> {
    Unsent(P, Options),
    Running(BoxFuture<'a, T>),
    Ended,
}

impl<'a, P, T> Lazy<'a, P, T> {
    pub(crate) fn new(parts: P) -> Self {
        Self::Unsent(parts, Options::default())
    }

    /// Returns its parts, as long as it was not polled.
    pub(crate) fn unsent(&self) -> Option<&P> {
        match self {
            Self::Unsent(parts, _) => Some(parts),
            Self::Running(_) | Self::Ended => None,
        }
    }

    /// Sets the time for all attempts together, unless it was polled.
    pub(crate) fn set_timeout(&mut self, after: Duration) {
        if let Self::Unsent(_, options) = self {
            options.timeout = Some(after);
        }
    }

    /// Sets when it is repeated, unless it was polled.
    pub(crate) fn set_retry(&mut self, retry: Retry) {
        if let Self::Unsent(_, options) = self {
            options.retry = Some(retry);
        }
    }

    /// Polls the future, which `send` makes of the parts.
    ///
    /// # Panics
    /// When polled again after it ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, send: impl FnOnce(P, Options) -> BoxFuture<'a, T>) -> Poll<T> {
        if let Self::Unsent(..) = self
            && let Self::Unsent(parts, options) = std::mem::replace(self, Self::Ended)
        {
            *self = Self::Running(send(parts, options));
        }
        let Self::Running(running) = self else { panic!("a call was polled after it ended") };
        let ended = running.as_mut().poll(cx);
        if ended.is_ready() {
            *self = Self::Ended;
        }
        ended
    }
}
