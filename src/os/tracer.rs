//! Debuggers: a process is not killed while a debugger is attached.
//!
//! A user who attaches `gdb` to a stuck actor must not lose it to the actor's own parent, nor to its grandparent: a
//! process ends everything below it. So the escalation of [`reap`](crate::spawn::reap) asks here before it sends a signal. The
//! kernel reports traced processes (`TracerPid` in `/proc`); without `/proc`, no tracer is found. `strace` counts as a
//! debugger, too.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::actor::ActorId;

/// Waits until no debugger is attached to the process of an actor, or to one below it. An actor on another host has no
/// process here: debuggers there are not seen.
///
/// # Cancel safety
/// It changes nothing; wait again.
pub(crate) async fn gone(actor: &ActorId, pid: Option<u32>) {
    let mut said = None;
    while let Some(traced) = pid.and_then(traced_at_or_below) {
        if said != Some(traced) {
            warn!(target: "pleach::cancel", %actor, traced, "not ended by force: a debugger is attached; detach it, or end the process there");
            said = Some(traced);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns a process with a debugger among `top` and those below it.
fn traced_at_or_below(top: u32) -> Option<u32> {
    let processes = processes();
    let is_below = |pid: &u32| {
        let parent = |pid: &u32| processes.get(pid).map(|process| process.parent);
        // A process that ends meanwhile gives its children to another: the walk ends, whatever it meets.
        std::iter::successors(Some(*pid), parent).take(processes.len() + 1).any(|pid| pid == top)
    };
    let mut traced = processes.iter().filter(|(_, process)| process.is_traced).map(|(pid, _)| *pid);
    traced.find(is_below)
}

struct Process {
    parent: u32,
    is_traced: bool,
}

/// All processes of this machine that can be seen.
fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, read(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?))).collect()
}

fn read(status: &str) -> Option<Process> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim_start_matches(':').trim().parse::<u32>().ok()
    };
    Some(Process { parent: field("PPid")?, is_traced: field("TracerPid")? != 0 })
}

/// How often to poll whether a debugger has detached: the kernel does not notify.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_who_is_traced() {
        let status = "Name:\tcat\nPPid:\t12\nTracerPid:\t34\nUid:\t0\t0\t0\t0\n";
        let process = read(status).unwrap();
        assert_eq!((process.parent, process.is_traced), (12, true));
        assert!(!read(&status.replace("34", "0")).unwrap().is_traced);
        assert!(read("Name:\tcat\n").is_none());
    }

    #[test]
    fn this_test_is_not_debugged() {
        assert_eq!(traced_at_or_below(std::process::id()), None);
        assert!(processes().contains_key(&std::process::id()));
    }
}
