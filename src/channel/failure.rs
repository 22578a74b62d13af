//! Failures that end a connection before it is closed: the runtime at either end has failed, or the peer does not read.

use pleach_wire::TransportError;

use super::Channel;
use crate::error::{Error, Packed};
use crate::proto::transmit::Transmit;

impl Channel {
    /// Tells the peer that the runtime here has failed.
    pub(crate) fn report_failure(&self, error: &Packed) {
        self.transmit_or_log(&Transmit::runtime_failed(error), 0);
    }

    /// Keeps the failure of the peer's runtime, and wakes its waiters.
    pub(crate) fn note_peer_failure(&self, error: Error) {
        self.0.failure.get_or_init(|| error);
        self.0.failed.cancel();
    }

    /// Returns the failure of the peer's runtime, if it has failed.
    pub(crate) fn peer_failure(&self) -> Option<&Error> {
        self.0.failure.get()
    }

    /// Waits until the peer's runtime has failed.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn peer_failed(&self) {
        self.0.failed.cancelled().await;
    }

    /// Ends the connection to a peer that does not read: `waiting` bytes wait for it.
    ///
    /// Callers wait for room before they send. Answers and credits can't: their tasks have ended.
    pub(super) fn give_up(&self, waiting: usize) -> TransportError {
        let limit = self.0.max_backlog;
        let fault = self.0.fault.get_or_init(|| TransportError::Backlog { waiting, limit });
        self.0.transport.abort();
        fault.clone()
    }
}
