//! The transports that this build has; the only file that names their crates.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

#[cfg(any(feature = "tls", feature = "quic"))]
pub use pleach_tls as tls;
#[cfg(any(feature = "tls", feature = "quic"))]
use pleach_tls::identity;
use pleach_wire::registry::Duplicate;
use pleach_wire::{Codec, Json, Key, Msgpack, Protocol, Registry, TlsIdentity, TransportError, TransportType};

use crate::sync::lock;

/// Adds a transport of your own to those that actors can use.
///
/// Call it first thing in `main`, before [`init`](crate::init), so that child processes know it too:
/// with `#[pleach::main(init = setup)]`, where `setup` is a function that calls this.
///
/// # Errors
/// [`Duplicate`] when there is one for its codec and protocol already.
pub fn register(transport: TransportType) -> Result<(), Duplicate> {
    // The lock is taken first, so that of two equal ones at the same time one is refused.
    let mut added = added();
    registry_with(&added, false).add(transport.clone())?;
    added.transports.push(transport);
    Ok(())
}

/// Adds a codec of your own to those that actors can use, over each protocol of this build.
///
/// Call it where [`register`] is called. With a protocol of your own it goes by [`register`].
///
/// # Errors
/// [`Duplicate`] when there is one of its name already.
///
/// # Examples
/// See `examples/own_codec.rs`.
pub fn register_codec<C: Codec + Clone>(codec: C) -> Result<(), Duplicate> {
    let mut added = added();
    let mut known = registry_with(&added, false);
    protocols(false).iter().try_for_each(|protocol| known.add(framed(codec.clone(), protocol)))?;
    added.codecs.push(Box::new(move |protocol| framed(codec.clone(), protocol)));
    Ok(())
}

/// Returns all transports that this program knows, for [connections without actors](crate::manual::transports). Its TCP
/// listens on loopback addresses only.
pub fn all() -> Registry {
    registry(false)
}

/// Returns the keys of all transports that this program knows.
pub fn known() -> Vec<Key> {
    registry(false).keys().cloned().collect()
}

/// All transports; TCP listens beyond this host only if `allow_non_loopback`.
pub(crate) fn registry(allow_non_loopback: bool) -> Registry {
    registry_with(&added(), allow_non_loopback)
}

fn registry_with(added: &Added, allow_non_loopback: bool) -> Registry {
    let mut registry = Registry::new();
    let mut add = |transport| {
        registry.add(transport).expect("built-in keys differ, and those that are taken were refused when they came");
    };
    for protocol in &protocols(allow_non_loopback) {
        [framed(Msgpack, protocol), framed(Json, protocol)].into_iter().for_each(&mut add);
        added.codecs.iter().for_each(|codec| add(codec(protocol)));
    }
    added.transports.iter().cloned().for_each(add);
    registry
}

fn protocols(allow_non_loopback: bool) -> Vec<Arc<dyn Protocol>> {
    let _ = allow_non_loopback; // not every set of features has a transport that asks
    vec![
        Arc::new(pleach_mem::Mem),
        #[cfg(feature = "tcp")]
        Arc::new(pleach_tcp::Tcp { allow_non_loopback }),
        #[cfg(feature = "tls")]
        Arc::new(pleach_tcp::TlsTcp),
        #[cfg(feature = "uds")]
        Arc::new(pleach_uds::Uds),
        #[cfg(feature = "quic")]
        Arc::new(pleach_quic::Quic),
        #[cfg(feature = "shm")]
        Arc::new(pleach_shm::Shm),
    ]
}

fn framed<C: Codec + Clone>(codec: C, protocol: &Arc<dyn Protocol>) -> TransportType {
    TransportType::framed(codec, protocol.clone())
}

/// Returns an actor's TLS certificates: those in the directory `certificates`, or else one of the authority that is
/// derived from the tree's `secret`. None in a build that has no use for them.
///
/// # Errors
/// When files can't be read or used, and when the system gives no random bytes.
#[cfg(any(feature = "tls", feature = "quic"))]
pub(crate) fn tls_identity(
    secret: &[u8; 32],
    certificates: Option<&Path>,
) -> Result<Option<TlsIdentity>, TransportError> {
    certificates.map_or_else(|| identity::of_tree(secret), of_the_user).map(Some)
}

/// Reads the user's own certificates, and checks them: peers would refuse invalid ones as well, but this reports all
/// faults to their owner before anything is started.
#[cfg(any(feature = "tls", feature = "quic"))]
fn of_the_user(directory: &Path) -> Result<TlsIdentity, TransportError> {
    let checked = identity::from_pem_files(directory).and_then(|own| match pleach_tls::config::check(&own) {
        Err(TransportError::Tls(why)) => Err(TransportError::Tls(format!("{}: {why}", directory.display()))),
        checked => checked.map(|()| own),
    });
    checked.map_err(|error| match error {
        TransportError::Tls(why) => TransportError::Tls(format!("certificates: {why}")),
        other => other,
    })
}

/// Checks the certificates in a directory.
///
/// # Errors
/// When they can't be read or used, and when this build has no use for them.
#[cfg(any(feature = "tls", feature = "quic"))]
pub(crate) fn check_certificates(directory: &Path) -> Result<(), TransportError> {
    of_the_user(directory).map(drop)
}

/// No transport of this build shows them.
#[cfg(not(any(feature = "tls", feature = "quic")))]
pub(crate) fn check_certificates(_directory: &Path) -> Result<(), TransportError> {
    Err(TransportError::Tls("certificates: this program was built without the features `tls` and `quic`".into()))
}

/// In this build no transport uses TLS.
#[cfg(not(any(feature = "tls", feature = "quic")))]
pub(crate) fn tls_identity(
    _secret: &[u8; 32],
    _certificates: Option<&Path>,
) -> Result<Option<TlsIdentity>, TransportError> {
    Ok(None)
}

/// What the program has added.
struct Added {
    transports: Vec<TransportType>,
    codecs: Vec<OverProtocol>,
}

/// A codec, which makes a transport of a protocol.
type OverProtocol = Box<dyn Fn(&Arc<dyn Protocol>) -> TransportType + Send>;

fn added() -> MutexGuard<'static, Added> {
    lock(&ADDED)
}

static ADDED: Mutex<Added> = Mutex::new(Added { transports: Vec::new(), codecs: Vec::new() });
