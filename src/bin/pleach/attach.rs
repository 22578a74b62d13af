//! `pleach attach`: the debugger's prompt of a program that has no terminal.

use std::io::Write as _;

use clap::Args;
use pleach::debug::attach;

/// Show here the actors of a program that pause or crash from now on
///
/// It is for programs without a terminal, such as services: those with one show them there. The program must run as the
/// same user. Of several tools that are attached to one program, the last shows everything; Ctrl-C leaves, and an actor
/// that is shown then goes on.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach attach root    the program whose root has this name; `pleach ps` lists them
  pleach attach 4711    the program whose root is this process")]
pub(crate) struct Command {
    /// The name of the root, or its process id
    root: String,
}

impl Command {
    /// # Errors
    /// When there is none of this name, or it can't be reached, or this process has no terminal.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let _ = writeln!(std::io::stderr(), "attached to {}: what pauses or crashes there is shown here", self.root);
        attach(&self.root)?;
        Ok(())
    }
}
