//! Admission at a listener: how many handshakes may be pending, and for how long.
//!
//! ```text
//! accepted ─► too fast for its source? closed, no byte read
//!          └► a slot ─(handshake completes)─► a member, or closed
//!               └─(all slots taken, and its grace has passed)─► evicted
//! ```
//! A silent stranger must not keep members out. So when all slots are taken, a new connection evicts the oldest pending
//! handshake, of those from the source with the most. Each keeps its slot for [`GRACE`] at least; an expected child
//! keeps it until the handshake's deadline.
//!
//! | file | station |
//! |---|---|
//! | [`rate_limit`] | how fast connections come from each source |
//! | [`source`] | which connections count as one source |
//!
//! # Invariants
//! 1. At most `max_pending_handshakes` strangers have a slot. An evicted one leaves at the next turn of its task.
//! 2. Log records that a stranger can cause are [limited](Limit), for each kind; omitted ones are counted.

mod rate_limit;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pleach_wire::transport::PeerInfo;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::rate_limit::RateLimit;
use self::source::Source;
use crate::config::Config;
use crate::log::Limit;
use crate::sync::lock;
use crate::telemetry::meters::{self, Event};

/// The pending handshakes of one listener.
#[derive(Debug)]
pub(super) struct Admission {
    capacity: usize,
    began: Instant,
    slots: Mutex<Slots>,
    /// A slot was freed.
    left: Notify,
    limits: Limits,
}

/// Limits of the records that a stranger can cause, by kind.
#[derive(Debug, Default)]
struct Limits {
    too_fast: Limit,
    evicted: Limit,
    refused: Limit,
    /// It only probed, or sent nothing.
    idle: Limit,
}

#[derive(Debug)]
struct Slots {
    rate_limit: RateLimit<Source>,
    /// By number, so that the oldest come first.
    pending: BTreeMap<u64, Pending>,
    next: u64,
}

#[derive(Debug)]
struct Pending {
    source: Option<Source>,
    since: Instant,
    /// This actor has started it and waits for it.
    is_child: bool,
    evicted: CancellationToken,
}

/// A stranger's slot. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Slot {
    admission: Arc<Admission>,
    number: u64,
    evicted: CancellationToken,
}

impl Admission {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        let slots = Slots { rate_limit: RateLimit::new(config.max_connection_rate), pending: BTreeMap::new(), next: 0 };
        let capacity = config.max_pending_handshakes;
        Arc::new(Self {
            capacity,
            began: Instant::now(),
            slots: Mutex::new(slots),
            left: Notify::new(),
            limits: Limits::default(),
        })
    }

    /// Returns whether a connection from there may come in now. `expected` children come on top of the rate.
    pub(super) fn admits(&self, ends: &PeerInfo, expected: usize) -> bool {
        let Some(source) = Source::of(ends) else { return true };
        let now = self.began.elapsed();
        if lock(&self.slots).rate_limit.take(source, now, expected) {
            return true;
        }
        meters::count(Event::NotAdmitted("too_fast"));
        if let Some(count) = self.limits.too_fast.count() {
            warn!(target: "pleach::transport", %source, count, "connections come too fast (`max_connection_rate`): closed them");
        }
        false
    }

    /// Waits for a slot, which is soon: see above.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no slot was taken.
    pub(super) async fn slot(self: &Arc<Self>, ends: &PeerInfo) -> Slot {
        let source = Source::of(ends);
        loop {
            // Created first, so that no slot is freed unseen between the look and the wait.
            let left = self.left.notified();
            let patience = match self.try_slot(source) {
                Ok(slot) => return slot,
                Err(patience) => patience,
            };
            match patience {
                Some(until) => drop(timeout_at(until, left).await), // either way there may be a slot
                None => left.await,
            }
        }
    }

    /// Takes a free slot, or evicts a handshake whose grace has passed.
    ///
    /// # Errors
    /// When the next grace will have passed; `None` if each pending one is an expected child.
    fn try_slot(self: &Arc<Self>, source: Option<Source>) -> Result<Slot, Option<Instant>> {
        let now = Instant::now();
        let mut slots = lock(&self.slots);
        let mut was_full = false;
        if slots.pending.len() >= self.capacity {
            let longest = slots.longest_of_the_most().ok_or(None)?;
            let until = slots.pending[&longest].since + GRACE;
            if now < until {
                return Err(Some(until));
            }
            if let Some(pending) = slots.pending.remove(&longest) {
                pending.evicted.cancel();
            }
            was_full = true;
        }
        let (number, evicted) = (slots.next, CancellationToken::new());
        slots.next += 1;
        slots.pending.insert(number, Pending { source, since: now, is_child: false, evicted: evicted.clone() });
        drop(slots);
        if was_full && let Some(count) = self.limits.evicted.count() {
            let limit = self.capacity;
            warn!(target: "pleach::transport", count, limit, "dropped pending handshakes to admit newer ones (`max_pending_handshakes`)");
        }
        Ok(Slot { admission: self.clone(), number, evicted })
    }

    /// Logs why a connection was refused.
    pub(super) fn note_refusal(&self, remote: &dyn fmt::Display, error: &dyn fmt::Display) {
        meters::count(Event::NotAdmitted("refused"));
        if let Some(count) = self.limits.refused.count() {
            warn!(target: "pleach::transport", %remote, %error, count, "refused a connection");
        }
    }

    /// Logs why a connection failed before admission.
    pub(super) fn note_failure(&self, error: &dyn fmt::Display) {
        meters::count(Event::NotAdmitted("not_accepted"));
        if let Some(count) = self.limits.refused.count() {
            warn!(target: "pleach::transport", %error, count, "a connection could not be accepted");
        }
    }

    /// Logs that a connection was only a probe.
    pub(super) fn note_probe(&self, remote: &dyn fmt::Display) {
        if let Some(count) = self.limits.idle.count() {
            debug!(target: "pleach::transport", %remote, count, "answered a probe");
        }
    }

    /// Logs that nothing came over a connection.
    pub(super) fn note_silence(&self, remote: &dyn fmt::Display, end: &dyn fmt::Display) {
        if let Some(count) = self.limits.idle.count() {
            debug!(target: "pleach::transport", %remote, %end, count, "peer disconnected before sending anything");
        }
    }

    /// Logs the records that were only counted so far.
    pub(super) fn close(&self) {
        let Limits { too_fast, evicted, refused, idle: _ } = &self.limits;
        for (what, limit) in [("too fast", too_fast), ("evicted", evicted), ("refused", refused)] {
            match limit.take_left_out() {
                0 => {}
                count => {
                    warn!(target: "pleach::transport", what, count, "further connections that did not become members")
                }
            }
        }
    }
}

impl Slots {
    /// The oldest, of the source with the most; expected children stay.
    fn longest_of_the_most(&self) -> Option<u64> {
        let mut by_source: BTreeMap<Option<Source>, (usize, u64)> = BTreeMap::new();
        for (number, pending) in self.pending.iter().filter(|(_, pending)| !pending.is_child) {
            by_source.entry(pending.source).or_insert((0, *number)).0 += 1;
        }
        by_source.into_values().max_by_key(|(count, _)| *count).map(|(_, longest)| longest)
    }
}

impl Slot {
    /// Keeps the slot until the handshake ends: its owner is an expected child, and does not count for the rate either.
    pub(super) fn keep(&self) {
        let slots = &mut *lock(&self.admission.slots);
        let Some(pending) = slots.pending.get_mut(&self.number) else { return };
        let was_expected = std::mem::replace(&mut pending.is_child, true);
        if let Some(source) = pending.source.filter(|_| !was_expected) {
            slots.rate_limit.give_back(source);
        }
    }

    /// Waits until the slot is evicted.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.admission.slots).pending.remove(&self.number);
        self.admission.left.notify_one();
    }
}

/// The time each stranger has to shake hands when others wait: a handshake takes a few milliseconds, and 100 ms let 128
/// capacity serve more than come from one source by default.
const GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use pleach_wire::Address;

    use super::*;

    fn from(host: u8) -> PeerInfo {
        let remote: Address = format!("tcp://10.0.0.{host}:5").parse().unwrap();
        PeerInfo { local: remote.clone(), remote, credentials: None, binding: None }
    }

    fn admission(capacity: usize) -> Arc<Admission> {
        Admission::new(&Config { max_pending_handshakes: capacity, max_connection_rate: 10, ..Config::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_to_a_full_house_gets_the_place_of_who_came_first() {
        let admission = admission(2);
        let (first, second) = (admission.slot(&from(1)).await, admission.slot(&from(1)).await);
        let began = Instant::now();
        let third = admission.slot(&from(1)).await;
        assert_eq!(began.elapsed(), GRACE);
        first.evicted().await;
        assert!(!second.evicted.is_cancelled() && !third.evicted.is_cancelled());
        drop((first, second));
        // A slot that was left is free at once.
        let began = Instant::now();
        let fourth = admission.slot(&from(1)).await;
        assert!(began.elapsed().is_zero());
        drop((third, fourth));
        assert!(lock(&admission.slots).pending.is_empty());
    }

    // SEC-5
    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_the_source_with_the_most_is_evicted() {
        let admission = admission(4);
        let member = admission.slot(&from(1)).await;
        let strangers =
            [admission.slot(&from(2)).await, admission.slot(&from(2)).await, admission.slot(&from(2)).await];
        let _newcomer = admission.slot(&from(3)).await;
        strangers[0].evicted().await;
        assert!(!member.evicted.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_is_waited_for_stays() {
        let admission = admission(2);
        let (child, stranger) = (admission.slot(&from(1)).await, admission.slot(&from(1)).await);
        child.keep();
        let newcomer = admission.slot(&from(1)).await;
        stranger.evicted().await;
        newcomer.keep();
        assert!(!child.evicted.is_cancelled());
        // With nothing to evict, the next one waits.
        let mut waiting = Box::pin({
            let admission = admission.clone();
            async move { admission.slot(&from(1)).await }
        });
        let waited = tokio::time::timeout(10 * GRACE, &mut waiting).await;
        assert!(waited.is_err());
        drop(child);
        waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_too_fast_stays_outside() {
        let admission = admission(2);
        let admitted = |host, expected| (0..50).filter(|_| admission.admits(&from(host), expected)).count();
        assert_eq!(admitted(1, 0), 10);
        assert_eq!(admitted(2, 5), 15);
        assert_eq!(admission.limits.too_fast.take_left_out(), 72, "75 were turned away, and three lines were logged");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(1, 0), 10);
    }
}
