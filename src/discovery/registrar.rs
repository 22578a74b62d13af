//! The functions of a registrar, which every member of its tree may call.
//!
//! Registration is not a call: every actor that is connected to the registrar is in its table, under its identity from
//! the handshake, until its last connection has ended. They are ordinary exposed functions of this module, which only a
//! registrar has opened: `get_registry().await?.run(registrar::list())`.

#![expect(
    unsafe_code,
    reason = "the entry of an exposed function in the link-time table is a static in a section of its own"
)]

use std::sync::Arc;

use super::Registered;
use crate::error::{Error, Result};
use crate::registry::table::Table;
use crate::runtime::current;
use crate::scope;

/// Returns all actors of this name, newest first.
///
/// # Errors
/// [`Error::Usage`] where this actor is not a registrar.
#[pleach::rpc]
pub async fn find(name: String) -> Result<Vec<Registered>> {
    Ok(table()?.find(&name))
}

/// Waits until there is an actor of this name, and returns all, newest first.
///
/// # Errors
/// As [`find`].
///
/// # Cancel safety
/// If dropped, nothing stays.
#[pleach::rpc]
pub async fn wait_for(name: String) -> Result<Vec<Registered>> {
    scope::wait(table()?.wait_for(&name)).await
}

/// Returns all actors, in the order of registration.
///
/// # Errors
/// As [`find`].
#[pleach::rpc]
pub async fn list() -> Result<Vec<Registered>> {
    Ok(table()?.list())
}

/// Removes an actor that a caller could not reach, unless a newer incarnation of it is registered.
///
/// # Errors
/// As [`find`].
#[pleach::rpc]
pub async fn remove(stale: Registered) -> Result<()> {
    table()?.remove(&stale.who, stale.incarnation);
    Ok(())
}

/// Returns whether an actor is entered with this incarnation or a newer one.
///
/// # Errors
/// As [`find`].
#[pleach::rpc]
pub async fn knows(actor: Registered) -> Result<bool> {
    Ok(table()?.knows(actor.who.uuid(), actor.incarnation))
}

fn table() -> Result<Arc<Table>> {
    let table = current().and_then(|actor| actor.table().cloned());
    table.ok_or_else(|| Error::Usage("this actor is not a registrar: ask the one that `get_registry` leads to".into()))
}

/// The module to be opened in a registrar.
pub(crate) const MODULE: &str = module_path!();
