//! The end of a connection: messages in transit still arrive, as long as bytes move.
//!
//! A closing connection writes its queue and reads what the peer has sent. That may take long on a slow line, so its
//! timeout restarts with each byte that moves; the whole is bounded, too.
//!
//! # Invariants
//! 1. Lost messages are an error that says how much was lost. An end without an error lost nothing.

use std::time::Duration;

use pleach_wire::{DrainLimit, EndReason, Traffic, TransportClosed, TransportError};
use tokio::time::Instant;

/// How long a connection may take to close.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// Without a byte that moves.
    pub(crate) stalled: Duration,
    /// Altogether.
    pub(crate) total: Duration,
}

/// How the peer's process has ended, as far as that is known.
/// A later one says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PeerGone {
    /// By force, or in a way that is not known.
    Killed,
    /// By itself: its last messages may be in transit.
    Exited,
}

/// A connection that is being closed.
#[derive(Debug)]
pub(super) struct Draining {
    limits: Drain,
    began: Instant,
    /// The bytes moved at the last look, and the time of the last change.
    moved: u64,
    moved_at: Instant,
    looked_at: Instant,
}

impl Draining {
    pub(super) fn begin(limits: Drain, traffic: Traffic) -> Self {
        let now = Instant::now();
        Self { limits, began: now, moved: traffic.moved, moved_at: now, looked_at: now }
    }

    /// Returns when to look next: the network may have moved this side's bytes long before.
    pub(super) fn next_look(&self, gone: Option<PeerGone>) -> Instant {
        let stalled = self.stalled(gone);
        let soon = self.looked_at + (stalled / LOOKS).max(SHORTEST);
        soon.min(self.moved_at + stalled).min(self.began + self.limits.total)
    }

    /// Looks whether something has moved.
    ///
    /// # Errors
    /// The end of the connection, when it has taken too long.
    pub(super) fn look(&mut self, traffic: Traffic, gone: Option<PeerGone>) -> Result<(), TransportError> {
        let now = Instant::now();
        self.looked_at = now;
        if traffic.moved != self.moved {
            (self.moved, self.moved_at) = (traffic.moved, now);
        }
        let stalled = self.stalled(gone);
        let limit = match () {
            () if now >= self.began + self.limits.total => DrainLimit::Total(self.limits.total),
            () if now >= self.moved_at + stalled => DrainLimit::Stalled(stalled),
            () => return Ok(()),
        };
        Err(match (gone, traffic.waiting) {
            // The peer can't read it any more.
            (Some(_), _) => TransportClosed::by_peer(EndReason::ProcessEnded).into(),
            (None, 0) => TransportClosed::by_us(EndReason::NotAnswered(limit)).into(),
            (None, bytes) => TransportError::Undelivered { bytes, limit },
        })
    }

    fn stalled(&self, gone: Option<PeerGone>) -> Duration {
        match gone {
            Some(PeerGone::Killed) => self.limits.stalled.min(LAST_PACKETS),
            Some(PeerGone::Exited) | None => self.limits.stalled,
        }
    }
}

/// How long the last packets of a peer that was killed may take from one to the next.
const LAST_PACKETS: Duration = Duration::from_millis(100);

/// How often a connection is looked at before it counts as stalled.
const LOOKS: u32 = 4;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LIMITS: Drain = Drain { stalled: Duration::from_millis(500), total: Duration::from_secs(3) };

    fn traffic(moved: u64, waiting: usize) -> Traffic {
        Traffic { moved, waiting }
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_while_something_moves_and_no_longer_than_it_may() {
        let mut draining = Draining::begin(LIMITS, traffic(0, 90));
        for moved in 1..=6 {
            advance(Duration::from_millis(400)).await;
            draining.look(traffic(moved, 90), None).unwrap();
        }
        advance(Duration::from_millis(400)).await;
        draining.look(traffic(7, 90), None).unwrap();
        advance(Duration::from_millis(400)).await;
        let cut = draining.look(traffic(8, 80), None).unwrap_err();
        let TransportError::Undelivered { bytes: 80, limit: DrainLimit::Total(_) } = cut else { panic!("{cut:?}") };
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_ends_it_and_says_what_was_cut() {
        let mut draining = Draining::begin(LIMITS, traffic(5, 90));
        advance(Duration::from_millis(499)).await;
        draining.look(traffic(5, 90), None).unwrap();
        advance(Duration::from_millis(1)).await;
        let cut = draining.look(traffic(5, 90), None).unwrap_err();
        assert_eq!(
            cut.to_string(),
            "the connection was closed before 90 bytes had reached the peer: none of them had moved for 500ms (`drain`)"
        );
        let nothing_left = draining.look(traffic(5, 0), None).unwrap_err();
        assert!(nothing_left.is_closed(), "{nothing_left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_words_of_a_peer_that_has_exited_get_more_time_than_those_of_one_that_was_killed() {
        for (gone, patience) in [(PeerGone::Exited, LIMITS.stalled), (PeerGone::Killed, LAST_PACKETS)] {
            let mut draining = Draining::begin(LIMITS, traffic(0, 90));
            assert!(draining.next_look(Some(gone)) < Instant::now() + patience);
            advance(patience - Duration::from_millis(1)).await;
            draining.look(traffic(0, 90), Some(gone)).unwrap();
            advance(Duration::from_millis(1)).await;
            assert!(draining.look(traffic(0, 90), Some(gone)).unwrap_err().is_closed());
        }
    }
}
