//! The life of a connection: a stage that only goes forward, and what is known of its end and of the peer's.
//!
//! ```text
//! Running ──► CloseRequested ──► Draining ──peer's end──► Finishing ──all is sent──► Ended
//!    ├───────────────────── peer's end ──────────────────────►┘                        ▲
//!    └───────────────────── a fault, or nothing moves any more (from any) ─────────────┘
//! ```
//! The driver moves it, and its users ask it to.
//!
//! # Invariants
//! 1. No stage is left for an earlier one.
//! 2. The end is there before the waiters of the last stage are woken, because they look at it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use pleach_wire::{EndReason, TransportError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Channel;
use super::drain::PeerGone;
use crate::error::{Error, Packed};
use crate::proto::transmit::Transmit;
use crate::sync::lock;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Messages go both ways.
    Running,
    /// This side is asked to close it.
    CloseRequested,
    /// This side has said goodbye: its queue goes out, and the peer is still read.
    Draining,
    /// The peer sends no more: this side's queue goes out.
    Finishing,
    /// Nothing crosses any more, and all waiters are woken.
    Ended,
}

/// The life of one connection, as its users and its driver share it.
pub(super) struct Life {
    stage: watch::Sender<Stage>,
    /// Why this side closes it, once it is asked to.
    closing: OnceLock<EndReason>,
    /// Why this side has given it up.
    fault: OnceLock<TransportError>,
    end: OnceLock<TransportError>,
    /// The functions of the peer that had not answered when it ended, or the peer reported its own death.
    lost_calls: OnceLock<Vec<String>>,
    peer: PeerLife,
}

/// What is known of the end of the actor at the other side.
#[derive(Default)]
struct PeerLife {
    /// Why it closes the connection, once it has said so.
    goodbye: OnceLock<EndReason>,
    /// It has acknowledged a request to end itself.
    end_acknowledged: AtomicBool,
    /// The failure of its runtime, set before the token is cancelled.
    failure: OnceLock<Error>,
    failed: CancellationToken,
    /// Its process has ended: its last messages have already arrived.
    process: Mutex<Option<PeerGone>>,
}

impl Life {
    pub(super) fn new() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Running),
            closing: OnceLock::new(),
            fault: OnceLock::new(),
            end: OnceLock::new(),
            lost_calls: OnceLock::new(),
            peer: PeerLife::default(),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Goes forward to this stage, unless it has come further.
    pub(super) fn reach(&self, stage: Stage) {
        self.stage.send_if_modified(|reached| {
            let goes_forward = stage > *reached;
            *reached = stage.max(*reached);
            goes_forward
        });
    }

    /// Sets how it ended, for those who look before the last stage is reached. The first end counts.
    pub(super) fn note_end(&self, end: TransportError) {
        self.end.get_or_init(|| end);
    }

    /// Returns why this side has given it up, if it has.
    pub(super) fn fault(&self) -> Option<&TransportError> {
        self.fault.get()
    }

    /// Returns why this side closes it, if it was asked to.
    pub(super) fn closing(&self) -> Option<&EndReason> {
        self.closing.get()
    }

    /// Returns why the peer closes it, if it has said so.
    pub(super) fn goodbye(&self) -> Option<&EndReason> {
        self.peer.goodbye.get()
    }
}

impl Channel {
    /// Returns how the connection ended, if it has.
    pub(crate) fn end(&self) -> Option<&TransportError> {
        self.life().end.get()
    }

    /// Waits until the connection has ended and its waiters are woken.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn ended(&self) {
        let mut stages = self.life().stage.subscribe();
        let _ = stages.wait_for(|stage| *stage == Stage::Ended).await; // the sender is in the channel
    }

    /// Asks the driver to say goodbye, drain, and end. Returns at once. The first reason counts.
    pub(crate) fn request_close(&self, reason: EndReason) {
        self.life().closing.get_or_init(|| reason);
        self.life().reach(Stage::CloseRequested);
        self.transport().wake_flusher();
    }

    /// Returns why this side closes the connection, or answers a peer that does.
    pub(super) fn closing_reason(&self) -> EndReason {
        self.life().closing().cloned().unwrap_or(EndReason::Unused)
    }

    /// Remembers the peer's reason for closing the connection.
    pub(super) fn note_goodbye(&self, reason: EndReason) {
        self.life().peer.goodbye.get_or_init(|| reason);
    }

    /// Tells the driver that the peer's process has ended. Not every transport notices that soon.
    pub(crate) fn note_peer_gone(&self, how: PeerGone) {
        {
            let mut process = lock(&self.life().peer.process);
            *process = (*process).max(Some(how));
        }
        self.request_close(EndReason::Unused);
    }

    /// Returns how the peer's process has ended, if it has.
    pub(super) fn peer_gone(&self) -> Option<PeerGone> {
        *lock(&self.life().peer.process)
    }

    /// Remembers that the peer has acknowledged a request to end itself: before its process is found dead, whenever the
    /// task that has asked looks.
    pub(super) fn note_end_acknowledged(&self) {
        self.life().peer.end_acknowledged.store(true, Ordering::Release);
    }

    /// Returns whether the peer has acknowledged a request to end itself.
    pub(crate) fn end_acknowledged(&self) -> bool {
        self.life().peer.end_acknowledged.load(Ordering::Acquire)
    }

    /// Returns whether `fault` follows from one side asking the other to end: messages to an ending actor are cut then,
    /// its own last ones are not.
    pub(super) fn ends_with_actor(&self, fault: &TransportError) -> bool {
        let said_all = !matches!(fault, TransportError::Undelivered { .. });
        self.end_acknowledged() || (said_all && self.0.end_request.asked() == Some(self.peer()))
    }

    /// Tells the peer that the runtime here has failed.
    pub(crate) fn report_failure(&self, error: &Packed) {
        self.transmit_or_log(&Transmit::runtime_failed(error), 0);
    }

    /// Notes which functions of the peer run for this side, because they are about to be lost.
    pub(super) fn note_lost_calls(&self) {
        self.life().lost_calls.get_or_init(|| self.functions_running(MAX_LOST_CALLS));
    }

    /// Returns the functions that were lost with the peer, each once, the first called first.
    pub(crate) fn lost_calls(&self) -> &[String] {
        self.life().lost_calls.get().map_or(&[], Vec::as_slice)
    }

    /// Keeps the failure of the peer's runtime, and wakes its waiters.
    pub(crate) fn note_peer_failure(&self, mut error: Error) {
        if let Error::ActorDied(died) = &mut error
            && died.actor == *self.peer()
        {
            self.note_lost_calls();
            died.calls = self.lost_calls().to_vec();
        }
        self.life().peer.failure.get_or_init(|| error);
        self.life().peer.failed.cancel();
    }

    /// Returns the failure of the peer's runtime, if it has failed.
    pub(crate) fn peer_failure(&self) -> Option<&Error> {
        self.life().peer.failure.get()
    }

    /// Waits until the peer's runtime has failed.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn peer_failed(&self) {
        self.life().peer.failed.cancelled().await;
    }

    /// Ends the connection to a peer that does not read: `waiting` bytes wait for it.
    ///
    /// Callers wait for room before they send. Answers and credits can't: their tasks have ended.
    pub(super) fn give_up(&self, waiting: usize) -> TransportError {
        let limit = self.0.max_backlog;
        let fault = self.life().fault.get_or_init(|| TransportError::Backlog { waiting, limit });
        self.transport().abort();
        fault.clone()
    }

    /// Ends the connection as if the network had broken it.
    #[cfg(feature = "testing")]
    pub(crate) fn cut(&self) {
        let broken = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by a test");
        self.life().fault.get_or_init(|| TransportError::Reset(std::sync::Arc::new(broken)));
        self.transport().abort();
    }

    pub(super) fn life(&self) -> &Life {
        &self.0.life
    }
}

/// How many functions are named that were lost with a peer.
const MAX_LOST_CALLS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_forward_only() {
        let life = Life::new();
        for (asked, reached) in [
            (Stage::CloseRequested, Stage::CloseRequested),
            (Stage::Finishing, Stage::Finishing),
            (Stage::Draining, Stage::Finishing),
            (Stage::Ended, Stage::Ended),
            (Stage::CloseRequested, Stage::Ended),
        ] {
            life.reach(asked);
            assert_eq!(life.stage(), reached);
        }
    }

    #[test]
    fn a_process_that_has_exited_tells_more_than_one_that_was_killed() {
        assert!(Some(PeerGone::Exited) > Some(PeerGone::Killed) && Some(PeerGone::Killed) > None);
    }
}
