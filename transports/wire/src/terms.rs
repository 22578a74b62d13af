//! The terms of a request, beside the function and its arguments: its declaration, and the remaining time.

use std::time::Duration;

/// The terms of a request ([`Msg::Start`](crate::Msg::Start) and its like). The default says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The fingerprint of the function's declaration at the caller; 0 if unknown.
    pub schema: u64,
    /// The remaining time for the task, which is cancelled after it.
    pub deadline: Option<Duration>,
}

impl CallOptions {
    /// Makes them of the numbers on the wire.
    pub(crate) fn of([schema, micros_left]: [u64; 2]) -> Self {
        Self { schema, deadline: (micros_left > 0).then(|| Duration::from_micros(micros_left)) }
    }

    /// Returns them as the numbers on the wire: the schema, and the microseconds that are left; 0 for none.
    /// Those at the end that say nothing are left out.
    ///
    /// The time is rounded up: the caller's own deadline passes first.
    pub(crate) fn numbers(&self) -> impl ExactSizeIterator<Item = u64> + use<> {
        let micros_left = self
            .deadline
            .map_or(0, |left| u64::try_from(left.as_micros()).map_or(u64::MAX, |micros| micros.saturating_add(1)));
        let count = match (self.schema, micros_left) {
            (0, 0) => 0,
            (_, 0) => 1,
            _ => 2,
        };
        [self.schema, micros_left].into_iter().take(count)
    }
}
