//! `pleach`: the command-line tool, for certificates, keys, and a registrar shared by several programs.
//!
//! | file | command |
//! |---|---|
//! | `cert.rs`, `describe.rs` | `pleach cert new`, `pleach cert show` |
//! | `key.rs` | `pleach key new` |
//! | `registry.rs` | `pleach registry` |
//!
//! Results are printed to standard output. A failure is one sentence on standard error, and exit status 1.

mod cert;
mod describe;
mod key;
mod registry;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keys, certificates and a registrar for trees of actors.
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
    /// Make key files, with which several programs join one tree
    #[command(subcommand)]
    Key(key::Command),
    Registry(registry::Command),
}

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::Cert(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Registry(command) => command.run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pleach: {error:#}"); // it may be closed
            ExitCode::FAILURE
        }
    }
}
