//! The limit of log records of one kind that a peer or a stranger can cause.
//!
//! The first few are written, later ones at most once per second, or as often as the limit says, with the number of
//! those before.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::lock;

/// Counts the records of one kind: of one connection, one listener, or one place in the code.
#[derive(Debug)]
pub(crate) struct Limit {
    /// How many may be written in one pause.
    burst: u64,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    /// How many may still be written before the next pause.
    allowed: u64,
    last: Option<Instant>,
    left_out: u64,
}

impl Limit {
    pub(crate) const fn new() -> Self {
        Self { burst: 1, counted: Mutex::new(Counted { allowed: FEW, last: None, left_out: 0 }) }
    }

    /// As [`new`](Self::new), for records that tell little one by one: so many are written per second.
    pub(crate) const fn per_second(burst: u64) -> Self {
        Self { burst, counted: Mutex::new(Counted { allowed: burst, last: None, left_out: 0 }) }
    }

    /// Counts one more. If it may be written, returns how many there were since the last one that was, this one
    /// included.
    pub(crate) fn count(&self) -> Option<u64> {
        let now = Instant::now();
        let mut counted = lock(&self.counted);
        counted.left_out += 1;
        if counted.last.is_some_and(|last| now.duration_since(last) >= PAUSE) {
            counted.allowed = counted.allowed.max(self.burst);
        }
        counted.allowed = counted.allowed.checked_sub(1)?;
        counted.last = Some(now);
        Some(std::mem::take(&mut counted.left_out))
    }

    /// Returns how many have not been written since the last one that was, and forgets them.
    pub(crate) fn take_left_out(&self) -> u64 {
        std::mem::take(&mut lock(&self.counted).left_out)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::new()
    }
}

/// How many records are written before the pauses begin.
const FEW: u64 = 3;

/// The time between two records after that.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_per_second_whenever_they_come() {
        let limit = Limit::per_second(2);
        let twice = || (limit.count(), limit.count(), limit.count());
        assert_eq!(twice(), (Some(1), Some(1), None));
        tokio::time::advance(PAUSE).await;
        assert_eq!(limit.count(), Some(2));
        // What was not used up does not add up.
        tokio::time::advance(5 * PAUSE).await;
        assert_eq!(twice(), (Some(1), Some(1), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_few_and_then_one_per_second_with_the_count() {
        let limit = Limit::new();
        let counted: Vec<_> = (0..5).map(|_| limit.count()).collect();
        assert_eq!(counted, [Some(1), Some(1), Some(1), None, None]);
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert_eq!(limit.count(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((limit.count(), limit.count()), (Some(4), None));
        assert_eq!((limit.take_left_out(), limit.take_left_out()), (1, 0));
    }
}
