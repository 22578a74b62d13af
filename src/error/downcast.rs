//! The origin of an error: the finding or the user's error at its source, over any number of hops.

use std::error::Error as StdError;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::remote::{Encoded, EncodedError};
use super::{ActorDied, Error, causes};

impl Error {
    /// Returns the error as it was raised at the source.
    ///
    /// A finding of the runtime in another actor (its child died, its stream overran, …) comes out like a local one, so
    /// that one `match` serves both. Every other error is its own origin. The [`Error::Remote`] around it tells where
    /// it was raised, and which actors passed it on.
    ///
    /// ```
    /// use pleach::Error;
    ///
    /// fn advice(error: &Error) -> &str {
    ///     match error.origin() {
    ///         Error::ActorDied(_) => "start it again",
    ///         Error::Timeout { .. } => "try again later",
    ///         _ => "give up",
    ///     }
    /// }
    /// assert_eq!(advice(&Error::Config("no such host".into())), "give up");
    /// ```
    pub fn origin(&self) -> &Self {
        match self.unwrapped() {
            Self::Remote(remote) => remote.payload_as::<Self>().map_or(self.unwrapped(), Self::origin),
            here => here,
        }
    }

    /// Returns how the actor's process ended whose death this reports, wherever that was found: the first one, if this
    /// is a group; the last one, if a supervisor or a pool gave up.
    pub fn actor_died(&self) -> Option<&ActorDied> {
        match self.origin() {
            Self::ActorDied(died) => Some(died),
            Self::Group(group) => group.errors.iter().find_map(Self::actor_died),
            Self::GaveUp(gave_up) => gave_up.last.as_ref()?.actor_died(),
            Self::Poison(poison) => poison.last.actor_died(),
            _ => None,
        }
    }

    /// Returns whether this is an `E`, as [`downcast_ref`](Self::downcast_ref) finds it.
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// Returns the user's error of type `E` that this is, or has among its causes.
    ///
    /// From another actor it comes if its type was [registered](crate::register_error). The parts of
    /// the runtime's findings ([`ActorDied`], [`Refusal`](super::Refusal),
    /// [`TransportError`](crate::wire::TransportError)) come without that. The members of a group are
    /// not looked at: see [`find`](Self::find).
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        if let Self::Local(error) = self
            && let Some(found) = causes(&**error).find_map(|cause| cause.downcast_ref())
        {
            return Some(found);
        }
        let part: &(dyn StdError + 'static) = match self.origin() {
            Self::Remote(remote) => return remote.payload_as(),
            Self::ActorDied(died) => &**died,
            Self::GaveUp(gave_up) => &**gave_up,
            Self::Poison(poison) => &**poison,
            Self::Refused { why, .. } => why,
            Self::Disconnected { end: fault, .. } | Self::Transport(fault) => fault,
            _ => return None,
        };
        part.downcast_ref()
    }

    /// Turns this into the user's error of type `E`: a copy, made as if it had crossed a connection.
    ///
    /// # Errors
    /// This error unchanged, if it is not an `E`.
    pub fn downcast<E>(self) -> Result<E, Self>
    where
        E: StdError + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let copy =
            self.downcast_ref::<E>().and_then(|found| EncodedError::of(Encoded::Registered, found).ok()?.decode().ok());
        copy.ok_or(self)
    }

    /// Returns the errors of a group and of the groups in it; just itself if it is none.
    pub fn members(&self) -> Vec<&Self> {
        match self.unwrapped() {
            Self::Group(group) => group.errors.iter().flat_map(Self::members).collect(),
            _ => vec![self],
        }
    }

    /// Returns the first error of type `E` among the [members](Self::members).
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        self.members().into_iter().find_map(Self::downcast_ref)
    }

    /// Returns the first of our errors among its causes, if this only wraps one.
    pub(super) fn unwrapped(&self) -> &Self {
        match self {
            Self::Local(error) => causes(&**error).find_map(|cause| cause.downcast_ref()).map_or(self, Self::unwrapped),
            ours => ours,
        }
    }
}
