//! What tests ask for: what trees have left that have ended, faults at a point of their choice, schedules from a seed.
//!
//! Faults are in `faults.rs`, schedules in `seeds.rs`; this file has what is left. A root that has ended has waited for
//! its tasks, actors and processes, and has removed its sockets. What is found here is a fault of the program, such as a
//! process that an actor has started and forgotten, or one of this library.
//!
//! [`#[pleach::test]`](macro@crate::test) asks it for the tree of the test.

pub(crate) mod faults;
pub(crate) mod seeds;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

pub use self::faults::{Point, cut, delay, kill_at};
pub use self::seeds::schedule;
use crate::actor::{ActorId, shown};
use crate::runtime::{Runtime, actors_in};
use crate::sync::lock;

/// Returns what the trees have left whose roots have ended in this process.
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await?;
/// assert_eq!(pleach::testing::leaks(), []);
/// # Ok(())
/// # }
/// ```
pub fn leaks() -> Vec<Leak> {
    let mut ended = lock(&ENDED);
    ended.retain(|root| !root.leaks().is_empty());
    ended.iter().flat_map(Ended::leaks).collect()
}

/// Something that a tree has left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// The root of the tree.
    pub root: ActorId,
    /// What it has left.
    pub what: Leaked,
}

/// What was left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaked {
    /// A process that an actor has started, and that was still alive when the root ended. The root has killed it.
    #[non_exhaustive]
    Process {
        /// Its process id.
        pid: u32,
        /// Its program and arguments.
        command: String,
    },
    /// An actor on a thread of this process that goes on: it does not get to its next `.await`.
    Actor(ActorId),
    /// So many tasks of the root.
    Tasks(usize),
    /// The directory of the tree's sockets.
    SocketDirectory(PathBuf),
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the tree of {}", self.what, self.root)
    }
}

impl fmt::Display for Leaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, command } => write!(f, "process {pid} ({})", shown(command)),
            Self::Actor(actor) => actor.fmt(f),
            Self::Tasks(number) => write!(f, "{number} tasks"),
            Self::SocketDirectory(path) => write!(f, "socket directory {}", shown(&path.to_string_lossy())),
        }
    }
}

/// Has [`leaks`] look at the tree of a root that has just ended.
pub(crate) fn note_end(root: &Arc<Runtime>) {
    lock(&ENDED).push(Ended {
        root: root.id().clone(),
        runtime: Arc::downgrade(root),
        sockets: root.own_socket_dir(),
        killed: root.descendants().killed(),
    });
}

/// A root that has ended.
struct Ended {
    root: ActorId,
    runtime: Weak<Runtime>,
    sockets: Option<PathBuf>,
    /// Processes that were left, and are killed.
    killed: Vec<(u32, String)>,
}

impl Ended {
    fn leaks(&self) -> Vec<Leak> {
        let killed = self.killed.iter().cloned().map(|(pid, command)| Leaked::Process { pid, command });
        let actors = actors_in(self.root.uuid()).into_iter().filter(|actor| *actor != self.root).map(Leaked::Actor);
        let tasks = self.runtime.upgrade().map_or(0, |root| root.tasks.count());
        let tasks = (tasks > 0).then_some(Leaked::Tasks(tasks));
        let sockets = self.sockets.iter().filter(|path| path.exists()).cloned().map(Leaked::SocketDirectory);
        let leaked = killed.chain(actors).chain(tasks).chain(sockets);
        leaked.map(|what| Leak { root: self.root.clone(), what }).collect()
    }
}

static ENDED: Mutex<Vec<Ended>> = Mutex::new(Vec::new());
