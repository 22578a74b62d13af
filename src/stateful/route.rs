//! The way from a handle to its actor.
//!
//! A way to a process ends with it. A way to a name, or to a child of a supervisor, leads to the process that has this
//! place now: after a restart, to another one, whose state is new.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::ActorState;
use super::call::{MethodCall, MethodContext, MethodStream};
use super::handle::Handle;
use super::kept::{self, keeper_of};
use crate::actor::ActorId;
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::find::{find_actor, get_root};
use crate::nursery::supervise::SupervisedPortal;
use crate::portal::Portal;
use crate::rpc::call::RemoteCall;
use crate::rpc::context::ContextCall;
use crate::rpc::export::Export;
use crate::rpc::method::MethodArguments;
use crate::rpc::method::turn::queued;
use crate::rpc::stream_call::StreamCall;
use crate::runtime::handle::current_actor;
use crate::scope;

/// The way to an actor whose state is an `A`; the methods of handles call by it.
pub struct Route<A> {
    way: Arc<Way>,
    state: PhantomData<fn() -> A>,
}

/// The way to an actor, whatever its state.
pub(super) struct Way {
    to: To,
    /// The process that it led to last. Calls that have to look it up wait here, in the order of their first polls.
    found: Arc<Mutex<Option<Portal>>>,
}

/// The end of the way.
#[derive(Clone)]
pub(super) enum To {
    /// A process.
    Process(Portal),
    /// A child of a supervisor of this actor.
    Supervised(SupervisedPortal),
    /// An actor that a peer has told of.
    Told(Place),
}

/// The place of an actor in the tree, as a message tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The path of the type of its state.
    pub(super) path: String,
    pub(super) actor: Told,
}

/// The actor that is meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Told {
    /// This process.
    Process(ActorId),
    /// Whichever process is the child of a supervisor.
    Supervised {
        /// The actor that supervises it.
        by: ActorId,
        /// The supervisor there.
        keeper: u64,
        child: String,
        /// Tells it from one of the same name that was added after it was removed.
        number: u64,
    },
}

impl<A: ActorState> Route<A> {
    /// The way to one process.
    pub(crate) fn to(portal: Portal) -> Self {
        Self::by(To::Process(portal))
    }

    /// The way to a child of a supervisor, whichever process that is.
    pub(super) fn to_supervised(child: SupervisedPortal) -> Self {
        Self::by(To::Supervised(child))
    }

    /// The way to the actor that a peer has told of.
    pub(super) fn to_place(place: Place) -> Self {
        Self::by(To::Told(place))
    }

    fn by(to: To) -> Self {
        Self { way: Arc::new(Way { to, found: Arc::default() }), state: PhantomData }
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// Returns what is told of the actor in messages.
    pub(super) fn place(&self) -> Place {
        let path = A::PATH.to_owned();
        match &self.way.to {
            To::Process(portal) => Place { path, actor: Told::Process(portal.id().clone()) },
            To::Supervised(child) => {
                let (by, keeper) = keeper_of(child.supervisor());
                let (child, number) = (child.name().to_owned(), child.number());
                Place { path, actor: Told::Supervised { by, keeper, child, number } }
            }
            To::Told(place) => place.clone(),
        }
    }

    /// A call of a method; the macro's code calls this.
    pub fn call<T, Args>(&self, export: &'static Export, args: Args) -> MethodCall<T>
    where
        T: DeserializeOwned + Send + 'static,
        Args: MethodArguments + Serialize,
    {
        MethodCall::new(self.way.clone(), A::NAME, RemoteCall::new(export, args, Decoder::new()))
    }

    /// As [`call`](Self::call), for a method that returns a byte string.
    pub fn call_blob<Args>(&self, export: &'static Export, args: Args) -> MethodCall<Bytes>
    where
        Args: MethodArguments + Serialize,
    {
        MethodCall::new(self.way.clone(), A::NAME, RemoteCall::new(export, args, Decoder::blob()))
    }

    /// A stream of a method; the macro's code calls this.
    pub fn stream<T>(&self, call: StreamCall<T>) -> MethodStream<T> {
        MethodStream::new(self.way.clone(), call)
    }

    /// A context of a method; the macro's code calls this.
    pub fn context<S, R, T, O>(&self, call: ContextCall<S, R, T, O>) -> MethodContext<S, R, T, O> {
        MethodContext::new(self.way.clone(), call)
    }
}

impl Way {
    pub(super) fn to(&self) -> &To {
        &self.to
    }

    /// Returns a portal to the process that has this place now.
    ///
    /// # Errors
    /// That process is gone, and none will follow; or none has followed in time.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn portal(&self) -> Result<Portal> {
        scope::checkpoint()?;
        if let Some(portal) = self.known() {
            return Ok(portal);
        }
        let (to, found) = (self.to.clone(), queued(self.found.clone().lock_owned()));
        scope::apart(async move { to.look_up(&mut *found.await).await }).await?
    }

    /// Runs a method in that process. It has its place among the calls from the first poll on.
    pub(super) async fn run<R: Send + 'static>(&self, call: RemoteCall<R>) -> Result<R> {
        let Some(portal) = self.known() else { return Box::pin(self.look_up_and_run(call)).await };
        portal.run_method(call).await
    }

    async fn look_up_and_run<R: Send + 'static>(&self, call: RemoteCall<R>) -> Result<R> {
        scope::checkpoint()?;
        let (answer, deadline) = (call.answer(), scope::current_deadline());
        let (to, found) = (self.to.clone(), queued(self.found.clone().lock_owned()));
        let sending = async move {
            let mut found = found.await;
            let portal = to.look_up(&mut found).await?;
            // Before those that wait for the same process.
            let sent = portal.send_method(call, deadline).await?;
            Ok::<_, Error>((portal, sent))
        };
        let (portal, sent) = scope::apart(sending).await??;
        portal.read_method(answer, sent).await
    }

    /// Returns the portal, if no call has to look it up.
    fn known(&self) -> Option<Portal> {
        match &self.to {
            To::Process(portal) => Some(portal.clone()),
            _ => self.found.try_lock().ok()?.clone().filter(|portal| !portal.is_gone()),
        }
    }
}

impl To {
    /// Looks the process up, unless that was done meanwhile.
    async fn look_up(&self, found: &mut Option<Portal>) -> Result<Portal> {
        if let Some(portal) = found.as_ref().filter(|portal| !portal.is_gone()) {
            return Ok(portal.clone());
        }
        let portal = match self {
            Self::Process(portal) => portal.clone(),
            Self::Supervised(child) => child.portal().await?,
            Self::Told(place) => place.actor.reach().await?,
        };
        Ok(found.insert(portal).clone())
    }
}

impl Told {
    /// Looks the actor up; a supervised one that is being started again is waited for.
    async fn reach(&self) -> Result<Portal> {
        let (by, keeper, child, number) = match self {
            Self::Process(id) => return reach(id).await,
            Self::Supervised { by, keeper, child, number } => (by, *keeper, child, *number),
        };
        let supervising = reach(by).await?;
        let mut pause = FIRST_PAUSE;
        loop {
            let id = supervising.run(kept::current(keeper, child.clone(), number)).await?;
            match reach(&id).await {
                // It has ended since, which its supervisor will know; or it is not known everywhere yet.
                Err(Error::Closed(_)) if pause <= LAST_PAUSE => tokio::time::sleep(pause).await,
                found => return found,
            }
            pause *= 2;
        }
    }
}

/// Connects to one actor, which may be near.
async fn reach(id: &ActorId) -> Result<Portal> {
    let own = current_actor();
    if let Some(parent) = own.and_then(|own| own.parent()).filter(|parent| parent.id() == id) {
        return Ok(parent);
    }
    let found = find_actor(id.name()).all().await?.into_iter().find(|portal| portal.id() == id);
    match found {
        Some(found) => Ok(found),
        None => {
            let root = get_root().await?;
            if root.id() == id {
                Ok(root)
            } else {
                Err(Error::Closed(format!("{id} has ended, and its state with it")))
            }
        }
    }
}

impl<A> Clone for Route<A> {
    fn clone(&self) -> Self {
        Self { way: self.way.clone(), state: PhantomData }
    }
}

impl<A: ActorState> From<Route<A>> for Handle<A> {
    fn from(route: Route<A>) -> Self {
        Self::of(route)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Process(portal) => portal.id().fmt(f),
            To::Supervised(child) => write!(f, "the supervised `{}`", child.name()),
            To::Told(Place { actor: Told::Process(id), .. }) => id.fmt(f),
            To::Told(Place { actor: Told::Supervised { child, .. }, .. }) => write!(f, "the supervised `{child}`"),
        }
    }
}

/// How long to wait before a supervised actor that was not found is looked up again: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);
