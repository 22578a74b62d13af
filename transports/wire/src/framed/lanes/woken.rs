//! Which of many streams can go on: filled by their wakers, emptied by the one task that drives them.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Wake, Waker};

use crate::sync::lock;

/// The streams that were woken since the last look, and the task to wake with them.
#[derive(Debug, Default)]
pub(super) struct Woken(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    ids: Vec<u64>,
    driver: Option<Waker>,
}

/// One stream: its place on the list, and its waker.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: u64,
    listed: AtomicBool,
    woken: Arc<Woken>,
}

impl Woken {
    /// Makes the place of stream `id`.
    pub(super) fn slot(self: &Arc<Self>, id: u64) -> Arc<Slot> {
        Arc::new(Slot { id, listed: AtomicBool::new(false), woken: self.clone() })
    }

    /// The task behind `cx` is woken from now on.
    pub(super) fn drive(&self, cx: &Context<'_>) {
        let list = &mut *self.list();
        if !list.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
            list.driver = Some(cx.waker().clone());
        }
    }

    /// Swaps the listed streams for the empty `ids`. Each is to be [taken off](Slot::take_off) before it is polled.
    pub(super) fn take(&self, ids: &mut Vec<u64>) {
        mem::swap(&mut self.list().ids, ids);
    }

    fn list(&self) -> MutexGuard<'_, List> {
        lock(&self.0)
    }
}

impl Slot {
    /// Lists the stream without a wake-up: the driver is the caller, or is woken by it.
    pub(super) fn list(&self) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.woken.list().ids.push(self.id);
        }
    }

    /// A wake-up after this lists the stream again.
    pub(super) fn take_off(&self) {
        self.listed.store(false, Ordering::Release);
    }
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list();
        let driver = self.woken.list().driver.clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
