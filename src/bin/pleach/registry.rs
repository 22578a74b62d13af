//! `pleach registry`: a registrar that belongs to no tree, for programs that come and go.

use std::path::PathBuf;

use clap::Args;
use pleach::Config;
use pleach::wire::Address;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::output;

/// Keep the names of programs that come and go, until SIGINT or SIGTERM
///
/// Programs whose `registry` names an address of this one, and whose `key_file` has the same key, find each other's
/// actors. Other settings are read from `pleach.toml` and the environment.
#[derive(Args)]
#[command(after_long_help = "Example:
  pleach registry --listen tcp://127.0.0.1:1616 --key-file tree.key
  PLEACH_REGISTRY=tcp://127.0.0.1:1616 PLEACH_KEY_FILE=tree.key my-program")]
pub(crate) struct Command {
    /// Address to listen on; may be repeated. Default: the addresses of `registry`
    #[arg(long, value_name = "URI")]
    listen: Vec<Address>,
    /// The file with the key that all programs know; made if it is missing
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print JSON, once it listens: an object with `addresses`, on one line
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut config = Config::load()?;
        if !self.listen.is_empty() {
            config.registry = self.listen;
        }
        anyhow::ensure!(!config.registry.is_empty(), "say where to listen, e.g. --listen tcp://127.0.0.1:1616");
        config.key_file = self.key_file.or(config.key_file);
        config.ensure_registry = true;
        config.root_name = "registry".into();
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio.block_on(pleach::open_root(config, async |actor| {
            let (mut interrupted, mut terminated) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            say(&actor.addresses().await, self.json)?;
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            anyhow::Ok(())
        }))
    }
}

fn say(addresses: &[Address], json: bool) -> anyhow::Result<()> {
    let mut addresses = addresses.iter().map(Address::to_string);
    match json {
        true => output::line(json!({ "addresses": addresses.collect::<Vec<_>>() })),
        false => addresses.try_for_each(|address| output::line(format_args!("keeping names at {address}"))),
    }
}
