//! How long the messages of a connection take: times drawn from a seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How long the messages of a connection take.
#[derive(Debug)]
pub(crate) struct Delay {
    /// In milliseconds, from and to.
    range: RangeInclusive<u64>,
    /// Whether those that are sent are delayed too, and not only those that are received.
    pub(super) both_ways: bool,
    random: Random,
}

impl Delay {
    pub(crate) fn new(range: &RangeInclusive<Duration>, both_ways: bool, random: Random) -> Self {
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(LONGEST);
        Self { range: millis(range.start())..=millis(range.end()), both_ways, random }
    }

    /// That of a connection in a tree with a schedule: both sides have one, for what they receive.
    pub(crate) fn of_schedule(seed: u64) -> Self {
        Self { range: 0..=JITTER, both_ways: false, random: Random::new(seed) }
    }

    /// Draws the next one.
    pub(super) fn draw(&mut self) -> Duration {
        let (from, to) = (*self.range.start(), *self.range.end());
        Duration::from_millis(from + self.random.below(to.saturating_sub(from) + 1))
    }
}

/// A small generator (splitmix64): one seed draws the same numbers everywhere.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The longest delay of a schedule, in milliseconds: enough for several steps of one actor during one of another, and
/// far below all bounds.
const JITTER: u64 = 9;

/// The longest delay, in milliseconds: a day.
const LONGEST: u64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_draws_the_same_times_within_their_range() {
        let drawn = |seed| {
            let range = Duration::from_millis(3)..=Duration::from_millis(5);
            let mut delay = Delay::new(&range, true, Random::new(seed));
            std::iter::repeat_with(move || delay.draw().as_millis()).take(50).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!((3..=5).all(|time| drawn(7).contains(&time)) && drawn(7).iter().all(|time| (3..=5).contains(time)));
    }
}
