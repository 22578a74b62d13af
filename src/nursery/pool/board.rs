//! Which worker takes which call: places, and the calls that wait for one.
//!
//! It knows neither processes nor results. A call takes a place, and gives it back by dropping it.
//!
//! # Invariants
//! 1. A worker that is up has as many calls as it may at most; one that has a call to itself has no other.
//! 2. Calls wait only while no worker could take them. Those that need a worker for themselves come first: while one
//!    waits, workers that have calls take no more of them, so each becomes free after those it has.
//! 3. The lock is not held while a place is dropped, or code of the program runs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

use crate::error::{Cancelled, Error, Result};
use crate::portal::Portal;
use crate::scope;
use crate::sync::lock;

/// The workers of a pool and the calls that wait for them.
pub(super) struct Board {
    /// How many calls a worker has at most.
    in_flight: usize,
    /// How many calls a process gets before it is replaced.
    most_calls: u64,
    state: Mutex<State>,
    /// Told when a call has left a worker.
    released: Notify,
}

struct State {
    workers: Vec<Worker>,
    /// Calls for any worker.
    waiting: Queue,
    /// Calls that need a worker for themselves, any.
    suspects: Queue,
    /// Orders the queues among each other.
    tickets: u64,
    /// Why no call is taken any more.
    closed: Option<Error>,
}

#[derive(Default)]
struct Worker {
    /// None while it is started, or about to end.
    portal: Option<Portal>,
    /// The calls that it has.
    load: usize,
    /// Whether the call that it has must be the only one.
    is_alone: bool,
    /// How many calls it may still get before it is replaced.
    left: u64,
    /// How many calls it has ended since it was started.
    ended: u64,
    /// Calls for this worker.
    pinned: Queue,
    /// Calls for this worker that need it for themselves.
    pinned_suspects: Queue,
}

/// Which worker a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// None: any.
    pub(super) worker: Option<usize>,
    /// Whether no other call may be there.
    pub(super) alone: bool,
}

/// A call's place in a worker.
pub(super) struct Place<'a> {
    board: &'a Board,
    pub(super) grant: Grant,
}

/// What a place is.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) worker: usize,
    pub(super) portal: Portal,
    pub(super) alone: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.board.release(&self.grant);
    }
}

impl Board {
    pub(super) fn new(workers: usize, in_flight: usize, most_calls: u64) -> Self {
        let workers = (0..workers).map(|_| Worker::default()).collect();
        let state = State { workers, waiting: Queue::default(), suspects: Queue::default(), tickets: 0, closed: None };
        Self { in_flight, most_calls, state: Mutex::new(state), released: Notify::new() }
    }

    /// Returns how many calls all workers together have at most.
    pub(super) fn places(&self) -> usize {
        self.state().workers.len().saturating_mul(self.in_flight)
    }

    /// Returns how many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.state().workers.len()
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Why no call is taken any more; [`Error::Cancelled`] when the scope around is cancelled.
    ///
    /// # Cancel safety
    /// If dropped, the place is given to the next.
    pub(super) async fn place(&self, want: Want) -> Result<Place<'_>> {
        scope::checkpoint()?;
        let waiting = {
            let mut state = self.state();
            if let Some(why) = &state.closed {
                return Err(why.clone());
            }
            match state.take(want, self.in_flight, None) {
                Some(grant) => return Ok(Place { board: self, grant }),
                None => state.wait(want),
            }
        };
        let mut waiting = Waiting { board: self, granted: waiting };
        let granted = scope::wait(&mut waiting.granted).await?;
        let grant = granted.unwrap_or(Err(Error::Cancelled(Cancelled::Nursery)))?;
        Ok(Place { board: self, grant })
    }

    /// Returns a place in another worker, if one has room at once.
    pub(super) fn place_beside(&self, taken: usize) -> Option<Place<'_>> {
        let want = Want { worker: None, alone: false };
        let grant = self.state().take(want, self.in_flight, Some(taken))?;
        Some(Place { board: self, grant })
    }

    /// A worker is up: it takes calls.
    pub(super) fn set_up(&self, worker: usize, portal: Portal) {
        let mut state = self.state();
        let now = &mut state.workers[worker];
        (now.portal, now.left, now.ended) = (Some(portal), self.most_calls, 0);
        state.serve(worker, self.in_flight);
    }

    /// A worker takes no more calls.
    pub(super) fn set_down(&self, worker: usize) {
        self.state().workers[worker].portal = None;
    }

    /// The process of a place is gone; the worker may have another one already.
    pub(super) fn lose(&self, place: &Place<'_>) {
        let Grant { worker, portal, .. } = &place.grant;
        let mut state = self.state();
        let now = &mut state.workers[*worker].portal;
        now.take_if(|now| now.id() == portal.id());
    }

    /// Takes no more calls at all. Those that wait fail with this.
    pub(super) fn close(&self, why: Error) {
        let mut state = self.state();
        state.closed.get_or_insert(why.clone());
        let State { workers, waiting, suspects, .. } = &mut *state;
        let own = workers.iter_mut().flat_map(|worker| [&mut worker.pinned, &mut worker.pinned_suspects]);
        let all: Vec<_> = own.chain([waiting, suspects]).flat_map(|queue| queue.0.drain(..)).collect();
        drop(state);
        for waiter in all {
            drop(waiter.grant.send(Err(why.clone()))); // it may have left
        }
    }

    /// Waits until a worker has no call.
    pub(super) async fn until_idle(&self, worker: usize) {
        self.until(|state| state.workers[worker].load == 0).await;
    }

    /// Returns whether a worker has ended a call since it was started.
    pub(super) fn was_used(&self, worker: usize) -> bool {
        self.state().workers[worker].ended > 0
    }

    /// Waits until a worker has ended as many calls as it may get.
    pub(super) async fn until_spent(&self, worker: usize) {
        self.until(|state| state.workers[worker].ended >= self.most_calls).await;
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let released = self.released.notified();
            if is_so(&self.state()) {
                return;
            }
            released.await;
        }
    }

    fn release(&self, grant: &Grant) {
        {
            let mut state = self.state();
            let worker = &mut state.workers[grant.worker];
            worker.load -= 1;
            worker.ended += 1;
            worker.is_alone &= !grant.alone;
            state.serve(grant.worker, self.in_flight);
        }
        self.released.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Takes a place, if there is one for a call that has not waited.
    fn take(&mut self, want: Want, in_flight: usize, beside: Option<usize>) -> Option<Grant> {
        let nothing_before = match (want.worker, want.alone) {
            (None, false) => self.waiting.is_empty() && self.suspects.is_empty(),
            (None, true) => self.suspects.is_empty(),
            (Some(worker), false) => self.workers[worker].pinned.is_empty() && self.suspects.is_empty(),
            (Some(worker), true) => self.workers[worker].pinned_suspects.is_empty(),
        };
        if !nothing_before {
            return None;
        }
        let most = if want.alone { 1 } else { in_flight };
        let room = |worker: &Worker| worker.has_room(most) && (want.alone || worker.pinned_suspects.is_empty());
        let number = match want.worker {
            Some(worker) => Some(worker).filter(|worker| room(&self.workers[*worker])),
            None => {
                let free = (0..self.workers.len()).filter(|at| Some(*at) != beside && room(&self.workers[*at]));
                free.min_by_key(|at| self.workers[*at].load)
            }
        };
        self.grant(number?, want.alone)
    }

    fn grant(&mut self, number: usize, alone: bool) -> Option<Grant> {
        let worker = &mut self.workers[number];
        let portal = worker.portal.clone()?;
        worker.load += 1;
        worker.left -= 1;
        worker.is_alone = alone;
        Some(Grant { worker: number, portal, alone })
    }

    fn wait(&mut self, want: Want) -> oneshot::Receiver<Result<Grant>> {
        self.tickets += 1;
        let ticket = self.tickets;
        self.queue(want).push(ticket)
    }

    fn queue(&mut self, want: Want) -> &mut Queue {
        match (want.worker, want.alone) {
            (None, false) => &mut self.waiting,
            (None, true) => &mut self.suspects,
            (Some(worker), false) => &mut self.workers[worker].pinned,
            (Some(worker), true) => &mut self.workers[worker].pinned_suspects,
        }
    }

    /// Gives the places of a worker to calls that wait (invariant 2).
    fn serve(&mut self, number: usize, in_flight: usize) {
        loop {
            let worker = &mut self.workers[number];
            worker.pinned_suspects.forget_left();
            worker.pinned.forget_left();
            self.suspects.forget_left();
            self.waiting.forget_left();
            let suspect = match (worker.pinned_suspects.is_empty(), self.suspects.is_empty()) {
                (false, _) => Some(Want { worker: Some(number), alone: true }),
                (true, false) => Some(Want { worker: None, alone: true }),
                (true, true) => None,
            };
            let is_pinned = worker.pinned.is_before(&self.waiting);
            let want = suspect.unwrap_or(Want { worker: is_pinned.then_some(number), alone: false });
            let most = if want.alone { 1 } else { in_flight };
            if !worker.has_room(most) {
                return;
            }
            let Some(waiter) = self.queue(want).0.pop_front() else { return };
            let Some(grant) = self.grant(number, want.alone) else { return };
            if waiter.grant.send(Ok(grant)).is_err() {
                // It has left just now.
                let worker = &mut self.workers[number];
                worker.load -= 1;
                worker.left += 1;
                worker.is_alone = false;
            }
        }
    }
}

impl Worker {
    /// Returns whether it takes another call, if it may have as many with it.
    fn has_room(&self, most: usize) -> bool {
        self.portal.is_some() && !self.is_alone && self.load < most && self.left > 0
    }
}

/// Calls that wait for a place, in order.
#[derive(Default)]
struct Queue(VecDeque<Waiter>);

struct Waiter {
    ticket: u64,
    grant: oneshot::Sender<Result<Grant>>,
}

impl Queue {
    fn push(&mut self, ticket: u64) -> oneshot::Receiver<Result<Grant>> {
        let (grant, granted) = oneshot::channel();
        // Those that have left are forgotten before they are more than those that wait.
        if self.0.len() == self.0.capacity() {
            self.0.retain(|waiter| !waiter.grant.is_closed());
        }
        self.0.push_back(Waiter { ticket, grant });
        granted
    }

    /// Returns whether the first one of this queue has waited longer than that of the other.
    fn is_before(&self, other: &Self) -> bool {
        let first = |queue: &Self| queue.0.front().map_or(u64::MAX, |waiter| waiter.ticket);
        first(self) < first(other)
    }

    /// Forgets those in front that have left.
    fn forget_left(&mut self) {
        while self.0.front().is_some_and(|waiter| waiter.grant.is_closed()) {
            self.0.pop_front();
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A call that waits; if it is dropped after it was given a place, the place goes to the next.
struct Waiting<'a> {
    board: &'a Board,
    granted: oneshot::Receiver<Result<Grant>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.granted.close();
        if let Ok(Ok(grant)) = self.granted.try_recv() {
            self.board.release(&grant);
        }
    }
}
