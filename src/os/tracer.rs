//! Debuggers: a process is not killed while a debugger is attached.
//!
//! A user who attaches `gdb` to a stuck actor must not lose it to the actor's own parent, nor to its grandparent: a
//! process ends everything below it. So the escalation of [`reap`](crate::spawn::reap) asks here before it sends a signal. The
//! kernel reports traced processes (`TracerPid` in `/proc`); without `/proc`, no tracer is found. `strace` counts as a
//! debugger, too.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

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

/// Checks that a debugger could be attached to a process.
///
/// # Errors
/// Says why not, and what to do.
pub(crate) fn check(pid: u32) -> Result<(), String> {
    let status = status_of(pid).map_err(|_| format!("process {pid} is gone"))?;
    if let Some(tracer) = read(&status).and_then(|process| process.tracer) {
        let name = fs::read_to_string(format!("/proc/{tracer}/comm")).unwrap_or_default();
        return Err(format!(
            "process {pid} is traced already, by process {tracer} ({}): leave that first",
            name.trim()
        ));
    }
    if pid == std::process::id() {
        return Ok(()); // a process can't trace itself, so the debugger will find out
    }
    try_to_trace(pid).map_err(|error| forbidden(pid, &status, &error))
}

/// Traces a process for a moment, which goes on meanwhile.
///
/// # Errors
/// When the system forbids it.
#[allow(unsafe_code)]
fn try_to_trace(pid: u32) -> io::Result<()> {
    let target = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let seize = move || {
        // SAFETY: it takes plain numbers, and stops nothing.
        match unsafe { libc::ptrace(libc::PTRACE_SEIZE, target, 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // The end of the thread that traces ends the trace.
    let traced = thread::Builder::new().spawn(seize)?.join().unwrap_or(Ok(()));
    let until = Instant::now() + LET_GO;
    let is_traced = || status_of(pid).ok().and_then(|status| read(&status)?.tracer).is_some();
    while traced.is_ok() && is_traced() && Instant::now() < until {
        thread::park_timeout(Duration::from_millis(1));
    }
    traced
}

/// Explains why the system forbids to trace a process.
fn forbidden(pid: u32, status: &str, error: &io::Error) -> String {
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    let theirs = uids.split_whitespace().nth(1).unwrap_or("?");
    let ours = rustix::process::geteuid();
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let why = match scope.trim() {
        _ if theirs != ours.as_raw().to_string() => {
            format!("it runs as the user {theirs}, and this one as {ours}: only root may debug another user's process")
        }
        "3" => "this system allows no debugger until it is started again (`kernel.yama.ptrace_scope` is 3)".into(),
        "2" => "only root may debug here (`sysctl kernel.yama.ptrace_scope=1` allows it for one's own programs)".into(),
        // The kernel gives the files of a process that can't be dumped to root.
        _ if fs::metadata(format!("/proc/{pid}/status")).is_ok_and(|its| its.uid() != ours.as_raw()) => {
            "it does not let itself be looked at (`PR_SET_DUMPABLE` is off, as after a change of its user)".into()
        }
        _ => "a container may need `--cap-add=SYS_PTRACE`".to_owned(),
    };
    format!("a debugger may not attach to process {pid}: {error}; {why}")
}

/// Returns a process with a debugger among `top` and those below it.
fn traced_at_or_below(top: u32) -> Option<u32> {
    let processes = processes();
    let is_below = |pid: &u32| {
        let parent = |pid: &u32| processes.get(pid).map(|process| process.parent);
        // A process that ends meanwhile gives its children to another: the walk ends, whatever it meets.
        std::iter::successors(Some(*pid), parent).take(processes.len() + 1).any(|pid| pid == top)
    };
    let mut traced = processes.iter().filter(|(_, process)| process.tracer.is_some()).map(|(pid, _)| *pid);
    traced.find(is_below)
}

struct Process {
    parent: u32,
    tracer: Option<u32>,
}

/// All processes of this machine that can be seen.
fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| Some((pid, read(&status_of(pid).ok()?)?))).collect()
}

fn status_of(pid: u32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/status"))
}

fn read(status: &str) -> Option<Process> {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim_start_matches(':').trim().parse::<u32>().ok()
    };
    Some(Process { parent: field("PPid")?, tracer: field("TracerPid").filter(|tracer| *tracer != 0) })
}

/// How long the end of a trace may take.
const LET_GO: Duration = Duration::from_secs(1);

/// How often to poll whether a debugger has detached: the kernel does not notify.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_who_is_traced() {
        let status = "Name:\tcat\nPPid:\t12\nTracerPid:\t34\nUid:\t0\t0\t0\t0\n";
        let process = read(status).unwrap();
        assert_eq!((process.parent, process.tracer), (12, Some(34)));
        assert!(read(&status.replace("34", "0")).unwrap().tracer.is_none());
        assert!(read("Name:\tcat\n").is_none());
    }

    #[test]
    fn this_test_is_not_debugged() {
        assert_eq!(traced_at_or_below(std::process::id()), None);
        assert!(processes().contains_key(&std::process::id()));
    }
}
