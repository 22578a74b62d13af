//! The table: one line per measure, printed as soon as it is known; and the same for other programs, as JSON.

use serde_json::{Value, json};

use crate::common::process::on_two_cores;
use crate::measure::{BLOB, Limit, Measure, What};
use crate::turn::{Round, Turn};

/// A measure with what both sides did in each round.
pub(crate) struct Row {
    pub(crate) measure: Measure,
    pub(crate) rounds: Vec<Round>,
}

impl Row {
    /// Returns whether its gate holds.
    pub(crate) fn holds(&self) -> bool {
        self.measure.gate.is_none_or(|gate| self.keeps(gate))
    }

    fn keeps(&self, limit: Limit) -> bool {
        match limit {
            Limit::AtMost(most) => self.ratio().is_some_and(|ratio| ratio <= most),
            Limit::AtLeast(least) => self.ratio().is_some_and(|ratio| ratio.recip() >= least),
            Limit::PerCpuSecond(least) => self.cpu_of_one().is_some_and(|cpu| cpu.recip() >= least),
        }
    }

    /// How many times as much ours takes: processor time where it is known of both sides, else time.
    ///
    /// Other work on the machine makes a step longer, but not its processor time. On one core, one side always has
    /// something to do, so that on a quiet machine the two are the same. On two, both may be busy at once, or idle.
    fn ratio(&self) -> Option<f64> {
        if on_two_cores() { self.time_ratio() } else { self.cpu_ratio().or_else(|| self.time_ratio()) }
    }

    fn time_ratio(&self) -> Option<f64> {
        over_rounds(&self.rounds, |(ours, raw)| Some(ours.median() / raw.as_ref()?.median()))
    }

    fn cpu_ratio(&self) -> Option<f64> {
        over_rounds(&self.rounds, |(ours, raw)| Some(ours.cpu_of_a_step()? / raw.as_ref()?.cpu_of_a_step()?))
    }

    /// The processor time of one call or item of ours.
    fn cpu_of_one(&self) -> Option<f64> {
        Some(over_rounds(&self.rounds, |(ours, _)| ours.cpu_of_a_step())? / self.in_a_step())
    }

    fn in_a_step(&self) -> f64 {
        self.measure.what.in_a_step() as f64
    }

    pub(crate) fn print_head() {
        println!(
            "{:<27} {:<9} {:>12} {:>12} {:>6} | {:>12} {:>12} {:>6} | {:<17} goal",
            "measure", "over", "ours", "raw", "ratio", "ours, CPU", "raw, CPU", "ratio", "gate"
        );
    }

    pub(crate) fn print(&self) {
        let what = self.measure.what;
        let one = |step: Option<f64>| step.map_or("-".into(), |step| shown(what, step / self.in_a_step()));
        let ratio = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{:.2}", inverted(what, ratio)));
        let time = |side: fn(&Round) -> Option<&Turn>| over_rounds(&self.rounds, |round| Some(side(round)?.median()));
        let cpu = |side: fn(&Round) -> Option<&Turn>| over_rounds(&self.rounds, |round| side(round)?.cpu_of_a_step());
        println!(
            "{:<27} {:<9} {:>12} {:>12} {:>6} | {:>12} {:>12} {:>6} | {:<17} {}",
            what.name(),
            self.measure.over(),
            one(time(ours)),
            one(time(raw)),
            ratio(self.time_ratio()),
            one(cpu(ours)),
            one(cpu(raw)),
            ratio(self.cpu_ratio()),
            self.verdict(self.measure.gate, "holds", "MISSED"),
            self.verdict(self.measure.goal, "met", "not met"),
        );
    }

    fn verdict(&self, limit: Option<Limit>, yes: &str, no: &str) -> String {
        let Some(limit) = limit else { return "-".into() };
        let verdict = if self.keeps(limit) { yes } else { no };
        match limit {
            Limit::AtMost(most) => format!("<= {most:.2} {verdict}"),
            Limit::AtLeast(least) => format!(">= {least:.2} {verdict}"),
            Limit::PerCpuSecond(least) => format!(">= {:.0} k/s {verdict}", least / 1e3),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.measure.what.name(),
            "over": self.measure.over(),
            "unit": unit(self.measure.what),
            "ours": self.json_of(ours),
            "raw": self.json_of(raw),
            "time_ratio": self.time_ratio(),
            "cpu_ratio": self.cpu_ratio(),
            "holds": self.holds(),
        })
    }

    /// Of one call or item: the median over the rounds, the percentiles of all steps, and the processor time.
    fn json_of(&self, side: fn(&Round) -> Option<&Turn>) -> Value {
        let mut all: Vec<f64> = self.rounds.iter().filter_map(side).flat_map(|turn| turn.times.clone()).collect();
        if all.is_empty() {
            return Value::Null;
        }
        all.sort_by(f64::total_cmp);
        let at = |part: f64| all[((all.len() - 1) as f64 * part) as usize] / self.in_a_step();
        let percentiles: Vec<_> = PERCENTILES.iter().map(|percent| (*percent, at(percent / 100.0))).collect();
        json!({
            "median": over_rounds(&self.rounds, |round| Some(side(round)?.median() / self.in_a_step())),
            "cpu": over_rounds(&self.rounds, |round| Some(side(round)?.cpu_of_a_step()? / self.in_a_step())),
            "percentiles": percentiles,
        })
    }
}

fn ours(round: &Round) -> Option<&Turn> {
    Some(&round.0)
}

fn raw(round: &Round) -> Option<&Turn> {
    round.1.as_ref()
}

/// Rate over rate for blobs, else time over time.
fn inverted(what: What, ratio: f64) -> f64 {
    if matches!(what, What::Blob | What::BlobEcho | What::Blobs) { ratio.recip() } else { ratio }
}

fn unit(what: What) -> &'static str {
    if what == What::Memory { "bytes" } else { "seconds" }
}

fn shown(what: What, one: f64) -> String {
    match what {
        What::Call | What::Echo => format!("{:.1} us", one * 1e6),
        What::Child | What::StaticChild | What::StaticBoth | What::HeavyChild(_) => format!("{:.0} us", one * 1e6),
        What::Up | What::Down => format!("{:.1} ms", one * 1e3),
        What::Blob | What::BlobEcho | What::Blobs => format!("{:.0} MiB/s", BLOB as f64 / f64::from(1 << 20) / one),
        What::Flight | What::Items => format!("{:.0} k/s", 1e-3 / one),
        What::Memory => format!("{:.0} KiB", one / 1024.0),
    }
}

/// The median over the rounds, if all of them have a value.
fn over_rounds(rounds: &[Round], value: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
    let mut values = rounds.iter().map(value).collect::<Option<Vec<_>>>()?;
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

const PERCENTILES: [f64; 7] = [1.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9];
