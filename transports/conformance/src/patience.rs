//! How long tests wait: the one place of every upper bound, which grows with what else the machine has to do.
//!
//! A test waits for events, and asserts in which order they come. Time only ends the wait for an event that never
//! comes, and lets a bound strike whose striking is the test.
//!
//! | a test needs | and takes |
//! |---|---|
//! | an end to a wait for what must happen | [`patience`] |
//! | a bound that has to strike where a peer is stuck, and must not where it is well | [`soon`] |
//! | a bound that must not strike at all: were it waited for, the test's patience would end first | [`FOREVER`] |
//! | a time of its own that stands for something, e.g. a lease | [`scaled`] |
//!
//! `TEST_PATIENCE=4` multiplies all of them but the last: for an emulator, or a debugger.
//!
//! # What must stay true
//! 1. A test that passes on an idle machine passes on a busy one, only later.
//! 2. No test asserts that something took less than some time, unless that time is one of these.

use std::time::Duration;

/// Returns how long a test waits for what must happen before it counts as hung.
pub fn patience() -> Duration {
    scaled(Duration::from_secs(20))
}

/// Returns a bound that strikes in a test where a peer is stuck: far above what one needs that is well.
///
/// It stays well below the ten seconds after which QUIC gives up a peer that says nothing.
pub fn soon() -> Duration {
    scaled(Duration::from_secs(1)).min(Duration::from_secs(5))
}

/// A bound that must not strike: longer than any patience.
pub const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// Returns what a time on an idle machine becomes on this one, as it is now.
pub fn scaled(time: Duration) -> Duration {
    time * (contention() * chosen()).min(MOST)
}

/// How many tasks want each processor, at least one: the average of the last minute, or those of now.
fn contention() -> u32 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, |number| number.get());
    1 + (wanting(&text) / processors as f64).ceil() as u32
}

/// Reads how many tasks want to run from a line like `0.16 0.72 0.60 9/433 4711`: load averages, then those that
/// can run now, the reader among them.
fn wanting(loadavg: &str) -> f64 {
    let mut words = loadavg.split(' ');
    let average = words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0_f64);
    let now = words.nth(2).and_then(|word| word.split('/').next()?.parse().ok()).unwrap_or(1.0_f64);
    average.max(now - 1.0)
}

fn chosen() -> u32 {
    std::env::var("TEST_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1).max(1)
}

/// What a test that hangs may cost at most.
const MOST: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_of_average_and_present_counts() {
        assert_eq!(wanting("0.16 0.72 0.60 9/433 4711\n"), 8.0);
        assert_eq!(wanting("13.50 0.72 0.60 9/433 4711\n"), 13.5);
        assert_eq!(wanting(""), 0.0);
    }

    #[test]
    fn bounds_grow_together_and_stay_in_their_order() {
        assert!(soon() >= Duration::from_secs(1) && soon() <= Duration::from_secs(1) * MOST);
        assert!(patience() <= Duration::from_secs(20) * MOST && patience() < FOREVER);
    }
}
