//! The table: one line per value, printed as soon as it is known.

use serde_json::{Value, json};

use crate::common::arguments;
use crate::lines::Line;

/// The lines so far.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<(&'static Line, f64)>,
}

impl Report {
    pub(crate) fn print_head() {
        println!("{:<44} {:>10}  {:<19}  goal", "what", "counted", "gate");
    }

    pub(crate) fn add(&mut self, line: &'static Line, value: f64) {
        let gate = line.gate.map_or("-".to_owned(), |gate| {
            format!("<= {} {}", shown(gate), if value <= gate { "holds" } else { "MISSED" })
        });
        let goal = line.goal.map_or("-".to_owned(), |goal| {
            format!("<= {} {}", shown(goal), if value <= goal { "met" } else { "not met" })
        });
        println!("{:<44} {:>10}  {gate:<19}  {goal}", line.name, shown(value));
        self.lines.push((line, value));
    }

    /// Returns whether all gates hold.
    pub(crate) fn holds(&self) -> bool {
        self.lines.iter().all(|(line, value)| line.gate.is_none_or(|gate| *value <= gate))
    }

    pub(crate) fn save_if_asked(&self, arguments: &[String]) {
        arguments::save(arguments, "costs", self.lines.iter().map(|(line, value)| json_of(line, *value)).collect());
    }
}

fn json_of(line: &Line, value: f64) -> Value {
    json!({ "name": line.name, "value": value, "gate": line.gate, "goal": line.goal })
}

fn shown(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
