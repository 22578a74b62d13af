//! What programs that crashed have left on this machine, and how to remove it.
//!
//! Little is ever left. When the root of a tree is killed, the kernel ends its actors, and those that it does not end
//! end themselves. A new root removes the socket directories of roots that have gone. What stays is what could not
//! know of that end: the processes that actors have started, if they have left their actor's side; sockets in a
//! directory that its user has named; socket directories and control groups, as long as no program is started that would
//! make one there. A control group in a place that its user has named is not found: the next one made there removes it.
//!
//! # Invariants
//! 1. Nothing of a tree is found whose root is alive, or may be; on another host that is its keeper there.
//! 2. A process is ended through a descriptor of the very process that was found, so a number that has come to mean
//!    another one does no harm.
//! 3. What belongs to another user, and what this very program runs in, is shown but never removed.

// The files:
//
// - this one: finding all of it, and removing one thing
// - `processes.rs`: processes of trees whose root has gone
// - `sockets.rs`: socket directories, and sockets, that no process uses

mod processes;
mod sockets;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::actor::shown;
use crate::config::Config;
use crate::error::Result;
use crate::os::marked::Marked;
use crate::os::{cgroup, dead_sockets, socket_dir};

/// Finds what crashed programs of this user have left on this machine. It changes nothing, and blocks for a moment.
///
/// Of the settings it takes [`Config::socket_dir`], which names a directory where sockets may have been left.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) when that directory can't be read.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// for leftover in pleach::leftovers::find(&pleach::Config::load()?)? {
///     println!("{leftover}"); // then, e.g.: leftover.remove(Duration::from_secs(1))
/// }
/// # Ok::<(), pleach::Error>(())
/// ```
pub fn find(config: &Config) -> Result<Vec<Leftover>> {
    let mut found = processes::find();
    found.extend(sockets::directories());
    found.extend(cgroup::left().into_iter().map(Leftover::group));
    found.extend(sockets::in_named(config.socket_dir.as_deref())?);
    Ok(found)
}

/// Something that a crashed program has left. Dropping it changes nothing.
#[derive(Debug)]
pub struct Leftover {
    what: What,
    age: Option<Duration>,
    kept: Option<Kept>,
    /// Of a process.
    process: Option<Marked>,
}

/// What was left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A process that descends from an actor.
    #[non_exhaustive]
    Process {
        /// Its process id.
        pid: u32,
        /// The name of the actor, if it is one; otherwise an actor has started it.
        actor: Option<String>,
        /// Its program and arguments.
        command: String,
        /// The tree that it belongs to: the same for all its processes, and for those of no other tree.
        tree: String,
    },
    /// The directory of a tree's sockets, with all that is in it.
    SocketDirectory(PathBuf),
    /// A socket in a directory that its user has named.
    Socket(PathBuf),
    /// A control group, made for an actor in the group of the program that started it; with what is still in it.
    ControlGroup(PathBuf),
}

/// Why a leftover is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// It belongs to another user, of this number.
    OtherUser(u32),
    /// A debugger is attached, with this process id.
    Debugged(u32),
    /// This program runs in it.
    Ancestor,
    /// It was made before the machine was started, or on another one that shares the directory: whether a process
    /// there uses it can't be seen.
    OtherKernel,
}

impl Leftover {
    fn group(path: PathBuf) -> Self {
        Self { age: sockets::age(&path), what: What::ControlGroup(path), kept: None, process: None }
    }

    /// Returns what it is.
    pub fn what(&self) -> &What {
        &self.what
    }

    /// Returns how long ago it was started or made, where that is known.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns why [`remove`](Self::remove) does not remove it, if that is so.
    pub fn kept(&self) -> Option<Kept> {
        self.kept
    }

    /// Removes it: kills a process and waits for its end, at most for `patience`, and blocks meanwhile.
    ///
    /// # Errors
    /// When it is [`kept`](Self::kept), the system refuses, or the process has not ended in time.
    pub fn remove(&self, patience: Duration) -> io::Result<()> {
        if let Some(kept) = self.kept {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, kept.to_string()));
        }
        match &self.what {
            What::Process { .. } => self.process.as_ref().map_or(Ok(()), |process| process.kill(patience)),
            What::SocketDirectory(path) => socket_dir::remove_unused(path),
            What::Socket(path) => dead_sockets::remove(path),
            What::ControlGroup(path) => cgroup::remove_left(path),
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(age) = self.age {
            write!(f, ", {} old", in_words(age))?;
        }
        match &self.what {
            What::Process { command, .. } => write!(f, ": {}", shown(command)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, actor: Some(actor), tree, .. } => {
                write!(f, "process {pid}, actor `{}` of tree {tree}", shown(actor))
            }
            Self::Process { pid, tree, .. } => write!(f, "process {pid} of tree {tree}"),
            Self::SocketDirectory(path) => write!(f, "socket directory {}", shown(&path.to_string_lossy())),
            Self::Socket(path) => write!(f, "socket {}", shown(&path.to_string_lossy())),
            Self::ControlGroup(path) => write!(f, "control group {}", shown(&path.to_string_lossy())),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherUser(user) => write!(f, "it belongs to user {user}"),
            Self::Debugged(by) => write!(f, "a debugger is attached: process {by}"),
            Self::Ancestor => f.write_str("this program runs in it"),
            Self::OtherKernel => f.write_str(
                "it was made before this machine was started, or by another machine; if no machine uses it, remove it \
                 by hand",
            ),
        }
    }
}

/// A duration in its two largest units.
fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = units.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let words = units[largest..].iter().take(2).map(|(unit, name)| {
        let count = left / unit;
        left %= unit;
        format!("{count} {name}")
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_two_units() {
        let told = [0, 59, 61, 7200, 90_061].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(told, ["0 s", "59 s", "1 min 1 s", "2 h 0 min", "1 d 1 h"]);
    }

    #[test]
    fn what_is_kept_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let what = What::SocketDirectory(directory.path().to_owned());
        let leftover = Leftover { what, age: None, kept: Some(Kept::OtherKernel), process: None };
        assert_eq!(leftover.remove(Duration::ZERO).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(directory.path().exists());
    }
}
