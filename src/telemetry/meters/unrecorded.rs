//! The meters of a build without the feature `metrics`: nothing is counted, and nothing is spent.

use pleach_wire::Volume;
use pleach_wire::msg::FunctionKind;

use super::Event;
use crate::telemetry::calls::{CallOutcome, CallSide};

/// The meters of one function.
#[derive(Debug)]
pub(crate) struct CallMeters;

impl CallMeters {
    pub(crate) const fn new(_function: &'static str, _kind: FunctionKind) -> Self {
        Self
    }
}

/// The measurement of one call.
#[derive(Debug, Default)]
pub(crate) struct Measured;

impl Measured {
    #[inline]
    pub(crate) fn begin(_meters: &'static CallMeters, _side: CallSide) -> Self {
        Self
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn end(&mut self, _outcome: CallOutcome) {}
}

#[inline]
pub(crate) fn count(_event: Event<'_>) {}

#[inline]
pub(crate) fn note_closed(_transport: &str, _volume: Option<Volume>) {}
