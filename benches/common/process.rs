//! What a process has used, as the kernel counts it, and where it runs.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Returns the processor time of all threads of a process that still run; none for a process that has ended.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    Duration::from_nanos(nanoseconds)
}

/// Returns the anonymous memory of a process, in bytes: what it has written to, and no other process shares.
pub(crate) fn anonymous_memory(pid: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("the kernel counts it");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number of KiB") << 10
}

/// Keeps this process and all that it starts on the first core that it may use.
pub(crate) fn pin_to_one_core() {
    stay_on(None, cores().next().expect("a process runs somewhere"));
}

/// The same; but on two cores, [`place`] moves peers to the second one.
pub(crate) fn pin(two_cores: bool) {
    if two_cores {
        let second = cores().nth(1).expect("`--two-cores` needs two cores");
        SECOND_CORE.get_or_init(|| second);
    }
    pin_to_one_core();
}

/// Moves a peer, which has one thread, to the core on which it is measured. Over `mem` it is this process, which stays.
pub(crate) fn place(peer: u32) {
    if peer != std::process::id()
        && let (Some(core), Some(peer)) = (SECOND_CORE.get(), Pid::from_raw(peer as i32))
    {
        stay_on(Some(peer), *core);
    }
}

/// Returns whether peers have a core of their own.
pub(crate) fn on_two_cores() -> bool {
    SECOND_CORE.get().is_some()
}

/// The cores that this process may use.
fn cores() -> impl Iterator<Item = usize> {
    let allowed = sched_getaffinity(None).expect("a process may ask where it runs");
    (0..CpuSet::MAX_CPU).filter(move |core| allowed.is_set(*core))
}

fn stay_on(process: Option<Pid>, core: usize) {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(process, &only).expect("a process may choose among the cores it has");
}

/// The core of the peers, if they have one of their own.
static SECOND_CORE: OnceLock<usize> = OnceLock::new();
