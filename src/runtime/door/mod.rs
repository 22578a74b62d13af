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
//! | [`arrivals`] | how fast connections come from each source |
//! | [`source`] | which connections count as one source |
//!
//! # Invariants
//! 1. At most `max_pending_handshakes` strangers have a slot. An evicted one leaves at the next turn of its task.
//! 2. Log records that a stranger can cause are [limited](Limit), for each kind; omitted ones are counted.

mod arrivals;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pleach_wire::transport::Ends;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::arrivals::Arrivals;
use self::source::Source;
use super::lock;
use crate::config::Config;
use crate::log::Limit;

/// The pending handshakes of one listener.
#[derive(Debug)]
pub(super) struct Door {
    places: usize,
    began: Instant,
    house: Mutex<House>,
    /// A slot was freed.
    left: Notify,
    limits: Limits,
}

/// Limits of the records that a stranger can cause, by kind.
#[derive(Debug, Default)]
struct Limits {
    too_fast: Limit,
    shown_out: Limit,
    refused: Limit,
    /// It only probed, or sent nothing.
    idle: Limit,
}

#[derive(Debug)]
struct House {
    arrivals: Arrivals<Source>,
    /// By number, so that the oldest come first.
    guests: BTreeMap<u64, Guest>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    source: Option<Source>,
    since: Instant,
    /// This actor has started it and waits for it.
    is_expected: bool,
    shown_out: CancellationToken,
}

/// A stranger's slot. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Door>,
    number: u64,
    shown_out: CancellationToken,
}

impl Door {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        let house = House { arrivals: Arrivals::new(config.max_connection_rate), guests: BTreeMap::new(), next: 0 };
        let places = config.max_pending_handshakes;
        Arc::new(Self {
            places,
            began: Instant::now(),
            house: Mutex::new(house),
            left: Notify::new(),
            limits: Limits::default(),
        })
    }

    /// Returns whether a connection from there may come in now. `expected` children come on top of the rate.
    pub(super) fn lets_in(&self, ends: &Ends, expected: usize) -> bool {
        let Some(source) = Source::of(ends) else { return true };
        let now = self.began.elapsed();
        if lock(&self.house).arrivals.take(source, now, expected) {
            return true;
        }
        if let Some(count) = self.limits.too_fast.count() {
            warn!(target: "pleach::transport", %source, count, "connections come too fast (`max_connection_rate`): closed them");
        }
        false
    }

    /// Waits for a place, which is soon: see above.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, no place was taken.
    pub(super) async fn place(self: &Arc<Self>, ends: &Ends) -> Place {
        let source = Source::of(ends);
        loop {
            // Created first, so that no slot is freed unseen between the look and the wait.
            let left = self.left.notified();
            let patience = match self.try_place(source) {
                Ok(place) => return place,
                Err(patience) => patience,
            };
            match patience {
                Some(until) => drop(timeout_at(until, left).await), // either way there may be a place
                None => left.await,
            }
        }
    }

    /// Takes a free slot, or evicts a handshake whose grace has passed.
    ///
    /// # Errors
    /// When the next grace will have passed; `None` if each pending one is an expected child.
    fn try_place(self: &Arc<Self>, source: Option<Source>) -> Result<Place, Option<Instant>> {
        let now = Instant::now();
        let mut house = lock(&self.house);
        let mut was_full = false;
        if house.guests.len() >= self.places {
            let longest = house.longest_of_the_most().ok_or(None)?;
            let until = house.guests[&longest].since + GRACE;
            if now < until {
                return Err(Some(until));
            }
            if let Some(guest) = house.guests.remove(&longest) {
                guest.shown_out.cancel();
            }
            was_full = true;
        }
        let (number, shown_out) = (house.next, CancellationToken::new());
        house.next += 1;
        house.guests.insert(number, Guest { source, since: now, is_expected: false, shown_out: shown_out.clone() });
        drop(house);
        if was_full && let Some(count) = self.limits.shown_out.count() {
            let limit = self.places;
            warn!(target: "pleach::transport", count, limit, "strangers made room for others (`max_pending_handshakes`)");
        }
        Ok(Place { door: self.clone(), number, shown_out })
    }

    /// Logs why a connection was refused.
    pub(super) fn note_refusal(&self, remote: &dyn fmt::Display, error: &dyn fmt::Display) {
        if let Some(count) = self.limits.refused.count() {
            warn!(target: "pleach::transport", %remote, %error, count, "refused a connection");
        }
    }

    /// Logs why a connection came to nothing before it was at the door.
    pub(super) fn note_failure(&self, error: &dyn fmt::Display) {
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
            debug!(target: "pleach::transport", %remote, %end, count, "connected and left without a word");
        }
    }

    /// Logs the records that were only counted so far.
    pub(super) fn close(&self) {
        let Limits { too_fast, shown_out, refused, idle: _ } = &self.limits;
        for (what, limit) in [("too fast", too_fast), ("evicted", shown_out), ("refused", refused)] {
            match limit.take_left_out() {
                0 => {}
                count => {
                    warn!(target: "pleach::transport", what, count, "further connections that did not become members")
                }
            }
        }
    }
}

impl House {
    /// The oldest, of the source with the most; expected children stay.
    fn longest_of_the_most(&self) -> Option<u64> {
        let mut by_source: BTreeMap<Option<Source>, (usize, u64)> = BTreeMap::new();
        for (number, guest) in self.guests.iter().filter(|(_, guest)| !guest.is_expected) {
            by_source.entry(guest.source).or_insert((0, *number)).0 += 1;
        }
        by_source.into_values().max_by_key(|(count, _)| *count).map(|(_, longest)| longest)
    }
}

impl Place {
    /// Keeps the slot until the handshake ends: its owner is an expected child, and does not count for the rate either.
    pub(super) fn keep(&self) {
        let house = &mut *lock(&self.door.house);
        let Some(guest) = house.guests.get_mut(&self.number) else { return };
        let was_expected = std::mem::replace(&mut guest.is_expected, true);
        if let Some(source) = guest.source.filter(|_| !was_expected) {
            house.arrivals.give_back(source);
        }
    }

    /// Waits until the slot is evicted.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn shown_out(&self) {
        self.shown_out.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.door.house).guests.remove(&self.number);
        self.door.left.notify_one();
    }
}

/// The time each stranger has to shake hands when others wait: a handshake takes a few milliseconds, and 100 ms let 128
/// places serve more than come from one source by default.
const GRACE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use pleach_wire::Address;

    use super::*;

    fn from(host: u8) -> Ends {
        let remote: Address = format!("tcp://10.0.0.{host}:5").parse().unwrap();
        Ends { local: remote.clone(), remote, credentials: None, binding: None }
    }

    fn door(places: usize) -> Arc<Door> {
        Door::new(&Config { max_pending_handshakes: places, max_connection_rate: 10, ..Config::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_to_a_full_house_gets_the_place_of_who_came_first() {
        let door = door(2);
        let (first, second) = (door.place(&from(1)).await, door.place(&from(1)).await);
        let began = Instant::now();
        let third = door.place(&from(1)).await;
        assert_eq!(began.elapsed(), GRACE);
        first.shown_out().await;
        assert!(!second.shown_out.is_cancelled() && !third.shown_out.is_cancelled());
        drop((first, second));
        // A place that was left is free at once.
        let began = Instant::now();
        let fourth = door.place(&from(1)).await;
        assert!(began.elapsed().is_zero());
        drop((third, fourth));
        assert!(lock(&door.house).guests.is_empty());
    }

    // SEC-5
    #[tokio::test(start_paused = true)]
    async fn the_source_with_the_most_places_makes_room() {
        let door = door(4);
        let member = door.place(&from(1)).await;
        let strangers = [door.place(&from(2)).await, door.place(&from(2)).await, door.place(&from(2)).await];
        let _newcomer = door.place(&from(3)).await;
        strangers[0].shown_out().await;
        assert!(!member.shown_out.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_that_is_waited_for_stays() {
        let door = door(2);
        let (child, stranger) = (door.place(&from(1)).await, door.place(&from(1)).await);
        child.keep();
        let newcomer = door.place(&from(1)).await;
        stranger.shown_out().await;
        newcomer.keep();
        assert!(!child.shown_out.is_cancelled());
        // With nothing to evict, the next one waits.
        let mut waiting = Box::pin({
            let door = door.clone();
            async move { door.place(&from(1)).await }
        });
        let waited = tokio::time::timeout(10 * GRACE, &mut waiting).await;
        assert!(waited.is_err());
        drop(child);
        waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_too_fast_stays_outside() {
        let door = door(2);
        let let_in = |host, expected| (0..50).filter(|_| door.lets_in(&from(host), expected)).count();
        assert_eq!(let_in(1, 0), 10);
        assert_eq!(let_in(2, 5), 15);
        assert_eq!(door.limits.too_fast.take_left_out(), 72, "75 were turned away, and three lines were logged");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(let_in(1, 0), 10);
    }
}
