//! The handle on a supervisor: its children as they are now, those to add and to remove, its events, its end.

use std::fmt;
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use super::portal::SupervisedPortal;
use super::roster::{Closed, Entry, Status};
use super::{ChildSpec, Shared, SupervisorEvents};
use crate::actor::ActorId;
use crate::error::{Cancelled, Error, Result};
use crate::portal::Portal;
use crate::scope::{self, OnDrop};

/// A handle on a supervisor that runs in a nursery. Dropping it does nothing: the nursery owns it.
#[derive(Clone)]
pub struct Supervisor(pub(super) Arc<Shared>);

/// A supervisor that may have no handle any more.
pub(crate) struct WeakSupervisor(Weak<Shared>);

/// A child of a supervisor as it is now, from [`Supervisor::children`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name.
    pub name: Arc<str>,
    /// What it is doing.
    pub state: ChildState,
    /// How often it was started again so far, for its own sake or together with others.
    pub restarts: u32,
}

/// The state of a supervised child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It is being started, for the first time or again.
    Starting,
    /// It runs as this actor.
    Running(ActorId),
    /// It has ended, and is not started again.
    Ended,
}

impl WeakSupervisor {
    pub(crate) fn upgrade(&self) -> Option<Supervisor> {
        self.0.upgrade().map(Supervisor)
    }
}

impl Supervisor {
    /// Returns a portal to a child as it runs now; waits while it is being started again.
    ///
    /// The portal is to that one process. A call that is in flight when it dies fails and is not repeated, because it
    /// may have run in part; ask for a new portal, and decide. [`child`](Self::child) returns a handle that does the
    /// first half of that for each call.
    ///
    /// # Errors
    /// [`Error::Usage`] when the child does not exist, or has ended; [`Error::GaveUp`] when the supervisor
    /// gave up; [`Error::Cancelled`] when it was shut down, or the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn portal(&self, child: &str) -> Result<Portal> {
        self.child(child)?.portal().await
    }

    /// Returns a handle on a child, whichever process it is: calls by it wait while it is being started again.
    ///
    /// # Errors
    /// [`Error::Usage`] when the child does not exist.
    pub fn child(&self, name: &str) -> Result<SupervisedPortal> {
        Ok(SupervisedPortal::new(self.clone(), self.entry(name)?))
    }

    /// Returns the children in the order in which they were added, those that have ended among them.
    ///
    /// A child that is to be added is listed from the call of [`add_child`](Self::add_child) on, and one that is removed
    /// until none of its processes is left.
    pub fn children(&self) -> Vec<ChildInfo> {
        let info = |entry: Arc<Entry>| ChildInfo {
            name: entry.name.clone(),
            state: match &*entry.watch().borrow() {
                Status::Down => ChildState::Starting,
                Status::Up(portal) => ChildState::Running(portal.id().clone()),
                Status::Over | Status::Failed(_) | Status::Removed => ChildState::Ended,
            },
            restarts: entry.restarts(),
        };
        self.0.roster.all().into_iter().map(info).collect()
    }

    /// Adds a child while the supervisor runs: starts it, and keeps it up by the same rules as the others.
    ///
    /// It comes after all others in their order. Independent children are started at once; in a supervision of
    /// [all](crate::Supervision::one_for_all) or [the rest](crate::Supervision::rest_for_one), a restart that is under way
    /// comes first, so an `init` must not wait for this there. One that can't be started does not fail the supervisor,
    /// and is not tried again.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::{ChildSpec, Supervision};
    ///
    /// #[pleach::rpc]
    /// async fn add(a: i64, b: i64) -> Result<i64> {
    ///     Ok(a + b)
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let supervisor = n.supervise(Supervision::one_for_one().stay_open()).await?;
    ///     let adder = ChildSpec::daemon(n.start_actor("adder").enable(module_path!()));
    ///     let adder = supervisor.add_child(adder).await?;
    ///     assert_eq!(adder.run(add(1, 2)).await?, 3);
    ///     supervisor.remove_child("adder").await?;
    ///     supervisor.shutdown().await;
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of the start, or of its `init`; the child is forgotten then. [`Error::Usage`] when a child has that name,
    /// also one that has ended, or the supervisor has ended; [`Error::GaveUp`] when it has given up;
    /// [`Error::Cancelled`] when it was shut down, when the child was removed meanwhile, or when the enclosing scope is
    /// cancelled.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, the child is stopped, and forgotten once its process is gone; to wait for that, ask
    /// for its removal with [`remove_child`](Self::remove_child).
    pub async fn add_child(&self, child: ChildSpec) -> Result<SupervisedPortal> {
        scope::checkpoint()?;
        let name = child.name.clone();
        let closed = |why| self.not_added(&name, why);
        let why = || self.0.roster.closed().unwrap_or(Closed::Stopped);
        if self.0.stop.is_cancelled() {
            return Err(closed(why()));
        }
        let (reply, added) = oneshot::channel();
        let entry = self.0.roster.join(child, reply).map_err(|why| match why {
            Some(why) => closed(why),
            None => Error::Usage(format!(
                "a child `{name}` is supervised here already: remove it first, or add another name"
            )),
        })?;
        let (shared, unclaimed) = (self.0.clone(), entry.clone());
        let unclaimed = OnDrop::new(move || {
            let _ = shared.request_removal(&unclaimed); // done, or left to the supervisor
        });
        match scope::wait(added).await? {
            Ok(started) => started?,
            // It was not taken in, or not finished.
            Err(_) => return Err(closed(why())),
        }
        unclaimed.disarm();
        Ok(SupervisedPortal::new(self.clone(), entry))
    }

    /// Stops a child and forgets it; also one that has ended, that is being started, or that waits for its restart. Its
    /// name can be used again then.
    ///
    /// It is stopped by the same steps as everywhere, and the others do not mind, whatever the strategy. When the last
    /// child is removed, the supervisor ends, unless it [stays open](crate::Supervision::stay_open). In a supervision of
    /// [all](crate::Supervision::one_for_all) or [the rest](crate::Supervision::rest_for_one), the start of another child
    /// that is under way comes first.
    ///
    /// # Errors
    /// [`Error::Usage`] when the child does not exist; [`Error::Cancelled`] when the enclosing scope is cancelled: the child
    /// is removed all the same.
    ///
    /// # Cancel safety
    /// If dropped once it was polled, the child is removed all the same.
    pub async fn remove_child(&self, name: &str) -> Result<()> {
        let entry = self.entry(name)?;
        if !self.0.request_removal(&entry) {
            let mut status = entry.watch();
            let _ = scope::wait(status.wait_for(Status::is_final)).await?; // the sender is in `entry`
            self.0.forget(&entry);
        }
        Ok(())
    }

    /// Returns the path of the type of a child's state, if it has one.
    ///
    /// # Errors
    /// The child does not exist.
    pub(crate) fn state_of(&self, child: &str) -> Result<Option<String>> {
        Ok(self.entry(child)?.state.clone())
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

    fn entry(&self, name: &str) -> Result<Arc<Entry>> {
        self.0.roster.find(name).ok_or_else(|| {
            let (known, others) = self.0.roster.names();
            let mut known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            if others > 0 {
                known = format!("{known}, and {others} others");
            }
            match known.is_empty() {
                true => Error::Usage(format!("no `{name}` is supervised here, and no other child either")),
                false => Error::Usage(format!("no `{name}` is supervised here, only {known}")),
            }
        })
    }

    fn not_added(&self, name: &str, why: Closed) -> Error {
        match why {
            Closed::Ended => Error::Usage(format!(
                "`{name}` can't be added, because the supervisor has ended with its last child; with \
                 `Supervision::stay_open` it would not have"
            )),
            Closed::Stopped => Error::Cancelled(Cancelled::Nursery),
            Closed::Failed(error) => error,
        }
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
        let (names, others) = self.0.roster.names();
        f.debug_struct("Supervisor").field("children", &names).field("others", &others).finish()
    }
}
