//! `pleach ps`: the running trees of this user, with what each actor does.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: which trees, as text or JSON |
//! | [`chosen`] | the processes that are meant, and those that say nothing |
//! | [`calls`] | the functions that an actor runs and waits for |
//! | [`table`] | a tree as lines of text |

pub(crate) mod calls;
mod chosen;
pub(crate) mod table;

use clap::Args;
use pleach::inspect::{CallChain, Forest, ProcessReport};
use serde::Serialize;

pub(crate) use self::chosen::{Chosen, Silent, several_are, silent_lines};
use self::table::shown;
use crate::output;

/// Show the running trees of this user, and what each actor does
///
/// All processes that host actors of this user are asked, also those whose tasks never yield: on this host, and on others
/// where those have started some, through the logins that did so. CPU and
/// MEMORY are those of the actor's process; TASKS are the functions that run in it for others, and CONTEXTS the
/// contexts and streams that are open there. TRANSPORT is that of the connection to its parent. Below each actor are the
/// functions that it runs for others and those that it waits for, with how long.
///
/// A chain of calls that comes back to an actor which waits in it is shown at the end, once nothing in it has moved for a
/// second.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach ps                  all trees of this user
  pleach ps --tree 4711      the tree whose root is that process
  pleach ps --json | jq '.processes[].actors[].who.name'")]
pub(crate) struct Command {
    /// Only the tree whose root has this name, process id, or uuid (its beginning is enough)
    #[arg(long, value_name = "ROOT")]
    tree: Option<String>,
    /// Print JSON: an object with `processes`, each with its `actors`, those that were `silent`, and `chains` of calls
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    processes: Vec<ProcessReport>,
    silent: Vec<Silent>,
    chains: Vec<CallChain>,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let chosen = Chosen::now(self.tree.as_deref(), None)?;
        let found = Found { processes: chosen.reports(), silent: chosen.silent, chains: chosen.chains };
        match self.json {
            true => output::json(&found),
            false => {
                let trees = table::of(&Forest::of(&found.processes));
                output::write((trees + &silent_lines(&found.silent) + &chain_lines(&found.chains)).as_bytes())
            }
        }
    }
}

/// Returns a line for each chain of calls.
pub(crate) fn chain_lines(chains: &[CallChain]) -> String {
    let in_words = |chain: &CallChain| {
        format!("nothing moves, and the calls come back to an actor: {}\n", shown(&chain.to_string()))
    };
    chains.iter().map(in_words).collect()
}
