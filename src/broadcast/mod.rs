//! One stream, many consumers: each gets every item, at its own pace, from a window of the last ones.
//!
//! There is no task that pulls. A consumer that has seen all items pulls the next one from the stream, for itself and
//! into the window for the others; so its fastest consumer sets the pace of the stream, and a consumer that is more
//! than the window behind loses the oldest items, and learns how many.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> pleach::Result<()> {
//! use futures_util::stream;
//! use pleach::trionics::broadcast;
//!
//! let mut first = broadcast(stream::iter(1..=3), 2);
//! let mut second = first.subscribe()?;
//! while let Some(number) = first.recv().await? {
//!     println!("{number}");
//! }
//! // The window is two items, so one was lost.
//! assert!(matches!(second.recv().await, Err(pleach::Error::Lagged { lost: 1 })));
//! assert_eq!(second.recv().await?, Some(2));
//! # Ok(()) }
//! ```
//!
//! # Invariants
//! 1. While `waiting` is not empty, the last poll of the stream returned `Pending` and took the common waker, which
//!    wakes them all. So it does not matter which consumer is dropped, or polls next.
//! 2. The window ends with the item that was pulled last. It begins no later than the next item of the slowest
//!    consumer, unless it is full.
//! 3. No waker is called, or dropped, under the lock of `waiting`, nor dropped by us under that of the
//!    state: that may drop a consumer, which takes both.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::{FutureExt as _, Stream};

use crate::error::{Error, Result};
use crate::scope::CancelWatch;
use crate::sync::lock;

/// Makes a stream one that many can consume; returns the first of them.
///
/// A consumer may be up to `window` items behind the fastest one, at least one, before it loses any.
pub fn broadcast<S>(stream: S, window: usize) -> BroadcastReceiver<S::Item>
where
    S: Stream + Send + 'static,
    S::Item: Clone,
{
    let waiting = Arc::new(Waiting::default());
    let state = State {
        source: Some(Box::pin(stream)),
        clone: S::Item::clone,
        kept: VecDeque::new(),
        window: window.max(1),
        pulled: 0,
        subscribers: 1,
        subscribed: 1,
    };
    let shared = Shared { state: Mutex::new(state), waker: waiting.clone().into(), waiting };
    BroadcastReceiver { shared: Arc::new(shared), id: 0, next: 0, closed: false, cancel: CancelWatch::default() }
}

/// One consumer of a [`broadcast`].
///
/// It belongs to no task, so it may be handed to another. Dropping it closes it, and concerns no other
/// consumer; the last one drops the stream.
pub struct BroadcastReceiver<T> {
    shared: Arc<Shared<T>>,
    id: u64,
    /// The number of the item that it takes next.
    next: u64,
    closed: bool,
    cancel: CancelWatch,
}

impl<T> BroadcastReceiver<T> {
    /// Takes the next item; `None` once the stream has ended.
    ///
    /// # Errors
    /// [`Error::Lagged`] when this consumer was too slow, once for each time; the next one is the oldest item in the
    /// window. [`Error::Closed`] after [`close`](Self::close). [`Error::Cancelled`].
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no item is lost, for this consumer or for another.
    pub async fn recv(&mut self) -> Result<Option<T>> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Takes the next item if that takes no waiting; `None` if it does. Otherwise as [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Option<Result<Option<T>>> {
        std::future::poll_fn(|cx| self.poll_item(cx)).now_or_never()
    }

    /// As [`recv`](Self::recv), for code that polls.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>>> {
        match self.poll_item(cx) {
            Poll::Pending => self.cancel.poll(cx).map(Err),
            ready => ready,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<T>>> {
        if self.closed {
            return Poll::Ready(Err(closed()));
        }
        let mut state = self.shared.state();
        if let Some(found) = state.read(&mut self.next) {
            return Poll::Ready(found.map(Some));
        }
        // Before the stream is polled: it may call its waker at once.
        let replaced = self.shared.waiting.register(self.id, cx.waker());
        let pulled = state.pull(&self.shared.waker);
        self.next = state.pulled;
        drop(state);
        drop(replaced); // Invariant 3
        let Poll::Ready(item) = pulled else { return Poll::Pending };
        self.shared.waiting.wake_all_but(Some(self.id));
        Poll::Ready(Ok(item))
    }

    /// Adds a consumer, which sees later items.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Self::close).
    pub fn subscribe(&self) -> Result<Self> {
        if self.closed {
            return Err(closed());
        }
        let mut state = self.shared.state();
        let (id, next) = (state.subscribed, state.pulled);
        state.subscribed += 1;
        state.subscribers += 1;
        drop(state);
        Ok(Self { shared: self.shared.clone(), id, next, closed: false, cancel: CancelWatch::default() })
    }

    /// Ends this subscription and discards its unread items. Other consumers notice nothing.
    pub fn close(&mut self) {
        if !mem::replace(&mut self.closed, true) {
            let mut state = self.shared.state();
            state.subscribers -= 1;
            let unused = if state.subscribers == 0 { state.source.take() } else { None };
            drop(state);
            drop(unused);
            self.shared.waiting.remove(self.id);
        }
    }

    /// Returns how things stand.
    pub fn statistics(&self) -> Statistics {
        let state = self.shared.state();
        Statistics {
            subscribers: state.subscribers,
            window: state.window,
            kept: state.kept.len(),
            behind: state.pulled - self.next,
        }
    }
}

impl<T> Stream for BroadcastReceiver<T> {
    type Item = Result<T>;

    /// As [`recv`](Self::recv), but a consumer that was closed has ended.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        if self.closed {
            return Poll::Ready(None);
        }
        self.poll_recv(cx).map(Result::transpose)
    }
}

impl<T> Drop for BroadcastReceiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> fmt::Debug for BroadcastReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastReceiver").field("id", &self.id).field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// How a [`broadcast`] stands, as one of its consumers sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Consumers that are not closed.
    pub subscribers: usize,
    /// How many items are kept at most.
    pub window: usize,
    /// How many items are kept now.
    pub kept: usize,
    /// How many items this consumer is behind the fastest one, those that it lost included.
    pub behind: u64,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    waiting: Arc<Waiting>,
    /// Wakes all waiters.
    waker: Waker,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }
}

struct State<T> {
    /// None once it has ended.
    source: Option<Pin<Box<dyn Stream<Item = T> + Send>>>,
    /// Kept here, so that only the start of a broadcast requires `Clone`.
    clone: fn(&T) -> T,
    kept: VecDeque<T>,
    window: usize,
    /// How many items were pulled: the number of the next one.
    pulled: u64,
    subscribers: usize,
    /// How many subscriptions there ever were: the id of the next one.
    subscribed: u64,
}

impl<T> State<T> {
    /// Reads the item of number `next`, or says how many were lost there; `None` if it was not pulled yet.
    fn read(&self, next: &mut u64) -> Option<Result<T>> {
        let (behind, kept) = (self.pulled - *next, self.kept.len() as u64);
        if behind > kept {
            let lost = behind - kept;
            *next += lost;
            return Some(Err(Error::Lagged { lost }));
        }
        // Its place, counted from the newest item: none if it is the one that comes next.
        let at = self.kept.len().checked_sub(usize::try_from(behind).ok()?)?;
        let item = self.kept.get(at)?;
        *next += 1;
        Some(Ok((self.clone)(item)))
    }

    /// Pulls an item for a consumer that has seen all others.
    fn pull(&mut self, waker: &Waker) -> Poll<Option<T>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let Poll::Ready(item) = source.as_mut().poll_next(&mut Context::from_waker(waker)) else {
            return Poll::Pending;
        };
        match &item {
            // No other consumer will read it, nor any of those before.
            Some(_) if self.subscribers == 1 => self.kept.clear(),
            Some(item) => {
                if self.kept.len() == self.window {
                    self.kept.pop_front();
                }
                self.kept.push_back((self.clone)(item));
            }
            None => self.source = None,
        }
        self.pulled += u64::from(item.is_some());
        Poll::Ready(item)
    }
}

/// The waiters for the next item, by the id of their subscription.
#[derive(Default)]
struct Waiting(Mutex<Vec<(u64, Waker)>>);

impl Waiting {
    /// Returns the waker that this one replaces, to be dropped under no lock.
    fn register(&self, id: u64, waker: &Waker) -> Option<Waker> {
        let mut all = self.all();
        match all.iter_mut().find(|(other, _)| *other == id) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(mem::replace(known, waker.clone())),
            None => {
                all.push((id, waker.clone()));
                None
            }
        }
    }

    fn remove(&self, id: u64) {
        let mut all = self.all();
        let removed = all.iter().position(|(other, _)| *other == id).map(|at| all.swap_remove(at));
        drop(all);
        drop(removed);
    }

    fn wake_all_but(&self, id: Option<u64>) {
        let all = mem::take(&mut *self.all());
        all.into_iter().filter(|(other, _)| Some(*other) != id).for_each(|(_, waker)| waker.wake());
    }

    fn all(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        lock(&self.0)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all_but(None);
    }
}

fn closed() -> Error {
    Error::Closed("this broadcast receiver was closed: subscribe to one that is open".into())
}

#[cfg(test)]
mod tests;
