//! The door of a listener: which strangers are talked to, how many, and for how long.
//!
//! ```text
//! accepted ─► too fast for its source? closed, no byte read
//!          └► a place ─(handshake over)─► a member, or gone
//!               └─(the house is full, and it had its time)─► shown out
//! ```
//! A stranger that says nothing must not keep members out. So when all places are taken, a newcomer gets that
//! of the stranger who has been there longest, of those of the source with the most places. Each stays for
//! [`GRACE`] at least; a child that this actor waits for stays until the handshake's deadline.
//!
//! | file | station |
//! |---|---|
//! | [`arrivals`] | how fast connections come from each source |
//! | [`source`] | what counts as one source |
//!
//! # Invariants
//! 1. At most `max_pending_handshakes` strangers have a place. Who was shown out leaves at the next turn of its task.
//! 2. A log that a stranger can cause has at most one line per second of each kind; what is left out is counted.

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

/// What a listener knows of the strangers who are being talked to. One for each listener.
#[derive(Debug)]
pub(super) struct Door {
    places: usize,
    began: Instant,
    house: Mutex<House>,
    /// Somebody has left.
    left: Notify,
}

#[derive(Debug)]
struct House {
    arrivals: Arrivals<Source>,
    /// By number, so that those who came first stand first.
    guests: BTreeMap<u64, Guest>,
    next: u64,
    too_fast: Notices,
    shown_out: Notices,
    refused: Notices,
}

#[derive(Debug)]
struct Guest {
    source: Option<Source>,
    since: Instant,
    /// This actor has started it and waits for it.
    is_expected: bool,
    shown_out: CancellationToken,
}

/// A stranger's place. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Door>,
    number: u64,
    shown_out: CancellationToken,
}

impl Door {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        let house = House {
            arrivals: Arrivals::new(config.max_connection_rate),
            guests: BTreeMap::new(),
            next: 0,
            too_fast: Notices::default(),
            shown_out: Notices::default(),
            refused: Notices::default(),
        };
        let places = config.max_pending_handshakes;
        Arc::new(Self { places, began: Instant::now(), house: Mutex::new(house), left: Notify::new() })
    }

    /// Returns whether a connection from there may come in now. `expected` children come on top of the rate.
    pub(super) fn lets_in(&self, ends: &Ends, expected: usize) -> bool {
        let Some(source) = Source::of(ends) else { return true };
        let now = self.began.elapsed();
        let house = &mut *lock(&self.house);
        if house.arrivals.take(source, now, expected) {
            return true;
        }
        if let Some(count) = house.too_fast.count(now) {
            tracing::warn!(target: "pleach::transport", %source, count, "connections come too fast (`max_connection_rate`): closed them");
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
            // Made first, so that nobody leaves unseen between the look and the wait.
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

    /// Takes a free place, or that of somebody who had its time.
    ///
    /// # Errors
    /// When the next one will have had its time; `None` if each guest is expected.
    fn try_place(self: &Arc<Self>, source: Option<Source>) -> Result<Place, Option<Instant>> {
        let (now, since_start) = (Instant::now(), self.began.elapsed());
        let house = &mut *lock(&self.house);
        if house.guests.len() >= self.places {
            let longest = house.longest_of_the_most().ok_or(None)?;
            let until = house.guests[&longest].since + GRACE;
            if now < until {
                return Err(Some(until));
            }
            if let Some(guest) = house.guests.remove(&longest) {
                guest.shown_out.cancel();
            }
            if let Some(count) = house.shown_out.count(since_start) {
                let limit = self.places;
                tracing::warn!(target: "pleach::transport", count, limit, "strangers made room for others (`max_pending_handshakes`)");
            }
        }
        let (number, shown_out) = (house.next, CancellationToken::new());
        house.next += 1;
        house.guests.insert(number, Guest { source, since: now, is_expected: false, shown_out: shown_out.clone() });
        Ok(Place { door: self.clone(), number, shown_out })
    }

    /// Logs why a connection was refused, loudly once per second.
    pub(super) fn note_refusal(&self, remote: &dyn fmt::Display, error: &dyn fmt::Display) {
        let counted = lock(&self.house).refused.count(self.began.elapsed());
        match counted {
            Some(count) => tracing::warn!(target: "pleach::transport", %remote, %error, count, "refused a connection"),
            None => tracing::debug!(target: "pleach::transport", %remote, %error, "refused a connection"),
        }
    }

    /// Logs why a connection came to nothing before it was at the door, loudly once per second.
    pub(super) fn note_failure(&self, error: &dyn fmt::Display) {
        let counted = lock(&self.house).refused.count(self.began.elapsed());
        match counted {
            Some(count) => {
                tracing::warn!(target: "pleach::transport", %error, count, "a connection could not be accepted")
            }
            None => tracing::debug!(target: "pleach::transport", %error, "a connection could not be accepted"),
        }
    }

    /// Logs what was only counted so far.
    pub(super) fn close(&self) {
        let house = &mut *lock(&self.house);
        for (what, notices) in
            [("too fast", &house.too_fast), ("shown out", &house.shown_out), ("refused", &house.refused)]
        {
            if notices.unsaid > 0 {
                tracing::warn!(target: "pleach::transport", what, count = notices.unsaid, "further connections that came to nothing");
            }
        }
    }
}

impl House {
    /// The guest who came first, of the source with the most; expected ones stay.
    fn longest_of_the_most(&self) -> Option<u64> {
        let mut by_source: BTreeMap<Option<Source>, (usize, u64)> = BTreeMap::new();
        for (number, guest) in self.guests.iter().filter(|(_, guest)| !guest.is_expected) {
            by_source.entry(guest.source).or_insert((0, *number)).0 += 1;
        }
        by_source.into_values().max_by_key(|(count, _)| *count).map(|(_, longest)| longest)
    }
}

impl Place {
    /// Keeps the place until the handshake is over: its guest is a child that is waited for, and does not count
    /// for the rate either.
    pub(super) fn keep(&self) {
        let house = &mut *lock(&self.door.house);
        let Some(guest) = house.guests.get_mut(&self.number) else { return };
        let was_expected = std::mem::replace(&mut guest.is_expected, true);
        if let Some(source) = guest.source.filter(|_| !was_expected) {
            house.arrivals.give_back(source);
        }
    }

    /// Waits until somebody else got the place.
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

/// Counts what is logged at most once per second.
#[derive(Debug, Default)]
struct Notices {
    said: Option<Duration>,
    unsaid: u64,
}

impl Notices {
    /// Counts one more; returns how many there were since the last time, if it is time to say so.
    fn count(&mut self, now: Duration) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.saturating_sub(said) < Duration::from_secs(1)) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// What each stranger has to shake hands when others wait: that takes a few milliseconds, and 100 ms let 128
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
        // With nobody to show out, the next one waits.
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
        assert_eq!(lock(&door.house).too_fast.unsaid, 74, "75 were turned away, and one line was logged");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(let_in(1, 0), 10);
    }

    #[test]
    fn a_log_line_per_second_with_the_count() {
        let mut notices = Notices::default();
        let at = |millis| Duration::from_millis(millis);
        let counted = [at(0), at(1), at(999), at(1000), at(1001)].map(|now| notices.count(now));
        assert_eq!(counted, [Some(1), None, None, Some(3), None]);
    }
}
