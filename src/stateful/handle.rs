//! The typed handle on an actor with state.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ActorState;
use super::route::{Place, Route, To, Told};
use crate::error::{Error, Result};
use crate::nursery::supervise::Supervisor;
use crate::portal::Portal;

/// A handle on an actor whose state is an `A`: its methods are those of `A`.
///
/// [`Nursery::start`](crate::Nursery::start), [`find`](crate::find()) and [`Supervisor::handle`] return one. Cloning it is
/// cheap, and it can be an argument, a message or a result: the other actor finds the same actor by it. Dropping it does
/// nothing to the actor.
///
/// The handle's own operations are associated functions, as those of `Arc` are: `Handle::stop(&counter)`. So all names
/// are free for methods, but for `clone` and a few more that each value has.
///
/// # Restarts
/// A handle from `start` or `find` is on one process, and ends with it. A handle on a child of a supervisor
/// [follows restarts](Self::follows_restarts): it is on the process that runs now, also where it was sent to, and waits
/// while there is none; the actors that it was sent to ask the one that supervises. The state of that one is new. A call that is under way when a process dies fails and is not
/// repeated, because it may have run in part.
///
/// # Order
/// The calls of one actor get at the state in the order in which they were sent: those that only look at it beside each
/// other, those that change it one by one. A call is sent when it is first polled, or, if the connection is busy, as soon
/// as those before it were. Two kinds have no order: calls with more than 64 KiB of arguments, which travel in parts
/// beside the others, and methods with `me: Me<Self>`, which take their turn when they ask.
pub struct Handle<A: ActorState> {
    methods: A::Methods,
}

impl<A: ActorState> Handle<A> {
    pub(super) fn of(route: Route<A>) -> Self {
        Self { methods: route.into() }
    }

    fn route(this: &Self) -> &Route<A> {
        this.methods.as_ref()
    }

    /// Returns a portal to the process that the handle is on now.
    ///
    /// # Errors
    /// [`Error::NotFound`] when that process can't be found; as [`Supervisor::portal`] for a supervised one.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn portal(this: &Self) -> Result<Portal> {
        Self::route(this).way().portal().await
    }

    /// Asks the actor to end itself, with everything below it; its state gets its `stopping`. A supervised one is
    /// started again, unless it is [`transient`](crate::ChildSpec::transient) or [`temporary`](crate::ChildSpec::temporary).
    ///
    /// # Errors
    /// As [`Portal::cancel_actor`] and [`portal`](Self::portal).
    ///
    /// # Cancel safety
    /// As [`Portal::cancel_actor`].
    pub async fn stop(this: &Self) -> Result<()> {
        Self::portal(this).await?.cancel_actor().await
    }

    /// Returns whether the handle is on a place in the tree, whichever process has it, and not on one process.
    pub fn follows_restarts(this: &Self) -> bool {
        match Self::route(this).way().to() {
            To::Process(_) => false,
            To::Supervised(..) => true,
            To::Told(place) => matches!(place.actor, Told::Supervised { .. }),
        }
    }
}

impl<A: ActorState> Deref for Handle<A> {
    type Target = A::Methods;

    fn deref(&self) -> &A::Methods {
        &self.methods
    }
}

impl<A: ActorState> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self::of(Self::route(self).clone())
    }
}

impl<A: ActorState> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle<{}>({})", A::NAME, Self::route(self).way())
    }
}

impl<A: ActorState> Serialize for Handle<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Self::route(self).place().serialize(serializer)
    }
}

impl<'de, A: ActorState> Deserialize<'de> for Handle<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let place = Place::deserialize(deserializer)?;
        match place.path == A::PATH {
            true => Ok(Self::of(Route::to_place(place))),
            false => Err(de::Error::custom(format!("it is a handle on a `{}`, not on a `{}`", place.path, A::PATH))),
        }
    }
}

impl Supervisor {
    /// Returns a handle on a child with state, whichever process it is now: it follows restarts.
    ///
    /// # Errors
    /// [`Error::Usage`] when the child does not exist, or its state is not an `A`.
    pub fn handle<A: ActorState>(&self, child: &str) -> Result<Handle<A>> {
        match self.state_of(child)? {
            Some(path) if path == A::PATH => Ok(Handle::of(Route::to_supervised(self.child(child)?))),
            Some(path) => Err(Error::Usage(format!("`{child}` is a `{path}`, not a `{}`", A::PATH))),
            None => Err(Error::Usage(format!("`{child}` was not added with `ChildSpec::actor`: it has no state"))),
        }
    }
}
