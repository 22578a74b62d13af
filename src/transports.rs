//! The transports that this build has; the only file that names their crates.

use std::sync::{Arc, Mutex, PoisonError};

use pleach_wire::{Codec, Json, Key, Msgpack, Protocol, Registry, TlsIdentity, TransportType};

use crate::config::Config;
use crate::error::{Error, Result};

/// Adds a transport of your own to those that actors can be told to use.
///
/// Call it first thing in `main`, before [`init`](crate::init), so that child processes know it too:
/// with `#[pleach::main(init = setup)]`, where `setup` is a function that calls this.
///
/// # Errors
/// [`Error::Config`] when there is one for its codec and protocol already.
pub fn register(transport: TransportType) -> Result<()> {
    let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = transport.key();
    let taken = added.iter().any(|other| other.key() == key) || built_in(&Config::default())?.find(&key).is_ok();
    if taken {
        return Err(Error::Config(pleach_wire::registry::Duplicate(key).to_string()));
    }
    added.push(transport);
    Ok(())
}

/// Returns the keys of all transports that this program knows.
///
/// # Errors
/// As [`register`]; never in practice.
pub fn known() -> Result<Vec<Key>> {
    Ok(registry(&Config::default())?.keys().cloned().collect())
}

/// Loads the configuration as [`Config::load`] does, for the transports of this program.
///
/// # Errors
/// [`Error::Config`] names the file or the variable, and what is allowed there.
pub fn load_config() -> Result<Config> {
    Config::load(&known()?)
}

/// All transports, as `config` wants them.
pub(crate) fn registry(config: &Config) -> Result<Registry> {
    let mut registry = built_in(config)?;
    for transport in ADDED.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        registry.add(transport.clone()).map_err(|duplicate| Error::Config(duplicate.to_string()))?;
    }
    Ok(registry)
}

fn built_in(config: &Config) -> Result<Registry> {
    let protocols: Vec<Arc<dyn Protocol>> = vec![
        Arc::new(pleach_mem::Mem),
        #[cfg(feature = "tcp")]
        Arc::new(pleach_tcp::Tcp { allow_non_loopback: config.allow_non_loopback }),
        #[cfg(feature = "uds")]
        Arc::new(pleach_uds::Uds),
        #[cfg(feature = "quic")]
        Arc::new(pleach_quic::Quic),
    ];
    let _ = config; // not every set of features has a transport with settings
    let mut registry = Registry::new();
    for protocol in protocols {
        add(&mut registry, Msgpack, &protocol)?;
        add(&mut registry, Json, &protocol)?;
    }
    Ok(registry)
}

fn add<C: Codec + Clone>(registry: &mut Registry, codec: C, protocol: &Arc<dyn Protocol>) -> Result<()> {
    let transport = TransportType::framed(codec, protocol.clone());
    registry.add(transport).map_err(|duplicate| Error::Config(duplicate.to_string()))
}

/// Makes what a tree shows to prove itself over TLS, if the protocol uses it.
///
/// # Errors
/// When the system gives no random bytes.
pub(crate) fn new_identity(protocol: &str) -> Result<Option<TlsIdentity>> {
    match protocol {
        #[cfg(feature = "quic")]
        "quic" => Ok(Some(pleach_quic::identity::generate()?)),
        _ => Ok(None),
    }
}

static ADDED: Mutex<Vec<TransportType>> = Mutex::new(Vec::new());
