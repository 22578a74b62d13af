//! The command-line tool, as a user at a terminal runs it.
//!
//! This program is also the root of trees that crash, and their actors: it starts itself again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod bench;
mod cancel;
mod completions;
mod doctor;
mod files;
mod hosts;
#[path = "../servers/namespaces.rs"]
mod namespaces;
mod ps;
mod reap;
mod registrar;
mod stacks;
mod support;
mod terminal;
mod top;
mod trace;
mod tree;
mod twenty;
mod web;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    pleach::init();
    if std::env::var_os(reap::ROOT).is_some() {
        return reap::root();
    }
    if std::env::var_os(twenty::ROOT).is_some() {
        return twenty::root();
    }
    if std::env::var_os(hosts::ROOT).is_some() {
        return hosts::root();
    }
    let groups = [
        bench::tests(),
        cancel::tests(),
        completions::tests(),
        doctor::tests(),
        files::tests(),
        hosts::tests(),
        ps::tests(),
        reap::tests(),
        registrar::tests(),
        stacks::tests(),
        top::tests(),
        trace::tests(),
        web::tests(),
    ];
    libtest_mimic::run(&Arguments::from_args(), groups.into_iter().flatten().collect()).exit_code()
}
