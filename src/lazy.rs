//! A future that is made of its parts when it is first polled; until then, the parts can be changed.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

/// The parts of a future, then the future.
pub(crate) enum Lazy<'a, P, T> {
    Parts(P),
    Running(BoxFuture<'a, T>),
    Ended,
}

impl<'a, P, T> Lazy<'a, P, T> {
    /// Returns the parts, as long as it was not polled.
    pub(crate) fn parts(&mut self) -> Option<&mut P> {
        match self {
            Self::Parts(parts) => Some(parts),
            Self::Running(_) | Self::Ended => None,
        }
    }

    /// Polls the future, which `make` makes of the parts.
    ///
    /// # Panics
    /// When polled again after it ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, make: impl FnOnce(P) -> BoxFuture<'a, T>) -> Poll<T> {
        if let Self::Parts(_) = self
            && let Self::Parts(parts) = std::mem::replace(self, Self::Ended)
        {
            *self = Self::Running(make(parts));
        }
        let Self::Running(running) = self else { panic!("a call was polled after it ended") };
        let ended = running.as_mut().poll(cx);
        if ended.is_ready() {
            *self = Self::Ended;
        }
        ended
    }
}
