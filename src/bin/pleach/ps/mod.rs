//! `pleach ps`: the running trees of this user, with what each actor does.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: which trees, as text or JSON |
//! | [`calls`] | the functions that an actor runs and waits for |
//! | [`forest`] | actors of several processes, put together to trees |
//! | [`table`] | a tree as lines of text |

mod calls;
pub(crate) mod forest;
pub(crate) mod table;

use std::io;

use anyhow::Context as _;
use clap::Args;
use pleach::inspect::{self, CallChain, ProcessReport};
use serde::Serialize;

use self::forest::Forest;
use self::table::shown;
use crate::output;

/// Show the running trees of this user, and what each actor does
///
/// All processes on this host that host actors of this user are asked, also those whose tasks never yield. CPU and
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

/// A process that did not answer.
#[derive(Debug, Serialize)]
struct Silent {
    pid: u32,
    why: String,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut found = Found::now()?;
        if let Some(root) = &self.tree {
            let forest = Forest::of(&found.processes);
            let chosen = forest.tree_of(root).map(|tree| tree.members()).map_err(anyhow::Error::msg)?;
            found.processes.retain_mut(|process| {
                process.actors.retain(|actor| chosen.contains(&actor.who.uuid()));
                !process.actors.is_empty()
            });
        }
        found.chains = inspect::call_chains(&found.processes);
        match self.json {
            true => output::json(&found),
            false => {
                let trees = table::of(&Forest::of(&found.processes));
                output::write((trees + &found.silent_lines() + &chain_lines(&found.chains)).as_bytes())
            }
        }
    }
}

impl Found {
    fn now() -> anyhow::Result<Self> {
        let mut found = Self { processes: Vec::new(), silent: Vec::new(), chains: Vec::new() };
        for process in inspect::processes().context("the sockets of this host can't be listed")? {
            match process.report {
                // A process that has opened its socket and hosts no actor yet, or no more, is in no tree.
                Ok(report) if report.actors.is_empty() => {}
                Ok(report) => found.processes.push(report),
                Err(error) => found.silent.push(Silent { pid: process.pid, why: in_words(&error) }),
            }
        }
        Ok(found)
    }

    fn silent_lines(&self) -> String {
        self.silent.iter().map(|silent| format!("process {}: {}\n", silent.pid, silent.why)).collect()
    }
}

/// Returns a line for each chain of calls.
pub(crate) fn chain_lines(chains: &[CallChain]) -> String {
    let in_words = |chain: &CallChain| {
        format!("nothing moves, and the calls come back to an actor: {}\n", shown(&chain.to_string()))
    };
    chains.iter().map(in_words).collect()
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "it hosts actors, and did not answer in time: is it stopped?".into(),
        _ => format!("it hosts actors, and did not answer: {error}"),
    }
}
