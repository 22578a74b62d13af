//! The terms of a request, beside the function and its arguments: its declaration, the remaining time, and the trace that
//! it belongs to.

use std::time::Duration;

use crate::trace::TraceContext;

/// The terms of a request ([`Msg::Start`](crate::Msg::Start) and its like). The default says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The fingerprint of the function's declaration at the caller; 0 if unknown.
    pub schema: u64,
    /// The remaining time for the task, which is cancelled after it.
    pub deadline: Option<Duration>,
    /// The trace that it belongs to, if there is one.
    pub trace: Option<Box<TraceContext>>,
}

impl CallOptions {
    /// Makes them of the numbers on the wire.
    pub(crate) fn of([schema, micros_left]: [u64; 2], trace: Option<Box<TraceContext>>) -> Self {
        Self { schema, deadline: (micros_left > 0).then(|| Duration::from_micros(micros_left)), trace }
    }

    /// Returns them as the numbers on the wire: the schema, and the microseconds that are left; 0 for none.
    /// Those at the end that say nothing are left out, unless a trace follows.
    ///
    /// The time is rounded up: the caller's own deadline passes first.
    pub(crate) fn numbers(&self) -> impl ExactSizeIterator<Item = u64> + use<> {
        let micros_left = self
            .deadline
            .map_or(0, |left| u64::try_from(left.as_micros()).map_or(u64::MAX, |micros| micros.saturating_add(1)));
        let count = match (self.schema, micros_left) {
            _ if self.trace.is_some() => 2,
            (0, 0) => 0,
            (_, 0) => 1,
            _ => 2,
        };
        [self.schema, micros_left].into_iter().take(count)
    }
}
