//! Which worker takes which call: places, and the calls that wait for one.
//!
//! It knows neither processes nor results. A call takes a place, and gives it back by dropping it.
//!
//! # Invariants
//! 1. A worker that is up has as many calls as it may at most; one that has a call to itself has no other.
//! 2. Calls wait only while no worker could take them. Those that need a worker for themselves come first: while one
//!    waits, workers that have calls take no more of them, so each becomes free after those it has.
//! 3. The lock is not held while a place is dropped, or code of the program runs.

mod queue;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

use self::queue::Queue;
use crate::error::{Cancelled, Error, Result};
use crate::scope;
use crate::sync::lock;

/// The workers of a pool and the calls that wait for them.
pub(super) struct Board<P> {
    /// How many calls a worker has at most.
    in_flight: usize,
    /// How many calls a process gets before it is replaced.
    most_calls: u64,
    state: Mutex<State<P>>,
    /// Told when a call has left a worker.
    released: Notify,
}

struct State<P> {
    workers: Vec<Worker<P>>,
    /// Calls for any worker.
    waiting: Queue<P>,
    /// Calls that need a worker for themselves, any.
    suspects: Queue<P>,
    /// Orders the queues among each other.
    tickets: u64,
    /// Why no call is taken any more.
    closed: Option<Error>,
}

struct Worker<P> {
    /// None while it is started, or about to end.
    process: Option<P>,
    /// The calls that it has.
    load: usize,
    /// Whether the call that it has must be the only one.
    is_alone: bool,
    /// How many calls it may still get before it is replaced.
    left: u64,
    /// How many calls it has ended since it was started.
    ended: u64,
    /// Calls for this worker.
    pinned: Queue<P>,
    /// Calls for this worker that need it for themselves.
    pinned_suspects: Queue<P>,
}

/// Which worker a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// None: any.
    pub(super) worker: Option<usize>,
    /// Whether no other call may be there.
    pub(super) alone: bool,
}

/// The process that a worker is now.
pub(super) trait Process: Clone {
    /// Returns whether it takes no more calls, as far as is known.
    fn is_gone(&self) -> bool;
}

/// A call's place in a worker.
pub(super) struct Place<'a, P: Process> {
    board: &'a Board<P>,
    pub(super) grant: Grant<P>,
}

/// What a place is.
pub(super) struct Grant<P> {
    pub(super) worker: usize,
    pub(super) process: P,
    pub(super) alone: bool,
}

impl<P: Process> Drop for Place<'_, P> {
    fn drop(&mut self) {
        self.board.release(&self.grant);
    }
}

impl<P: Process> Board<P> {
    pub(super) fn new(workers: usize, in_flight: usize, most_calls: u64) -> Self {
        let workers = (0..workers).map(|_| Worker::new()).collect();
        let state = State { workers, waiting: Queue::new(), suspects: Queue::new(), tickets: 0, closed: None };
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
    pub(super) async fn place(&self, want: Want) -> Result<Place<'_, P>> {
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
        let mut waiting = Waiting { board: self, granted: waiting, is_over: false };
        let granted = scope::wait(&mut waiting.granted).await?;
        waiting.is_over = true;
        let grant = granted.unwrap_or(Err(Error::Cancelled(Cancelled::Nursery)))?;
        Ok(Place { board: self, grant })
    }

    /// Returns a place in another worker, if one has room at once.
    pub(super) fn place_beside(&self, taken: usize) -> Option<Place<'_, P>> {
        let want = Want { worker: None, alone: false };
        let grant = self.state().take(want, self.in_flight, Some(taken))?;
        Some(Place { board: self, grant })
    }

    /// A worker is up: it takes calls.
    pub(super) fn set_up(&self, worker: usize, process: P) {
        let mut state = self.state();
        let now = &mut state.workers[worker];
        (now.process, now.left, now.ended) = (Some(process), self.most_calls, 0);
        state.serve(worker, self.in_flight);
    }

    /// A worker takes no more calls.
    pub(super) fn set_down(&self, worker: usize) {
        self.state().workers[worker].process = None;
    }

    /// A call has found its worker gone, which the worker's task may have yet to see.
    pub(super) fn lose(&self, place: &Place<'_, P>) {
        self.state().workers[place.grant.worker].process.take_if(|process| process.is_gone());
    }

    /// Takes no more calls at all. Those that wait fail with this.
    pub(super) fn close(&self, why: Error) {
        let mut state = self.state();
        state.closed.get_or_insert(why.clone());
        let State { workers, waiting, suspects, .. } = &mut *state;
        let own = workers.iter_mut().flat_map(|worker| [&mut worker.pinned, &mut worker.pinned_suspects]);
        let all: Vec<_> = own.chain([waiting, suspects]).flat_map(Queue::drain).collect();
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

    async fn until(&self, is_so: impl Fn(&State<P>) -> bool) {
        loop {
            let released = self.released.notified();
            if is_so(&self.state()) {
                return;
            }
            released.await;
        }
    }

    fn release(&self, grant: &Grant<P>) {
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

    fn state(&self) -> MutexGuard<'_, State<P>> {
        lock(&self.state)
    }
}

impl<P: Process> State<P> {
    /// Takes a place, if there is one for a call that has not waited.
    fn take(&mut self, want: Want, in_flight: usize, beside: Option<usize>) -> Option<Grant<P>> {
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
        let room = |worker: &Worker<P>| worker.has_room(most) && (want.alone || worker.pinned_suspects.is_empty());
        let number = match want.worker {
            Some(worker) => Some(worker).filter(|worker| room(&self.workers[*worker])),
            None => {
                let free = (0..self.workers.len()).filter(|at| Some(*at) != beside && room(&self.workers[*at]));
                free.min_by_key(|at| self.workers[*at].load)
            }
        };
        self.grant(number?, want.alone)
    }

    fn grant(&mut self, number: usize, alone: bool) -> Option<Grant<P>> {
        let worker = &mut self.workers[number];
        let process = worker.process.clone()?;
        worker.load += 1;
        worker.left -= 1;
        worker.is_alone = alone;
        Some(Grant { worker: number, process, alone })
    }

    fn wait(&mut self, want: Want) -> oneshot::Receiver<Result<Grant<P>>> {
        self.tickets += 1;
        let ticket = self.tickets;
        self.queue(want).push(ticket)
    }

    fn queue(&mut self, want: Want) -> &mut Queue<P> {
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
            let Some(waiter) = self.queue(want).pop() else { return };
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

impl<P: Process> Worker<P> {
    const fn new() -> Self {
        Self {
            process: None,
            load: 0,
            is_alone: false,
            left: 0,
            ended: 0,
            pinned: Queue::new(),
            pinned_suspects: Queue::new(),
        }
    }

    /// Returns whether it takes another call, if it may have as many with it.
    fn has_room(&self, most: usize) -> bool {
        self.process.is_some() && !self.is_alone && self.load < most && self.left > 0
    }
}

/// A call that waits. If it is dropped, the place that it may have been given goes to the next, and so do those that
/// were kept free for it.
struct Waiting<'a, P: Process> {
    board: &'a Board<P>,
    granted: oneshot::Receiver<Result<Grant<P>>>,
    is_over: bool,
}

impl<P: Process> Drop for Waiting<'_, P> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.granted.close();
        if let Ok(Ok(grant)) = self.granted.try_recv() {
            self.board.release(&grant);
        }
        let mut state = self.board.state();
        (0..state.workers.len()).for_each(|worker| state.serve(worker, self.board.in_flight));
    }
}
