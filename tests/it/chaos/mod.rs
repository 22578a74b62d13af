//! Chaos: trees that are drawn by lot, full of calls and streams, and broken at points that are drawn by lot.
//!
//! However it is broken, a tree ends within a bound, leaves nothing behind, tells all waiters what happened, and has
//! neither lost nor doubled an acknowledged message.
//!
//! | file | station |
//! |---|---|
//! | [`plan`] | what is drawn: the tree, its work, what is done to it and when; by seed |
//! | [`run`] | carrying that out, in the root and in its actors |
//! | [`log`] | what each of them writes down, to be read even when it was killed |
//! | [`check`] | what has to hold afterwards |
//! | this one | one test for each transport: as many trees as its time allows |
//!
//! A failure names its seed; `PLEACH_CHAOS_SEED=… cargo test --test it -- chaos` draws that tree again and
//! does the same to it. `PLEACH_CHAOS_SECONDS` is the time for each transport.

mod check;
mod log;
mod plan;
mod run;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libtest_mimic::{Failed, Trial};
use serde::{Deserialize, Serialize};

use self::plan::Plan;
use crate::support::{ALL, Notes, RootProcess, note, patience};

/// What the process of a test is told.
#[derive(Serialize, Deserialize)]
struct Order {
    protocol: String,
    /// The first tree's; those of the others follow.
    seed: u64,
    /// Whether there are others.
    once: bool,
    /// How long new trees are drawn.
    time: Duration,
}

pub(crate) fn tests() -> Vec<Trial> {
    let make = |protocol| {
        Trial::test(format!("chaos::leaves_order_behind_over_{protocol}"), move || leaves_order_behind(protocol))
    };
    ALL.into_iter().map(make).collect()
}

fn leaves_order_behind(protocol: &str) -> Result<(), Failed> {
    let told = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().unwrap());
    let seed = told("PLEACH_CHAOS_SEED");
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let order = Order {
        protocol: protocol.into(),
        seed: seed.unwrap_or_else(fresh),
        once: seed.is_some(),
        time: told("PLEACH_CHAOS_SECONDS").map_or(SHORT, Duration::from_secs),
    };
    let notes = Notes::new();
    let log = notes.dir().join("log");
    let root = RootProcess::start_logged("chaos", &notes, &serde_json::to_string(&order).unwrap());
    let mut tree = String::from("the first tree");
    let wrong = loop {
        let Some(note) = notes.next_within(2 * patience()) else {
            break format!("nothing was heard any more after {tree}");
        };
        match note.split_once(' ').unwrap_or((&note, "")) {
            // What happened to the trees before is of no interest any more.
            ("tree", _) => std::fs::File::create(&log).map(|_emptied| tree = note)?,
            ("done", trees) => {
                eprintln!("{trees} over {protocol}");
                return Ok(());
            }
            _ => break note,
        }
    };
    drop(root);
    Err(format!("{wrong}\n\nIts log:\n{}", std::fs::read_to_string(log)?).into())
}

/// Draws trees and breaks them, in a process of its own, until the time is up or something is wrong.
pub(crate) fn root(notes: &str, order: &str) {
    let order: Order = serde_json::from_str(order).unwrap();
    let begun = Instant::now();
    check::warm_up(&order.protocol);
    let mut trees = 0;
    while trees == 0 || !order.once && begun.elapsed() < order.time {
        let plan = Plan::draw(order.seed + trees, &order.protocol);
        note(notes, format!("tree {}", plan.seed));
        if let Err(wrong) = check::run(&plan) {
            return note(notes, format!("PLEACH_CHAOS_SEED={}: {wrong}\nThe plan: {plan:?}", plan.seed));
        }
        trees += 1;
    }
    note(notes, format!("done {trees} trees"));
}

/// How long a test takes unless it is told.
const SHORT: Duration = Duration::from_secs(5);
