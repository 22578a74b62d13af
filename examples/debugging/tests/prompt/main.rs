//! The debugger's prompt, as a user at a terminal has it: each program of this package runs under a shell of its own on
//! a pseudo-terminal.
//!
//! # What must stay true
//! 1. After each test the terminal's settings are those from before, and no process of it is left.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod endings;
mod hosts;
#[path = "../../../../tests/servers/namespaces.rs"]
mod namespaces;
mod native;
mod programs;
mod queue;
mod terminal;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let groups = [programs::tests(), queue::tests(), endings::tests(), native::tests(), hosts::tests()];
    libtest_mimic::run(&Arguments::from_args(), groups.into_iter().flatten().collect()).exit_code()
}

/// A test.
fn test(name: &'static str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
