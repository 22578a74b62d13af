//! The time of the day as it travels: since the beginning of 1970. A clock that is set before that says zero.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the time in milliseconds.
pub(crate) fn millis(at: SystemTime) -> u64 {
    since(at).as_millis() as u64
}

/// Returns the time in microseconds.
pub(crate) fn micros(at: SystemTime) -> u64 {
    since(at).as_micros() as u64
}

fn since(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}
