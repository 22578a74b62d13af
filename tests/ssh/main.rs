//! Actors that `ssh` starts: on a real server, which is this machine under another name.
//!
//! The server is started once, with keys and directories of its own, and ended after the last test. Each test
//! boots a tree, and checks at its end that nothing of it is left: no process, no `ssh`, no directory.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]
#![expect(clippy::disallowed_methods, reason = "the roots of scenarios exit; nothing is left to clean up there")]

mod deaths;
#[path = "../it/free_address.rs"]
mod free_address;
mod logins;
mod outputs;
mod pools;
mod programs;
#[path = "../it/relay.rs"]
mod relay;
mod replaced;
mod site;
mod work;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    pleach::init();
    pleach::telemetry::init(None);
    deaths::become_root_if_told();
    outputs::become_root_if_told();
    let mut arguments = Arguments::from_args();
    // Each looks for what the one before it has left.
    arguments.test_threads = Some(1);
    let tests = [
        work::tests(),
        outputs::tests(),
        programs::tests(),
        logins::tests(),
        deaths::tests(),
        replaced::tests(),
        pools::tests(),
    ];
    let tests: Vec<Trial> = tests.into_iter().flatten().collect();
    if arguments.list {
        return libtest_mimic::run(&arguments, tests).exit_code();
    }
    let _server = site::start();
    libtest_mimic::run(&arguments, tests).exit_code()
}
