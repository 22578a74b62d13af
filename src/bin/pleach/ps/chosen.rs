//! The processes that a command concerns, of all that host actors of this user.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context as _, bail};
use pleach::ActorId;
use pleach::inspect::{self, ActorReport, CallChain, Forest, Process, ProcessReport};
use serde::Serialize;

use super::table::shown;

/// Those that have answered and are meant, and those that have not answered.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) processes: Vec<Process>,
    pub(crate) silent: Vec<Silent>,
    /// Those of the whole tree.
    pub(crate) chains: Vec<CallChain>,
    /// The files of the programs on this host.
    pub(crate) programs: BTreeSet<PathBuf>,
}

/// A process that did not answer, or a host.
#[derive(Debug, Serialize)]
pub(crate) struct Silent {
    /// Of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// Another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    pub(crate) why: String,
}

impl Chosen {
    /// Asks all processes, and keeps the actors of the tree of that root, and those with that name or process id.
    ///
    /// # Errors
    /// When processes can't be found; and which there are, if none is meant.
    pub(crate) fn now(tree: Option<&str>, actor: Option<&str>) -> anyhow::Result<Self> {
        let (processes, silent, chains, programs) = Default::default();
        let mut chosen = Self { processes, silent, chains, programs };
        for process in inspect::processes().context("the sockets of this host can't be listed")? {
            match &process.report {
                // A process that has opened its socket and hosts no actor yet, or no more, is in no tree.
                Ok(report) if report.actors.is_empty() => {}
                Ok(_) => {
                    let program = process.host.is_none().then(|| format!("/proc/{}/exe", process.pid).into());
                    chosen.programs.extend(program);
                    chosen.processes.push(process);
                }
                Err(error) => chosen.silent.push(Silent::new(&process, error)),
            }
        }
        if let Some(root) = tree {
            let reports = chosen.reports();
            let members = Forest::of(&reports).tree_of(root).map(|tree| tree.members()).map_err(anyhow::Error::msg)?;
            chosen.keep(|actor| members.contains(&actor.who.uuid()));
        }
        chosen.chains = inspect::call_chains(&chosen.reports());
        if let Some(meant) = actor {
            let known = chosen.names();
            chosen.keep(|actor| actor.who.is_meant_by(meant));
            if chosen.processes.is_empty() {
                bail!(none_is(meant, known));
            }
        }
        Ok(chosen)
    }

    /// Returns the actors that are meant by a name, process id or uuid, at least one.
    ///
    /// # Errors
    /// Which there are, if none is meant.
    pub(crate) fn meant(&self, text: &str) -> anyhow::Result<Vec<(&Process, &ActorReport)>> {
        let meant: Vec<_> = self.actors().filter(|(_, actor)| actor.who.is_meant_by(text)).collect();
        if meant.is_empty() { bail!(none_is(text, self.names())) } else { Ok(meant) }
    }

    /// Returns the actors, each with its process.
    pub(crate) fn actors(&self) -> impl Iterator<Item = (&Process, &ActorReport)> {
        let told = self.processes.iter().filter_map(|process| Some((process, process.report.as_ref().ok()?)));
        told.flat_map(|(process, report)| report.actors.iter().map(move |actor| (process, actor)))
    }

    /// Asks each process something, all at once; one that can't be asked has failed.
    pub(crate) fn ask<T: Send>(
        &self,
        ask: impl Fn(&Process) -> io::Result<T> + Sync,
    ) -> Vec<(&Process, io::Result<T>)> {
        let ask = &ask;
        thread::scope(|scope| {
            let asking: Vec<_> = self.processes.iter().map(|process| scope.spawn(move || ask(process))).collect();
            let answers = asking.into_iter().map(|asking| asking.join().unwrap_or_else(|_| Err(panicked())));
            self.processes.iter().zip(answers).collect()
        })
    }

    /// Returns what the processes have said.
    pub(crate) fn reports(&self) -> Vec<ProcessReport> {
        self.processes.iter().filter_map(|process| process.report.as_ref().ok()).cloned().collect()
    }

    /// Returns the names of the actors.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.actors().map(|(_, actor)| actor.who.name().to_owned()).collect()
    }

    fn keep(&mut self, is_meant: impl Fn(&ActorReport) -> bool) {
        self.processes.retain_mut(|process| {
            let Ok(report) = &mut process.report else { return false };
            report.actors.retain(&is_meant);
            !report.actors.is_empty()
        });
    }
}

impl Silent {
    pub(crate) fn new(process: &Process, error: &io::Error) -> Self {
        let pid = Some(process.pid).filter(|pid| *pid != 0);
        let why = match (error.kind(), pid) {
            (io::ErrorKind::TimedOut, Some(_)) => "it hosts actors, and did not answer in time: is it stopped?".into(),
            (io::ErrorKind::TimedOut, None) => "actors were started there, and it did not answer in time".into(),
            _ => format!("it hosts actors, and did not answer: {error}"),
        };
        Self { pid, host: process.host.clone(), why }
    }

    /// Returns what did not answer, and why, in a line.
    pub(crate) fn line(&self) -> String {
        let which = match (self.pid, &self.host) {
            (Some(pid), None) => format!("process {pid}"),
            (Some(pid), Some(host)) => format!("process {pid} at {}", shown(host)),
            (None, host) => format!("host {}", shown(host.as_deref().unwrap_or("?"))),
        };
        format!("{which}: {}", self.why)
    }
}

fn panicked() -> io::Error {
    io::Error::other("this thread has panicked")
}

fn none_is(meant: &str, known: BTreeSet<String>) -> String {
    match known.is_empty() {
        true => "no actor of this user runs here".into(),
        false => format!("no actor is `{meant}`; there are: {}", Vec::from_iter(known).join(", ")),
    }
}

/// Says that a command concerns one actor only.
pub(crate) fn several_are<'a>(meant: &str, actors: impl Iterator<Item = &'a ActorId>) -> String {
    let listed: Vec<_> = actors.map(ActorId::to_string).collect();
    format!("several actors are `{meant}`: {}; choose by process id or uuid", listed.join(", "))
}

/// Returns a line for each process that has not answered.
pub(crate) fn silent_lines(silent: &[Silent]) -> String {
    silent.iter().map(|silent| silent.line() + "\n").collect()
}
