//! `pleach completions` and `pleach man`: what shells and `man` know of this tool, made from its own arguments.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::output;

/// Print a script that completes the arguments of this tool in a shell
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach completions bash > ~/.local/share/bash-completion/completions/pleach
  pleach completions zsh > ~/.zfunc/_pleach        with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  pleach completions fish > ~/.config/fish/completions/pleach.fish
  source <(pleach completions bash)                for this shell only")]
pub(crate) struct Completions {
    /// The shell that is to read it
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Args::command(), NAME, &mut script);
        output::write(&script)
    }
}

/// Print the manual page of this tool, or write those of all its commands into a directory
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach man | man -l -
  pleach man --dir ~/.local/share/man/man1 && man pleach-reap")]
pub(crate) struct Manual {
    /// Where to write a page for each command; it is made if it is missing
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

impl Manual {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let command = crate::Args::command();
        match self.dir {
            None => {
                let mut page = Vec::new();
                Man::new(command).render(&mut page)?;
                output::write(&page)
            }
            Some(dir) => {
                let written = fs::create_dir_all(&dir).and_then(|()| clap_mangen::generate_to(command, &dir));
                written.with_context(|| format!("can't write to {}", dir.display()))
            }
        }
    }
}

/// The name under which shells know this tool.
const NAME: &str = "pleach";
