//! The macros by which this library writes log records, and the limit of those that others can cause.
//!
//! A record is made by [`pleach_wire::record!`], which takes most of what the macros of [`tracing`] take, and handed
//! to the program's subscriber by a thread of its own. So a subscriber that panics ends nothing here, and one that
//! blocks holds nothing up ([`pleach_wire::log`]); `tests/layering.rs` sees to it that no record goes another way.
//!
//! # Invariants
//! 1. Duty comes before words: state changes come before the record. A record's values are formatted on the spot, by
//!    code that may be a user's.
//! 2. No lock is held while a record is made.

mod limit;

pub(crate) use self::limit::Limit;

macro_rules! error {
    ($($record:tt)+) => { ::pleach_wire::record!(ERROR, $($record)+) };
}

macro_rules! warn {
    ($($record:tt)+) => { ::pleach_wire::record!(WARN, $($record)+) };
}

macro_rules! info {
    ($($record:tt)+) => { ::pleach_wire::record!(INFO, $($record)+) };
}

macro_rules! debug {
    ($($record:tt)+) => { ::pleach_wire::record!(DEBUG, $($record)+) };
}
