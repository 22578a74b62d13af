//! Orphans: descendants of a tree's actors whose parent died. The kernel reparents them to the root.
//!
//! The root asks to become the parent of all orphans below it (`PR_SET_CHILD_SUBREAPER`), because in a container
//! without a real init no other process would take them away. It reaps them as they end, and at its own end it ends
//! those that still live: an actor's daemons, whatever session or group they have fled into. When the last root of a
//! process has ended, orphans go where they went before.
//!
//! A process that the program itself has started and orphaned becomes the root's child as well, and can't be
//! distinguished from a child that the program is going to wait for. It is left alone, dead or alive.
//!
//! # Invariants
//! 1. Only processes with the [mark](super::mark) of the tree are touched: no exit status is taken from the
//!    program around.
//! 2. Children of this very process are left to their keepers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Signal, WaitId, WaitIdOptions, child_subreaper, getpid, set_child_subreaper, waitid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::life_sign::LifeSign;
use super::mark::TreeMark;
use super::marked::Marked;
use crate::sync::lock;

/// The processes that descend from the actors of one tree.
#[derive(Debug, Default)]
pub(crate) struct Descendants {
    /// Set when the first actor is started: before, there are none.
    mark: OnceLock<Option<TreeMark>>,
    /// Shown from then on, to the end of [`end`](Self::end).
    life_sign: Mutex<Option<LifeSign>>,
    /// Held from [`adopt`](Self::adopt) to [`end`](Self::end).
    subreaper: Mutex<Option<Subreaper>>,
    /// What had to be killed in [`end`](Self::end): processes, and their command lines.
    killed: Mutex<Vec<(u32, String)>>,
}

impl Descendants {
    /// Those of the tree that an actor belongs to.
    pub(crate) fn of(mark: Option<TreeMark>) -> Self {
        Self { mark: mark.map_or_else(OnceLock::new, |mark| Some(mark).into()), ..Self::default() }
    }

    /// Returns the mark that actors are to put on themselves.
    pub(crate) fn mark(&self) -> Option<TreeMark> {
        *self.mark.get_or_init(|| {
            let mark = TreeMark::fresh()?;
            match LifeSign::show(mark) {
                Ok(sign) => *lock(&self.life_sign) = Some(sign),
                Err(error) => debug!(target: "pleach::runtime", %error, "no sign of life for this tree"),
            }
            Some(mark)
        })
    }

    /// Returns the processes that had to be killed at the end, with their command lines.
    #[cfg(feature = "testing")]
    pub(crate) fn killed(&self) -> Vec<(u32, String)> {
        lock(&self.killed).clone()
    }

    fn marked(&self) -> Option<TreeMark> {
        *self.mark.get()?
    }

    /// Becomes the parent of all orphans, until [`end`](Self::end), and reaps them as they end, until it is dropped.
    pub(crate) async fn adopt(&self) {
        match Subreaper::become_one() {
            Ok(subreaper) => *lock(&self.subreaper) = Some(subreaper),
            Err(error) => return debug!(target: "pleach::runtime", %error, "could not become a subreaper"),
        }
        match signal(SignalKind::child()) {
            Ok(mut ended) => {
                while ended.recv().await.is_some() {
                    self.marked().into_iter().for_each(reap);
                }
            }
            Err(error) => debug!(target: "pleach::runtime", %error, "orphans are reaped by init, later"),
        }
    }

    /// Ends all that are left, and reaps those that are this process's children.
    ///
    /// All processes with a keeper must have ended. One that still exists after `patience` is reported and abandoned.
    ///
    /// # Cancel safety
    /// If dropped, some may be left.
    pub(crate) async fn end(&self, patience: Duration) {
        let _subreaper = lock(&self.subreaper).take();
        if let Some(mark) = self.marked() {
            let killed = end_all(mark, patience).await;
            lock(&self.killed).extend(killed);
        }
        lock(&self.life_sign).take();
    }
}

/// Ends all processes with a mark, and reaps those that are this process's children; returns which it has killed.
async fn end_all(mark: TreeMark, patience: Duration) -> BTreeMap<u32, String> {
    let until = Instant::now() + patience;
    let mut killed = BTreeMap::new();
    loop {
        reap(mark);
        // Again until there are none: one may have started another meanwhile.
        let left = Marked::living(mark);
        if left.is_empty() {
            reap(mark);
            return killed;
        }
        for process in &left {
            if let Entry::Vacant(new) = killed.entry(process.pid) {
                let (pid, command) = (process.pid, new.insert(process.command_line()));
                process.signal(Signal::KILL);
                warn!(target: "pleach::cancel", pid, command, "an actor has left a process behind: killed");
            }
        }
        if Instant::now() >= until {
            let left: Vec<_> = left.iter().map(|left| format!("{} ({})", left.pid, left.command_line())).collect();
            error!(target: "pleach::cancel", ?left, ?patience, "still there after SIGKILL: left");
            return killed;
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// This process is the parent of all orphans below it, as long as one of these is held.
#[derive(Debug)]
struct Subreaper;

impl Subreaper {
    fn become_one() -> io::Result<Self> {
        let mut held = lock(&SUBREAPERS);
        if held.count == 0 {
            held.was_one_before = child_subreaper()?.is_some();
            set_child_subreaper(Some(getpid()))?;
        }
        held.count += 1;
        Ok(Self)
    }
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        let mut held = lock(&SUBREAPERS);
        held.count -= 1;
        if held.count == 0 && !held.was_one_before {
            let _ = set_child_subreaper(None); // it could be set, so it can be unset
        }
    }
}

struct Subreapers {
    count: usize,
    /// The program around has asked for that itself, or its launcher has.
    was_one_before: bool,
}

static SUBREAPERS: Mutex<Subreapers> = Mutex::new(Subreapers { count: 0, was_one_before: false });

/// Reaps all marked orphans that are zombies now.
fn reap(mark: TreeMark) {
    let own = std::process::id();
    let strangers: Vec<_> = {
        let kept = lock(&KEPT);
        children().into_iter().filter(|pid| !kept.contains(pid)).collect()
    };
    for pid in strangers {
        let Some(orphan) = Marked::hold(pid, mark) else { continue };
        // Locked, so that no keeper's child is taken before it is noted. Invariant 2.
        let kept = lock(&KEPT);
        if !orphan.is_zombie || orphan.parent != own || kept.contains(&pid) {
            continue;
        }
        match waitid(WaitId::PidFd(orphan.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => debug!(target: "pleach::runtime", ?orphan, ?status, "reaped an orphan"),
            Err(error) => debug!(target: "pleach::runtime", ?orphan, %error, "an orphan was not reaped"),
        }
    }
}

/// Takes note of a child that has a keeper (invariant 2); forgotten when the value is dropped.
pub(crate) struct OwnChild(u32);

impl OwnChild {
    /// Starts a child. Until it is noted, no look for orphans can take it for one.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        let mut kept = lock(&KEPT);
        let child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        kept.insert(pid);
        Ok((child, Self(pid)))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        lock(&KEPT).remove(&self.0);
    }
}

/// All children of this process, whichever thread they belong to.
fn children() -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

static KEPT: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// How soon processes that have been killed are looked at again. Most of them are children of others.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
