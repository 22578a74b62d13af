//! `pleach`: the command-line tool, for what is done once and not by a program: certificates and keys.
//!
//! | file | command |
//! |---|---|
//! | `cert.rs`, `describe.rs` | `pleach cert new`, `pleach cert show` |
//! | `key.rs` | `pleach key new` |
//!
//! What it has to say is on standard output. A failure is one sentence on standard error, and exit status 1.

mod cert;
mod describe;
mod key;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keys and certificates for trees of actors.
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
}

fn main() -> ExitCode {
    let ended = match Args::parse().command {
        Command::Cert(command) => command.run(),
        Command::Key(command) => command.run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pleach: {error:#}");
            ExitCode::FAILURE
        }
    }
}
