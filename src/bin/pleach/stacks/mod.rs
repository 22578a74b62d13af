//! `pleach stacks`: where the tasks of running actors wait, and where a busy thread is.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: which processes, as text or JSON |
//! | [`resolved`] | a report whose addresses have names |
//! | [`symbols`] | from an address to a function and a line |
//! | [`text`] | a report as lines of text |

mod resolved;
mod symbols;
mod text;

use clap::Args;
use pleach::inspect::{CallChain, Process};
use serde::Serialize;

use self::resolved::Resolved;
use self::symbols::{Code, Symbols};
use crate::output;
use crate::ps::{Chosen, Silent, chain_lines, silent_lines};

/// Show where the tasks of running actors wait, and where a busy thread is
///
/// Each task is asked, which changes nothing, and tells all that it waits for: of a `select!`, each arm. If one does not
/// answer, the threads of its process are interrupted by a signal for a moment, and their stacks are shown. Frames of
/// your own code are shown first; those of libraries only where there are no others, or with --full.
///
/// A program that was built without debug information has functions and no lines.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach stacks                       all trees of this user
  pleach stacks worker                the actors of that name
  pleach stacks 4711 --full           one process, with the frames of libraries
  pleach stacks --tree main --json | jq '.processes[].tasks[].waits'")]
pub(crate) struct Command {
    /// Only actors with this name, process id, or uuid (at least 8 characters of it)
    #[arg(value_name = "NAME|PID")]
    actor: Option<String>,
    /// Only the tree whose root has this name, process id, or uuid (its beginning is enough)
    #[arg(long, value_name = "ROOT")]
    tree: Option<String>,
    /// Show the frames of libraries too
    #[arg(long)]
    full: bool,
    /// Print JSON: an object with `processes`, each with its `tasks`, `busy` functions and `threads`, those that were
    /// `silent`, and `chains` of calls
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Output {
    processes: Vec<Resolved>,
    silent: Vec<Silent>,
    chains: Vec<CallChain>,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut chosen = Chosen::now(self.tree.as_deref(), self.actor.as_deref())?;
        let mut symbols = Symbols::default();
        let (mut processes, mut silent) = (Vec::new(), Vec::new());
        let names = self.actor.is_some().then(|| chosen.names());
        for (process, stacks) in chosen.ask(Process::stacks) {
            match stacks {
                Ok(stacks) => {
                    let code = Code::of(&stacks, process.host.as_deref(), &chosen.programs);
                    processes.push(Resolved::new(&code, names.as_ref(), &mut symbols));
                }
                Err(error) => silent.push(Silent::new(process, &error)),
            }
        }
        chosen.silent.extend(silent);
        let output = Output { processes, silent: chosen.silent, chains: chosen.chains };
        match self.json {
            true => output::json(&output),
            false => output::write(output.text(self.full).as_bytes()),
        }
    }
}

impl Output {
    fn text(&self, full: bool) -> String {
        let processes: String = self.processes.iter().map(|process| text::of(process, full)).collect();
        processes + &silent_lines(&self.silent) + &chain_lines(&self.chains)
    }
}
