//! The end of the actor at the other end of a portal: asked for, forced, waited for; and the end of the portal itself.

use super::Portal;
use super::peer::{ChildHandle, Peer};
use crate::error::{Cancelled, Error, Result};
use crate::scope::{self, Shield};
#[cfg(feature = "testing")]
use crate::spawn::Process;
use crate::spawn::reap::Ending;

impl<T> Portal<T> {
    /// Asks the actor to end itself, with everything below it.
    ///
    /// Returns once it has acknowledged, or has already ended; its nursery waits for its exit. Asking does not close
    /// open dialogs: calls, contexts and streams learn from the actor how they end. An actor that has crashed just
    /// before, or crashes instead of ending in order, still fails its nursery.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when no acknowledgement came within `cancel_ack`.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub async fn cancel_actor(&self) -> Result<()> {
        self.peer.mark_end_requested(); // before the request is out, whose answer may be its end
        let _shield = Shield::enter();
        self.peer.cancel_actor().await
    }

    /// Ends the actor without asking it: it gets SIGTERM at once, and SIGKILL after
    /// [`kill_after`](crate::Config::kill_after). Returns how it came to its end. That does not fail its nursery.
    ///
    /// # Errors
    /// [`Error::Usage`] for an actor that this one has not started; else as [`exited`](Self::exited).
    ///
    /// # Cancel safety
    /// If dropped once it was polled, the actor is killed all the same.
    pub async fn kill(&self) -> Result<Ending> {
        self.child()?.kill();
        self.exited().await
    }

    /// Waits until the actor's process is gone, and returns how it came to its end. It is not asked to end.
    ///
    /// # Errors
    /// [`Error::Usage`] for an actor that this one has not started: only the nursery that an actor lives in learns that;
    /// [`Error::Cancelled`] when the scope around this is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost; ask again.
    ///
    /// # Examples
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::EndedBy;
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let worker = n.start_actor("worker").await?;
    ///     worker.cancel_actor().await?;
    ///     let ending = worker.exited().await?;
    ///     assert_eq!(ending.by, EndedBy::Request);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn exited(&self) -> Result<Ending> {
        scope::wait(self.child()?.exited()).await?.ok_or(Error::Cancelled(Cancelled::Nursery))
    }

    /// Returns the actor's process.
    ///
    /// # Errors
    /// [`Error::Usage`] for an actor that this one has not started.
    #[cfg(feature = "testing")]
    pub(crate) fn process(&self) -> Result<&Process> {
        Ok(&self.child()?.child.process)
    }

    fn child(&self) -> Result<&ChildHandle> {
        match &self.peer {
            Peer::Child(member) => Ok(member),
            Peer::Other(_) => Err(Error::Usage(format!("{} was not started by this actor", self.id()))),
        }
    }

    /// Returns whether the actor was asked from here to end itself: with
    /// [`cancel_actor`](Self::cancel_actor), or by its nursery.
    pub fn cancel_called(&self) -> bool {
        self.peer.end_requested()
    }

    /// Gives the portal back, and waits until its connection is closed in order.
    ///
    /// A connection that was opened for portals ends with the last of them, after everything sent on it has been
    /// delivered; dropping that portal closes it too, without waiting. The connection to a child or to the parent
    /// stays: closing such a portal does nothing.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the connection broke instead.
    ///
    /// # Cancel safety
    /// If dropped, the connection is closed all the same.
    pub async fn close(self) -> Result<()> {
        match self.peer {
            Peer::Child(_) => Ok(()),
            Peer::Other(connection) => {
                let _shield = Shield::enter();
                connection.close().await
            }
        }
    }
}
