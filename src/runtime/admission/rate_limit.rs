//! How fast connections come from each source, and whether one more is too fast.
//!
//! A token bucket per source: it holds one second's worth, so that many may come at once after a quiet second. It is
//! kept as the one number that this takes, the time at which the bucket will be full again. There is no clock here: the
//! caller passes the time, since any fixed moment.
//!
//! # Invariants
//! 1. At most [`MAX_SOURCES`] are remembered. The least recently seen is forgotten first.

use std::collections::BTreeMap;
use std::time::Duration;

/// The rate of connections, by source.
#[derive(Debug)]
pub(super) struct RateLimit<S> {
    /// The time in which one token comes back.
    pause: Duration,
    /// When the bucket of each source is full again.
    full_at: BTreeMap<S, Duration>,
}

impl<S: Ord + Copy> RateLimit<S> {
    /// Allows `rate` connections per second from each source.
    pub(super) fn new(rate: usize) -> Self {
        let rate = u32::try_from(rate).unwrap_or(u32::MAX);
        Self { pause: SECOND / rate.max(1), full_at: BTreeMap::new() }
    }

    /// Takes a token of `source`; returns whether there was one. `more` is how far it may overdraw.
    pub(super) fn take(&mut self, source: S, now: Duration, more: usize) -> bool {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let full_at = self.full_at.get(&source).copied().unwrap_or(now).max(now) + self.pause;
        if full_at - now > SECOND.max(self.pause).saturating_add(self.pause.saturating_mul(more)) {
            return false;
        }
        if self.full_at.len() == MAX_SOURCES && !self.full_at.contains_key(&source) {
            self.forget(now);
        }
        self.full_at.insert(source, full_at);
        true
    }

    /// Gives a token back: that connection was none of those that are counted.
    pub(super) fn give_back(&mut self, source: S) {
        if let Some(full_at) = self.full_at.get_mut(&source) {
            *full_at = full_at.saturating_sub(self.pause);
        }
    }

    /// Makes room: those whose buckets are full make no difference.
    fn forget(&mut self, now: Duration) {
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() == MAX_SOURCES
            && let Some(least) = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(source, _)| *source)
        {
            self.full_at.remove(&least);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Sources that are remembered: more than a network's members, and a few hundred kilobytes.
const MAX_SOURCES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rate_limit: &mut RateLimit<u32>, source: u32, now: Duration, tries: usize) -> usize {
        (0..tries).filter(|_| rate_limit.take(source, now, 0)).count()
    }

    #[test]
    fn one_seconds_worth_at_once_and_then_as_it_comes_back() {
        let mut rate_limit = RateLimit::new(100);
        let start = Duration::from_secs(7);
        assert_eq!(count(&mut rate_limit, 1, start, 1000), 100);
        assert_eq!(count(&mut rate_limit, 1, start + Duration::from_millis(9), 1000), 0);
        assert_eq!(count(&mut rate_limit, 1, start + Duration::from_millis(50), 1000), 5);
        assert_eq!(count(&mut rate_limit, 1, start + Duration::from_secs(60), 1000), 100);
    }

    #[test]
    fn sources_do_not_share() {
        let mut rate_limit = RateLimit::new(10);
        assert_eq!(count(&mut rate_limit, 1, Duration::ZERO, 50), 10);
        assert_eq!(count(&mut rate_limit, 2, Duration::ZERO, 50), 10);
    }

    #[test]
    fn who_is_waited_for_comes_on_top() {
        let mut rate_limit = RateLimit::new(1);
        assert!(rate_limit.take(1, Duration::ZERO, 3));
        for _ in 0..3 {
            assert!(rate_limit.take(1, Duration::ZERO, 3));
        }
        assert!(!rate_limit.take(1, Duration::ZERO, 3));
        // One of them has come, and was none of the others.
        rate_limit.give_back(1);
        assert!(rate_limit.take(1, Duration::ZERO, 3));
    }

    #[test]
    fn the_table_has_a_bound() {
        let mut rate_limit = RateLimit::new(2);
        for source in 0..3 * MAX_SOURCES as u32 {
            assert!(rate_limit.take(source, Duration::from_micros(source.into()), 0));
        }
        assert_eq!(rate_limit.full_at.len(), MAX_SOURCES);
        // Those that came last are remembered.
        let (last, now) = (3 * MAX_SOURCES as u32 - 1, Duration::from_millis(13));
        assert_eq!(count(&mut rate_limit, last, now, 5), 1);
    }
}
