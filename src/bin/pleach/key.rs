//! `pleach key`: key files.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a file with a fresh key, which only you can read
    ///
    /// Programs whose `key_file` names it, or a copy of it, are members of one tree.
    New {
        /// Where to write it; nothing may be there
        file: PathBuf,
    },
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let Self::New { file } = self;
        pleach::key_file::create(&file)?;
        println!("wrote a new key to {}: any program that can read it can join the tree", file.display());
        Ok(())
    }
}
