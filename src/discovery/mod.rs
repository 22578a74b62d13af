//! Discovery: which actors there are, by name, and where they can be reached.
//!
//! [`Registry`] is the seam: an actor's view of the store of names. It knows nothing of
//! portals; looking an actor up and connecting to it is the business of `find_actor`
//! and its siblings.
//!
//! | file | station |
//! |---|---|
//! | this one | the seam, and its types |
//! | `join` | how an actor finds its registry: a root by election, a child by inheritance |
//! | `election` | is there a registrar already, or does this root become it? |
//! | [`registrar`] | the functions of a registrar |
//! | `table` | the registered actors, by name |
//! | `remote_registry` | the registry as the members of a tree see it |
//! | `registrar_link` | one connection to a registrar, held and re-established |
//! | `external` | a registry outside of the tree |
//! | `etcd` | with the feature `etcd`: the registry in an etcd |
//!
//! By default the root of a tree is its registrar. Being connected to the registrar is being registered:
//! an entry lasts as long as the connection that made it.
//!
//! # What must stay true
//! 1. Names may repeat; a uuid does not. Of two entries with one uuid, the one with the higher
//!    incarnation counts.
//! 2. An entry ends with its actor: the registry notices that an actor has ended, also without a goodbye.
//! 3. An address is compared, and taken as unused, only at the place of its actor: two hosts or networks may use the
//!    same one.

mod election;
#[cfg(feature = "etcd")]
pub mod etcd;
mod external;
mod join;
pub mod registrar;
mod registrar_link;
mod remote_registry;
mod table;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::actor::ActorId;
use crate::call::Call;
use crate::channel::{Channel, call_terms};
pub(crate) use crate::discovery::join::{Names, join_as_child, join_as_root};
use crate::error::Result;
pub use crate::proto::handshake::Endpoint;

/// An actor as a registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Its identity.
    pub who: ActorId,
    /// Tells an actor from its former self before it was lost and came back; higher is newer.
    pub incarnation: u64,
    /// Where it can be reached, in no particular order.
    pub listening: Vec<Endpoint>,
}

/// Where actors are found by name.
#[async_trait::async_trait]
pub trait Registry: Send + Sync + fmt::Debug + 'static {
    /// Enters an actor and keeps it entered, also over a restart of the registry, until
    /// [`Registration::leave`].
    ///
    /// # Errors
    /// When the registry can't be reached.
    ///
    /// # Cancel safety
    /// If dropped, the actor may be entered for as long as the registry keeps one that is silent.
    async fn register(&self, actor: Registered) -> Result<Box<dyn Registration>>;

    /// Returns all actors of this name, newest first; an empty list is not an error.
    ///
    /// # Errors
    /// When the registry can't be reached.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn find(&self, name: &str) -> Result<Vec<Registered>>;

    /// Waits until there is an actor of this name; then as [`find`](Self::find).
    ///
    /// # Errors
    /// As [`find`](Self::find), also when the registry is lost meanwhile and does not come back soon. One
    /// that outlives all programs may be waited for without an end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn wait_for(&self, name: &str) -> Result<Vec<Registered>>;

    /// Returns all actors, in the order in which they registered.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn list(&self) -> Result<Vec<Registered>>;

    /// Takes out the entry of an actor that is sure to be gone, unless there is a newer one of its uuid. An actor
    /// that is alive is not entered again.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    ///
    /// # Cancel safety
    /// If dropped, it may or may not be taken out.
    async fn remove(&self, stale: &Registered) -> Result<()>;
}

/// An actor's entry, while it lasts. Dropping it takes the entry out too, without waiting for that.
#[async_trait::async_trait]
pub trait Registration: Send + Sync + fmt::Debug {
    /// Takes the entry out and waits until it is.
    ///
    /// # Errors
    /// When the registry can't be reached; it notices by itself then.
    ///
    /// # Cancel safety
    /// If dropped, the entry is removed all the same, but without waiting.
    async fn leave(self: Box<Self>) -> Result<()>;
}

/// Where a registrar is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegistrarAddr {
    /// Its identity, if that is fixed: the root of the own tree. At a configured address it may be another actor each
    /// time.
    pub(crate) who: Option<ActorId>,
    pub(crate) at: Vec<Endpoint>,
}

impl fmt::Display for RegistrarAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(who) = &self.who {
            return who.fmt(f);
        }
        let addresses: Vec<_> = self.at.iter().map(|at| &*at.address).collect();
        f.write_str(&addresses.join(", "))
    }
}

/// Runs one of the registrar's functions at the other end of a connection.
async fn ask<T>(channel: &Channel, call: Call<T>) -> Result<T> {
    let (decode, export) = (call.decoder(), call.export());
    let pending = channel.call(call.target(), call.args(), call_terms(export.schema(), None));
    drop(call); // it can't be held across a wait
    let answer = pending?.outcome().await.map_err(|error| export.explain(error))?;
    Ok(decode(&answer)?)
}
