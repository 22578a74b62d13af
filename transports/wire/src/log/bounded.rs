//! A bounded queue in front of a thread that may be stuck, at a subscriber or at standard error.
//!
//! # Invariants
//! 1. Nothing here waits, except [`BoundedQueue::reserve`] and [`Backlog::delivered`].
//! 2. Items that find no room are counted, and the thread takes the count once there is room.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::mpsc::{self, Permit};
use tokio::sync::watch;

/// State shared by the thread and its users.
pub struct BoundedQueue<T> {
    items: mpsc::Sender<T>,
    size_of: fn(&T) -> usize,
    max_bytes: usize,
    /// How many items were put into the queue.
    queued: AtomicU64,
    /// How many of them the thread has done with.
    delivered: watch::Sender<u64>,
    /// The size of the items that wait.
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl<T> BoundedQueue<T> {
    /// Makes a queue of so many items, and the end from which the thread takes them.
    ///
    /// Once more than `max_bytes` wait, [`offer`](Self::offer) drops further items, and [`reserve`](Self::reserve)
    /// waits.
    ///
    /// # Panics
    /// If `items` is zero.
    pub fn new(items: usize, max_bytes: usize, size_of: fn(&T) -> usize) -> (Self, mpsc::Receiver<T>) {
        let (items, taken) = mpsc::channel(items);
        let (delivered, _) = watch::channel(0);
        let (queued, bytes, dropped) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        (Self { items, size_of, max_bytes, queued, delivered, bytes, dropped }, taken)
    }

    /// Queues the item that `make` makes, or drops it, unmade, if there is no room.
    pub fn offer(&self, make: impl FnOnce() -> T) {
        match self.items.try_reserve().ok().filter(|_| self.takes_bytes()) {
            Some(place) => self.put(place, make()),
            None => self.drop_one(),
        }
    }

    /// Returns whether another item finds a place, and not too many bytes wait.
    pub fn has_room(&self) -> bool {
        self.items.capacity() > 0 && self.takes_bytes()
    }

    fn takes_bytes(&self) -> bool {
        self.bytes.load(Ordering::Acquire) < self.max_bytes
    }

    /// Waits for a place, and until no more than `max_bytes` wait; `None` if the thread has ended.
    ///
    /// # Cancel safety
    /// Nothing is reserved.
    pub async fn reserve(&self) -> Option<Permit<'_, T>> {
        let mut delivered = self.delivered.subscribe();
        loop {
            let place = self.items.reserve().await.ok()?;
            if self.takes_bytes() {
                return Some(place);
            }
            drop(place);
            delivered.changed().await.ok()?;
        }
    }

    /// Queues an item at its place.
    pub fn put(&self, place: Permit<'_, T>, item: T) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add((self.size_of)(&item), Ordering::AcqRel);
        place.send(item);
    }

    /// Counts an item that found no room.
    pub fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns how many items have found no room since the last call, if any.
    pub fn take_dropped(&self) -> Option<u64> {
        Some(self.dropped.swap(0, Ordering::AcqRel)).filter(|count| *count > 0)
    }

    /// Notes that an item does not wait any more.
    pub fn note_taken(&self, item: &T) {
        self.bytes.fetch_sub((self.size_of)(item), Ordering::AcqRel);
    }

    /// Notes that the thread has done with one item.
    pub fn note_delivered(&self) {
        self.delivered.send_modify(|delivered| *delivered += 1);
    }

    /// Returns what is queued now.
    pub fn backlog(&self) -> Backlog {
        Backlog(Some((self.queued.load(Ordering::Acquire), self.delivered.subscribe())))
    }
}

impl<T> fmt::Debug for BoundedQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedQueue").field("backlog", &self.backlog()).finish_non_exhaustive()
    }
}

/// The content of a queue at some moment. It is delivered, unless the receiving side blocks.
#[derive(Debug)]
pub struct Backlog(Option<(u64, watch::Receiver<u64>)>);

impl Backlog {
    /// Nothing is left.
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns how much of it is left.
    pub fn left(&self) -> u64 {
        self.0.as_ref().map_or(0, |(until, delivered)| until.saturating_sub(*delivered.borrow()))
    }

    /// Waits until nothing is left: for ever, if the receiving side blocks for ever.
    ///
    /// # Cancel safety
    /// It only waits.
    pub async fn delivered(self) {
        if let Some((until, mut delivered)) = self.0 {
            let _ = delivered.wait_for(|delivered| *delivered >= until).await; // there is no more than it has counted
        }
    }
}
