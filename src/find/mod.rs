//! Portals to actors that are not our children: the root of the tree, the parent, the registrar, and actors that are
//! found by name.
//!
//! | file | station |
//! |---|---|
//! | this one | actors that are known without a name |
//! | `by_name` | names: [`find_actor`], [`wait_for_actor`], [`query_actor`] |
//! | `reach` | from an entry of the registry to a portal |
//!
//! # Invariants
//! 1. A portal from here never closes a connection that was there before it.
//! 2. Nothing here waits without a bound, except for a name that has not been registered yet.

mod by_name;
mod reach;

use std::sync::Arc;

pub use self::by_name::{FindActor, find_actor, query_actor, wait_for_actor};
use crate::error::{Error, Result};
use crate::portal::Portal;
use crate::runtime::handle::Actor;
use crate::runtime::{Runtime, current};
use crate::scope;

/// Returns a portal to the root of the tree that the current code belongs to.
///
/// Functions of the root can be called once it has enabled them with [`Actor::enable`]. A child of the root uses
/// the connection that it has, and dropping the portal leaves that open. Others open one, which ends with
/// their last portal: close it to wait for that. In the root the portal leads back to it, and behaves like
/// any other.
///
/// # Errors
/// [`Error::Usage`] outside of an actor, or when the root listens only where this actor can't reach it
/// (`mem`, from another process); [`Error::Transport`] when it does not answer; [`Error::Cancelled`].
///
/// # Cancel safety
/// If dropped, a connection that was just being opened is closed.
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// #[pleach::rpc]
/// async fn name_of_root() -> Result<String> {
///     Ok(pleach::get_root().await?.id().name().to_owned())
/// }
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     assert_eq!(n.run_in_actor(name_of_root()).await?.result().await?, "root");
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub async fn get_root() -> Result<Portal> {
    Ok(Portal::connected(scope::wait(here()?.connect_to_root()).await??))
}

/// Returns a portal to the actor that keeps the names: the registrar.
///
/// Its functions are those of [`discovery::registrar`](crate::discovery::registrar). By default the registrar is
/// the root of the tree; with [`Config::registry`](crate::Config::registry) it may be another program's. With
/// several, it is one that is connected. The connection is there already, and dropping the portal leaves it open.
///
/// # Errors
/// [`Error::Usage`] outside of an actor, or when an etcd keeps the names; [`Error::Disconnected`] and the like when it
/// is away for longer than `dial`; [`Error::Cancelled`].
///
/// # Cancel safety
/// Nothing is lost.
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// use pleach::discovery::registrar;
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     n.start_actor("worker").await?;
///     for actor in pleach::get_registry().await?.run(registrar::list()).await? {
///         println!("{} is at {:?}", actor.who, actor.listening);
///     }
///     n.cancel().await;
///     Ok(())
/// })
/// .await
/// # }
/// ```
pub async fn get_registry() -> Result<Portal> {
    Ok(Portal::connected(scope::wait(here()?.connect_to_registrar()).await??))
}

/// The actor whose code this is, unless the scope around is cancelled.
fn here() -> Result<Arc<Runtime>> {
    scope::checkpoint()?;
    current().ok_or_else(|| Error::Usage("not inside an actor: open a root or a nursery first".into()))
}

impl Actor {
    /// Returns a portal to the actor that has started this one; the root has none, nor has an actor that
    /// has lost its parent and is about to end.
    ///
    /// It uses the connection that is there, and dropping it leaves that open.
    pub fn parent(&self) -> Option<Portal> {
        self.runtime().parent_connection().map(Portal::connected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outside_of_a_tree_there_is_no_root() {
        let outside = get_root().await.unwrap_err();
        assert_eq!(outside.to_string(), "not inside an actor: open a root or a nursery first");
    }
}
