//! The handle on one supervised child, whichever process it is now.

use std::fmt;
use std::sync::Arc;

use super::call::SupervisedCall;
use super::handle::Supervisor;
use super::roster::{Entry, Status};
use crate::error::{Cancelled, Error, Result};
use crate::portal::Portal;
use crate::rpc::call::Call;
use crate::scope;

/// A handle on a supervised child, from [`Supervisor::child`] and [`Supervisor::add_child`]: it stays the same while the
/// child's processes come and go.
///
/// Cloning is cheap. Dropping it does nothing. It is on that very child: after the child was removed it leads nowhere,
/// also when another one of that name is added.
///
/// ```
/// # use pleach::prelude::*;
/// use pleach::{ChildSpec, Supervision};
///
/// #[pleach::rpc]
/// async fn pid() -> Result<u32> {
///     Ok(std::process::id())
/// }
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| {
///     let worker = ChildSpec::daemon(n.start_actor("worker").enable(module_path!()));
///     let supervisor = n.supervise(Supervision::one_for_one().child(worker)).await?;
///     let worker = supervisor.child("worker")?;
///     let before = worker.run(pid()).await?;
///     worker.portal().await?.cancel_actor().await?; // it is permanent, so it is started again
///     assert_ne!(worker.run(pid()).await?, before);
///     supervisor.shutdown().await;
///     Ok(())
/// })
/// .await
/// # }
/// ```
#[derive(Clone)]
pub struct SupervisedPortal {
    supervisor: Supervisor,
    entry: Arc<Entry>,
}

impl SupervisedPortal {
    pub(super) fn new(supervisor: Supervisor, entry: Arc<Entry>) -> Self {
        Self { supervisor, entry }
    }

    /// Returns the child's name.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Returns its place in the order in which the children of the supervisor were added; no other one ever has the same.
    pub(crate) fn number(&self) -> u64 {
        self.entry.number as u64
    }

    /// Returns the supervisor whose child it is.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Runs a function in the child and returns its value; waits while the child is being started again, and sends the
    /// call then. It is a future with options: `worker.run(parse(text)).retry(Retry::times(3)).timeout(SECOND).await`.
    ///
    /// A call that is in flight when the process dies fails, and is repeated only if it has
    /// [`retry`](SupervisedCall::retry), because it may have run in part.
    ///
    /// # Errors
    /// As [`portal`](Self::portal) and [`Portal::run`].
    ///
    /// # Cancel safety
    /// As [`Portal::run`].
    pub fn run<'a, R: Send + 'a>(&'a self, call: Call<R>) -> SupervisedCall<'a, R> {
        SupervisedCall::new(self, call)
    }

    /// Returns a portal to the process that the child is now; waits while it is being started again. Contexts and streams
    /// are opened by that.
    ///
    /// # Errors
    /// [`Error::Usage`] when the child has ended, or was removed; [`Error::GaveUp`] when the supervisor gave up;
    /// [`Error::Cancelled`] when it was shut down, or the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn portal(&self) -> Result<Portal> {
        let mut status = self.entry.watch();
        let settled = scope::wait(status.wait_for(|status| !status.is_passing())).await?;
        let name = &self.entry.name;
        match settled.as_deref() {
            Ok(Status::Up(portal)) => Ok(portal.clone()),
            Ok(Status::Failed(error)) => Err(error.clone()),
            Ok(Status::Over) if !self.supervisor.0.stop.is_cancelled() => {
                Err(Error::Usage(format!("`{name}` has ended, and is not to be started again")))
            }
            Ok(Status::Removed) => {
                Err(Error::Usage(format!("`{name}` has ended or was removed, and its supervisor has forgotten it")))
            }
            Ok(Status::Over | Status::Down) | Err(_) => Err(Error::Cancelled(Cancelled::Nursery)),
        }
    }

    /// Waits until the child has ended for good: it is not started again, or was removed, or its supervisor has ended.
    ///
    /// # Errors
    /// [`Error::GaveUp`] when the supervisor gave up; [`Error::Cancelled`] when the enclosing scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ended(&self) -> Result<()> {
        let mut status = self.entry.watch();
        match scope::wait(status.wait_for(Status::is_final)).await?.as_deref() {
            Ok(Status::Failed(error)) => Err(error.clone()),
            _ended => Ok(()),
        }
    }
}

impl fmt::Debug for SupervisedPortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SupervisedPortal({:?})", self.entry.name)
    }
}
