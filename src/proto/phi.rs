//! How suspicious a silence is: the phi-accrual failure detector.
//!
//! After Hayashibara, Défago, Yared and Katayama, "The φ Accrual Failure Detector", SRDS 2004. It does not tell whether
//! a peer is dead, but how unlikely so long a silence is, judging by its heartbeats so far: φ = −log₁₀ P(the next one
//! comes later than this), for intervals of a normal distribution. So a slow or jittery connection gets more time than
//! a fast one, without a setting. The caller decides what to do at which φ ([`super::failure_detector`]).
//!
//! # Invariants
//! 1. The window is bounded, and never empty: before the first heartbeats it holds the expected intervals.
//! 2. The deviation is never taken for less than half of the expected interval: a peer that has been very
//!    regular for a while must not be suspected for the first heartbeat that is a little late.

use std::collections::VecDeque;
use std::f64::consts::{LN_10, PI};
use std::time::Duration;

/// The heartbeats of one peer: their intervals, and the likelihood of the next.
#[derive(Debug)]
pub(crate) struct HeartbeatHistory {
    /// In seconds.
    intervals: VecDeque<f64>,
    last: Option<Duration>,
    least_deviation: f64,
    mean: f64,
    deviation: f64,
}

impl HeartbeatHistory {
    /// Of a peer whose heartbeats are expected at this interval.
    pub(crate) fn new(expected: Duration) -> Self {
        let expected = expected.as_secs_f64();
        let least_deviation = expected / 2.0;
        let intervals = VecDeque::from([expected]);
        Self { intervals, last: None, least_deviation, mean: expected, deviation: least_deviation }
    }

    /// Takes a heartbeat.
    pub(crate) fn handle_beat(&mut self, now: Duration) {
        let Some(last) = self.last.replace(now) else { return };
        if self.intervals.len() == WINDOW {
            self.intervals.pop_front();
        }
        self.intervals.push_back(now.saturating_sub(last).as_secs_f64());
        let count = self.intervals.len() as f64;
        self.mean = self.intervals.iter().sum::<f64>() / count;
        let variance = self.intervals.iter().map(|interval| (interval - self.mean).powi(2)).sum::<f64>() / count;
        self.deviation = variance.sqrt().max(self.least_deviation);
    }

    /// Returns how suspicious a silence of this length is.
    pub(crate) fn phi(&self, silence: Duration) -> f64 {
        phi_of((silence.as_secs_f64() - self.mean) / self.deviation)
    }

    /// Returns the silence that lies so many deviations over the mean; see [`deviations_at`].
    pub(crate) fn silence(&self, deviations: f64) -> Duration {
        Duration::try_from_secs_f64(self.mean + deviations * self.deviation).unwrap_or(Duration::MAX)
    }
}

/// Returns how many deviations over the mean a silence lies when it has this φ; never less than none.
pub(crate) fn deviations_at(phi: usize) -> f64 {
    let phi = phi as f64;
    // φ exceeds z²/2 ln 10, so that is too far; from there halves find it, as it only grows.
    let (mut below, mut above) = (0.0, (2.0 * phi * LN_10).sqrt() + 1.0);
    for _ in 0..HALVES {
        let middle = (below + above) / 2.0;
        match phi_of(middle) < phi {
            true => below = middle,
            false => above = middle,
        }
    }
    above
}

/// −log₁₀ of the probability that a normally distributed value lies over `deviations`, by the bound
/// of Sampford (1953): it is a few percent off at the mean, and exact where it gets interesting. In
/// logarithms, because the probability itself is soon too small for a number.
fn phi_of(deviations: f64) -> f64 {
    let z = deviations.max(0.0);
    let density = z * z / 2.0 + (2.0 * PI).ln() / 2.0;
    (density - (4.0 / (3.0 * z + (z * z + 8.0).sqrt())).ln()) / LN_10
}

/// How many intervals are remembered: enough for a good estimate, few enough to follow a change.
const WINDOW: usize = 100;

/// So that a bound of any size is found to the precision of its number.
const HALVES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_is_that_of_the_normal_distribution() {
        // −log₁₀ Q(z), from tables.
        for (deviations, phi) in [(1.0, 0.7995), (2.0, 1.6430), (5.0, 6.5426), (10.0, 23.1180), (37.0, 299.2426)] {
            let found = phi_of(deviations);
            assert!((found - phi).abs() < 0.02, "{deviations}: {found} instead of {phi}");
        }
        assert!(phi_of(0.0) < 0.31 && phi_of(-5.0) < 0.31, "as good as certain");
        assert!(phi_of(1e100).is_finite());
    }

    #[test]
    fn the_deviations_of_a_phi_are_found() {
        for phi in [1, 8, 60, 1000, usize::MAX] {
            let found = phi_of(deviations_at(phi));
            assert!((found / phi as f64 - 1.0).abs() < 1e-6, "{found} instead of {phi}");
        }
        assert!(deviations_at(0) < 1e-6);
    }

    #[test]
    fn any_silence_and_any_interval_give_a_number() {
        let mut beats = HeartbeatHistory::new(Duration::from_nanos(1));
        beats.handle_beat(Duration::ZERO);
        beats.handle_beat(Duration::MAX);
        beats.handle_beat(Duration::ZERO); // a clock that went back
        assert!(beats.phi(Duration::MAX).is_finite());
        assert_eq!(HeartbeatHistory::new(Duration::MAX).silence(deviations_at(usize::MAX)), Duration::MAX);
    }

    #[test]
    fn old_intervals_are_forgotten() {
        let mut beats = HeartbeatHistory::new(Duration::from_secs(1));
        let mut now = Duration::ZERO;
        for interval in std::iter::repeat_n(9, 50).chain(std::iter::repeat_n(1, WINDOW + 1)) {
            now += Duration::from_secs(interval);
            beats.handle_beat(now);
        }
        assert_eq!((beats.intervals.len(), beats.mean, beats.deviation), (WINDOW, 1.0, 0.5));
    }
}
