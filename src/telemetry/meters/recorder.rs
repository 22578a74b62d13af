//! Whether the program has a recorder, and what is done once it has one.
//!
//! Only the global recorder counts, and that can't be replaced: once it has been found, handles of it are kept for good.
//! Until then each end of a call looks for it, which takes some instructions and no lock, so that one that is installed
//! late is found, too.
//!
//! # Invariants
//! 1. A recorder that panics ends nothing here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ::metrics::{Recorder, with_recorder};

use super::names::METRICS;

/// Returns whether a recorder has been found already. One load.
#[inline]
pub(crate) fn is_known() -> bool {
    KNOWN.load(Ordering::Relaxed)
}

/// Returns whether there is a recorder; looks for it, if none was found so far.
#[inline]
pub(crate) fn is_there() -> bool {
    is_known() || (with_recorder(is_real) && begin())
}

/// Has `sampler` called once there is a recorder: now, if there is one.
pub(crate) fn when_there(sampler: fn()) {
    let _ = SAMPLER.set(sampler); // each caller brings the same one
    if is_there() {
        sampler();
    }
}

/// Calls the recorder (invariant 1).
pub(crate) fn contained<T>(record: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(record)).ok()
}

#[cold]
fn begin() -> bool {
    if !KNOWN.swap(true, Ordering::AcqRel) {
        contained(|| with_recorder(|recorder| METRICS.iter().for_each(|metric| metric.describe(recorder))));
        SAMPLER.get().iter().for_each(|start| start());
    }
    true
}

/// Tells a program's recorder from the one that stands in for it, which has no state and is a `static`. One of a
/// program that has no state either was put into a box, and a box without content has the address of nothing.
fn is_real(recorder: &dyn Recorder) -> bool {
    size_of_val(recorder) > 0 || (&raw const *recorder).addr() < LOWEST
}

static KNOWN: AtomicBool = AtomicBool::new(false);
static SAMPLER: OnceLock<fn()> = OnceLock::new();

/// No object of a program has a lower address: the first page of its memory is never there.
const LOWEST: usize = 4096;
