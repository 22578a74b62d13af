//! Orphans: actors whose parent was killed. The kernel hands them to the root, which reaps them.
//!
//! The parent-death signal has killed them by then; what is left is a zombie, and in a container
//! without a real init nobody else would take it away. The root asks to become their parent
//! (`PR_SET_CHILD_SUBREAPER`) and looks through its children whenever one has ended.
//!
//! # Invariants
//! 1. Only zombies that carry an actor's name, or stand in the group of another process that is not
//!    ours, are touched: so no exit status is taken from the program around.
//! 2. Children of this very process are left to their keepers.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Becomes the parent of all orphans of the tree, and reaps them as they end, until it is dropped.
pub(crate) async fn adopt() {
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        tracing::debug!(target: "pleach::runtime", %error, "orphans go to init");
        return;
    }
    match signal(SignalKind::child()) {
        Ok(mut ended) => {
            while ended.recv().await.is_some() {
                reap();
            }
        }
        Err(error) => tracing::debug!(target: "pleach::runtime", %error, "orphans are reaped by init, later"),
    }
}

/// Reaps all orphans that are zombies now.
pub(crate) fn reap() {
    for orphan in children().into_iter().filter(|pid| !own().contains(pid) && is_orphan_zombie(*pid)) {
        let Some(pid) = i32::try_from(orphan).ok().and_then(Pid::from_raw) else { continue };
        // What it had started and left behind is in its group; while it is a zombie, the number is its own.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL); // it may have been alone
        match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(status) => tracing::debug!(target: "pleach::runtime", orphan, ?status, "reaped an orphan"),
            Err(error) => tracing::debug!(target: "pleach::runtime", orphan, %error, "an orphan was not reaped"),
        }
    }
}

/// Takes note of a child that has a keeper (invariant 2); forgotten when the value is dropped.
pub(super) struct OwnChild(u32);

impl OwnChild {
    pub(super) fn new(pid: u32) -> Self {
        own().insert(pid);
        Self(pid)
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

fn is_orphan_zombie(pid: u32) -> bool {
    // "pid (name) state parent group …": the name may have anything in it, so look from its last bracket.
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else { return false };
    let fields: Vec<&str> = rest.split_whitespace().take(3).collect();
    let ["Z", _, group] = fields[..] else { return false };
    let group: u32 = group.parse().unwrap_or(pid);
    let ours = rustix::process::getpgrp().as_raw_nonzero().get() as u32;
    name.starts_with(NAME_PREFIX) || (group != pid && group != ours)
}

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// What the short names of actor processes begin with.
pub(super) const NAME_PREFIX: &str = "pl:";
