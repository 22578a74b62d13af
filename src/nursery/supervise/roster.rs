//! The children of a supervisor, as its task and its handles share them: who is there, who is to join, who is to go.
//!
//! ```text
//!          add                  taken in                            ended for good
//! (free) ───────► Joining ──────────────────► Down ◄──► Up ───────────────────────► Over
//!    ▲               │ withdrawn               │ removed: stopped by the task         │ removed
//!    └───────────────┴─────────────────────────┴──────────────────────────────────────┘
//! ```
//! The supervisor's task starts and stops processes; this only keeps the books.
//!
//! # Invariants
//! 1. A name is free again once no process of that child is left.
//! 2. Whether the supervisor has ended and whether a child may join is decided under one lock: none joins unseen.
//! 3. Each step takes no longer than a look-up, however many children there are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::spec::ChildSpec;
use crate::error::{Error, Result};
use crate::portal::Portal;
use crate::sync::lock;

/// A child: what stays the same while its processes come and go.
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    /// Its place in the order of adding; no other child of the supervisor ever has the same.
    pub(super) number: usize,
    /// The path of the type of its state, if it has one.
    pub(super) state: Option<String>,
    /// Cancelled when it is to be stopped and forgotten.
    pub(super) removal: CancellationToken,
    status: watch::Sender<Status>,
    restarts: AtomicU32,
}

/// The state of a child, for those that wait for it.
#[derive(Clone)]
pub(super) enum Status {
    /// It is being started.
    Down,
    Up(Portal),
    /// It is not started any more.
    Over,
    /// Because the supervisor has failed.
    Failed(Error),
    /// It is forgotten, and its name is free.
    Removed,
}

impl Status {
    /// Returns whether another one will follow soon: the child is down, or gone, which its supervisor has yet to see.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Down => true,
            Self::Up(portal) => portal.is_gone(),
            Self::Over | Self::Failed(_) | Self::Removed => false,
        }
    }

    /// Returns whether the child is not started any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Over | Self::Failed(_) | Self::Removed)
    }
}

impl Entry {
    pub(super) fn set(&self, status: Status) {
        self.status.send_replace(status);
    }

    pub(super) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.status.borrow().is_final()
    }
}

/// A child that is to be started for the first time.
pub(super) struct Joining {
    pub(super) entry: Arc<Entry>,
    pub(super) spec: ChildSpec,
    /// Learns how that went.
    pub(super) reply: oneshot::Sender<Result<()>>,
}

/// Why none can join.
#[derive(Clone)]
pub(super) enum Closed {
    /// No child was left.
    Ended,
    /// The supervisor was shut down.
    Stopped,
    /// It has failed.
    Failed(Error),
}

#[derive(Default)]
pub(super) struct Roster {
    books: Mutex<Books>,
    /// The supervisor's task, while it waits for children to join.
    taker: AtomicWaker,
}

#[derive(Default)]
struct Books {
    children: BTreeMap<Arc<str>, Arc<Entry>>,
    /// Bounded by the callers that wait for them.
    joining: BTreeMap<usize, Joining>,
    next: usize,
    closed: Option<Closed>,
}

impl Roster {
    /// Enters a child; returns `None` if its name is taken.
    pub(super) fn enter(&self, spec: &ChildSpec) -> Option<Arc<Entry>> {
        self.books().enter(spec)
    }

    /// Enters a child that waits to be taken in.
    ///
    /// # Errors
    /// `None` if its name is taken; why none can join.
    pub(super) fn join(
        &self,
        spec: ChildSpec,
        reply: oneshot::Sender<Result<()>>,
    ) -> Result<Arc<Entry>, Option<Closed>> {
        let mut books = self.books();
        if let Some(closed) = &books.closed {
            return Err(Some(closed.clone()));
        }
        let entry = books.enter(&spec).ok_or(None)?;
        books.joining.insert(entry.number, Joining { entry: entry.clone(), spec, reply });
        drop(books);
        self.taker.wake();
        Ok(entry)
    }

    /// Returns the next child that waits to be taken in. For one task only.
    pub(super) fn poll_joining(&self, cx: &mut Context<'_>) -> Poll<Joining> {
        self.taker.register(cx.waker());
        match self.books().joining.pop_first() {
            Some((_, joining)) => Poll::Ready(joining),
            None => Poll::Pending,
        }
    }

    /// Has a child stopped. Returns whether it can be forgotten, because no process of it is there and none will be.
    pub(super) fn request_removal(&self, entry: &Arc<Entry>) -> bool {
        entry.removal.cancel();
        let withdrawn = self.books().joining.remove(&entry.number).is_some();
        if withdrawn {
            self.forget(entry);
            self.taker.wake(); // a supervisor without children has waited for it
        }
        withdrawn || entry.is_over()
    }

    /// Frees the name of a child of which no process is left; returns whether it was not done before.
    pub(super) fn forget(&self, entry: &Arc<Entry>) -> bool {
        let forgotten = {
            let mut books = self.books();
            let is_known = books.children.get(&entry.name).is_some_and(|known| Arc::ptr_eq(known, entry));
            if is_known {
                books.children.remove(&entry.name);
            }
            is_known
        };
        entry.set(Status::Removed);
        forgotten
    }

    /// Lets none join any more, unless one waits to. Returns whether that is so now.
    pub(super) fn close_if_none_joins(&self) -> bool {
        let mut books = self.books();
        if books.joining.is_empty() {
            books.closed.get_or_insert(Closed::Ended);
        }
        books.closed.is_some()
    }

    /// Lets none join any more; returns those that wait to.
    pub(super) fn close(&self, why: Closed) -> Vec<Joining> {
        let mut books = self.books();
        books.closed.get_or_insert(why);
        std::mem::take(&mut books.joining).into_values().collect()
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        self.books().closed.clone()
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Entry>> {
        self.books().children.get(name).cloned()
    }

    /// Returns all that are known, in the order in which they were added.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        let mut all: Vec<_> = self.books().children.values().cloned().collect();
        all.sort_by_key(|entry| entry.number);
        all
    }

    /// Returns a few of the names, and how many others there are.
    pub(super) fn names(&self) -> (Vec<Arc<str>>, usize) {
        let books = self.books();
        let some: Vec<_> = books.children.keys().take(SHOWN).cloned().collect();
        let others = books.children.len() - some.len();
        (some, others)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

impl Books {
    fn enter(&mut self, spec: &ChildSpec) -> Option<Arc<Entry>> {
        let (number, name) = loop {
            self.next += 1;
            let name = match spec.numbered {
                true => format!("{}-{}", spec.name, self.next),
                false => spec.name.clone(),
            };
            match self.children.contains_key(name.as_str()) {
                false => break (self.next, Arc::<str>::from(name)),
                true if spec.numbered => {} // it was added under that very name
                true => return None,
            }
        };
        let entry = Arc::new(Entry {
            name: name.clone(),
            number,
            state: spec.state.clone(),
            removal: CancellationToken::new(),
            status: watch::Sender::new(Status::Down),
            restarts: AtomicU32::new(0),
        });
        self.children.insert(name, entry.clone());
        Some(entry)
    }
}

/// As many names as an error lists.
const SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    fn spec(name: &str) -> ChildSpec {
        ChildSpec::run_once(name, || -> crate::rpc::call::Call<()> { unreachable!("nothing is started") })
    }

    fn join(roster: &Roster, name: &str) -> Result<Arc<Entry>, Option<Closed>> {
        roster.join(spec(name), oneshot::channel().0)
    }

    fn next(roster: &Roster) -> Option<Joining> {
        match roster.poll_joining(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(joining) => Some(joining),
            Poll::Pending => None,
        }
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_name_is_taken_until_its_child_is_forgotten() {
        let roster = Roster::default();
        let first = join(&roster, "a").ok().unwrap();
        assert!(matches!(join(&roster, "a"), Err(None)));
        assert_eq!(next(&roster).unwrap().entry.number, first.number);
        first.set(Status::Over);
        assert!(matches!(join(&roster, "a"), Err(None)));
        assert!(roster.request_removal(&first) && roster.forget(&first));
        let second = join(&roster, "a").ok().unwrap();
        assert!(!roster.forget(&first), "the name belongs to another one now");
        assert!(Arc::ptr_eq(&roster.find("a").unwrap(), &second));
    }

    #[test]
    fn a_child_that_was_not_taken_in_is_withdrawn() {
        let roster = Roster::default();
        let waiting = join(&roster, "a").ok().unwrap();
        let woken = Arc::new(Woken::default());
        roster.taker.register(&woken.clone().into());
        assert!(roster.request_removal(&waiting));
        assert!(woken.0.load(Ordering::SeqCst), "a supervisor that has waited for it alone can end");
        assert!(next(&roster).is_none() && roster.all().is_empty());
        let taken = join(&roster, "a").ok().unwrap();
        assert!(next(&roster).is_some());
        assert!(!roster.request_removal(&taken), "its process may be there");
        assert!(taken.removal.is_cancelled() && roster.find("a").is_some());
    }

    #[test]
    fn none_joins_a_supervisor_that_has_ended_and_it_does_not_end_while_one_joins() {
        let roster = Roster::default();
        let waiting = join(&roster, "a").ok().unwrap();
        assert!(!roster.close_if_none_joins());
        roster.request_removal(&waiting);
        assert!(roster.close_if_none_joins());
        assert!(matches!(join(&roster, "a"), Err(Some(Closed::Ended))));
    }

    /// Were each step to look at all others, this would take an hour.
    #[test]
    fn a_hundred_thousand_children_are_no_burden() {
        const CHILDREN: usize = 100_000;
        let roster = Roster::default();
        let numbered = || spec("job").numbered();
        let waiting: Vec<_> =
            (0..CHILDREN).map(|_| roster.join(numbered(), oneshot::channel().0).ok().unwrap()).collect();
        for entry in waiting.iter().rev().take(CHILDREN / 2) {
            assert!(roster.request_removal(entry));
        }
        while let Some(joining) = next(&roster) {
            joining.entry.set(Status::Over);
            assert!(roster.forget(&joining.entry));
        }
        assert!(roster.all().is_empty());
    }
}
