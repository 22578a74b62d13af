//! The macros by which this library writes log records, and the limit of those that others can cause.
//!
//! They take what those of [`tracing`] take. A subscriber that panics ends nothing here
//! ([`pleach_wire::log::guarded`]); `tests/layering.rs` sees to it that no record goes another way.
//!
//! # Invariants
//! 1. Duty comes before words: whatever has to be done is done before the record is written, because a
//!    subscriber may also block.
//! 2. No lock is held while a record is written.

mod limit;

pub(crate) use self::limit::Limit;

macro_rules! error {
    ($($record:tt)+) => { ::pleach_wire::log::guarded(|| ::tracing::error!($($record)+)) };
}

macro_rules! warn {
    ($($record:tt)+) => { ::pleach_wire::log::guarded(|| ::tracing::warn!($($record)+)) };
}

macro_rules! info {
    ($($record:tt)+) => { ::pleach_wire::log::guarded(|| ::tracing::info!($($record)+)) };
}

macro_rules! debug {
    ($($record:tt)+) => { ::pleach_wire::log::guarded(|| ::tracing::debug!($($record)+)) };
}
