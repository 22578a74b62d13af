//! Actors that stand still, on their way to the debugger's front-end in the root of their tree.
//!
//! ```text
//! the actor's thread ── Stop ──► the root's socket ──► this queue ──► the front-end
//!    ▲   answers  ── Said ──────────────────────────────────────────►   │
//!    └── Told ── granted, commands ◄────────────────────────────────────┘
//! ```
//! The queue is in order of arrival. One whose process has ended meanwhile is dropped when its turn comes.
//!
//! # Invariants
//! 1. Where no front-end is, an actor is told so at once, and goes on.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;

use serde::{Deserialize, Serialize};

use super::Reply;
use super::transfer::Transfer;
use crate::actor::ActorId;
use crate::os::terminal;
use crate::sync::lock;
use crate::telemetry::stderr;

/// An actor that stands still.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stop {
    /// It, and those above it: the root is the first.
    pub(crate) path: Vec<ActorId>,
    pub(crate) pid: u32,
    /// The thread of it that stands still.
    pub(crate) thread: u32,
    pub(crate) why: Why,
    /// What has happened.
    pub(crate) message: String,
    /// Where, if that is known.
    pub(crate) place: Option<Place>,
}

impl Stop {
    /// Returns the names on the way to the actor, the root's first.
    pub(crate) fn shown_path(&self) -> String {
        self.path.iter().map(ActorId::name).collect::<Vec<_>>().join("/")
    }

    /// Returns its process, with the host if that is not the root's.
    pub(crate) fn shown_process(&self) -> String {
        if self.is_near() { format!("pid {}", self.pid) } else { format!("pid {} at {}", self.pid, self.host()) }
    }

    /// Returns whether its process is seen from that of the root.
    pub(crate) fn is_near(&self) -> bool {
        let ends = self.path.first().zip(self.path.last());
        ends.is_some_and(|(root, actor)| root.is_at_place_of(actor))
    }

    /// Returns the name of its host.
    pub(crate) fn host(&self) -> &str {
        self.path.last().map_or("?", ActorId::host)
    }
}

/// Why an actor stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    Paused,
    Panicked,
    Failed,
    /// The program asked for the post-mortem of an error.
    PostMortem,
}

/// A line of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The file, as the compiler was told.
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{file}:{line}:{column}")
    }
}

/// What the front-end tells an actor that stands still.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// It is in the queue: the first that it is told, unless it is declined.
    Queued,
    /// It has the terminal; a debugger would be a descendant of this process, or on another host of any.
    Granted { by: Option<u32> },
    /// There is no terminal for it: why.
    Declined(String),
    /// A command of the user.
    Command { number: u64, line: String },
    /// The answer to the last command is not waited for any more.
    GivenUp,
}

/// What an actor that stands still says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The answer to a command.
    Answer { number: u64, text: String },
    /// It goes on.
    GoesOn(GoesOn),
}

/// How an actor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GoesOn {
    /// As if nothing had been.
    Continued,
    /// It has been asked to end.
    Cancelled,
    /// The whole program is to end.
    Quit,
}

/// What waits for the front-end.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// An actor that stands still.
    Stop(Box<Stop>, Transfer),
    /// A tool that is a front-end from now on.
    FrontEnd(Transfer),
}

/// Sets what is the front-end of this process: a thread runs it once something waits for it.
pub(crate) fn serve_with(front_end: fn()) {
    let _ = FRONT_END.set(front_end);
}

/// Puts an actor in the queue.
///
/// # Errors
/// When it can't be told that there is no room, or no front-end.
pub(super) fn queue(stop: Stop, transfer: Transfer) -> io::Result<()> {
    // One that comes before the prompt is counted there.
    if terminal::is_held() {
        let (path, process) = (stop.shown_path(), stop.shown_process());
        let line = format!("── {path} ({process}) stands still, too, and waits for its turn\n");
        stderr::offer(line.into());
    }
    put(Waiting::Stop(Box::new(stop), transfer))
}

/// Puts a front-end in the queue.
///
/// # Errors
/// When it can't be told that there is no room.
pub(super) fn attach(mut transfer: Transfer) -> io::Result<()> {
    transfer.send(&Reply::Attached)?;
    put(Waiting::FrontEnd(transfer))
}

fn put(mut waiting: Waiting) -> io::Result<()> {
    if FRONT_END.get().is_some()
        && let Waiting::Stop(_, transfer) = &mut waiting
    {
        transfer.send(&Told::Queued)?;
    }
    let mut queue = waiting_now();
    if queue.len() < MAX_WAITING && has_front_end() {
        queue.push_back(waiting);
        CAME.notify_one();
        return Ok(());
    }
    drop(queue);
    match waiting {
        Waiting::Stop(_, mut transfer) => transfer.send(&Told::Declined(match FRONT_END.get() {
            Some(_) => format!("{MAX_WAITING} others wait for the debugger"),
            None => "the root of its tree has no debugger".into(),
        })),
        Waiting::FrontEnd(_) => Ok(()), // closed: that says so
    }
}

/// Returns whether there is a front-end; starts its thread when it is first needed.
fn has_front_end() -> bool {
    static STARTED: OnceLock<bool> = OnceLock::new();
    let Some(front_end) = FRONT_END.get() else { return false };
    let start = || thread::Builder::new().name("pleach-debugger".into()).spawn(front_end);
    *STARTED.get_or_init(|| start().is_ok())
}

/// Waits for the next that needs the front-end.
pub(crate) fn next() -> Waiting {
    let mut queue = waiting_now();
    loop {
        match queue.pop_front() {
            Some(Waiting::Stop(_, transfer)) if transfer.is_readable() => {} // its process has ended: invariant of the queue
            Some(waiting) => return waiting,
            None => queue = CAME.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner),
        }
    }
}

/// Returns how many actors wait.
pub(crate) fn count() -> usize {
    waiting_now().iter().filter(|waiting| matches!(waiting, Waiting::Stop(..))).count()
}

fn waiting_now() -> MutexGuard<'static, VecDeque<Waiting>> {
    lock(&QUEUE)
}

static QUEUE: Mutex<VecDeque<Waiting>> = Mutex::new(VecDeque::new());
static CAME: Condvar = Condvar::new();
static FRONT_END: OnceLock<fn()> = OnceLock::new();

/// How many may wait at once: each is a connection.
const MAX_WAITING: usize = 256;
