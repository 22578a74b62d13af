//! The failure of the runtime at either end of a connection: telling the peer, and hearing of it.

use pleach_wire::Outgoing;

use super::Channel;
use crate::error::{Error, Packed};

impl Channel {
    /// Tells the peer that the runtime here has failed.
    pub(crate) fn report_failure(&self, error: &Packed) {
        self.send_or_log(&Outgoing::Error { cid: None, error }, 0);
    }

    /// Keeps what the peer's runtime has failed with, and wakes who waits for that.
    pub(crate) fn note_peer_failure(&self, error: Error) {
        self.0.failure.get_or_init(|| error);
        self.0.failed.cancel();
    }

    /// Returns what the peer's runtime has failed with, if it has.
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
}
