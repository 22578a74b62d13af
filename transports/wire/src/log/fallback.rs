//! What takes records while a program has neither a `tracing` subscriber nor a logger of the `log` crate.
//!
//! By default nothing does. A library above may set a subscriber for them, which is installed nowhere: it is called here,
//! and for these records alone. So the program can still set its own whenever it likes, and that gets all that follows.
//!
//! # Invariants
//! 1. No [`Dispatch`](tracing_core::Dispatch) is made of it: `tracing` would then count a subscriber, and those of other
//!    libraries' events that go to the `log` crate for want of one would go nowhere.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tracing_core::field::ValueSet;
use tracing_core::metadata::LevelFilter;
use tracing_core::{Event, Level, Metadata, Subscriber};

use crate::sync::lock;

/// Takes them from now on, instead of the one before.
pub fn set_fallback(subscriber: impl Subscriber + Send + Sync) {
    let most = subscriber.max_level_hint().unwrap_or(LevelFilter::TRACE);
    *lock(&FALLBACK) = Some(Arc::new(subscriber));
    MOST.store(most.into_level().map_or(OFF, number), Ordering::Release);
}

/// Returns whether it may want a record. One load tells, unless it does.
#[inline]
pub(super) fn may_want(level: Level) -> bool {
    number(level) <= MOST.load(Ordering::Relaxed) && log::max_level() == log::LevelFilter::Off
}

/// Gives it a record, if it wants that.
pub(super) fn write(metadata: &'static Metadata<'static>, values: &ValueSet<'_>) {
    let fallback = lock(&FALLBACK).clone();
    if let Some(fallback) = fallback.filter(|fallback| fallback.enabled(metadata)) {
        fallback.event(&Event::new(metadata, values));
    }
}

/// More severe levels have smaller numbers, from 1.
#[inline]
fn number(level: Level) -> usize {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

const OFF: usize = 0;

static MOST: AtomicUsize = AtomicUsize::new(OFF);
static FALLBACK: Mutex<Option<Arc<dyn Subscriber + Send + Sync>>> = Mutex::new(None);
