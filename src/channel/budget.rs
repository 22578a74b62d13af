//! What this side holds for its peer, in bytes: arguments of the peer's calls, and answers that it has not read.
//!
//! Arguments count from their arrival to the end of their task, which has them in one form or the other. A call beyond
//! the limit is refused, and the connection goes on. To stop reading instead could deadlock: those tasks may wait for
//! answers over this very connection. Answers that are not read hold up the peer's further calls before these begin;
//! reading goes on, so that two sides which both wait for the other one to read do read. A function whose answers were
//! small so far waits for what is small alone: its answer passes the large ones, and would be late behind them.
//!
//! # Invariants
//! 1. All that is [held](Channel::hold) is [released](Channel::release_held) once, before its call is answered: a caller
//!    that makes one call after the other is never refused.
//! 2. More than the limit is held by one message only.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Channel;
use crate::error::Refusal;

/// The bytes that are held for one peer, and their limits.
#[derive(Debug)]
pub(super) struct Budget {
    arguments: AtomicUsize,
    max_arguments: usize,
    /// Bytes that waited to be sent when the last message was queued.
    waiting: AtomicUsize,
    max_answers: usize,
}

impl Budget {
    pub(super) fn new(max_arguments: usize, max_answers: usize) -> Self {
        Self { arguments: AtomicUsize::new(0), max_arguments, waiting: AtomicUsize::new(0), max_answers }
    }

    /// Notes how many bytes wait to be sent.
    pub(super) fn note_waiting(&self, bytes: usize) {
        self.waiting.store(bytes, Ordering::Relaxed);
    }
}

impl Channel {
    /// Takes in the arguments of a call, of so many bytes. Returns how many of them are to be released.
    ///
    /// # Errors
    /// As many are held as may be.
    pub(crate) fn hold(&self, bytes: usize) -> Result<usize, Refusal> {
        if bytes <= SMALL {
            return Ok(0);
        }
        let Budget { arguments, max_arguments: limit, .. } = &self.0.budget;
        let held = arguments.fetch_add(bytes, Ordering::Relaxed);
        if held >= *limit {
            self.release_held(bytes);
            return Err(Refusal::OverBudget { held, limit: *limit });
        }
        Ok(bytes)
    }

    /// Lets go of arguments.
    pub(crate) fn release_held(&self, bytes: usize) {
        if bytes > 0 {
            self.0.budget.arguments.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Returns whether so many answers wait that a further call of the peer has to wait for
    /// [room](Channel::room_for_answer).
    pub(crate) fn answers_pile_up(&self) -> bool {
        let Budget { waiting, max_answers, .. } = &self.0.budget;
        // The queue is asked only if it was long lately.
        waiting.load(Ordering::Relaxed) > *max_answers && self.transport().traffic().waiting > *max_answers
    }

    /// Waits until a call may begin: one with a small answer while too much of what is small waits, because that passes
    /// what is large; others while anything does.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn room_for_answer(&self, small: bool) {
        match small {
            true => _ = self.small_room().await,
            false => self.room().await,
        }
    }
}

/// Arguments of so many bytes take no more than the task that has them, and are not counted.
const SMALL: usize = 1 << 10;
