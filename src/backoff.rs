//! How long to wait before something is tried again.

use std::time::Duration;

/// How long a supervisor waits before it starts a child again, and a [`Retry`](crate::Retry) before it repeats a call.
///
/// A supervisor's wait grows with the restarts of that child within its period
/// ([`Supervision::intensity`](crate::Supervision::intensity)), so it starts over once the child has been well for that
/// long. No jitter is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    factor: u32,
    most: Duration,
}

impl Backoff {
    /// Tries again at once.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// Waits the same time before each attempt.
    pub const fn constant(wait: Duration) -> Self {
        Self { first: wait, factor: 1, most: wait }
    }

    /// Waits `first`, then twice as long each time, but never longer than `most`.
    pub const fn exponential(first: Duration, most: Duration) -> Self {
        Self { first, factor: 2, most }
    }

    /// Returns how long to wait before it is tried again; the first `attempt` is 1.
    pub(crate) fn wait(&self, attempt: u32) -> Duration {
        let grown = self.factor.saturating_pow(attempt.saturating_sub(1));
        self.first.saturating_mul(grown).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let ms = Duration::from_millis;
        let backoff = Backoff::exponential(ms(10), ms(50));
        assert_eq!([1, 2, 3].map(|attempt| backoff.wait(attempt)), [ms(10), ms(20), ms(40)]);
        assert_eq!([4, 5, 1000, u32::MAX].map(|attempt| backoff.wait(attempt)), [ms(50); 4]);
        assert_eq!(Backoff::none().wait(7), Duration::ZERO);
        assert_eq!(Backoff::constant(ms(7)).wait(7), ms(7));
    }
}
