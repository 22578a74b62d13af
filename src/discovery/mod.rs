//! Discovery: which actors there are, by name, and where they can be reached.
//!
//! [`Registry`] is the seam: what an actor needs of whatever keeps the names. It knows nothing of
//! portals; looking an actor up and connecting to it is the business of `find_actor`
//! and its siblings.
//!
//! # What must stay true
//! 1. Names may repeat; a uuid does not. Of two entries with one uuid, the one with the higher
//!    incarnation counts.
//! 2. An entry goes with its actor: whoever keeps the names notices that an actor is gone, also one that
//!    could not say so.

use serde::{Deserialize, Serialize};

use crate::actor::ActorId;
use crate::error::Result;
pub use crate::proto::handshake::Endpoint;

/// An actor as a registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Who it is.
    pub who: ActorId,
    /// Tells an actor from its former self before it was lost and came back; higher is newer.
    pub incarnation: u64,
    /// Where it can be reached, in no particular order.
    pub listening: Vec<Endpoint>,
}

/// Where actors are found by name.
#[async_trait::async_trait]
pub trait Registry: Send + Sync + std::fmt::Debug + 'static {
    /// Enters an actor and keeps it entered, also over a restart of the registry, until
    /// [`Registration::leave`].
    ///
    /// # Errors
    /// When the registry can't be reached.
    ///
    /// # Cancel safety
    /// If dropped, the actor may be entered for as long as the registry keeps one that is silent.
    async fn register(&self, actor: Registered) -> Result<Box<dyn Registration>>;

    /// Returns all actors of this name, newest first; none is no error.
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
    /// As [`find`](Self::find).
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

    /// Takes out an entry that somebody could not reach, unless there is a newer one of its uuid.
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
pub trait Registration: Send + Sync + std::fmt::Debug {
    /// Takes the entry out and waits until it is.
    ///
    /// # Errors
    /// When the registry can't be reached; it notices by itself then.
    ///
    /// # Cancel safety
    /// If dropped, the entry goes all the same, but nobody waits for that.
    async fn leave(self: Box<Self>) -> Result<()>;
}
