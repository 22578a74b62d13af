//! Calls that wait for a place, in the order in which they came. One that has left stays until it is noticed.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::Grant;
use crate::error::Result;

/// Calls that wait for a place, in order.
pub(super) struct Queue<P>(VecDeque<Waiter<P>>);

pub(super) struct Waiter<P> {
    ticket: u64,
    pub(super) grant: oneshot::Sender<Result<Grant<P>>>,
}

impl<P> Queue<P> {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn push(&mut self, ticket: u64) -> oneshot::Receiver<Result<Grant<P>>> {
        let (grant, granted) = oneshot::channel();
        // Those that have left are forgotten before they are more than those that wait.
        if self.0.len() == self.0.capacity() {
            self.0.retain(|waiter| !waiter.grant.is_closed());
        }
        self.0.push_back(Waiter { ticket, grant });
        granted
    }

    /// Returns whether the first one of this queue has waited longer than that of the other.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        let first = |queue: &Self| queue.0.front().map_or(u64::MAX, |waiter| waiter.ticket);
        first(self) < first(other)
    }

    /// Forgets those in front that have left.
    pub(super) fn forget_left(&mut self) {
        while self.0.front().is_some_and(|waiter| waiter.grant.is_closed()) {
            self.0.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Waiter<P>> {
        self.0.pop_front()
    }

    /// Takes all out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiter<P>> + '_ {
        self.0.drain(..)
    }
}
