//! Waiting for room on the control lane: first come, first served.
//!
//! ```text
//! enter ─► queued ─(woken)─► trying ─► left
//!             ▲                │
//!             └────(no room)───┘
//! ```
//! The transport knows one waiter, the queue itself: a wake-up of it wakes a part of as many tasks as fitted the last
//! time, from the front. Each that finds room leaves and wakes the next one. So each task is woken about once, however
//! many wait, and those that are woken together fill one write.
//!
//! A future that waits may not be polled for long, for one in a loop of `select!` whose other branch makes a call as
//! well. It must not hold up the others for ever: several are woken at once, those that were woken and did not try are
//! passed over, and each newcomer tries once, after those that are awake already.
//!
//! # Invariants
//! 1. While tasks wait, one of them has the turn and has not tried yet, or the transport has the queue's waker.
//! 2. A task that was woken and leaves without trying hands its turn to the next one.
//! 3. The lock is not held while the transport is polled, which wakes the queue under a lock of its own, nor while tasks
//!    are woken.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use crate::sync::{Mutex, lock};

/// The tasks that wait for room.
pub(super) struct Room {
    queue: Arc<Queue>,
    /// The queue's, for the transport.
    waker: Waker,
}

#[derive(Default)]
struct Queue {
    /// Read without the lock to find that nothing waits; a late value only costs a place in the order.
    len: AtomicUsize,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    /// The number of the first place.
    first: u64,
    /// Places of tasks that have left are empty; the first one never is.
    places: VecDeque<Option<Place>>,
    /// The number of the place to be woken next.
    next: u64,
    /// Tasks that have found room since one has found none.
    fitted: usize,
}

struct Place {
    waker: Waker,
    woken: bool,
}

/// One wait. Dropping it leaves the queue.
pub(super) struct Waiting<'a, P> {
    room: &'a Room,
    /// Asks the transport, and gives it the waker.
    probe: P,
    place: Option<u64>,
}

impl Room {
    pub(super) fn new() -> Self {
        let queue = Arc::new(Queue::default());
        Self { waker: Waker::from(queue.clone()), queue }
    }

    /// Waits until `probe` finds room, and returns what it found.
    pub(super) fn wait<P, T>(&self, probe: P) -> Waiting<'_, P>
    where
        P: FnMut(&mut Context<'_>) -> Poll<T> + Unpin,
    {
        Waiting { room: self, probe, place: None }
    }
}

impl<P, T> Future for Waiting<'_, P>
where
    P: FnMut(&mut Context<'_>) -> Poll<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let queue = &*this.room.queue;
        let transport = &mut Context::from_waker(&this.room.waker);
        let may_try = match this.place {
            None => {
                if queue.len.load(Ordering::Relaxed) == 0
                    && let Poll::Ready(found) = (this.probe)(transport)
                {
                    return Poll::Ready(found);
                }
                let (place, may_try) = queue.enter(cx.waker());
                this.place = Some(place);
                if !may_try {
                    cx.waker().wake_by_ref();
                }
                may_try
            }
            Some(place) => queue.take_turn(place, cx.waker()),
        };
        if !may_try {
            return Poll::Pending;
        }
        // A wake-up of the queue from here on finds the place in it, and has it polled again.
        let found = ready!((this.probe)(transport));
        if let Some(place) = this.place.take() {
            queue.leave(place, true);
        }
        Poll::Ready(found)
    }
}

impl<P> Drop for Waiting<'_, P> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.room.queue.leave(place, false);
        }
    }
}

impl Queue {
    /// Joins the queue; returns the place, and whether it is the only one and may try at once. Otherwise its turn comes
    /// after that of the tasks that are awake already.
    fn enter(&self, waker: &Waker) -> (u64, bool) {
        let list = &mut *lock(&self.list);
        let alone = list.places.is_empty();
        list.places.push_back(Some(Place { waker: waker.clone(), woken: !alone }));
        self.len.fetch_add(1, Ordering::Relaxed);
        (list.first + list.places.len() as u64 - 1, alone)
    }

    /// Returns whether a task may try: it was woken by the queue. It is woken with `waker` from now on.
    fn take_turn(&self, number: u64, waker: &Waker) -> bool {
        let list = &mut *lock(&self.list);
        let Some(place) = list.place(number) else { return false };
        place.waker.clone_from(waker);
        std::mem::take(&mut place.woken)
    }

    /// Gives a place up, having found room or not. If it was its turn, the next one has it.
    fn leave(&self, number: u64, found_room: bool) {
        let next = {
            let list = &mut *lock(&self.list);
            let woken = list.remove(number);
            self.len.fetch_sub(1, Ordering::Relaxed);
            list.fitted += usize::from(found_room);
            if found_room || woken { list.wake_next() } else { None }
        };
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Wake for Queue {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// The transport has room again: the turn is with those that found none, the first ones.
    fn wake_by_ref(self: &Arc<Self>) {
        let wakers: Vec<Waker> = {
            let list = &mut *lock(&self.list);
            list.next = list.first;
            let count = (std::mem::take(&mut list.fitted) / 4).max(AT_ONCE);
            std::iter::from_fn(|| list.wake_next()).take(count).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl List {
    fn place(&mut self, number: u64) -> Option<&mut Place> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.places.get_mut(index)?.as_mut()
    }

    /// Returns whether the task had been woken.
    fn remove(&mut self, number: u64) -> bool {
        let index = (number - self.first) as usize;
        let woken = self.places[index].take().is_some_and(|place| place.woken);
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        if self.places.is_empty() {
            self.places.shrink_to(KEEP_PLACES);
        }
        self.next = self.next.max(self.first);
        woken
    }

    /// Gives the turn to the next place that does not have it, and returns its waker.
    fn wake_next(&mut self) -> Option<Waker> {
        while let Some(place) = self.places.get_mut((self.next - self.first) as usize) {
            self.next += 1;
            if let Some(place) = place.as_mut().filter(|place| !place.woken) {
                place.woken = true;
                return Some(place.waker.clone());
            }
        }
        None
    }
}

/// Tasks that are woken at once at least.
const AT_ONCE: usize = 8;

/// A list that a crowd has grown beyond this is given back once it is empty.
const KEEP_PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A transport that takes so many messages, and how often tasks were polled.
    #[derive(Default)]
    struct Fake {
        fits: Cell<usize>,
        waker: RefCell<Option<Waker>>,
    }

    impl Fake {
        fn probe(&self, cx: &mut Context<'_>) -> Poll<()> {
            if self.fits.get() > 0 {
                self.fits.set(self.fits.get() - 1);
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }

        fn make_room(&self, messages: usize) {
            self.fits.set(messages);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// A task: whether it is to be polled, and how often it was woken.
    #[derive(Default)]
    struct Task {
        ready: AtomicUsize,
        wakes: AtomicUsize,
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.ready.store(1, Ordering::Relaxed);
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// Tasks that wait, polled in order whenever they are woken, and those that have found room.
    struct Crowd<'a> {
        tasks: Vec<(usize, Arc<Task>, Wait<'a>)>,
        done: Vec<usize>,
        wakes: usize,
    }

    impl<'a> Crowd<'a> {
        fn new(room: &'a Room, fake: &'a Fake, count: usize) -> Self {
            let task = |number| {
                let task = Arc::new(Task { ready: AtomicUsize::new(1), wakes: AtomicUsize::new(0) });
                (number, task, Box::pin(room.wait(|cx: &mut Context<'_>| fake.probe(cx))) as _)
            };
            Self { tasks: (0..count).map(task).collect(), done: Vec::new(), wakes: 0 }
        }

        fn run(&mut self) {
            while self.tasks.iter().any(|(_, task, _)| task.ready.load(Ordering::Relaxed) == 1) {
                self.tasks.retain_mut(|(number, task, waiting)| {
                    if task.ready.swap(0, Ordering::Relaxed) == 0 {
                        return true;
                    }
                    let done = waiting.as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone()))).is_ready();
                    if done {
                        self.done.push(*number);
                        self.wakes += task.wakes.load(Ordering::Relaxed);
                    }
                    !done
                });
            }
        }
    }

    #[test]
    fn tasks_leave_in_the_order_in_which_they_came_and_are_woken_as_many_as_fit() {
        let (room, fake) = (Room::new(), Fake::default());
        let mut crowd = Crowd::new(&room, &fake, 10_000);
        crowd.run();
        assert!(crowd.done.is_empty());
        for turn in 1..=100 {
            fake.make_room(100);
            crowd.run();
            assert_eq!(crowd.done, (0..turn * 100).collect::<Vec<_>>());
        }
        assert!(crowd.wakes < 3 * 10_000, "{} wake-ups for 10,000 tasks", crowd.wakes);
        assert!(lock(&room.queue.list).places.is_empty() && room.queue.len.load(Ordering::Relaxed) == 0);
    }

    #[test]
    fn a_task_that_leaves_after_its_wake_up_hands_its_turn_on() {
        let (room, fake) = (Room::new(), Fake::default());
        let mut crowd = Crowd::new(&room, &fake, AT_ONCE + 2);
        crowd.run();
        fake.make_room(1); // wakes all but two
        crowd.tasks.drain(..AT_ONCE);
        crowd.run();
        assert_eq!(crowd.done, [AT_ONCE]);
        crowd.tasks.clear();
        fake.make_room(1);
        let mut late = Crowd::new(&room, &fake, 2);
        late.run();
        assert_eq!(late.done, [0], "a queue that all have left is empty");
    }

    /// The first one waits in a task that makes another call meanwhile.
    #[test]
    fn a_task_that_does_not_try_holds_up_no_other() {
        let (room, fake) = (Room::new(), Fake::default());
        let mut crowd = Crowd::new(&room, &fake, AT_ONCE + 1);
        crowd.run();
        let held = crowd.tasks.drain(..AT_ONCE).collect::<Vec<_>>();
        fake.make_room(10); // wakes those that are never polled
        let mut late = Crowd::new(&room, &fake, 1);
        late.run();
        crowd.run();
        assert_eq!((late.done, crowd.done), (vec![0], vec![AT_ONCE]));
        drop(held);
    }

    #[test]
    fn room_that_comes_while_a_task_looks_for_it_is_not_missed() {
        let (room, fake) = (Room::new(), Fake::default());
        let mut looked = false;
        let task = Arc::new(Task::default());
        let mut waiting = room.wait(|cx: &mut Context<'_>| {
            let found = fake.probe(cx);
            if found.is_pending() && std::mem::replace(&mut looked, true) {
                fake.make_room(1); // another thread writes right after the look
            }
            found
        });
        let waker = Waker::from(task.clone());
        let mut poll = || Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker));
        assert!(poll().is_pending());
        assert_eq!(task.wakes.load(Ordering::Relaxed), 1);
        assert!(poll().is_ready());
    }
}
