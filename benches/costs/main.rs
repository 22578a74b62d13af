//! The gates that need no quiet machine: what calls, stream items, contexts, connections and children cost, counted.
//!
//! | counted | how |
//! |---|---|
//! | instructions | valgrind's callgrind, both sides over `mem` in one process |
//! | allocations | an allocator that counts, both sides over `mem` in one process |
//! | system calls | strace, two processes over `uds` |
//! | memory | the same allocator in each process, and what the kernel says of a child |
//! | starting a child | processor time of both processes, as a ratio in the same run |
//!
//! `cargo bench --bench costs` counts all and fails when a gate does; `-- call` restricts it to lines with that word,
//! and `--json FILE` also writes them to a file. `work WHAT OVER COUNT` only does the work, for other tools.

#[path = "../common/mod.rs"]
mod common;
mod lines;
mod memory;
mod report;
mod tools;
mod work;

use std::process::ExitCode;

use common::allocations::Counting;
use common::arguments;
use common::item::Item;
use common::process::pin_to_one_core;
use lines::GROUPS;
use report::Report;
use work::Work;

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() -> ExitCode {
    pleach::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, what, over, count] = &*arguments
        && mark == "work"
    {
        let what = Work::named(what).expect("call, flight or item");
        work::run(what, over, count.parse().expect("a number of calls or items"));
        return ExitCode::SUCCESS;
    }
    if !arguments::in_earnest(&arguments) {
        work::run(Work::Call, "mem", 1);
        return ExitCode::SUCCESS;
    }
    assert_eq!(Item::sizes(), (64, 84), "the header of `item.rs` says so");
    pin_to_one_core();
    let report = count_all(&arguments);
    report.save_if_asked(&arguments);
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Counts what the arguments choose, and prints each line as soon as it is known.
fn count_all(arguments: &[String]) -> Report {
    let only = arguments::word(arguments);
    let mut report = Report::default();
    Report::print_head();
    for group in GROUPS {
        if group.lines.iter().any(|line| line.name.contains(&only)) {
            for (line, value) in group.lines.iter().zip((group.count)()) {
                report.add(line, value);
            }
        }
    }
    report
}
