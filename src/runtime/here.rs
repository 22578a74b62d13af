//! The actors of this process, for a look at them from a thread that belongs to none.

use std::sync::{Arc, Mutex, Weak};

use pleach_wire::sync::try_lock;

use super::Runtime;
use crate::channel::Channel;
use crate::sync::lock;

/// Returns the actors that run in this process, the oldest first; `None` while one begins.
pub(crate) fn actors_here() -> Option<Vec<Arc<Runtime>>> {
    Some(try_lock(&HERE)?.iter().filter_map(Weak::upgrade).collect())
}

/// Adds one that begins, and forgets those that are gone.
pub(super) fn note(runtime: &Arc<Runtime>) {
    let mut here = lock(&HERE);
    here.retain(|actor| actor.strong_count() > 0);
    here.push(Arc::downgrade(runtime));
}

impl Runtime {
    /// Returns its connections, unless they are changing.
    pub(crate) fn peers_now(&self) -> Option<Vec<Channel>> {
        self.peers.all_now()
    }
}

static HERE: Mutex<Vec<Weak<Runtime>>> = Mutex::new(Vec::new());
