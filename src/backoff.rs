//! How long to wait before something is tried again. It has no clock and no source of random numbers.

use std::time::Duration;

/// How long a supervisor waits before it starts a child again, and a [`Retry`](crate::Retry) before it repeats a call.
///
/// A supervisor's wait grows with the restarts of that child within its period
/// ([`Supervision::intensity`](crate::Supervision::intensity)), so it starts over once the child has been well for that
/// long. Children that die together, of the same cause, are started again together unless there is
/// [`jitter`](Self::jitter).
///
/// ```
/// use std::time::Duration;
/// use pleach::{Backoff, Supervision};
///
/// let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)).jitter();
/// let supervision = Supervision::one_for_one().backoff(backoff);
/// # drop(supervision);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    factor: u32,
    most: Duration,
    jitter: bool,
}

impl Backoff {
    /// Tries again at once.
    pub const fn none() -> Self {
        Self::constant(Duration::ZERO)
    }

    /// Waits the same time before each attempt.
    pub const fn constant(wait: Duration) -> Self {
        Self { first: wait, factor: 1, most: wait, jitter: false }
    }

    /// Waits `first`, then twice as long each time, but never longer than `most`.
    pub const fn exponential(first: Duration, most: Duration) -> Self {
        Self { first, factor: 2, most, jitter: false }
    }

    /// Makes each wait shorter by a random part of it, half of it at most, so that what has died together does not come
    /// back together: a wait of 100 ms becomes one between 50 ms and 100 ms.
    pub const fn jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// Returns how long to wait before it is tried again; the first `attempt` is 1. Of all `random` numbers, the highest takes
    /// off the most.
    pub(crate) fn wait(&self, attempt: u32, random: u32) -> Duration {
        let grown = self.factor.saturating_pow(attempt.saturating_sub(1));
        let wait = self.first.saturating_mul(grown).min(self.most);
        match self.jitter {
            true => wait - wait.mul_f64(f64::from(random) / f64::from(u32::MAX) / 2.0),
            false => wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(100);

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_millis(50));
        assert_eq!([1, 2, 3].map(|attempt| backoff.wait(attempt, 0).as_millis()), [10, 20, 40]);
        assert_eq!([4, 5, 1000, u32::MAX].map(|attempt| backoff.wait(attempt, 0).as_millis()), [50; 4]);
        assert_eq!(Backoff::none().wait(7, 0), Duration::ZERO);
        assert_eq!(Backoff::constant(WAIT).wait(7, 0), WAIT);
    }

    #[test]
    fn jitter_takes_off_half_at_most_and_only_where_it_was_asked_for() {
        let waits = |backoff: Backoff| [0, u32::MAX / 2, u32::MAX].map(|random| backoff.wait(1, random).as_millis());
        assert_eq!(waits(Backoff::constant(WAIT).jitter()), [100, 75, 50]);
        assert_eq!(waits(Backoff::constant(WAIT)), [100; 3]);
        assert_eq!(Backoff::constant(Duration::MAX).jitter().wait(1, u32::MAX).as_secs() >> 62, 1);
    }
}
