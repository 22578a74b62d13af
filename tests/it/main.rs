//! The runtime with real processes: what happens when things go well, and when they do not.
//!
//! The test program starts itself again as its actors, so it has a `main` of its own. Each test
//! boots a tree, and checks at its end that no process of it is left.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]
#![expect(clippy::disallowed_methods, reason = "the roots of scenarios exit; nothing is left to clean up there")]

mod calls;
mod contexts;
mod debuggers;
mod endings;
mod kill_matrix;
mod promises;
mod strangers;
mod structure;
mod support;
mod toy;
mod trees;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    support::hooks_before_entry();
    toy::register();
    pleach::init();
    support::become_root_if_told();
    let groups: [Vec<Trial>; 9] = [
        calls::tests(),
        contexts::tests(),
        debuggers::tests(),
        endings::tests(),
        kill_matrix::tests(),
        promises::tests(),
        strangers::tests(),
        structure::tests(),
        trees::tests(),
    ];
    let mut tests: Vec<Trial> = groups.into_iter().flatten().collect();
    tests.extend(toy::tests());
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
