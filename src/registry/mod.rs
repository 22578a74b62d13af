//! The registry: which actors there are, by name.
//!
//! It dials no actor and knows none that runs; how an actor comes to its registry is the business of
//! [`discovery`](crate::discovery).
//!
//! | file | station |
//! |---|---|
//! | this one | the seam, and its types |
//! | [`table`] | the registered actors, by name |
//! | [`names`] | an actor's view: the registry that it uses, and its own entry there |
//!
//! What must stay true of every registry stands there, where a program that implements one reads it.

pub(crate) mod names;
pub(crate) mod table;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::actor::ActorId;
use crate::channel::Channel;
use crate::error::Result;
use crate::proto::handshake::Endpoint;

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

/// A registry that is asked over connections to its registrars.
#[async_trait::async_trait]
pub(crate) trait Registrars: Registry {
    /// Waits for a connection to a registrar, to the nearest one that has one.
    ///
    /// # Errors
    /// When there is none in time.
    async fn connected(&self) -> Result<Channel>;
}
