//! Where the tasks and threads of a process are, as addresses in its program: who asks gives them names.
//!
//! Each task is polled once with a waker that captures the stack (see `scope/dump.rs`). Where one does not answer, its
//! thread may be busy: the stacks of all threads are taken too, by a signal.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::RunningFunction;
use super::report::soon;
use super::work::LineWork;
use crate::actor::ActorId;
use crate::os::elf::Elf;
use crate::os::maps::{self, Mapping};
use crate::os::program::OURSELVES;
use crate::os::thread_stacks;
use crate::runtime::{self, Runtime};
use crate::scope::{CancelScope, dump};

/// Where the tasks of a process wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StacksReport {
    /// Its process id.
    pub pid: u32,
    /// The path of its program.
    pub program: PathBuf,
    /// The build of its program, if the linker has given it one: see [`build_id`](fn@build_id).
    pub build_id: Option<String>,
    /// The files that its code is in.
    pub modules: Vec<Module>,
    /// Its tasks: exposed functions, tasks of nurseries, the bodies of roots. The oldest are first.
    pub tasks: Vec<TaskStacks>,
    /// How many further tasks were not asked.
    pub left_out: usize,
    /// Functions that have not waited for anything yet, or are being executed.
    pub busy: Vec<RunningTask>,
    /// Where its threads are, if a task has not answered, or a function is busy. `None` if the threads can't be
    /// interrupted, because the program handles all the signals that would do.
    pub threads: Option<Vec<ThreadStack>>,
}

/// A file of code, and where it is in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Module {
    /// Its path.
    pub path: PathBuf,
    /// The address of its first byte that is there, and of the one behind its last.
    pub addresses: (u64, u64),
    /// What is to be taken from an address in memory for that in the file's own terms.
    pub bias: u64,
}

/// A task, and where it waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskStacks {
    /// The name of its actor, as far as it is known.
    pub actor: Option<String>,
    /// The exposed function that it belongs to, if it belongs to one.
    pub function: Option<RunningTask>,
    /// A stack for each thing that it waits for, the innermost frame first; `None` if it has not answered.
    pub stacks: Option<Vec<Vec<u64>>>,
}

/// A function that runs for a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningTask {
    /// The actor that has called it.
    pub peer: ActorId,
    /// The function.
    #[serde(flatten)]
    pub function: RunningFunction,
}

/// A thread, and where it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ThreadStack {
    /// Its id.
    pub id: i32,
    /// Its name: that of the program for the first one.
    pub name: String,
    /// Its stack, the innermost frame first; `None` if it has not answered: it blocks the signal, or waits in the kernel.
    pub stack: Option<Vec<u64>>,
}

/// Reads the build id of a program; `None` if its linker has given it none. A file that has the same one as a process
/// is its program.
///
/// # Errors
/// When the file can't be read.
pub fn build_id(program: &Path) -> io::Result<Option<String>> {
    Ok(Elf::read(program)?.build_id())
}

impl StacksReport {
    /// That of this process.
    pub(super) fn here() -> Self {
        let dump = dump::take(FOR_TASKS, MAX_TASKS);
        let functions = functions_here();
        let mut room = MAX_FRAMES;
        let tasks = dump.tasks.iter().map(|task| TaskStacks::of(task, &functions));
        let tasks: Vec<_> = tasks.take_while(|task| task.fits_into(&mut room)).collect();
        let left_out = dump.left_out + dump.tasks.len() - tasks.len();
        let is_listed =
            |scope: &CancelScope| dump.tasks.iter().any(|task| task.stacks.is_some() && task.scope.is_within(scope));
        let busy =
            functions.iter().filter(|function| !is_listed(&function.scope)).map(|function| function.task.clone());
        let busy: Vec<_> = busy.take(MAX_TASKS).collect();
        let all_wait = busy.is_empty() && tasks.iter().all(|task| task.stacks.is_some());
        Self {
            pid: std::process::id(),
            program: std::env::current_exe().unwrap_or_default(),
            build_id: build_id(Path::new(OURSELVES)).unwrap_or_default(),
            modules: modules(),
            tasks,
            left_out,
            busy,
            threads: if all_wait { Some(Vec::new()) } else { threads() },
        }
    }
}

/// A function that runs in an actor of this process.
struct Function {
    actor: String,
    scope: CancelScope,
    task: RunningTask,
}

fn functions_here() -> Vec<Function> {
    let actors = soon(runtime::actors_here).unwrap_or_default();
    actors.iter().flat_map(|actor| functions_of(actor)).collect()
}

fn functions_of(actor: &Runtime) -> Vec<Function> {
    let name = actor.id().name();
    let peers = soon(|| actor.peers_now()).unwrap_or_default();
    let lines = peers.iter().map(|channel| LineWork::of(channel, MAX_TASKS));
    let function =
        |(scope, task): (&CancelScope, RunningTask)| Function { actor: name.to_owned(), scope: scope.clone(), task };
    lines.flat_map(|line| line.running_with_scopes().map(function).collect::<Vec<_>>()).collect()
}

impl TaskStacks {
    fn of(task: &dump::Waiting, functions: &[Function]) -> Self {
        let function = functions.iter().find(|function| task.scope.is_within(&function.scope));
        Self {
            actor: function.map(|function| function.actor.clone()).or_else(|| task.actor.as_deref().map(str::to_owned)),
            function: function.map(|function| function.task.clone()),
            stacks: task.stacks.clone(),
        }
    }
}

impl TaskStacks {
    /// Takes room for its frames; returns whether there was enough.
    fn fits_into(&self, room: &mut usize) -> bool {
        let frames: usize = self.stacks.iter().flatten().map(Vec::len).sum();
        room.checked_sub(frames).map(|left| *room = left).is_some()
    }
}

impl RunningTask {
    pub(super) fn new(peer: &ActorId, function: RunningFunction) -> Self {
        Self { peer: peer.clone(), function }
    }
}

/// Interrupts the threads of this process, except those that answer for it.
fn threads() -> Option<Vec<ThreadStack>> {
    let until = Instant::now() + FOR_THREADS;
    let is_wanted = |name: &str| !OWN_THREADS.iter().any(|own| name.starts_with(own));
    let bound = || until.saturating_duration_since(Instant::now()).min(FOR_A_THREAD);
    let taken = thread_stacks::take(is_wanted, MAX_THREADS, bound)?;
    Some(
        taken
            .into_iter()
            .map(|thread| ThreadStack { id: thread.id, name: thread.name, stack: thread.frames })
            .collect(),
    )
}

/// Returns the files that this process executes, as far as they can be read.
fn modules() -> Vec<Module> {
    let maps = fs::read(maps::OWN).unwrap_or_default();
    let code = maps.split(|byte| *byte == b'\n').filter_map(code_in).take(MAX_MODULES);
    code.filter_map(|(path, addresses, offset)| Module::of(path, addresses, offset)).collect()
}

impl Module {
    fn of(path: PathBuf, addresses: (u64, u64), offset: u64) -> Option<Self> {
        let is_program = std::env::current_exe().is_ok_and(|program| without_mark(&program) == path);
        let file = Elf::read(if is_program { Path::new(OURSELVES) } else { &path }).ok()?;
        let bias = addresses.0.wrapping_sub(file.address_at(offset)?);
        Some(Self { path, addresses, bias })
    }
}

/// Reads a line of the kernel's list of mappings: the file, its addresses, and the place in the file; `None` if there is
/// no code of a file.
fn code_in(line: &[u8]) -> Option<(PathBuf, (u64, u64), u64)> {
    let code = Mapping::parse(line).filter(|mapping| mapping.is_code)?;
    let addresses = (code.addresses.start as u64, code.addresses.end as u64);
    Some((without_mark(code.path()?), addresses, code.offset as u64))
}

/// Returns the path that a file had before it was deleted, or replaced.
fn without_mark(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.strip_suffix(" (deleted)").map_or_else(|| path.to_owned(), PathBuf::from)
}

/// How the names of this library's own threads begin.
const OWN_THREADS: [&str; 2] = ["pleach-", "watchdog"];

/// How long tasks may take to answer.
const FOR_TASKS: Duration = Duration::from_millis(300);

/// How long all threads, and each of them, may take.
const FOR_THREADS: Duration = Duration::from_millis(500);
const FOR_A_THREAD: Duration = Duration::from_millis(100);

// How many are told at most.
const MAX_TASKS: usize = 1000;
const MAX_FRAMES: usize = 1_000_000;
const MAX_THREADS: usize = 64;
const MAX_MODULES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_data() {
        let code = "7f01-7f03 r-xp 00002000 08:01 42   /usr/lib/a b.so (deleted)";
        assert_eq!(code_in(code.as_bytes()), Some(("/usr/lib/a b.so".into(), (0x7f01, 0x7f03), 0x2000)));
        for other in ["7f01-7f03 r--p 00002000 08:01 42 /usr/lib/a.so", "7f01-7f03 r-xp 0 00:00 0 [vdso]", "", "x"] {
            assert_eq!(code_in(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn this_code_is_in_this_program() {
        let here = (code_in as fn(&[u8]) -> _) as usize as u64;
        let mut found = modules().into_iter().filter(|module| (module.addresses.0..module.addresses.1).contains(&here));
        assert_eq!(found.next().unwrap().path, std::env::current_exe().unwrap());
    }
}
