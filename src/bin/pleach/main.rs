//! `pleach`: the command-line tool, for certificates, keys, a registrar shared by several programs, and a look at what
//! a machine lacks.
//!
//! | file | command |
//! |---|---|
//! | `cert.rs`, `describe.rs` | `pleach cert new`, `pleach cert show` |
//! | `doctor/` | `pleach doctor` |
//! | `key.rs` | `pleach key new` |
//! | `registry.rs` | `pleach registry` |
//!
//! Results are printed to standard output. A failure is one sentence on standard error, and exit status 1.

mod cert;
mod describe;
mod doctor;
mod key;
mod registry;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keys, certificates and a registrar for trees of actors, and a look at what a machine lacks.
#[derive(Parser)]
#[command(name = "pleach", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make and look at certificates, for `tls+tcp` and `quic`
    #[command(subcommand)]
    Cert(cert::Command),
    Doctor(doctor::Command),
    /// Make key files, with which several programs join one tree
    #[command(subcommand)]
    Key(key::Command),
    Registry(registry::Command),
}

fn main() -> ExitCode {
    pleach::init(); // `doctor` starts actors, which are this program again
    let ended = match Args::parse().command {
        Command::Cert(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::Doctor(command) => command.run(),
        Command::Key(command) => command.run().map(|()| ExitCode::SUCCESS),
        Command::Registry(command) => command.run().map(|()| ExitCode::SUCCESS),
    };
    match ended {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pleach: {error:#}"); // it may be closed
            ExitCode::FAILURE
        }
    }
}
