//! Silent peers: runs a connection's failure detector, and acts on its findings.
//!
//! Connections within a host have no failure detector: the system reports when a process there ends
//! ([`processes`](crate::runtime)), and one that is stopped, under a debugger say, must not be taken for dead. A heartbeat is answered on every connection, by the
//! message loop, whatever the tasks do; a task that blocks the loop's thread blocks that too.

use std::sync::MutexGuard;
use std::time::Duration;

use pleach_wire::TransportError;
use tokio::time::Instant;

use super::Channel;
use crate::proto::failure_detector::{Action, FailureDetector, PeerHealth};
use crate::proto::transmit::Transmit;
use crate::sync::lock;
use crate::telemetry::meters::{self, Event};

/// Whether a peer is alive, as far as this side can know.
///
/// Actors on other hosts are monitored by heartbeats ([`Config::heartbeat`](crate::Config::heartbeat)). One on
/// this host is alive while its connection lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Liveness {
    /// It has responded lately.
    Alive {
        /// How long the answer to the last heartbeat took; `None` before the first, and if it is not watched.
        rtt: Option<Duration>,
    },
    /// It has been silent for longer than usual; it may recover.
    Suspect {
        /// How long.
        silent: Duration,
        /// How suspicious that is: so many zeros has the probability, `0.00…`, that it is chance.
        phi: f64,
    },
    /// The peer was declared dead, or the connection has ended otherwise.
    Dead,
}

impl Channel {
    /// Returns how it stands with the peer.
    pub(crate) fn liveness(&self) -> Liveness {
        if self.end().is_some() {
            return Liveness::Dead;
        }
        match self.detector().map(|detector| detector.health(self.now())) {
            None => Liveness::Alive { rtt: None },
            Some(PeerHealth::Alive { rtt }) => Liveness::Alive { rtt },
            Some(PeerHealth::Suspect { silent, phi }) => Liveness::Suspect { silent, phi },
            Some(PeerHealth::Dead) => Liveness::Dead,
        }
    }

    /// Returns whether the peer is monitored.
    pub(crate) fn is_watched(&self) -> bool {
        self.0.detector.is_some()
    }

    /// Returns whether the connection ended because the peer was silent.
    pub(crate) fn fell_silent(&self) -> bool {
        matches!(self.end(), Some(TransportError::Silent { .. }))
    }

    /// Returns whether one side closed the connection, and the other one knows that.
    pub(crate) fn ended_in_order(&self) -> bool {
        matches!(self.end(), Some(TransportError::Closed(closed)) if closed.in_order)
    }

    /// Returns when this side's lease expires, if the peer grants it.
    pub(crate) fn leased_until(&self) -> Option<Instant> {
        self.detector()?.leased_until().map(|at| self.0.epoch + at)
    }

    /// Takes that something has come.
    pub(super) fn note_heard(&self) {
        if let Some(mut detector) = self.detector() {
            detector.handle_heard(self.now());
        }
    }

    /// Begins all patience with the peer, and this side's own lease, again.
    pub(crate) fn put_off_watch(&self) {
        if let Some(mut detector) = self.detector() {
            detector.put_off(self.now());
        }
    }

    /// Answers a heartbeat.
    pub(super) fn answer_ping(&self, pong: &Transmit<'_>) {
        self.transmit_or_log(pong, 0);
        if let Some(mut detector) = self.detector() {
            detector.handle_ping(self.now());
        }
    }

    /// Takes the answer to a heartbeat.
    pub(super) fn note_pong(&self, n: u64) {
        let took = self.detector().and_then(|mut detector| detector.handle_pong(n, self.now()));
        if let Some(took) = took {
            meters::count(Event::RoundTrip { transport: self.protocol(), took });
        }
    }

    /// Returns when [`look_at_watch`](Self::look_at_watch) may have something to do next.
    pub(super) fn watch_timeout(&self) -> Option<Instant> {
        self.detector()?.poll_timeout().map(|at| self.0.epoch + at)
    }

    /// Takes the actions that the detector finds due.
    ///
    /// # Errors
    /// The end of the connection, when the peer is declared dead.
    pub(super) fn look_at_watch(&self) -> Result<(), TransportError> {
        let peer = self.peer();
        loop {
            // The lock is released here: invariant 1 of the channel.
            let Some(action) = self.detector().and_then(|mut detector| detector.handle_timeout(self.now())) else {
                return Ok(());
            };
            match action {
                Action::Ping { n } => self.transmit_or_log(&Transmit::ping(n), 0),
                Action::Suspect { silent, phi } => {
                    info!(target: "pleach::runtime", %peer, ?silent, phi, "the peer is suspiciously silent");
                }
                Action::Recovered { silent } => {
                    info!(target: "pleach::runtime", %peer, ?silent, "the peer responds again");
                }
                Action::Dead { silent, limit } => {
                    warn!(target: "pleach::runtime", %peer, ?silent, %limit, "the peer counts as dead");
                    return Err(TransportError::Silent { silent, limit });
                }
            }
        }
    }

    fn detector(&self) -> Option<MutexGuard<'_, FailureDetector>> {
        Some(lock(self.0.detector.as_ref()?))
    }
}
