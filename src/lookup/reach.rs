//! From an entry of the registry to a portal: the connection that is there, or a new one.
//!
//! An entry may be older than the end of its actor. Whoever finds that nobody is there takes it out, so
//! that the next one does not try again.

use std::io::ErrorKind;
use std::sync::Arc;

use pleach_wire::TransportError;

use crate::discovery::{Registered, Registry};
use crate::error::Error;
use crate::portal::Portal;
use crate::runtime::Runtime;
use crate::runtime::dial::is_anothers;

/// What became of an entry.
pub(super) enum Reached {
    Portal(Portal),
    /// Nobody is there; the entry is gone.
    Stale,
    /// It may be there, but it can't be reached.
    No(Error),
}

/// Connects to an actor that was found.
pub(super) async fn reach(runtime: &Arc<Runtime>, registry: &dyn Registry, actor: &Registered) -> Reached {
    let error = match runtime.connect_to(&actor.who, &actor.listening).await {
        Ok(connection) => return Reached::Portal(Portal::connected(connection)),
        Err(error) => error,
    };
    if !nobody_is_there(&error) {
        tracing::warn!(target: "pleach::runtime", actor = %actor.who, %error, "registered, but not reached");
        return Reached::No(error);
    }
    tracing::debug!(target: "pleach::runtime", actor = %actor.who, %error, "registered, but gone");
    match registry.remove(actor).await {
        Ok(()) => Reached::Stale,
        Err(error) => Reached::No(error),
    }
}

/// Whether every address said so. One that only does not answer may be behind a broken network.
fn nobody_is_there(error: &Error) -> bool {
    match error {
        Error::Transport(TransportError::Dial { source, .. }) => {
            matches!(source.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
        }
        Error::Transport(fault) if is_anothers(fault) => true,
        Error::Group(group) => group.errors.iter().all(nobody_is_there),
        _ => false,
    }
}
