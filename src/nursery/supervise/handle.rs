//! The handle on a supervisor: the portals of its children as they are now, its events, its end.

use std::fmt;
use std::sync::{Arc, Weak};

use super::{Shared, Status, SupervisorEvents};
use crate::actor::ActorId;
use crate::error::{Cancelled, Error, Result};
use crate::portal::Portal;
use crate::scope;

/// A handle on a supervisor that runs in a nursery. Dropping it does nothing: the nursery owns it.
#[derive(Clone)]
pub struct Supervisor(pub(super) Arc<Shared>);

/// A supervisor that may have no handle any more.
pub(crate) struct WeakSupervisor(Weak<Shared>);

impl WeakSupervisor {
    pub(crate) fn upgrade(&self) -> Option<Supervisor> {
        self.0.upgrade().map(Supervisor)
    }
}

impl Status {
    /// Returns whether another one will follow soon: the child is down, or gone, which its supervisor has yet to see.
    fn is_passing(&self) -> bool {
        match self {
            Self::Down => true,
            Self::Up(portal) => portal.is_gone(),
            Self::Over | Self::Failed(_) => false,
        }
    }
}

impl Supervisor {
    /// Returns a portal to a child as it runs now; waits while it is being started again.
    ///
    /// The portal is to that one process. A call that is in flight when it dies fails and is not repeated, because it
    /// may have run in part; ask for a new portal, and decide.
    ///
    /// # Errors
    /// [`Error::Usage`] when the child does not exist, or has ended; [`Error::GaveUp`] when the supervisor
    /// gave up; [`Error::Cancelled`] when it was shut down, or the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn portal(&self, child: &str) -> Result<Portal> {
        let Some(status) = self.0.children.get(child) else { return Err(self.not_supervised(child)) };
        let mut status = status.subscribe();
        let settled = scope::wait(status.wait_for(|status| !status.is_passing())).await?;
        match settled.as_deref() {
            Ok(Status::Up(portal)) => Ok(portal.clone()),
            Ok(Status::Failed(error)) => Err(error.clone()),
            Ok(Status::Over) if !self.0.stop.is_cancelled() => {
                Err(Error::Usage(format!("`{child}` has ended, and is not to be started again")))
            }
            Ok(Status::Over | Status::Down) | Err(_) => Err(Error::Cancelled(Cancelled::Nursery)),
        }
    }

    /// Returns the path of the type of a child's state, if it has one.
    ///
    /// # Errors
    /// The child does not exist.
    pub(crate) fn state_of(&self, child: &str) -> Result<Option<&str>> {
        match self.0.children.contains_key(child) {
            true => Ok(self.0.states.get(child).map(String::as_str)),
            false => Err(self.not_supervised(child)),
        }
    }

    /// Returns what tells it from the other supervisors of this process.
    pub(crate) fn key(&self) -> u64 {
        self.0.key
    }

    /// Lets others run the functions of a module in the actor that it is in, and returns that.
    pub(crate) fn expose(&self, module: &str) -> ActorId {
        self.0.home.expose(module.to_owned());
        self.0.home.id().clone()
    }

    pub(crate) fn downgrade(&self) -> WeakSupervisor {
        WeakSupervisor(Arc::downgrade(&self.0))
    }

    fn not_supervised(&self, child: &str) -> Error {
        let known: Vec<_> = self.0.children.keys().map(|name| format!("`{name}`")).collect();
        Error::Usage(format!("no `{child}` is supervised here, only {}", known.join(", ")))
    }

    /// Returns the supervisor's events from now on; the first call also gets the earlier ones.
    pub fn events(&self) -> SupervisorEvents {
        self.0.announcer.subscribe()
    }

    /// Stops all children, the last one first, and waits until they are gone.
    ///
    /// # Cancel safety
    /// If dropped once it was polled, the children are stopped all the same.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        drop(self.outcome().await); // its nursery has the error
    }

    /// Waits until the supervisor has no children left.
    ///
    /// # Errors
    /// [`Error::GaveUp`]; its nursery fails with the same. [`Error::Cancelled`] when the scope around is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ended(&self) -> Result<()> {
        scope::wait(self.outcome()).await?
    }

    async fn outcome(&self) -> Result<()> {
        let mut outcome = self.0.outcome.subscribe();
        let outcome = outcome.wait_for(Option::is_some).await;
        outcome.map_or(Ok(()), |outcome| outcome.clone().unwrap_or(Ok(())))
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.children.keys()).finish()
    }
}
