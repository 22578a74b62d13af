//! `pleach`: the command-line tool, for certificates, keys, a registrar shared by several programs, a look at what a
//! machine lacks, and what crashed programs have left.
//!
//! | file | command |
//! |---|---|
//! | `attach.rs` | `pleach attach` |
//! | `bench/` | `pleach bench` |
//! | `cancel.rs` | `pleach cancel` |
//! | `cert.rs`, `describe.rs` | `pleach cert new`, `pleach cert show` |
//! | `completions.rs` | `pleach completions`, `pleach man` |
//! | `doctor/` | `pleach doctor` |
//! | `key.rs` | `pleach key new` |
//! | `ps/` | `pleach ps` |
//! | `reap.rs` | `pleach reap` |
//! | `registry.rs` | `pleach registry` |
//! | `stacks/` | `pleach stacks` |
//! | `top/` | `pleach top` |
//! | `trace/` | `pleach trace` |
//! | `trees/` | what happens in running trees between two looks, for `top` and `web` |
//! | `web/` | `pleach web` |
//! | `output.rs` | printing results |
//!
//! Results are printed to standard output. A failure is one sentence on standard error, and exit status 1.

mod attach;
mod bench;
mod cancel;
mod cert;
mod completions;
mod describe;
mod doctor;
mod key;
mod output;
mod ps;
mod reap;
mod registry;
mod stacks;
mod top;
mod trace;
mod trees;
mod web;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keys, certificates and a registrar for trees of actors; what a machine lacks, and what crashed programs have left.
#[derive(Parser)]
#[command(
    name = "pleach",
    version,
    after_long_help = "Examples:
  pleach doctor            what does this machine lack?
  pleach help bench        more about a command, with examples
  pleach completions bash  complete all of this in a shell"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Attach(attach::Command),
    Bench(bench::Command),
    Cancel(cancel::Command),
    /// Make and look at certificates, for `tls+tcp` and `quic`
    #[command(subcommand)]
    Cert(cert::Command),
    Completions(completions::Completions),
    Doctor(doctor::Command),
    /// Make key files, with which several programs join one tree
    #[command(subcommand)]
    Key(key::Command),
    Man(completions::Manual),
    Ps(ps::Command),
    Reap(reap::Command),
    Registry(registry::Command),
    Stacks(stacks::Command),
    Top(top::Command),
    Trace(trace::Command),
    Web(web::Command),
}

impl Command {
    fn run(self) -> anyhow::Result<ExitCode> {
        let done = |()| ExitCode::SUCCESS;
        match self {
            Self::Attach(command) => command.run().map(done),
            Self::Bench(command) => command.run(),
            Self::Cancel(command) => command.run(),
            Self::Cert(command) => command.run().map(done),
            Self::Completions(command) => command.run().map(done),
            Self::Doctor(command) => command.run(),
            Self::Key(command) => command.run().map(done),
            Self::Man(command) => command.run().map(done),
            Self::Ps(command) => command.run().map(done),
            Self::Reap(command) => command.run(),
            Self::Registry(command) => command.run().map(done),
            Self::Stacks(command) => command.run().map(done),
            Self::Top(command) => command.run(),
            Self::Trace(command) => command.run().map(done),
            Self::Web(command) => command.run().map(done),
        }
    }
}

fn main() -> ExitCode {
    pleach::init(); // `bench` and `doctor` start actors, which are this program again
    match Args::parse().command.run() {
        Ok(status) => status,
        Err(error) => {
            if !error.is::<output::Closed>() {
                let _ = writeln!(std::io::stderr(), "pleach: {error:#}"); // it may be closed
            }
            ExitCode::FAILURE
        }
    }
}
