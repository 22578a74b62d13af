//! Orphans: actors whose parent was killed. The kernel hands them to the root, which reaps them.
//!
//! The parent-death signal has killed them by then; what is left is a zombie, or soon will be, and in a
//! container without a real init nobody else would take it away. The root asks to become their parent
//! (`PR_SET_CHILD_SUBREAPER`), looks through its children whenever one has ended, and does not leave
//! before the last of them has.
//!
//! # Invariants
//! 1. Only zombies that carry an actor's name, or stand in the group of another process that is not
//!    ours, are touched: so no exit status is taken from the program around. An actor that is killed
//!    before it has named itself is told by the names that it goes by until then.
//! 2. Children of this very process are left to their keepers.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, waitid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::child::MARK;

/// Becomes the parent of all orphans of the tree, and reaps them as they end, until it is dropped.
pub(crate) async fn adopt() {
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        debug!(target: "pleach::runtime", %error, "orphans go to init");
        return;
    }
    match signal(SignalKind::child()) {
        Ok(mut ended) => {
            while ended.recv().await.is_some() {
                reap();
            }
        }
        Err(error) => debug!(target: "pleach::runtime", %error, "orphans are reaped by init, later"),
    }
}

/// Reaps all orphans that are zombies now.
fn reap() {
    for orphan in orphans().into_iter().filter(|orphan| orphan.is_zombie()) {
        let Some(pid) = i32::try_from(orphan.pid).ok().and_then(Pid::from_raw) else { continue };
        // What it had started and left behind is in its group; while it is a zombie, the number is its own.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL); // it may have been alone
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(status) => debug!(target: "pleach::runtime", ?orphan, ?status, "reaped an orphan"),
            Err(error) => debug!(target: "pleach::runtime", ?orphan, %error, "an orphan was not reaped"),
        }
    }
}

/// Waits until the last orphan has been reaped. Each has been killed, but it takes its time to die.
///
/// # Cancel safety
/// Nothing is lost.
pub(crate) async fn gone() {
    // From before the first look, so that no end goes unnoticed.
    let mut ended = signal(SignalKind::child());
    loop {
        reap();
        match &mut ended {
            Ok(ended) if !orphans().is_empty() => drop(ended.recv().await),
            // Without the signal, whoever is still dying is left to init.
            _ => return,
        }
    }
}

/// Takes note of a child that has a keeper (invariant 2); forgotten when the value is dropped.
pub(super) struct OwnChild(u32);

impl OwnChild {
    /// Starts a child. Until it is noted, nobody looks for orphans, and would take it for one.
    pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        let mut own = own();
        let child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        own.insert(pid);
        Ok((child, Self(pid)))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0
    }
}

impl Drop for OwnChild {
    fn drop(&mut self) {
        own().remove(&self.0);
    }
}

/// All children of this process, whichever thread they belong to.
fn children() -> Vec<u32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The children of this process that are orphans, alive or not.
fn orphans() -> Vec<Process> {
    let strangers = children().into_iter().filter(|pid| !own().contains(pid));
    strangers.filter_map(Process::look).filter(Process::is_orphan).collect()
}

/// A child of this process, as the kernel shows it.
#[derive(Debug)]
struct Process {
    pid: u32,
    name: String,
    state: String,
    group: u32,
}

impl Process {
    fn look(pid: u32) -> Option<Self> {
        // "pid (name) state parent group …": the name may have anything in it, so look from its last bracket.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')'))?;
        let fields: Vec<&str> = rest.split_whitespace().take(3).collect();
        let [state, _, group] = fields[..] else { return None };
        Some(Self { pid, name: name.into(), state: state.into(), group: group.parse().unwrap_or(pid) })
    }

    fn is_zombie(&self) -> bool {
        self.state == "Z"
    }

    /// Invariant 1.
    fn is_orphan(&self) -> bool {
        let ours = || rustix::process::getpgrp().as_raw_nonzero().get() as u32;
        match &*self.name {
            name if name.starts_with(NAME_PREFIX) => true,
            FORKED => true,
            EXECUTED if self.is_zombie() && was_killed(self.pid) => true,
            EXECUTED if !self.is_zombie() => is_told_to_be_an_actor(self.pid),
            _ => self.is_zombie() && self.group != self.pid && self.group != ours(),
        }
    }
}

/// Whether the first argument of a living process says so.
fn is_told_to_be_an_actor(pid: u32) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1) == Some(MARK.as_bytes())
}

/// Whether SIGKILL ended a child; it stays a zombie.
fn was_killed(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(pid), look).ok().flatten();
    status.is_some_and(|status| status.terminating_signal() == Some(Signal::KILL.as_raw()))
}

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// What the short names of actor processes begin with.
pub(super) const NAME_PREFIX: &str = "pl:";

/// The thread that starts actors; until it executes the program, a new process goes by its name.
pub(super) const FORKED: &str = "pleach-spawn";

/// The name of an actor that has not named itself, after `/proc/self/exe`. Others may have it too: so only
/// one that the kernel has killed, as it does with orphans, is an actor.
const EXECUTED: &str = "exe";
