//! The table: one line per measure, printed as soon as it is known.

use std::time::Duration;

use super::measure::{BLOB, Gate, Measure, What};

/// A measure with its median times per call, ours and raw, for each round.
pub(crate) struct Row {
    pub(crate) measure: Measure,
    pub(crate) rounds: Vec<(Duration, Duration)>,
}

impl Row {
    /// Returns whether its gate holds.
    pub(crate) fn holds(&self) -> bool {
        match self.measure.gate {
            Gate::TimeAtMost(limit) => self.ratio() <= limit,
            Gate::RateAtLeast(limit) => self.ratio() >= limit,
            Gate::RateAtLeastOr(limit, per_second) => {
                self.ratio().recip() >= limit || self.ours().recip() >= per_second
            }
            Gate::None => true,
        }
    }

    /// Time over time for calls and children, rate over rate for blobs.
    fn ratio(&self) -> f64 {
        let inverted = matches!(self.measure.what, What::Blob | What::Echo);
        median(self.rounds.iter().map(|(ours, raw)| {
            let ratio = ours.as_secs_f64() / raw.as_secs_f64();
            if inverted { ratio.recip() } else { ratio }
        }))
    }

    /// The median time of one of ours, in seconds.
    fn ours(&self) -> f64 {
        median(self.rounds.iter().map(|(ours, _)| ours.as_secs_f64()))
    }

    pub(crate) fn print_head() {
        println!("{:<30} {:<5} {:>14} {:>14} {:>7}  gate", "measure", "over", "ours", "raw", "ratio");
    }

    pub(crate) fn print(&self) {
        let Measure { what, protocol, gate } = self.measure;
        let ours = shown(what, self.ours());
        let raw = shown(what, median(self.rounds.iter().map(|(_, raw)| raw.as_secs_f64())));
        let verdict = if self.holds() { "holds" } else { "MISSED" };
        let gate = match gate {
            Gate::TimeAtMost(limit) => format!("<= {limit:.2} {verdict}"),
            Gate::RateAtLeast(limit) => format!(">= {limit:.2} {verdict}"),
            Gate::RateAtLeastOr(limit, per_second) => {
                format!("<= {:.1}, or {:.0} k/s {verdict}", limit.recip(), per_second / 1e3)
            }
            Gate::None => "-".into(),
        };
        println!("{:<30} {protocol:<5} {ours:>14} {raw:>14} {:>7.2}  {gate}", what.name(), self.ratio());
    }
}

fn shown(what: What, seconds: f64) -> String {
    match what {
        What::Call => format!("{:.1} us", seconds * 1e6),
        What::Child => format!("{:.0} us", seconds * 1e6),
        What::Blob | What::Echo => format!("{:.0} MiB/s", BLOB as f64 / f64::from(1 << 20) / seconds),
        What::Flight | What::Stream => format!("{:.0} k/s", 1e-3 / seconds),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
