//! Task dumps: where each task waits, found out on request from another thread.
//!
//! A task that waits has left its waker with each thing that it waits for. So it is polled once more, with a waker that
//! captures the stack whenever it is cloned, and hands out a clone of the real one. Both arms of a `select!` are seen,
//! and no wake-up is lost: nothing keeps the special waker, and the poll counts like any other.
//!
//! ```text
//! the outermost Run of a task      first Pending ──► listed, with its waker
//! [`take`], on another thread      asks it, raises the round, wakes it, and waits for a moment
//! the next poll of the Run         sees another round: polls its body with the [`Spy`], and answers
//! ```
//!
//! # Invariants
//! 1. While there are no requests, a poll costs one relaxed load, and a body that never waits is not listed.
//! 2. Only the outermost body of a task is listed: what is inside is polled by it. Bodies that are polled with wakers of
//!    their own, as in a `FuturesUnordered`, are seen as that.
//! 3. The waits of this library for a cancellation or a deadline are told only if there are no others: most tasks have
//!    some.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

use super::CancelScope;
use super::body::{self, Body};
use crate::frames;
use crate::sync::lock;

/// A task that waits, or did when it was last polled.
pub(crate) struct Waiting {
    /// The scope of its outermost body.
    pub(crate) scope: CancelScope,
    /// The name of the actor whose thread it has begun to wait on.
    pub(crate) actor: Option<Arc<str>>,
    /// The stacks at which it waits; `None` if it did not answer: it is being polled, or its thread is busy.
    pub(crate) stacks: Option<Vec<Vec<u64>>>,
}

/// The tasks of this process.
pub(crate) struct Dump {
    /// The longest listed first.
    pub(crate) tasks: Vec<Waiting>,
    /// Further ones, which were not asked.
    pub(crate) left_out: usize,
}

/// Asks the tasks of this process where they wait, at most `most` of them, and waits for their answers for a while.
pub(crate) fn take(bound: Duration, most: usize) -> Dump {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = lock(&ONE_AT_A_TIME);
    let (entries, left_out) = {
        let listed = lock(&LISTED);
        let entries: Vec<_> = listed.iter().take(most).map(|(number, entry)| (*number, entry.clone())).collect();
        (entries, listed.len().saturating_sub(most))
    };
    entries.iter().for_each(|(_, entry)| entry.ask());
    ASKING.store(true, Ordering::Relaxed);
    ROUND.fetch_add(1, Ordering::Release);
    entries.iter().for_each(|(_, entry)| lock(&entry.waker).wake_by_ref());
    let until = Instant::now() + bound;
    while entries.iter().any(|(_, entry)| entry.is_asked()) && Instant::now() < until {
        std::thread::park_timeout(PAUSE);
    }
    ASKING.store(false, Ordering::Relaxed);
    let still_there = |number| lock(&LISTED).contains_key(number);
    let tasks = entries.iter().filter(|(number, _)| still_there(number)).map(|(_, entry)| entry.told()).collect();
    Dump { tasks, left_out }
}

/// Polls a wait of this library for a cancellation or a deadline (invariant 3).
pub(super) fn in_background<T>(poll: impl FnOnce() -> T) -> T {
    if !ASKING.load(Ordering::Relaxed) {
        return poll();
    }
    let around = IN_BACKGROUND.replace(true);
    let polled = poll();
    IN_BACKGROUND.set(around);
    polled
}

/// The place of one body among the tasks.
pub(super) struct Place {
    round: u32,
    listing: Listing,
}

enum Listing {
    /// It has not waited yet.
    None,
    /// It is polled by another body.
    Inside,
    Listed(Listed),
}

/// An entry of the list, and the waker in it.
struct Listed {
    number: u64,
    entry: Arc<Entry>,
    waker: Waker,
}

struct Entry {
    waker: Mutex<Waker>,
    scope: CancelScope,
    actor: Option<Arc<str>>,
    asked: AtomicBool,
    stacks: Mutex<Option<Vec<Vec<u64>>>>,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { round: ROUND.load(Ordering::Relaxed), listing: Listing::None }
    }

    /// Notes that the body is polled for the first time, inside of another one or not.
    pub(super) fn enter(&mut self) {
        if body::is_in_body() {
            self.listing = Listing::Inside;
        }
    }

    /// Polls the body, and has it answer if it is asked.
    pub(super) fn poll<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut Context<'_>, state: &Body) -> Poll<F::Output> {
        let round = ROUND.load(Ordering::Relaxed);
        let polled = match self.round == round {
            true => body.poll(cx),
            false => self.poll_in_new_round(body, cx, round),
        };
        if polled.is_pending() && !self.is_listed_with(cx.waker()) {
            self.list(cx.waker(), state);
        }
        polled
    }

    #[cold]
    fn poll_in_new_round<F: Future>(&mut self, body: Pin<&mut F>, cx: &mut Context<'_>, round: u32) -> Poll<F::Output> {
        std::sync::atomic::fence(Ordering::Acquire); // with the round, the question is seen
        self.round = round;
        match &self.listing {
            Listing::Listed(listed) if listed.entry.is_asked() => listed.entry.poll_watched(body, cx),
            _ => body.poll(cx),
        }
    }

    fn is_listed_with(&self, waker: &Waker) -> bool {
        match &self.listing {
            Listing::None => false,
            Listing::Inside => true,
            Listing::Listed(listed) => listed.waker.will_wake(waker),
        }
    }

    /// Enters the body into the list, or its new waker: it may have moved to another task.
    #[cold]
    fn list(&mut self, waker: &Waker, state: &Body) {
        if waker.will_wake(Waker::noop()) {
            return; // it will be polled again with one that works
        }
        if let Listing::Listed(listed) = &mut self.listing {
            listed.waker.clone_from(waker);
            lock(&listed.entry.waker).clone_from(waker);
            return;
        }
        let entry = Arc::new(Entry {
            waker: Mutex::new(waker.clone()),
            scope: CancelScope::of(state.asked().clone()),
            actor: pleach_wire::log::origin(),
            asked: AtomicBool::new(false),
            stacks: Mutex::default(),
        });
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        lock(&LISTED).insert(number, entry.clone());
        self.listing = Listing::Listed(Listed { number, entry, waker: waker.clone() });
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let _entry = lock(&LISTED).remove(&self.number);
        self.entry.asked.store(false, Ordering::Release);
    }
}

impl Entry {
    fn ask(&self) {
        *lock(&self.stacks) = None;
        self.asked.store(true, Ordering::Release);
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn told(&self) -> Waiting {
        let stacks = lock(&self.stacks).take();
        Waiting { scope: self.scope.clone(), actor: self.actor.clone(), stacks }
    }

    fn poll_watched<F: Future>(&self, body: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let spy = Spy::waker(cx.waker());
        let collecting = Collecting::begin();
        let polled = body.poll(&mut Context::from_waker(&spy));
        *lock(&self.stacks) = Some(collecting.end());
        self.asked.store(false, Ordering::Release);
        polled
    }
}

/// While it lives, the stacks of this thread at which a [`Spy`] is cloned are collected. It may be dropped by a panic.
struct Collecting(());

impl Collecting {
    fn begin() -> Self {
        LEAVES.set(Some(Leaves::default()));
        Self(())
    }

    fn end(self) -> Vec<Vec<u64>> {
        let Leaves { seen, background } = LEAVES.take().unwrap_or_default();
        if seen.is_empty() { background.into_iter().collect() } else { seen }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        LEAVES.set(None);
    }
}

/// A waker that captures the stack whenever it is cloned. Its clones are clones of the real one.
struct Spy;

impl Spy {
    #[expect(unsafe_code, reason = "a waker whose clones are of another kind can't be made of an `Arc`")]
    fn waker(real: &Waker) -> Waker {
        let data = Box::into_raw(Box::new(real.clone())).cast_const().cast();
        // SAFETY: `data` is a boxed waker, which the functions of the table expect, and which `drop` and `wake` free. It
        // may be used on any thread, as a waker may.
        unsafe { Waker::from_raw(RawWaker::new(data, &Self::TABLE)) }
    }

    const TABLE: RawWakerVTable = RawWakerVTable::new(Self::clone, Self::wake, Self::wake_by_ref, Self::drop);

    #[expect(unsafe_code, reason = "see `waker`")]
    unsafe fn clone(data: *const ()) -> RawWaker {
        capture();
        // SAFETY: it is the boxed waker; the new one is not dropped here, as the `RawWaker` takes its place.
        let real = std::mem::ManuallyDrop::new(unsafe { &*data.cast::<Waker>() }.clone());
        RawWaker::new(real.data(), real.vtable())
    }

    #[expect(unsafe_code, reason = "see `waker`")]
    unsafe fn wake(data: *const ()) {
        // SAFETY: it is the boxed waker, which is used no more.
        unsafe { Box::from_raw(data.cast_mut().cast::<Waker>()) }.wake();
    }

    #[expect(unsafe_code, reason = "see `waker`")]
    unsafe fn wake_by_ref(data: *const ()) {
        // SAFETY: it is the boxed waker.
        unsafe { &*data.cast::<Waker>() }.wake_by_ref();
    }

    #[expect(unsafe_code, reason = "see `waker`")]
    unsafe fn drop(data: *const ()) {
        // SAFETY: it is the boxed waker, which is used no more.
        drop(unsafe { Box::from_raw(data.cast_mut().cast::<Waker>()) });
    }
}

fn capture() {
    LEAVES.with_borrow_mut(|leaves| match leaves {
        // The last one is the innermost.
        Some(leaves) if IN_BACKGROUND.get() => leaves.background = Some(frames::here()),
        Some(leaves) if leaves.seen.len() < MAX_STACKS => leaves.seen.push(frames::here()),
        _ => {}
    });
}

/// What a task waits for.
#[derive(Default)]
struct Leaves {
    seen: Vec<Vec<u64>>,
    background: Option<Vec<u64>>,
}

thread_local! {
    /// The stacks of the poll that is watched on this thread.
    static LEAVES: RefCell<Option<Leaves>> = const { RefCell::new(None) };

    static IN_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// How often tasks were asked.
static ROUND: AtomicU32 = AtomicU32::new(0);

/// Whether some are being asked.
static ASKING: AtomicBool = AtomicBool::new(false);

static LISTED: Mutex<BTreeMap<u64, Arc<Entry>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Between two looks for answers.
const PAUSE: Duration = Duration::from_millis(1);

/// How many stacks of a task are kept.
const MAX_STACKS: usize = 32;
