//! A model of two processes that share a ring: the writer wakes a reader that sleeps, and the reader a writer without
//! room. Each looks, naps and waits as the halves of a link do.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::model_within;
use crate::nap::{Place, Sleeper, Waker};

/// A number in the memory of its owner, which the other side only loads.
#[derive(Default)]
struct Number(AtomicU32);

impl Place for Number {
    fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn store(&self, number: u32) {
        self.0.store(number, Ordering::Release);
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// An event, with what the event loop has seen of it.
#[derive(Default)]
struct Event {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    is_ready: bool,
    /// Whether it will never be signalled again.
    has_ended: bool,
}

impl Event {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.changed.notify_one();
    }

    fn signal(&self) {
        self.change(|seen| seen.is_ready = true);
    }

    fn clear(&self) {
        self.change(|seen| seen.is_ready = false);
    }

    fn end(&self) {
        self.change(|seen| seen.has_ended = true);
    }

    /// Waits for a signal; returns whether there was one.
    fn wait(&self) -> bool {
        let mut seen = self.seen.lock().unwrap();
        while !seen.is_ready && !seen.has_ended {
            seen = self.changed.wait(seen).unwrap();
        }
        seen.is_ready
    }
}

#[derive(Default)]
struct Shared {
    written: Number,
    read: Number,
    reader_nap: Number,
    writer_nap: Number,
    readable: Event,
    writable: Event,
}

/// Waits until `is_there`, as the halves of a link wait; returns whether it would have waited for ever.
fn wait_until(sleeper: &mut Sleeper, nap: &Number, event: &Event, renews: bool, is_there: impl Fn() -> bool) -> bool {
    let mut sleeps = false;
    while !is_there() {
        if renews || !sleeps {
            sleeper.begin(nap);
            sleeps = true;
            if is_there() {
                break;
            }
        }
        event.clear();
        if is_there() {
            break;
        }
        if !event.wait() {
            return true;
        }
    }
    sleeper.end(nap);
    false
}

/// One side writes `ITEMS`, and flushes after each; the other one reads them. Returns whether a wake was lost.
fn carry(room: u32, renews: bool) -> bool {
    let shared = Arc::new(Shared::default());
    let writer = {
        let shared = shared.clone();
        thread::spawn(move || {
            let (mut sleeper, mut waker) = (Sleeper::default(), Waker::default());
            for item in 1..=ITEMS {
                let has_room = || item - shared.read.load() <= room;
                wait_until(&mut sleeper, &shared.writer_nap, &shared.writable, renews, has_room);
                shared.written.store(item);
                if waker.must_wake(&shared.reader_nap) {
                    shared.readable.signal();
                }
            }
            shared.readable.end();
        })
    };
    let (mut sleeper, mut waker, mut position, mut is_lost) = (Sleeper::default(), Waker::default(), 0, false);
    while position < ITEMS {
        let has_bytes = || shared.written.load() != position;
        is_lost |= wait_until(&mut sleeper, &shared.reader_nap, &shared.readable, renews, has_bytes);
        position = shared.written.load();
        shared.read.store(position);
        if waker.must_wake(&shared.writer_nap) {
            shared.writable.signal();
        }
    }
    writer.join().unwrap();
    is_lost
}

const ITEMS: u32 = 2;

/// A lost wake shows with three.
const INTERRUPTIONS: usize = 3;

#[test]
fn a_reader_that_sleeps_is_woken() {
    model_within(INTERRUPTIONS, || assert!(!carry(ITEMS, true)));
}

#[test]
fn a_writer_without_room_is_woken() {
    model_within(INTERRUPTIONS, || assert!(!carry(1, true)));
}

/// What it takes: a nap that is signalled for what was read before it began, and not renewed at the look in vain.
#[test]
fn a_nap_that_is_not_renewed_loses_a_wake() {
    static LOST: AtomicBool = AtomicBool::new(false);
    model_within(INTERRUPTIONS, || {
        LOST.fetch_or(carry(ITEMS, false), Relaxed);
    });
    assert!(LOST.load(Relaxed));
}
