//! `pleach key`: key files.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::output;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a file with a fresh key, which only you can read
    ///
    /// Programs whose `key_file` names it, or a copy of it, are members of one tree.
    #[command(after_long_help = "Example:
  pleach key new tree.key
  PLEACH_KEY_FILE=tree.key my-program")]
    New {
        /// Where to write it; nothing may be there
        file: PathBuf,
        /// Print JSON: an object with `file`
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::New { file, json } = self;
        pleach::key_file::create(&file)?;
        match json {
            true => output::json(&json!({ "file": file.to_string_lossy() })),
            false => output::line(format_args!(
                "wrote a new key to {}: any program that can read it can join the tree",
                file.display()
            )),
        }
    }
}
