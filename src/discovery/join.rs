//! How an actor finds its registry, and what it passes on to its children.
//!
//! | actor | how it is registered |
//! |---|---|
//! | a root, by default | it is the registrar of its own tree |
//! | a root with [`Config::registry`](crate::Config::registry) | it joins the registrar there, or becomes it |
//! | a child of the registrar | by the connection to its parent |
//! | an actor in a tree whose `registry` is an etcd | by a lease there |
//! | an actor in a sandbox | as by the first three, or not at all: it makes no connection but the one to its parent |
//! | any other | by a connection to each registrar, made before the one to its parent |

use std::sync::Arc;

use super::election::{Elected, elect};
use super::external::outside;
use super::registrar;
use super::remote_registry::RemoteRegistry;
use crate::error::Result;
use crate::os::sandbox;
use crate::registry::names::Names;
use crate::registry::{RegistrarAddr, Registry};
use crate::runtime::Runtime;

/// Has a root found, or be, the registrar of its tree.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config), [`Error::Registry`](crate::Error::Registry); the errors of listening.
///
/// # Cancel safety
/// If dropped, the actor has to end.
pub(crate) async fn join_as_root(runtime: &Arc<Runtime>) -> Result<()> {
    if let Some(registry) = outside(runtime).await? {
        return join_outside(runtime, registry).await;
    }
    match elect(runtime).await? {
        Elected::Registrar(reserved) => {
            runtime.expose(registrar::MODULE.to_owned());
            // Before any peer is admitted: each admitted peer gets an entry.
            let names = runtime.set_names(Names::of_registrar())?;
            names.register(runtime.registered().await).await?;
            runtime.listen_at(reserved).await?;
            runtime.listen_as_configured().await
        }
        Elected::Member(registrars) => {
            runtime.listen_everywhere().await?;
            let remote_registry = Arc::new(RemoteRegistry::new(runtime, registrars.clone()));
            runtime.set_names(Names::of_member(remote_registry, registrars))?.register(runtime.registered().await).await
        }
    }
}

/// Has a child listen, and entered wherever its parent's connection does not do that.
///
/// # Errors
/// The errors of listening.
///
/// # Cancel safety
/// If dropped, the actor has to end.
pub(crate) async fn join_as_child(runtime: &Arc<Runtime>) -> Result<()> {
    let inherited = runtime.identity.inherited_registrars().to_vec();
    if sandbox::is_confined() {
        let remote_registry = Arc::new(RemoteRegistry::new(runtime, Vec::new()));
        return runtime.set_names(Names::of_member(remote_registry, inherited)).map(drop);
    }
    if let Some(registry) = outside(runtime).await? {
        return join_outside(runtime, registry).await;
    }
    runtime.listen_everywhere().await?;
    let is_parent =
        |registrar: &RegistrarAddr| registrar.who.is_some() && registrar.who.as_ref() == runtime.identity.parent();
    // Nothing to hold then.
    let registrars = if inherited.iter().any(is_parent) { Vec::new() } else { inherited.clone() };
    let remote_registry = Arc::new(RemoteRegistry::new(runtime, registrars));
    runtime.set_names(Names::of_member(remote_registry, inherited))?.register(runtime.registered().await).await
}

async fn join_outside(runtime: &Arc<Runtime>, registry: Arc<dyn Registry>) -> Result<()> {
    runtime.listen_everywhere().await?;
    runtime.set_names(Names::external(registry))?.register(runtime.registered().await).await
}
