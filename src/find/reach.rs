//! From an entry of the registry to a portal: the connection that is there, or a new one.
//!
//! An entry may be older than the end of its actor. A caller on the actor's own host that finds the address unused
//! removes the entry, so that the next one does not try again. A caller on another host can't tell: the same address
//! leads elsewhere there, or a firewall refuses it; and an actor that is alive would not be registered again.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::TransportError;
use tokio::time::sleep;

use crate::error::Error;
use crate::portal::Portal;
use crate::registry::{Registered, Registry};
use crate::runtime::Runtime;

/// The result of trying an entry.
pub(super) enum Reached {
    Portal(Portal),
    /// The address is unused; the entry was removed.
    Stale,
    /// It may be there, but it can't be reached.
    No(Error),
}

/// Connects to an actor that was found.
pub(super) async fn reach(runtime: &Arc<Runtime>, registry: &dyn Registry, actor: &Registered) -> Reached {
    let mut attempt = 1;
    loop {
        let error = match runtime.connect_to(&actor.who, &actor.listening).await {
            Ok(connection) => return Reached::Portal(Portal::connected(connection)),
            Err(error) => error,
        };
        let is_unused = is_unused_address(&error);
        if is_unused && actor.who.is_at_place_of(runtime.id()) {
            debug!(target: "pleach::runtime", actor = %actor.who, %error, "registered, but ended");
            return match registry.remove(actor).await {
                Ok(()) => Reached::Stale,
                Err(error) => Reached::No(error),
            };
        }
        // One that ends turns others away, then stops listening, and then its entry goes.
        match registry.find(actor.who.name()).await {
            Ok(found) if !found.iter().any(|one| one.who == actor.who) => return Reached::Stale,
            Ok(_) if attempt < ATTEMPTS && (is_unused || is_turned_away(&error)) => {}
            Ok(_) => {
                warn!(target: "pleach::runtime", actor = %actor.who, %error, "registered, but not reached");
                return Reached::No(error);
            }
            Err(fault) => return Reached::No(fault),
        }
        sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// Whether every address said so. One that does not answer may be behind a broken network.
fn is_unused_address(error: &Error) -> bool {
    each(error, &|fault| match fault {
        TransportError::Dial { source, .. } => {
            matches!(source.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
        }
        fault => matches!(fault, TransportError::WrongPeer(_)),
    })
}

/// Whether the peer hung up before the end of the handshake: it may be ending, or have died just now.
fn is_turned_away(error: &Error) -> bool {
    each(error, &|fault| match fault {
        TransportError::Dial { source, .. } => {
            !matches!(source.kind(), ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
        }
        TransportError::Closed(_) | TransportError::Reset(_) | TransportError::Truncated { .. } => true,
        _ => false,
    })
}

/// Whether this is so of the faults of all addresses.
fn each(error: &Error, is: &dyn Fn(&TransportError) -> bool) -> bool {
    match error {
        Error::Transport(fault) => is(fault),
        Error::Group(group) => group.errors.iter().all(|error| each(error, is)),
        _ => false,
    }
}

/// How often one that hangs up is dialled.
const ATTEMPTS: u32 = 5;

/// After the first attempt; each further one is as much longer. Together they take half a second.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_says_takes_no_entry_out() {
        let said = "the listener refuses: actor `x` answers at tcp://127.0.0.1:1 instead of actor `y`";
        assert!(!is_unused_address(&TransportError::Handshake(said.into()).into()));
        let [address, wanted, found] = ["tcp://127.0.0.1:1", "actor `y`", "actor `x`"].map(str::to_owned);
        let found = TransportError::WrongPeer(Box::new(pleach_wire::WrongPeer { address, wanted, found }));
        assert!(is_unused_address(&found.into()));
    }
}
