//! How an actor finds its registry, and what it passes on to its children.
//!
//! | actor | how it is registered |
//! |---|---|
//! | a root, by default | it is the registrar of its own tree |
//! | a root with [`Config::registry`](crate::Config::registry) | it joins the registrar there, or becomes it |
//! | a child of the registrar | by the connection to its parent |
//! | an actor in a tree whose `registry` is an etcd | by a lease there |
//! | any other | by a connection to each registrar, made before the one to its parent |

use std::sync::{Arc, Mutex, PoisonError};

use super::election::{Elected, elect};
use super::external::outside;
use super::registrar::{self, Local};
use super::remote_registry::RemoteRegistry;
use super::table::Table;
use super::{Endpoint, Registered, RegistrarAddr, Registration, Registry};
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// How an actor finds others, and is found.
#[derive(Debug)]
pub(crate) struct Names {
    role: Role,
    /// The actor's own entry, if it is not a connection's.
    entry: Mutex<Option<Box<dyn Registration>>>,
}

#[derive(Debug)]
enum Role {
    /// It keeps the names itself.
    Registrar(Arc<Table>),
    /// It asks other registrars, and passes their addresses to its children.
    Member(Arc<RemoteRegistry>, Vec<RegistrarAddr>),
    /// It asks the same registry as its children.
    External(Arc<dyn Registry>),
}

impl Names {
    fn new(role: Role) -> Self {
        Self { role, entry: Mutex::default() }
    }

    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        match &self.role {
            Role::Registrar(table) => Arc::new(Local(table.clone())),
            Role::Member(remote_registry, _) => remote_registry.clone(),
            Role::External(registry) => registry.clone(),
        }
    }

    /// Returns the table, if this actor is a registrar.
    pub(crate) fn table(&self) -> Option<&Arc<Table>> {
        match &self.role {
            Role::Registrar(table) => Some(table),
            Role::Member(..) | Role::External(_) => None,
        }
    }

    /// Waits for a connection to a registrar.
    ///
    /// # Errors
    /// When there is none in time.
    pub(crate) async fn registrar(&self) -> Result<Channel> {
        match &self.role {
            Role::Registrar(_) => Err(Error::Usage("this actor is the registrar".into())),
            Role::Member(remote_registry, _) => remote_registry.connected().await,
            Role::External(registry) => Err(Error::Usage(format!(
                "{registry:?} keeps the names, so no actor is the registrar; look actors up with `find_actor`"
            ))),
        }
    }

    async fn register(&self, actor: Registered) -> Result<()> {
        let entry = self.registry().register(actor).await?;
        *self.entry.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        Ok(())
    }

    async fn leave(&self) -> Result<()> {
        let entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner).take();
        match entry {
            Some(entry) => entry.leave().await,
            None => Ok(()),
        }
    }
}

/// Has a root found, or be, the registrar of its tree.
///
/// # Errors
/// [`Error::Config`], [`Error::Registry`]; the errors of listening.
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
            let names = runtime.set_names(Names::new(Role::Registrar(Arc::default())))?;
            names.register(runtime.registered().await).await?;
            runtime.listen_at(reserved).await?;
            runtime.listen_as_configured().await
        }
        Elected::Member(registrars) => {
            runtime.listen_everywhere().await?;
            let remote_registry = Arc::new(RemoteRegistry::new(runtime, registrars.clone()));
            runtime
                .set_names(Names::new(Role::Member(remote_registry, registrars)))?
                .register(runtime.registered().await)
                .await
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
    if let Some(registry) = outside(runtime).await? {
        return join_outside(runtime, registry).await;
    }
    runtime.listen_everywhere().await?;
    let inherited = runtime.inherited_registrars();
    let is_parent = |registrar: &RegistrarAddr| registrar.who.is_some() && registrar.who.as_ref() == runtime.parent();
    // Nothing to hold then.
    let registrars = if inherited.iter().any(is_parent) { Vec::new() } else { inherited.clone() };
    let remote_registry = Arc::new(RemoteRegistry::new(runtime, registrars));
    runtime.set_names(Names::new(Role::Member(remote_registry, inherited)))?.register(runtime.registered().await).await
}

async fn join_outside(runtime: &Arc<Runtime>, registry: Arc<dyn Registry>) -> Result<()> {
    runtime.listen_everywhere().await?;
    runtime.set_names(Names::new(Role::External(registry)))?.register(runtime.registered().await).await
}

impl Runtime {
    /// Returns the table of names, if this actor is the registrar.
    pub(crate) fn table(&self) -> Option<&Arc<Table>> {
        self.names()?.table()
    }

    /// Returns the registrars that this actor passes on to its children.
    pub(crate) async fn registrars(&self) -> Vec<RegistrarAddr> {
        match self.names().map(|names| &names.role) {
            Some(Role::Member(_, registrars)) => registrars.clone(),
            Some(Role::External(_)) => Vec::new(),
            _ => vec![RegistrarAddr { who: Some(self.id().clone()), at: self.endpoints().await }],
        }
    }

    /// Returns this actor as others are to find it.
    pub(crate) async fn registered(&self) -> Registered {
        self.registered_at(self.endpoints().await)
    }

    /// Notes in the table of a registrar where it listens itself.
    pub(crate) fn update_entry(&self, listening: Vec<Endpoint>) {
        if let Some(table) = self.table() {
            table.update(&self.registered_at(listening));
        }
    }

    /// Removes the entry of an actor whose process this one has seen end: it can't come back, in any incarnation. The
    /// registrar may not notice that from where it runs.
    pub(crate) async fn take_out_dead(&self, who: &ActorId) {
        let Some(names) = self.names().filter(|_| !self.end_requested()) else { return };
        let dead = Registered { who: who.clone(), incarnation: u64::MAX, listening: Vec::new() };
        let (registry, bound) = (names.registry(), self.config().deregister);
        let removed = tokio::time::timeout(bound, registry.remove(&dead)).await;
        match removed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(target: "pleach::runtime", actor = %who, %error, "dead, and still registered"),
            Err(_late) => debug!(target: "pleach::runtime", actor = %who, ?bound, "dead, and not removed in time"),
        }
    }

    /// Takes this actor's own entry out, and waits for that.
    pub(crate) async fn deregister(&self) {
        if let Some(names) = self.names()
            && let Err(error) = names.leave().await
        {
            debug!(target: "pleach::runtime", actor = %self.id(), %error, "not deregistered");
        }
    }
}
