//! Models of the small pieces that several threads share: loom tries all interleavings of each.
//!
//! The pieces are the sources of `pleach` and its transports themselves, compiled with `sync.rs` here in place of
//! `src/sync.rs`.
//! A thread that is never woken is a deadlock, which loom reports. What is modelled here waits for
//! nothing else: tokio's own parts are tested in the same way where they come from.

#![cfg(test)]

#[path = "../../../src/channel/changes.rs"]
mod changes;
#[path = "../../../transports/shm/src/nap.rs"]
mod nap;
mod naps;
#[path = "../../../src/scope/shields.rs"]
mod shields;
mod sync;

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use changes::Changes;
use shields::Shields;

/// Tries the interleavings in which the running thread is interrupted at most twice: nearly all bugs
/// show in those, and without a bound it takes minutes.
fn model(body: impl Fn() + Sync + Send + 'static) {
    model_within(2, body);
}

/// The same with another number of interruptions.
fn model_within(interruptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(interruptions);
    builder.check(body);
}

/// Two shields of a cancelled body go in other threads, while the poller asks whether it may close.
#[test]
fn the_last_shield_wakes_the_poller() {
    model(|| {
        let shields = Arc::new(Shields::default());
        let tidied = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let holders = [0, 1].map(|number| {
            shields.hold();
            let (shields, tidied) = (shields.clone(), tidied.clone());
            thread::spawn(move || {
                tidied[number].store(true, Ordering::Relaxed);
                shields.release();
            })
        });
        block_on(poll_fn(|cx| match shields.all_released(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        // The shielded code has ended, visibly.
        assert!(tidied.iter().all(|done| done.load(Ordering::Relaxed)));
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        assert!(!shields.is_held());
    });
}

/// A state, and the tasks that wait for it to change.
#[derive(Default)]
struct Watched<T> {
    state: Mutex<T>,
    changes: Changes,
}

impl<T> Watched<T> {
    fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.state.lock().unwrap());
        self.changes.notify();
    }

    fn until<V>(&self, mut look: impl FnMut(&mut T) -> Option<V>) -> V {
        block_on(self.changes.until(|| look(&mut self.state.lock().unwrap())))
    }
}

/// The message loop delivers two messages, while the dialog's task takes them.
#[test]
fn a_waiter_of_a_state_sees_each_change() {
    model(|| {
        let inbox = Arc::new(Watched::<Vec<u32>>::default());
        let deliver = {
            let inbox = inbox.clone();
            thread::spawn(move || {
                for message in [1, 2] {
                    inbox.change(|messages| messages.push(message));
                }
            })
        };
        for expected in [1, 2] {
            assert_eq!(inbox.until(|messages| (!messages.is_empty()).then(|| messages.remove(0))), expected);
        }
        deliver.join().unwrap();
    });
}

/// The end of a dialog wakes all who wait on it: the one who takes messages and the one who wants the end.
#[test]
fn an_end_wakes_all_who_wait() {
    model(|| {
        let ended = Arc::new(Watched::<bool>::default());
        let waiting = {
            let ended = ended.clone();
            thread::spawn(move || ended.until(|ended| ended.then_some(())))
        };
        let finish = {
            let ended = ended.clone();
            thread::spawn(move || ended.change(|ended| *ended = true))
        };
        ended.until(|ended| ended.then_some(()));
        waiting.join().unwrap();
        finish.join().unwrap();
    });
}
