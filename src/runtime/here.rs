//! The actors of this process, for a look at them from a thread that belongs to none.

use std::sync::{Arc, Mutex, Weak};

use pleach_wire::sync::try_lock;
use tokio::runtime::{Handle, Id};

use super::Runtime;
#[cfg(feature = "testing")]
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::sync::lock;

/// Returns the actors that run in this process, the oldest first; `None` while one begins.
pub(crate) fn actors_here() -> Option<Vec<Arc<Runtime>>> {
    Some(try_lock(&HERE)?.iter().filter_map(|began| began.actor.upgrade()).collect())
}

/// Adds one that begins, and forgets those that are gone.
pub(super) fn note(runtime: &Arc<Runtime>) {
    let mut here = lock(&HERE);
    here.retain(|began| began.actor.strong_count() > 0);
    // Code of no task there belongs to the root.
    let is_guest = runtime.tasks.group().is_some();
    let tokio = Handle::try_current().ok().filter(|_| !is_guest).map(|tokio| tokio.id());
    here.push(Began { actor: Arc::downgrade(runtime), tokio });
}

/// Returns the oldest actor that began in this async runtime, of those that are `fit`.
pub(super) fn began_in(tokio: Id, fit: impl Fn(&Runtime) -> bool) -> Option<Arc<Runtime>> {
    let here = lock(&HERE);
    let mut there = here.iter().filter(|began| began.tokio == Some(tokio)).filter_map(|began| began.actor.upgrade());
    there.find(|actor| fit(actor))
}

/// Returns the actors of a tree that run in this process and have not ended; `tree` is the uuid of its root.
#[cfg(feature = "testing")]
pub(crate) fn actors_in(tree: uuid::Uuid) -> Vec<ActorId> {
    let here = lock(&HERE);
    let there = here.iter().filter_map(|began| began.actor.upgrade());
    let there = there.filter(|actor| actor.identity.tree() == tree && !actor.lifecycle.has_ended());
    there.map(|actor| actor.id().clone()).collect()
}

/// An actor, and the async runtime in which it began, if that is its own.
struct Began {
    actor: Weak<Runtime>,
    tokio: Option<Id>,
}

impl Runtime {
    /// Returns its connections, unless they are changing.
    pub(crate) fn peers_now(&self) -> Option<Vec<Channel>> {
        self.peers.all_now()
    }
}

static HERE: Mutex<Vec<Began>> = Mutex::new(Vec::new());
