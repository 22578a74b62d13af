//! Receive buffers of large messages, kept for the next ones.
//!
//! The system hands out memory page by page, and clears each: for a buffer of megabytes that takes as long as filling
//! it. So a buffer comes back here when the last user of its message drops it, and waits for the next message. It is
//! freed once no large message has come for a while.
//!
//! # Invariants
//! 1. Buffers that wait are counted: all connections of the process together keep at most [`KEEP`] bytes.
//! 2. A pool that is dropped frees what it keeps, and what comes back later.
//! 3. A message gets a buffer of at most four times its size: one that is held for long may not hold much more.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::sync::lock;

/// The buffers of one connection's direction.
pub(super) struct Pool {
    kept: Arc<Mutex<Kept>>,
    /// When a buffer was last taken or asked for.
    used: Option<Instant>,
    /// There while buffers are kept, to notice that no large message comes any more.
    idle: Option<Pin<Box<Sleep>>>,
}

/// Buffers that wait for a message.
struct Kept {
    buffers: Vec<Vec<u8>>,
    /// The bytes that all pools keep.
    total: &'static AtomicUsize,
}

/// The buffer of a message that is in use. Dropping it gives the buffer back.
struct InUse {
    buffer: Vec<u8>,
    kept: Weak<Mutex<Kept>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self::counting_in(&TOTAL)
    }

    fn counting_in(total: &'static AtomicUsize) -> Self {
        Self { kept: Arc::new(Mutex::new(Kept { buffers: Vec::new(), total })), used: None, idle: None }
    }

    /// Takes the smallest buffer that was kept and holds `size` bytes, unless it is far too large.
    pub(super) fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        self.used = Some(Instant::now());
        lock(&self.kept).take(size)
    }

    /// Makes a message of a full buffer, which comes back when the last clone of the message is dropped.
    pub(super) fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(InUse { buffer, kept: Arc::downgrade(&self.kept) })
    }

    /// Frees what is kept if no message has needed it for a while, and otherwise has `cx` woken then.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) {
        let Some(used) = self.used else { return };
        // Without tokio there is no clock, and what is kept is freed with the connection.
        if self.idle.is_none() && Handle::try_current().is_err() {
            return;
        }
        let until = used + IDLE;
        let idle = self.idle.get_or_insert_with(|| Box::pin(sleep_until(until)));
        while idle.as_mut().poll(cx).is_ready() {
            // It is not set again with each message: that would cost more than a wake-up in vain.
            if idle.deadline() >= until {
                lock(&self.kept).clear();
                (self.idle, self.used) = (None, None);
                return;
            }
            idle.as_mut().reset(until);
        }
    }
}

impl Kept {
    fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (size..=size.saturating_mul(4)).contains(&buffer.capacity());
        let candidates = self.buffers.iter().enumerate().filter(|(_, buffer)| fits(buffer));
        let (best, _) = candidates.min_by_key(|(_, buffer)| buffer.capacity())?;
        let mut buffer = self.buffers.swap_remove(best);
        self.total.fetch_sub(buffer.capacity(), Ordering::Relaxed);
        buffer.clear();
        Some(buffer)
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        let size = buffer.capacity();
        let fits = |total: usize| total.checked_add(size).filter(|total| *total <= KEEP);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok() {
            self.buffers.push(buffer);
        }
    }

    fn clear(&mut self) {
        let freed = mem::take(&mut self.buffers);
        self.total.fetch_sub(freed.iter().map(Vec::capacity).sum(), Ordering::Relaxed);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
    }
}

impl AsRef<[u8]> for InUse {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.upgrade() {
            lock(&kept).give_back(mem::take(&mut self.buffer));
        }
    }
}

/// Bytes that the pools of this process keep.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// The most of them: four of the largest messages, as the configuration has them by default. They were in use a moment
/// ago.
const KEEP: usize = 256 << 20;

/// Time without a large message after which the buffers are freed: longer than pauses within a transfer.
const IDLE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn pool() -> Pool {
        Pool::counting_in(Box::leak(Box::default()))
    }

    fn total(pool: &Pool) -> usize {
        lock(&pool.kept).total.load(Ordering::Relaxed)
    }

    fn full(size: usize) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(size);
        buffer.resize(size, 7);
        buffer
    }

    #[test]
    fn a_buffer_comes_back_with_the_last_clone_of_its_message() {
        let mut pool = pool();
        let message = pool.freeze(full(1 << 20));
        let (place, part) = (message.as_ptr(), message.slice(5..7));
        drop(message);
        assert!(pool.take(1 << 20).is_none(), "a part of the message is still in use");
        drop(part);
        assert_eq!(total(&pool), 1 << 20);
        let again = pool.take(1 << 20).unwrap();
        assert_eq!((again.as_ptr(), again.len(), total(&pool)), (place, 0, 0));
    }

    #[test]
    fn a_message_gets_the_smallest_buffer_that_holds_it_and_none_that_is_far_larger() {
        let mut pool = pool();
        for size in [8 << 20, 1 << 20, 2 << 20] {
            drop(pool.freeze(full(size)));
        }
        assert_eq!(pool.take(1 << 20).unwrap().capacity(), 1 << 20);
        assert_eq!(pool.take(1 << 20).unwrap().capacity(), 2 << 20);
        assert!(pool.take(1 << 20).is_none());
    }

    #[test]
    fn no_more_is_kept_than_allowed_and_nothing_after_the_end() {
        let mut pool = pool();
        let total = lock(&pool.kept).total;
        total.store(KEEP - 1000, Ordering::Relaxed); // other connections keep so much
        let (small, large) = (pool.freeze(full(1000)), pool.freeze(full(1000)));
        drop((small, large));
        assert_eq!(total.load(Ordering::Relaxed), KEEP);
        assert!(pool.take(1000).is_some() && pool.take(1000).is_none());
        let (early, late) = (pool.freeze(full(1000)), pool.freeze(full(1000)));
        drop(early);
        drop(pool);
        drop(late);
        assert_eq!(total.load(Ordering::Relaxed), KEEP - 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_for_a_while_is_freed() {
        let mut pool = pool();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pool.take(1 << 20).is_none());
        drop(pool.freeze(full(1 << 20)));
        pool.poll_idle(&mut cx);
        tokio::time::advance(IDLE / 2).await;
        let buffer = pool.take(1 << 20).unwrap();
        drop(pool.freeze(buffer));
        tokio::time::advance(IDLE / 2).await;
        pool.poll_idle(&mut cx);
        assert_eq!(total(&pool), 1 << 20, "it was used within the time");
        tokio::time::advance(IDLE / 2).await;
        pool.poll_idle(&mut cx);
        assert_eq!(total(&pool), 0);
    }
}
