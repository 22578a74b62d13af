//! `pleach reap`: what a crashed program has left, and its removal.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use pleach::Config;
use pleach::leftovers::{self, Leftover, What};
use serde::Serialize;

use crate::output;

/// Remove what a crashed program has left: processes, sockets and their directories
///
/// When the root of a tree has been killed, its actors end by themselves. What those have started, and what can't end,
/// may stay. This looks for processes of yours that descend from an actor of a tree whose root has gone, for
/// directories of sockets that no process uses, and, with the setting `socket_dir`, for sockets there without a
/// listener. It prints what it has found, kills the processes, and removes the rest.
///
/// It never touches a tree whose root is alive, nor what belongs to another user, is being debugged, or runs this
/// command; the last three are shown, with the reason.
///
/// Exit status 1 means that something is left: what could not be removed, or with --dry-run what would be removed.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach reap --dry-run              what is there?
  pleach reap                        remove it
  pleach reap --tree 3f9a20c71b      only the processes of one tree, as the list names it")]
pub(crate) struct Command {
    /// Only print what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Only processes of this tree; may be repeated
    #[arg(long = "tree", value_name = "TREE")]
    trees: Vec<String>,
    /// Print JSON: an array of objects with `what`, `outcome`, `age_seconds`, `why` and, for a process, `pid`, `actor`,
    /// `command` and `tree`, else `path`
    #[arg(long)]
    json: bool,
}

/// One thing that was found, and what became of it.
#[derive(Serialize)]
struct Record {
    #[serde(flatten)]
    what: Thing,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    outcome: Outcome,
    /// Why it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Thing {
    Process { pid: u32, actor: Option<String>, command: String, tree: String },
    SocketDirectory { path: String },
    Socket { path: String },
    ControlGroup { path: String },
    Other { described: String },
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// By a dry run.
    Found,
    Removed,
    Failed,
    LeftAlone,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load()?;
        let (until, mut seen, mut records) = (Instant::now() + PATIENCE, BTreeSet::new(), Vec::new());
        loop {
            let mut found = leftovers::find(&config)?;
            // A process may have started another one before its end.
            found.retain(|leftover| self.concerns(leftover) && seen.insert(leftover.what().to_string()));
            if found.is_empty() || Instant::now() >= until {
                break;
            }
            for leftover in found.iter().filter(|_| !self.dry_run) {
                self.say(format_args!("found {leftover}"))?;
            }
            for leftover in &found {
                records.push(self.treat(leftover, until)?);
            }
        }
        match self.json {
            true => output::json(&records)?,
            false if records.is_empty() => output::line("nothing is left over")?,
            false => {}
        }
        let is_left = |record: &Record| matches!(record.outcome, Outcome::Found | Outcome::Failed);
        Ok(if records.iter().any(is_left) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn concerns(&self, leftover: &Leftover) -> bool {
        match leftover.what() {
            _ if self.trees.is_empty() => true,
            What::Process { tree, .. } => self.trees.contains(tree),
            _ => false,
        }
    }

    /// Removes a leftover if it is to be, and says so.
    fn treat(&self, leftover: &Leftover, until: Instant) -> anyhow::Result<Record> {
        let what = leftover.what();
        let (outcome, why) = match leftover.kept() {
            Some(kept) => (Outcome::LeftAlone, Some(kept.to_string())),
            None if self.dry_run => (Outcome::Found, None),
            None => match leftover.remove(until.saturating_duration_since(Instant::now())) {
                Ok(()) => (Outcome::Removed, None),
                Err(error) => (Outcome::Failed, Some(error.to_string())),
            },
        };
        let reason = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        match self.dry_run {
            true => self.say(format_args!("{} {leftover}{reason}", verb(what, outcome)))?,
            false => self.say(format_args!("{} {what}{reason}", verb(what, outcome)))?,
        }
        let age_seconds = leftover.age().map(|age| age.as_secs());
        Ok(Record { what: Thing::from(what), age_seconds, outcome, why })
    }

    fn say(&self, text: impl std::fmt::Display) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { output::line(text) }
    }
}

fn verb(what: &What, outcome: Outcome) -> &'static str {
    match (outcome, what) {
        (Outcome::Found, What::Process { .. }) => "would kill",
        (Outcome::Found, _) => "would remove",
        (Outcome::Removed, What::Process { .. }) => "killed",
        (Outcome::Removed, _) => "removed",
        (Outcome::Failed, _) => "FAILED on",
        (Outcome::LeftAlone, _) => "left alone",
    }
}

impl From<&What> for Thing {
    fn from(what: &What) -> Self {
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        match what {
            What::Process { pid, actor, command, tree, .. } => {
                Self::Process { pid: *pid, actor: actor.clone(), command: command.clone(), tree: tree.clone() }
            }
            What::SocketDirectory(at) => Self::SocketDirectory { path: path(at) },
            What::Socket(at) => Self::Socket { path: path(at) },
            What::ControlGroup(at) => Self::ControlGroup { path: path(at) },
            other => Self::Other { described: other.to_string() },
        }
    }
}

/// How long all processes together may take to end once they are killed.
const PATIENCE: Duration = Duration::from_secs(5);
