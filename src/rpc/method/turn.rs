//! The queue before the state of an actor: first come, first served; readers beside each other.
//!
//! # Invariants
//! 1. A turn has its place in the queue from the moment at which it is made, before anything polls it.
//! 2. A turn that is dropped has left the queue; access that is dropped lets the next one in.

use std::future::{Future, ready};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::task::unconstrained;

use super::cell::{Slot, Stage, State};
use crate::callers::CallId;
use crate::error::{Error, Result};

/// A kind of access to the state of an actor.
pub trait Access: Send + Sized + 'static {
    /// The type of the state.
    type State: State;
    /// The lock's own guard.
    type Guard: Send + 'static;

    /// Takes a place in the queue.
    fn queue(slot: &Arc<Slot<Self::State>>) -> Turn<Self::Guard>;

    /// Gives access to the call whose turn it is.
    ///
    /// # Errors
    /// The state is gone.
    fn granted(guard: Self::Guard, slot: Arc<Slot<Self::State>>, call: CallId, method: &'static str) -> Result<Self>;
}

/// A place in the queue. Dropping it leaves the queue.
pub enum Turn<G> {
    /// It was free.
    Taken(G),
    /// Others are before it.
    Waits(BoxFuture<'static, G>),
}

impl<G> Turn<G> {
    /// Waits for its turn. A call that has had the state for long meanwhile is told once: two actors that wait for each
    /// other wait for ever.
    pub(super) async fn taken<S: State>(self, slot: &Slot<S>, method: &str) -> G {
        let mut waits = match self {
            Self::Taken(guard) => return guard,
            Self::Waits(waits) => waits,
        };
        loop {
            match tokio::time::timeout(LONG, &mut waits).await {
                Ok(guard) => return guard,
                Err(_long) => {
                    let has_it = slot.holders_since(LONG);
                    if !has_it.is_empty() {
                        let actor = slot.actor();
                        warn!(target: "pleach::runtime", actor, state = S::NAME, method, ?has_it, since = ?LONG, "a call waits for the state; do two actors wait for each other?");
                    }
                }
            }
        }
    }
}

/// Polls a wait once, so that it is in its queue.
pub(crate) fn queued<G: Send + 'static>(waits: impl Future<Output = G> + Send + 'static) -> BoxFuture<'static, G> {
    // Unconstrained: a task whose budget is used up would not get into the queue.
    let mut waits: BoxFuture<'static, G> = Box::pin(unconstrained(waits));
    match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(guard) => Box::pin(ready(guard)),
        Poll::Pending => waits,
    }
}

/// The state of an actor, for a method that only looks at it. Others may do so at the same time.
pub struct Shared<S: State> {
    guard: OwnedRwLockReadGuard<Stage<S>, S>,
    _held: Held<S>,
}

impl<S: State> Access for Shared<S> {
    type State = S;
    type Guard = OwnedRwLockReadGuard<Stage<S>>;

    fn queue(slot: &Arc<Slot<S>>) -> Turn<Self::Guard> {
        match slot.lock.clone().try_read_owned() {
            Ok(guard) => Turn::Taken(guard),
            Err(_) => Turn::Waits(queued(slot.lock.clone().read_owned())),
        }
    }

    fn granted(guard: Self::Guard, slot: Arc<Slot<S>>, call: CallId, method: &'static str) -> Result<Self> {
        let made = OwnedRwLockReadGuard::try_map(guard, |stage| match stage {
            Stage::Made(state) => Some(state),
            _ => None,
        });
        match made {
            Ok(guard) => Ok(Self { guard, _held: Held::note(slot, call, method) }),
            Err(guard) => Err(gone(&guard)),
        }
    }
}

impl<S: State> Deref for Shared<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.guard
    }
}

/// The state of an actor, for a method that changes it. No other has it meanwhile.
pub struct Exclusive<S: State> {
    guard: OwnedRwLockWriteGuard<Stage<S>>,
    held: Held<S>,
}

impl<S: State> Access for Exclusive<S> {
    type State = S;
    type Guard = OwnedRwLockWriteGuard<Stage<S>>;

    fn queue(slot: &Arc<Slot<S>>) -> Turn<Self::Guard> {
        match slot.lock.clone().try_write_owned() {
            Ok(guard) => Turn::Taken(guard),
            Err(_) => Turn::Waits(queued(slot.lock.clone().write_owned())),
        }
    }

    fn granted(guard: Self::Guard, slot: Arc<Slot<S>>, call: CallId, method: &'static str) -> Result<Self> {
        match &*guard {
            Stage::Made(_) => Ok(Self { guard, held: Held::note(slot, call, method) }),
            stage => Err(gone(stage)),
        }
    }
}

impl<S: State> Deref for Exclusive<S> {
    type Target = S;

    fn deref(&self) -> &S {
        match &*self.guard {
            Stage::Made(state) => state,
            _ => unreachable!("it was made when it was granted, and only this has it"),
        }
    }
}

impl<S: State> DerefMut for Exclusive<S> {
    fn deref_mut(&mut self) -> &mut S {
        match &mut *self.guard {
            Stage::Made(state) => state,
            _ => unreachable!("it was made when it was granted, and only this has it"),
        }
    }
}

impl<S: State> Drop for Exclusive<S> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let why = format!("`{}` was left half-changed by a panic in `{}`", S::NAME, self.held.method);
        // Kept, not dropped: its destructor may panic as well, and that would end the process.
        if let Stage::Made(half_changed) = std::mem::replace(&mut *self.guard, Stage::Unmade) {
            *self.guard = Stage::Gone(why.clone(), Some(half_changed));
        }
        self.held.slot.fail(why);
    }
}

fn gone<S>(stage: &Stage<S>) -> Error {
    Error::Closed(match stage {
        Stage::Gone(why, _) => why.clone(),
        Stage::Unmade | Stage::Made(_) => "the state of the actor is not made".into(),
    })
}

/// The note that a call has the state, which ends with it.
struct Held<S: State> {
    slot: Arc<Slot<S>>,
    call: CallId,
    method: &'static str,
}

impl<S: State> Held<S> {
    fn note(slot: Arc<Slot<S>>, call: CallId, method: &'static str) -> Self {
        slot.note_held(call, method);
        Self { slot, call, method }
    }
}

impl<S: State> Drop for Held<S> {
    fn drop(&mut self) {
        self.slot.note_released(self.call);
    }
}

/// A wait for the state that takes longer is told.
const LONG: Duration = Duration::from_secs(2);
