//! Registries outside of all trees: an etcd, which outlives them.
//!
//! Each actor registers there by itself; no actor is a registrar.

use std::sync::Arc;

use super::Registry;
use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// Connects to the registry outside, if the configuration names one.
///
/// # Errors
/// [`Error::Config`] when its settings can't work; the errors of connecting.
///
/// # Cancel safety
/// If dropped, the connection is closed.
pub(super) async fn outside(runtime: &Arc<Runtime>) -> Result<Option<Arc<dyn Registry>>> {
    let config = runtime.config();
    let is_etcd = |address: &&pleach_wire::Address| matches!(address.protocol(), "etcd" | "tls+etcd");
    let Some(etcd) = config.registry.iter().find(is_etcd) else { return Ok(None) };
    let faulty = |why: &str| Err(Error::Config(format!("`registry` names an etcd {why}")));
    if config.registry.len() > 1 {
        return faulty("and something else: name one etcd alone, with all members of its cluster in one address");
    }
    if config.ensure_registry {
        return faulty("that keeps the names, and `ensure_registry` wants the root to: choose one");
    }
    if config.key_file.is_none() {
        return faulty(
            "where others find this tree, but there is no `key_file`: programs call each other only if they know the \
             same key; set `key_file` (PLEACH_KEY_FILE) to the same file for each, it is made if it is missing",
        );
    }
    connect(runtime, &etcd.to_string()).await.map(Some)
}

#[cfg(feature = "etcd")]
async fn connect(runtime: &Arc<Runtime>, address: &str) -> Result<Arc<dyn Registry>> {
    let (config, tasks) = (runtime.config(), runtime.tasks.services());
    Ok(Arc::new(super::etcd::Etcd::connect(address, config.lease, config.dial, tasks).await?))
}

#[cfg(not(feature = "etcd"))]
async fn connect(_runtime: &Arc<Runtime>, _address: &str) -> Result<Arc<dyn Registry>> {
    Err(Error::Config(
        "`registry` names an etcd, which this build does not support: build with the feature `etcd`".into(),
    ))
}
