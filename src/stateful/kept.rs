//! Which process has the place of a supervised child now, for the actors that a handle on it was sent to.
//!
//! A name would not do: several supervisors may have children of one name. So a handle tells of the actor that supervises
//! and of the supervisor, and an actor that has it asks there.

#![expect(unsafe_code, reason = "the entry in the table of exposed functions has a section of its own")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::actor::ActorId;
use crate::error::{Error, Result};
use crate::nursery::supervise::{Supervisor, WeakSupervisor};
use crate::sync::lock;

/// The supervisors of this process whose handles were sent to others, by their keys.
static KEPT: Mutex<BTreeMap<u64, WeakSupervisor>> = Mutex::new(BTreeMap::new());

/// Lets other actors ask for the children of a supervisor. Returns the actor to be asked, and the supervisor's key.
pub(super) fn keeper_of(supervisor: &Supervisor) -> (ActorId, u64) {
    let key = supervisor.key();
    {
        let mut kept = lock(&KEPT);
        kept.retain(|_, supervisor| supervisor.upgrade().is_some());
        kept.insert(key, supervisor.downgrade());
    }
    (supervisor.expose(module_path!()), key)
}

/// Returns the process that is a child now, which has a name and a number; waits while it is being started again.
#[pleach::rpc]
pub(super) async fn current(keeper: u64, child: String, number: u64) -> Result<ActorId> {
    let supervisor = lock(&KEPT).get(&keeper).and_then(WeakSupervisor::upgrade);
    let supervisor = supervisor.ok_or_else(|| Error::Closed(format!("the supervisor of `{child}` has ended")))?;
    let found = supervisor.child(&child)?;
    if found.number() != number {
        return Err(Error::Closed(format!(
            "`{child}` was removed from its supervisor, and another one was added since"
        )));
    }
    Ok(found.portal().await?.id().clone())
}
