//! The runtime with real processes: what happens when things go well, and when they do not.
//!
//! The test program starts itself again as its actors, so it has a `main` of its own. Each test
//! boots a tree, and checks at its end that no process of it is left.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]
#![expect(clippy::disallowed_methods, reason = "the roots of scenarios exit; nothing is left to clean up there")]

mod addresses;
mod backtraces;
mod blocks;
mod builds;
mod call_options;
mod calls;
mod calls_seen;
mod cancels;
mod certificates;
mod chaos;
mod clauses_crowds;
mod clauses_ends;
mod clauses_order;
mod cluster;
mod contexts;
mod deadlines;
mod deaths;
mod debuggers;
mod decoding;
mod descendants;
mod election;
mod endings;
mod errors;
mod failures;
mod fidelity;
mod floods;
mod free_address;
mod gather;
mod inspect;
mod joining;
mod kill_matrix;
mod limits;
mod lines;
mod liveness;
mod log_lines;
mod logging;
mod lookup;
mod names;
mod namesakes;
mod outputs;
mod pool;
mod probe_cost;
mod promises;
mod reaping;
mod registry;
mod registry_suite;
mod relay;
mod runtime;
mod schemas;
mod setup;
#[cfg(feature = "shm")]
mod shared_memory;
mod signals;
mod starts;
mod stateful;
mod storm;
mod story;
mod strangers;
mod streams;
mod structure;
mod subscribers;
mod supervise;
mod support;
mod surroundings;
mod toy;
mod trees;
mod unsubscribed;
mod values;
mod waits;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    support::hooks_before_entry();
    toy::register();
    values::register();
    pleach::init();
    support::become_root_if_told();
    support::restore_signals();
    let groups = [
        addresses::tests(),
        backtraces::tests(),
        blocks::tests(),
        builds::tests(),
        call_options::tests(),
        calls::tests(),
        calls_seen::tests(),
        cancels::tests(),
        certificates::tests(),
        chaos::tests(),
        clauses_crowds::tests(),
        clauses_ends::tests(),
        clauses_order::tests(),
        cluster::tests(),
        contexts::tests(),
        deadlines::tests(),
        deaths::tests(),
        debuggers::tests(),
        decoding::tests(),
        descendants::tests(),
        election::tests(),
        endings::tests(),
        errors::tests(),
        failures::tests(),
        fidelity::tests(),
        floods::tests(),
        gather::tests(),
        inspect::tests(),
        joining::tests(),
        kill_matrix::tests(),
        limits::tests(),
        lines::tests(),
        liveness::tests(),
        log_lines::tests(),
        outputs::tests(),
        pool::tests(),
        logging::tests(),
        lookup::tests(),
        names::tests(),
        namesakes::tests(),
        probe_cost::tests(),
        promises::tests(),
        reaping::tests(),
        starts::tests(),
        stateful::tests(),
        registry::tests(),
        runtime::tests(),
        schemas::tests(),
        setup::tests(),
        #[cfg(feature = "shm")]
        shared_memory::tests(),
        signals::tests(),
        strangers::tests(),
        storm::tests(),
        story::tests(),
        streams::tests(),
        structure::tests(),
        subscribers::tests(),
        supervise::tests(),
        surroundings::tests(),
        trees::tests(),
        unsubscribed::tests(),
        values::tests(),
        waits::tests(),
    ];
    let mut tests: Vec<Trial> = groups.into_iter().flatten().collect();
    tests.extend(toy::tests());
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(threads);
    let ended = libtest_mimic::run(&arguments, tests);
    storm::remove_copies();
    ended.exit_code()
}

/// Most tests wait most of the time: for a process to start, a bound to strike, a lease to pass.
fn threads() -> usize {
    2 * std::thread::available_parallelism().map_or(1, |number| number.get())
}
