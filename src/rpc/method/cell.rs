//! The state of an actor: a value of the type that the actor was started with.
//!
//! ```text
//! unmade ──(new has returned)──► made ──(the actor ends)──► gone: handed to `stopping`
//!    └──(new has failed)──► gone          └──(a panic in a method that changes it)──► gone; the actor fails
//! ```
//!
//! # Invariants
//! 1. From the beginning to the end of `new` its maker holds the lock, so that calls queue up behind it.
//! 2. A value that a method has left half-changed is never seen again.

use std::any::Any;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::time::Instant;

use crate::actor::ActorId;
use crate::callers::{CallId, Callers};
use crate::error::{Error, Raised, Result};
use crate::sync::lock;

/// A type whose values are the state of an actor. `#[pleach::actor]` implements it.
pub trait State: Sized + Send + Sync + 'static {
    /// Its path, which is the module of its methods.
    const PATH: &'static str;
    /// Its name.
    const NAME: &'static str;

    /// Ends it with its actor. By default, it is dropped.
    fn stopping(self, why: StopReason) -> impl Future<Output = ()> + Send {
        async move { drop((self, why)) }
    }
}

/// Why an actor with state ends; its `stopping` gets this.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to end: by its nursery, by another actor, or by itself.
    Requested {
        /// The actor that has asked.
        by: ActorId,
    },
    /// Its process got a signal.
    Signal(i32),
    /// Its runtime has failed.
    Failed(Error),
    /// Its parent is gone, and the actor ends in order; most end at once then, without a `stopping`.
    ParentGone,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested { by } => write!(f, "{by} has asked it to end"),
            Self::Signal(signal) => write!(f, "its process got signal {signal}"),
            Self::Failed(error) => write!(f, "it has failed: {error}"),
            Self::ParentGone => f.write_str("its parent is gone"),
        }
    }
}

/// The actor that has a state.
pub(crate) trait Owner: Send + Sync {
    fn id(&self) -> &ActorId;

    /// Returns the actor that has started it.
    fn parent(&self) -> Option<&ActorId>;

    /// Ends the actor: its state is not to be used any more.
    fn fail(&self, failure: Error);
}

/// The place of an actor's state.
pub(crate) struct StateCell {
    /// The path of the type that the actor was started with; none, if it has no state.
    path: Option<String>,
    slot: OnceLock<Arc<dyn AnySlot>>,
    owner: OnceLock<Weak<dyn Owner>>,
}

impl StateCell {
    /// The place of a state of this type, which its parent will have made.
    pub(crate) fn new(path: Option<String>) -> Self {
        Self { path, slot: OnceLock::new(), owner: OnceLock::new() }
    }

    /// Says whose it is.
    pub(crate) fn belongs_to(&self, owner: Weak<dyn Owner>) {
        self.owner.get_or_init(|| owner);
    }

    /// Returns the slot of a state of this type.
    ///
    /// # Errors
    /// The actor was not started with one.
    pub(super) fn slot<S: State>(&self) -> Result<Arc<Slot<S>>> {
        let owner = self.owner.get().and_then(Weak::upgrade).ok_or(Error::Closed("the actor has ended".into()))?;
        let slot = match &self.path {
            Some(path) if path == S::PATH => self.slot.get_or_init(|| Arc::new(Slot::<S>::new(&owner))).clone(),
            _ => return Err(not_one::<S>(owner.id())),
        };
        let slot: Arc<dyn Any + Send + Sync> = slot;
        slot.downcast().map_err(|_| not_one::<S>(owner.id()))
    }

    /// Begins to make it for `peer`.
    ///
    /// # Errors
    /// It is made already, or is for another actor to make.
    pub(super) fn maker<S: State>(&self, peer: &ActorId) -> Result<Maker<S>> {
        let slot = self.slot::<S>()?;
        if slot.owner.upgrade().is_none_or(|owner| owner.parent() != Some(peer)) {
            return Err(Error::Usage(format!("only the parent of an actor makes its `{}`", S::NAME)));
        }
        let unmade = lock(&slot.unmade).take();
        let unmade = unmade.ok_or_else(|| Error::Usage(format!("the actor's `{}` is made already", S::NAME)))?;
        let call = CallId::next();
        slot.note_held(call, "new");
        Ok(Maker { stage: unmade, slot, call })
    }

    /// Hands the state, if there is one, to its `stopping`, once no method has it any more.
    ///
    /// # Cancel safety
    /// If dropped, the state is dropped with it.
    pub(crate) async fn stop(&self, why: StopReason) {
        if let Some(slot) = self.slot.get() {
            slot.clone().stop(why).await;
        }
    }
}

impl fmt::Debug for StateCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateCell({:?})", self.path)
    }
}

fn not_one<S: State>(actor: &ActorId) -> Error {
    let name = S::NAME;
    Error::Usage(format!("{actor} was not started as a `{name}`: `nursery.start({name}::new(…))` starts one"))
}

/// A slot of whatever type.
trait AnySlot: Any + Send + Sync {
    fn stop(self: Arc<Self>, why: StopReason) -> BoxFuture<'static, ()>;
}

/// The state of an actor, behind a lock that is granted in the order of the queue.
pub struct Slot<S> {
    pub(super) lock: Arc<RwLock<Stage<S>>>,
    unmade: Mutex<Option<OwnedRwLockWriteGuard<Stage<S>>>>,
    /// The calls that have it.
    held: Mutex<Vec<Holder>>,
    owner: Weak<dyn Owner>,
}

/// A call that has the state.
struct Holder {
    call: CallId,
    method: &'static str,
    since: Instant,
    /// Whether it has been told that others wait for it.
    told: bool,
}

/// Where it is in its life.
pub enum Stage<S> {
    Unmade,
    Made(S),
    /// Why it can't be used any more; it is kept if it was left half-changed.
    Gone(String, Option<S>),
}

impl<S: State> Slot<S> {
    fn new(owner: &Arc<dyn Owner>) -> Self {
        let lock = Arc::new(RwLock::new(Stage::Unmade));
        let unmade = lock.clone().try_write_owned().ok();
        Self { lock, unmade: Mutex::new(unmade), held: Mutex::default(), owner: Arc::downgrade(owner) }
    }

    /// # Errors
    /// A call that waits for this one has the state, so that both would wait for ever.
    pub(super) fn not_held_by(&self, callers: &Callers, method: &str) -> Result<()> {
        let holder = lock(&self.held).iter().find(|holder| callers.contains(holder.call)).map(|holder| holder.method);
        let Some(holder) = holder else { return Ok(()) };
        let (name, actor) = (S::NAME, self.actor());
        Err(Error::Usage(format!(
            "`{name}::{holder}` of {actor} would wait for itself: it has the state, and waits for a call of \
             `{name}::{method}` of the same actor. Inside of `{name}` write `self.{method}(…)`; if the call comes back by \
             way of another actor, write `{holder}` with `me: Me<Self>`, and have the state only while it is needed"
        )))
    }

    pub(super) fn note_held(&self, call: CallId, method: &'static str) {
        lock(&self.held).push(Holder { call, method, since: Instant::now(), told: false });
    }

    pub(super) fn note_released(&self, call: CallId) {
        let mut held = lock(&self.held);
        if let Some(at) = held.iter().position(|holder| holder.call == call) {
            held.swap_remove(at);
        }
    }

    /// Returns the methods that have had the state for so long, each once: they are to be told of.
    pub(super) fn holders_since(&self, long: Duration) -> Vec<&'static str> {
        let mut held = lock(&self.held);
        let untold = held.iter_mut().filter(|holder| !holder.told && holder.since.elapsed() >= long);
        untold
            .map(|holder| {
                holder.told = true;
                holder.method
            })
            .collect()
    }

    /// Returns the name of the actor, for messages.
    pub(super) fn actor(&self) -> String {
        self.owner.upgrade().map(|owner| owner.id().to_string()).unwrap_or_default()
    }

    /// Fails the actor: a method has panicked while it changed the state.
    pub(super) fn fail(&self, why: String) {
        if let Some(owner) = self.owner.upgrade() {
            owner.fail(Error::Panicked(why));
        }
    }
}

impl<S: State> AnySlot for Slot<S> {
    fn stop(self: Arc<Self>, why: StopReason) -> BoxFuture<'static, ()> {
        // One that was never made: its calls have ended.
        drop(lock(&self.unmade).take());
        Box::pin(async move {
            let mut stage = self.lock.write().await;
            let gone = Stage::Gone(format!("the actor has ended, and its `{}` with it", S::NAME), None);
            match mem::replace(&mut *stage, gone) {
                Stage::Made(state) => {
                    drop(stage);
                    state.stopping(why).await;
                }
                Stage::Unmade => {}
                was_gone => *stage = was_gone,
            }
        })
    }
}

/// The right to make the state. If it is dropped before, the state is gone.
pub(super) struct Maker<S: State> {
    stage: OwnedRwLockWriteGuard<Stage<S>>,
    slot: Arc<Slot<S>>,
    call: CallId,
}

impl<S: State> Maker<S> {
    pub(super) fn call(&self) -> CallId {
        self.call
    }

    /// Makes it.
    ///
    /// # Errors
    /// That of `made`.
    pub(super) async fn make(mut self, made: impl Future<Output = Result<S, Raised>>) -> Result<(), Raised> {
        match made.await {
            Ok(state) => {
                *self.stage = Stage::Made(state);
                Ok(())
            }
            Err(raised) => {
                *self.stage = Stage::Gone(format!("`{}::new` failed: {}", S::NAME, raised.error()), None);
                Err(raised)
            }
        }
    }
}

impl<S: State> Drop for Maker<S> {
    fn drop(&mut self) {
        if let Stage::Unmade = *self.stage {
            *self.stage = Stage::Gone(format!("`{}::new` did not return", S::NAME), None);
        }
        self.slot.note_released(self.call);
    }
}
