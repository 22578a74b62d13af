//! An actor's view of the names of its tree: the registry that it uses, and its own entry there.

use std::sync::{Arc, Mutex};

use super::table::{Hold, Table};
use super::{Registered, RegistrarAddr, Registrars, Registration, Registry};
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::scope;
use crate::sync::lock;

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
    Member(Arc<dyn Registrars>, Vec<RegistrarAddr>),
    /// It asks the same registry as its children.
    External(Arc<dyn Registry>),
}

impl Names {
    /// Those of an actor that keeps the names itself.
    pub(crate) fn of_registrar() -> Self {
        Self::new(Role::Registrar(Arc::default()))
    }

    /// Those of an actor that asks others, and passes `registrars` to its children.
    pub(crate) fn of_member(asked: Arc<dyn Registrars>, registrars: Vec<RegistrarAddr>) -> Self {
        Self::new(Role::Member(asked, registrars))
    }

    /// Those of an actor in a tree whose names no actor keeps.
    pub(crate) fn external(registry: Arc<dyn Registry>) -> Self {
        Self::new(Role::External(registry))
    }

    fn new(role: Role) -> Self {
        Self { role, entry: Mutex::default() }
    }

    pub(crate) fn registry(&self) -> Arc<dyn Registry> {
        match &self.role {
            Role::Registrar(table) => Arc::new(Local(table.clone())),
            Role::Member(registrars, _) => registrars.clone(),
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

    /// Returns the registrars that children are to ask; `None` if this actor is the registrar.
    pub(crate) fn registrars(&self) -> Option<&[RegistrarAddr]> {
        match &self.role {
            Role::Registrar(_) => None,
            Role::Member(_, registrars) => Some(registrars),
            Role::External(_) => Some(&[]),
        }
    }

    /// Waits for a connection to a registrar.
    ///
    /// # Errors
    /// When there is none in time.
    pub(crate) async fn registrar(&self) -> Result<Channel> {
        match &self.role {
            Role::Registrar(_) => Err(Error::Usage("this actor is the registrar".into())),
            Role::Member(registrars, _) => registrars.connected().await,
            Role::External(registry) => Err(Error::Usage(format!(
                "{registry:?} keeps the names, so no actor is the registrar; look actors up with `find_actor`"
            ))),
        }
    }

    /// Enters the actor itself.
    ///
    /// # Errors
    /// When the registry can't be reached.
    pub(crate) async fn register(&self, actor: Registered) -> Result<()> {
        let entry = self.registry().register(actor).await?;
        *lock(&self.entry) = Some(entry);
        Ok(())
    }

    /// Takes the actor's own entry out, and waits for that.
    ///
    /// # Errors
    /// When the registry can't be reached; it notices by itself then.
    pub(crate) async fn leave(&self) -> Result<()> {
        let entry = lock(&self.entry).take();
        match entry {
            Some(entry) => entry.leave().await,
            None => Ok(()),
        }
    }
}

/// The registry as the registrar itself sees it: its own table.
#[derive(Debug)]
struct Local(Arc<Table>);

#[async_trait::async_trait]
impl Registry for Local {
    async fn register(&self, actor: Registered) -> Result<Box<dyn Registration>> {
        Ok(Box::new(Entry(self.0.enter(actor))))
    }

    async fn find(&self, name: &str) -> Result<Vec<Registered>> {
        Ok(self.0.find(name))
    }

    async fn wait_for(&self, name: &str) -> Result<Vec<Registered>> {
        scope::wait(self.0.wait_for(name)).await
    }

    async fn list(&self) -> Result<Vec<Registered>> {
        Ok(self.0.list())
    }

    async fn remove(&self, stale: &Registered) -> Result<()> {
        self.0.remove(&stale.who, stale.incarnation);
        Ok(())
    }
}

/// An entry that its owner holds; nothing, if a newer incarnation is there.
#[derive(Debug)]
struct Entry(Option<Hold>);

#[async_trait::async_trait]
impl Registration for Entry {
    async fn leave(self: Box<Self>) -> Result<()> {
        drop(self.0);
        Ok(())
    }
}
