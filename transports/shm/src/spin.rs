//! Looking at the ring for a while before sleeping: no system call on either side, where each has a core of its own.
//!
//! It goes by [`yield_now`](tokio::task::yield_now), which lets other tasks and the event loop have their turns. A task
//! that woke itself would be run again before those.
//!
//! Where it was in vain, it is left out for a while, and for longer each time; and it is left out while the peer last wrote
//! on this very processor, where it can't write while this side looks.

use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Whether to look again, or to sleep.
#[derive(Debug)]
pub(crate) struct Spin {
    limit: Duration,
    since: Option<Instant>,
    /// How many sleeps to go without it.
    skip: u32,
    /// How many sleeps to go without it after the next look in vain, at least.
    penalty: u32,
}

impl Spin {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: None, skip: 0, penalty: 0 }
    }

    /// Looks some times. `Pending` asks for another turn, `Ready(false)` for sleep.
    pub(crate) fn poll_look(
        &mut self,
        cx: &mut Context<'_>,
        peer_processor: impl Fn() -> u32,
        found: impl Fn() -> bool,
    ) -> Poll<bool> {
        if !self.is_on() || !self.goes_on(peer_processor) {
            return Poll::Ready(false);
        }
        for _ in 0..LOOKS {
            if found() {
                return Poll::Ready(true);
            }
            std::hint::spin_loop();
        }
        // It has the task woken after the others' turns, although it is dropped here.
        let _ = pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }

    fn goes_on(&mut self, peer_processor: impl Fn() -> u32) -> bool {
        if self.skip > 0 {
            return false;
        }
        let Some(since) = self.since else {
            let begins = peer_processor() != this_processor();
            self.since = begins.then(Instant::now);
            return begins;
        };
        if since.elapsed() < self.limit {
            return true;
        }
        self.since = None;
        self.penalty = (self.penalty * 2).clamp(1, MOST_SKIPPED);
        self.skip = self.penalty;
        false
    }

    /// Something was found, after sleep or without.
    pub(crate) fn note_found(&mut self, slept: bool) {
        if slept {
            self.skip = self.skip.saturating_sub(1);
        } else if self.since.take().is_some() {
            self.penalty /= 2;
        }
    }

    fn is_on(&self) -> bool {
        !self.limit.is_zero()
    }
}

/// The number of this processor, plus one; 0 where the system does not say.
pub(crate) fn this_processor() -> u32 {
    nix::sched::sched_getcpu().map_or(0, |number| number as u32 + 1)
}

/// Looks between two turns of the runtime: about a microsecond.
const LOOKS: u32 = 20;

const MOST_SKIPPED: u32 = 256;
