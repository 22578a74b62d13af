//! Is there a registrar already, or is it to be this root?
//!
//! The root asks all configured addresses at once, by a handshake that leaves no trace. It joins any registrar. If
//! there is none, it binds every address before it accepts a peer; if another root was faster, it asks again. An
//! address taken by anything else is an error that names it.
//!
//! ```text
//! ask ──a registrar──► join it
//!  ▲└──taken──► error
//!  │└───none───► bind all ──► be the registrar
//!  └────pause──── one is taken now
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use pleach_wire::{Address, Key, TransportError};
use tokio::time::{Instant, sleep};

use super::Endpoint;
use crate::error::{Error, Result};
use crate::proto::handshake::{Introduction, REGISTRAR};
use crate::registry::RegistrarAddr;
use crate::runtime::{Reserved, Runtime};

/// The outcome of an election for a root.
pub(super) enum Elected {
    /// To keep the names, and to accept connections at these addresses.
    Registrar(Vec<Reserved>),
    /// To join the registrars at these.
    Member(Vec<RegistrarAddr>),
}

/// The state of an address.
#[derive(Debug)]
enum Found {
    Registrar(Box<Introduction>),
    Free,
    /// A peer that accepted the connection, and then was silent for too long.
    Silent,
    Taken(String),
}

/// Finds out whether this root becomes a registrar, or which ones it joins.
///
/// # Errors
/// [`Error::Config`] when the settings contradict each other; [`Error::Registry`] when an address is taken by anything
/// but a registrar of this tree, or there is one although `ensure_registry` is set, or it can't be bound.
///
/// # Cancel safety
/// If dropped, nothing is left.
pub(super) async fn elect(runtime: &Arc<Runtime>) -> Result<Elected> {
    let config = runtime.config();
    if config.registry.is_empty() {
        return Ok(Elected::Registrar(Vec::new()));
    }
    if config.key_file.is_none() {
        return Err(Error::Config(
            "`registry` is set, but no `key_file`: programs join each other only if they know the same key; set \
             `key_file` (PLEACH_KEY_FILE) to the same file for each, it is made if it is missing"
                .into(),
        ));
    }
    let mut addresses = config.registry.clone();
    // In one order everywhere: of two roots that bind at once, one is first at the first address, and has won.
    addresses.sort();
    addresses.dedup();
    let endpoint =
        |at: &Address| Endpoint { transport: Key::new(&config.codec, at.protocol()), address: at.to_string() };
    let at: Vec<Endpoint> = addresses.iter().map(endpoint).collect();
    for endpoint in &at {
        runtime
            .registry()
            .find(&endpoint.transport)
            .map_err(|error| fault(endpoint, format!("can't be dialled: {error}")))?;
    }
    let until = Instant::now() + TOTAL;
    let mut faults = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let patience = ATTEMPT.min(until.saturating_duration_since(Instant::now()));
        let found = join_all(at.iter().map(|at| ask(runtime, at, patience))).await;
        let registrars = registrars(&at, &found);
        match registrars.is_empty() {
            false if config.ensure_registry => return Err(not_alone(&at, &found)),
            false => return Ok(Elected::Member(registrars)),
            true => {}
        }
        faults = at.iter().zip(&found).filter_map(|(at, found)| Some(fault(at, found.in_the_way()?))).collect();
        if found.iter().any(|found| matches!(found, Found::Taken(_))) {
            break;
        }
        if faults.is_empty() {
            match bind_all(runtime, &at, &addresses).await {
                Ok(reserved) => return Ok(Elected::Registrar(reserved)),
                Err(fault) => faults = vec![fault],
            }
        }
        let pause = PAUSE * attempt;
        if attempt == ATTEMPTS || Instant::now() + pause >= until {
            break;
        }
        sleep(pause).await;
    }
    Error::join(faults)?;
    Err(Error::Config("`registry` names no address".into()))
}

async fn ask(runtime: &Arc<Runtime>, at: &Endpoint, patience: Duration) -> Found {
    match runtime.probe(at, patience).await {
        Ok(Some(member)) if member.features & REGISTRAR != 0 => Found::Registrar(Box::new(member)),
        Ok(Some(member)) => {
            Found::Taken(format!("is taken by {}, which is not a registrar: choose another address", member.who))
        }
        Ok(None) => Found::Silent,
        Err(Error::Transport(error @ TransportError::Dial { .. })) => {
            debug!(target: "pleach::runtime", address = at.address, %error, "no registrar there");
            Found::Free
        }
        Err(error) => Found::Taken(format!(
            "is taken, but not by a registrar of this tree: {error} (programs that join each other need the same \
             `key_file`, and the same `codec`)"
        )),
    }
}

impl Found {
    /// Says why the address can't be used, unless it is free.
    fn in_the_way(&self) -> Option<String> {
        match self {
            Self::Registrar(_) | Self::Free => None,
            Self::Silent => Some(format!(
                "is taken, but does not answer within {:?}: not a registrar, or a stopped one",
                ATTEMPT / 2
            )),
            Self::Taken(why) => Some(why.clone()),
        }
    }
}

/// The registrars that were found, each once.
fn registrars(at: &[Endpoint], found: &[Found]) -> Vec<RegistrarAddr> {
    let mut registrars: Vec<(&Introduction, RegistrarAddr)> = Vec::new();
    for (at, found) in at.iter().zip(found) {
        let Found::Registrar(member) = found else { continue };
        match registrars.iter_mut().find(|(known, _)| known.who == member.who) {
            Some((_, registrar)) => registrar.at.push(at.clone()),
            None => registrars.push((member, RegistrarAddr { who: None, at: vec![at.clone()] })),
        }
    }
    registrars.into_iter().map(|(_, registrar)| registrar).collect()
}

async fn bind_all(runtime: &Arc<Runtime>, at: &[Endpoint], addresses: &[Address]) -> Result<Vec<Reserved>> {
    let mut reserved = Vec::new();
    for (at, address) in at.iter().zip(addresses) {
        match runtime.reserve(&at.transport, address).await {
            Ok(one) => reserved.push(one),
            Err(error) => {
                for one in reserved {
                    Reserved::close(one).await;
                }
                return Err(fault(at, format!("has no registrar, and can't be bound here: {error}")));
            }
        }
    }
    Ok(reserved)
}

fn not_alone(at: &[Endpoint], found: &[Found]) -> Error {
    let there = at.iter().zip(found).find_map(|(at, found)| match found {
        Found::Registrar(member) => Some(fault(
            at,
            format!("already has the registrar {}, and `ensure_registry` requires this root to be it", member.who),
        )),
        _ => None,
    });
    there.unwrap_or_else(|| Error::Config("`ensure_registry` is set, and there is a registrar".into()))
}

fn fault(at: &Endpoint, why: impl fmt::Display) -> Error {
    Error::Registry { address: at.address.clone(), why: why.to_string() }
}

/// All of it.
const TOTAL: Duration = Duration::from_secs(3);

/// One look at one address.
const ATTEMPT: Duration = Duration::from_secs(1);

/// How often.
const ATTEMPTS: u32 = 3;

/// After the first attempt; after the second twice as long.
const PAUSE: Duration = Duration::from_millis(50);
