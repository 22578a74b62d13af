//! What a process has told of its stacks, with names.

use std::collections::BTreeSet;
use std::path::PathBuf;

use pleach::inspect::{RunningTask, TaskStacks, ThreadStack};
use serde::Serialize;

use super::symbols::{Code, Frame, Symbols};

/// A process and its stacks.
#[derive(Serialize)]
pub(super) struct Resolved {
    pub(super) pid: u32,
    /// Its host, if that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
    pub(super) program: PathBuf,
    /// Why addresses have no names, if the program can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unreadable: Option<String>,
    pub(super) tasks: Vec<Task>,
    /// How many further tasks were not asked.
    pub(super) left_out: usize,
    /// Functions that have not waited yet, or are being executed.
    pub(super) busy: Vec<RunningTask>,
    /// Those with a stack that is the user's, or without an answer; `None` if they can't be interrupted.
    pub(super) threads: Option<Vec<Thread>>,
}

/// A task, and all that it waits for.
#[derive(Serialize)]
pub(super) struct Task {
    pub(super) actor: Option<String>,
    #[serde(flatten)]
    pub(super) function: Option<RunningTask>,
    /// A stack for each thing that it waits for; `None` if it has not answered.
    pub(super) waits: Option<Vec<Vec<Frame>>>,
}

#[derive(Serialize)]
pub(super) struct Thread {
    pub(super) id: i32,
    pub(super) name: String,
    /// `None` if it has not answered.
    pub(super) stack: Option<Vec<Frame>>,
}

impl Resolved {
    /// Gives names to all addresses; only the tasks of the actors of these names are kept, if some are given.
    pub(super) fn new(code: &Code<'_>, names: Option<&BTreeSet<String>>, symbols: &mut Symbols) -> Self {
        let report = code.report;
        let mut resolve = |stack: &Vec<u64>| stack.iter().flat_map(|at| symbols.frames(*at, code)).collect::<Vec<_>>();
        let is_meant = |task: &&TaskStacks| match (names, &task.actor) {
            (Some(names), Some(actor)) => names.contains(actor),
            _ => true,
        };
        let mut task = |task: &TaskStacks| Task {
            actor: task.actor.clone(),
            function: task.function.clone(),
            waits: task.stacks.as_ref().map(|stacks| distinct(stacks.iter().map(&mut resolve).collect())),
        };
        let tasks = report.tasks.iter().filter(is_meant).map(&mut task).collect();
        let mut thread = |thread: &ThreadStack| {
            let stack = thread.stack.as_ref().map(&mut resolve);
            let is_of_interest = stack.as_ref().is_none_or(|stack| stack.iter().any(|frame| frame.own));
            is_of_interest.then(|| Thread { id: thread.id, name: thread.name.clone(), stack })
        };
        let threads = report.threads.as_ref().map(|threads| threads.iter().filter_map(&mut thread).collect());
        Self {
            pid: report.pid,
            host: code.host.map(str::to_owned),
            unreadable: code.program.as_ref().err().cloned(),
            tasks,
            left_out: report.left_out,
            busy: report.busy.clone(),
            threads,
            program: report.program.clone(),
        }
    }
}

/// Leaves out stacks that differ in nothing but in what the library does at their ends.
fn distinct(stacks: Vec<Vec<Frame>>) -> Vec<Vec<Frame>> {
    let (mut seen, mut kept) = (BTreeSet::new(), Vec::new());
    for stack in stacks {
        let own: Vec<_> = stack.iter().filter(|frame| frame.own).cloned().collect();
        if own.is_empty() || seen.insert(own) {
            kept.push(stack);
        }
    }
    // A task that waits in the user's code waits for the library's own reasons, too.
    if kept.iter().any(|stack| stack.iter().any(|frame| frame.own)) {
        kept.retain(|stack| stack.iter().any(|frame| frame.own));
    }
    kept
}
