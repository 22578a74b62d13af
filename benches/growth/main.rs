//! How costs grow: with calls in flight, sizes, contexts, actors, depth, and the memory of the parent.
//!
//! Each point is a tree of its own, pinned to one core, or with `--two-cores` to one for each side. A line fits `cost = a * x^p` to the upper half of its points; an
//! exponent above 1 by more than noise says that twice as much costs more than twice, and fails the program.
//!
//! `cargo bench --bench growth -- uds` restricts it to lines with that word, and `--json FILE` writes the points to a
//! file, from which `cargo run -p xtask -- plot FILE DIRECTORY` draws.

#[path = "../common/mod.rs"]
mod common;
mod cost;
mod fit;
mod lines;

use std::process::ExitCode;

use serde_json::{Value, json};

use common::arguments;
use common::process;
use fit::exponent;
use lines::{LINES, Line};

fn main() -> ExitCode {
    pleach::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments::in_earnest(&arguments) {
        return ExitCode::SUCCESS;
    }
    process::pin(arguments::has(&arguments, "--two-cores"));
    let only = arguments::word(&arguments);
    let known = common::keys();
    let known = |line: &&Line| known.iter().any(|key| key.protocol == line.over);
    let chosen = LINES.iter().filter(known).filter(|line| format!("{} {}", line.name, line.over).contains(&only));
    let measured: Vec<_> = chosen.map(|line| (line, measure(line))).collect();
    arguments::save(&arguments, "growth", measured.iter().map(|(line, points)| json_of(line, points)).collect());
    let linear = measured.iter().all(|(_, points)| !is_super_linear(points));
    if linear { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures all points of a line, and prints each as soon as it is known.
fn measure(line: &Line) -> Vec<(f64, f64)> {
    println!("\n{} over {}", line.name, over(line));
    let mut points = Vec::new();
    for x in line.points {
        let cost = (line.cost)(line.over, *x);
        let of_one = cost / *x as f64;
        println!("{:>12} {:<18} {:>12.3} ms {:>14.1} ns each", x, line.unit, cost * 1e3, of_one * 1e9);
        points.push((*x as f64, cost));
    }
    let verdict = if is_super_linear(&points) { "SUPER-LINEAR" } else { "not super-linear" };
    println!("{:>12} {verdict}: the cost grows with the power {:.2}", "", exponent(&points));
    points
}

fn json_of(line: &Line, points: &[(f64, f64)]) -> Value {
    json!({
        "name": line.name,
        "over": over(line),
        "x": line.unit,
        "points": points,
        "exponent": exponent(points),
        "super_linear": is_super_linear(points),
    })
}

/// The transport, and what is unusual.
fn over(line: &Line) -> String {
    let cores = if process::on_two_cores() { ", two cores" } else { "" };
    let spin = if line.over == "shm" && !common::config().shm_spin.is_zero() { ", spinning" } else { "" };
    format!("{}{cores}{spin}", line.over)
}

fn is_super_linear(points: &[(f64, f64)]) -> bool {
    exponent(points) > MOST
}

/// What noise and caches explain: at a hundred times as many, each costs twice as much.
const MOST: f64 = 1.15;
