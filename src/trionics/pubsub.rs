//! One running source that feeds many subscribers, each with the topics it chose.
//!
//! ```text
//! subscriber 1 ── has the turn: runs the source ──► publish {topic: value}
//! subscriber 2 ── waits for its turn                  │ to each the part that it chose
//! subscriber 3 ── waits for its turn                  ▼
//! all of them:  its queue ──► its sink
//! ```
//! The source runs in the task of a subscriber, in its scope. It has no other owner, so it ends with the last one, and
//! needs no start or stop.
//!
//! # Invariants
//! 1. Only the subscriber that has the turn runs the source, so it runs at most once.
//! 2. A subscriber that has left starts no source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Semaphore, mpsc};

use crate::error::{Result, ScopeError};
use crate::scope::wait;
use crate::sync::lock;

/// A source of values by topic, run once for all of its subscribers.
///
/// It belongs into a `static`. Each publisher stands by itself: two of them never share a source, even
/// if they were made of the same function. Dropping it drops nothing that runs: subscribers borrow it.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::LazyLock;
///
/// use pleach::prelude::*;
/// use pleach::trionics::{Feed, Publisher};
///
/// static SQUARES: LazyLock<Publisher<u32, u32>> = LazyLock::new(|| Publisher::new(squares));
///
/// async fn squares(feed: Feed<u32, u32>) -> Result<()> {
///     // A source can skip topics without subscribers.
///     let wanted: BTreeMap<u32, u32> = feed.topics().into_iter().map(|n| (n, n * n)).collect();
///     feed.publish(wanted).await;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
/// SQUARES
///     .subscribe([2, 3], async |squares: BTreeMap<u32, u32>| {
///         assert_eq!(squares, BTreeMap::from([(2, 4), (3, 9)]));
///         Ok::<_, Error>(())
///     })
///     .await
/// # }
/// ```
pub struct Publisher<K, V> {
    source: Box<Source<K, V>>,
    /// Its holder runs the source; the others queue for it in order.
    turn: Semaphore,
    subscribers: Subscribers<K, V>,
}

type Source<K, V> = dyn Fn(Feed<K, V>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync;

impl<K: Ord + Clone, V: Clone> Publisher<K, V> {
    /// Makes a publisher; `source` runs while there are subscribers.
    pub fn new<F, Fut>(source: F) -> Self
    where
        F: Fn(Feed<K, V>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let source = Box::new(move |feed| Box::pin(source(feed)) as Pin<Box<_>>);
        Self { source, turn: Semaphore::new(1), subscribers: Subscribers::default() }
    }

    /// Hands the values published for `topics` to `sink`, until the source has ended.
    ///
    /// The longest subscriber runs the source meanwhile. When it leaves, because it was cancelled or its
    /// sink failed, the source is dropped and the next one starts it again.
    ///
    /// Up to 64 publications wait for a slow sink; beyond that, it blocks the source, and so all subscribers.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled). The error of `sink`: this subscriber leaves, the others go on.
    /// The error of the source, if it ran here: the next subscriber restarts it.
    ///
    /// # Cancel safety
    /// If dropped, this subscriber leaves; values that wait for its sink are dropped.
    pub async fn subscribe<S, Fut, E>(&self, topics: impl IntoIterator<Item = K>, mut sink: S) -> Result<(), E>
    where
        S: FnMut(BTreeMap<K, V>) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: ScopeError,
    {
        let (queue, mut waiting) = mpsc::channel(BUFFER);
        let entry = self.subscribers.enter(topics.into_iter().collect(), queue);
        let mut hands_over = pin!(async {
            while let Some(part) = wait(waiting.recv()).await? {
                sink(part).await?;
            }
            Ok(())
        });
        tokio::select! {
            biased;
            // The failure of a sink overrides that of a source that ends because of it.
            ended = &mut hands_over => return ended,
            ended = self.run_source(&entry) => ended?,
        }
        hands_over.await
    }

    /// Waits for the turn and runs the source; returns when that has ended for all.
    async fn run_source(&self, entry: &Entry<K, V>) -> Result<()> {
        let _turn = wait(self.turn.acquire()).await?.expect("it is never closed");
        if !entry.is_valid() {
            return wait(pending()).await?; // the rest of its queue is all that comes: invariant 2
        }
        (self.source)(Feed(self.subscribers.clone())).await?;
        // Before the turn is given away. Their queues end when they have been emptied.
        self.subscribers.lock().entries.clear();
        Ok(())
    }
}

impl<K, V> fmt::Debug for Publisher<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("subscribers", &self.subscribers.lock().entries.len()).finish_non_exhaustive()
    }
}

/// A source's view of its subscribers. Dropping it does nothing.
pub struct Feed<K, V>(Subscribers<K, V>);

impl<K: Ord + Clone, V: Clone> Feed<K, V> {
    /// Returns the topics that have subscribers now.
    pub fn topics(&self) -> BTreeSet<K> {
        self.0.lock().entries.values().flat_map(|subscriber| subscriber.topics.iter().cloned()).collect()
    }

    /// Gives each subscriber its part; waits while a queue is full. In a cancelled scope it stops waiting.
    ///
    /// # Cancel safety
    /// If dropped, some subscribers may have got their part.
    pub async fn publish(&self, values: BTreeMap<K, V>) {
        for (queue, part) in self.0.parts(&values) {
            if let Err(_cancelled) = wait(queue.send(part)).await {
                return;
            }
            // A subscriber that has left meanwhile gets nothing.
        }
    }
}

impl<K, V> fmt::Debug for Feed<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("subscribers", &self.0.lock().entries.len()).finish()
    }
}

/// All subscribers of one publisher, in the order in which they came.
struct Subscribers<K, V>(Arc<Mutex<State<K, V>>>);

struct State<K, V> {
    next: u64,
    entries: BTreeMap<u64, Subscriber<K, V>>,
}

struct Subscriber<K, V> {
    topics: BTreeSet<K>,
    queue: Queue<K, V>,
}

type Queue<K, V> = mpsc::Sender<BTreeMap<K, V>>;

impl<K, V> Subscribers<K, V> {
    fn enter(&self, topics: BTreeSet<K>, queue: Queue<K, V>) -> Entry<K, V> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.entries.insert(number, Subscriber { topics, queue });
        Entry { subscribers: self.clone(), number }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        lock(&self.0)
    }
}

impl<K: Ord + Clone, V: Clone> Subscribers<K, V> {
    /// Returns each subscriber's part of some values; empty parts are left out.
    fn parts(&self, values: &BTreeMap<K, V>) -> Vec<(Queue<K, V>, BTreeMap<K, V>)> {
        let part_of = |subscriber: &Subscriber<K, V>| {
            let wanted = values.iter().filter(|(topic, _)| subscriber.topics.contains(topic));
            let part: BTreeMap<K, V> = wanted.map(|(topic, value)| (topic.clone(), value.clone())).collect();
            (!part.is_empty()).then(|| (subscriber.queue.clone(), part))
        };
        self.lock().entries.values().filter_map(part_of).collect()
    }
}

impl<K, V> Clone for Subscribers<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Subscribers<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { next: 0, entries: BTreeMap::new() })))
    }
}

/// One subscriber among them, for as long as it subscribes.
struct Entry<K, V> {
    subscribers: Subscribers<K, V>,
    number: u64,
}

impl<K, V> Entry<K, V> {
    /// Returns whether the source has not ended since this subscriber came.
    fn is_valid(&self) -> bool {
        self.subscribers.lock().entries.contains_key(&self.number)
    }
}

impl<K, V> Drop for Entry<K, V> {
    fn drop(&mut self) {
        self.subscribers.lock().entries.remove(&self.number);
    }
}

/// How many publications wait for one subscriber: as many as messages wait in a stream.
const BUFFER: usize = 64;

#[cfg(test)]
mod tests;
