//! What a process has used, as the kernel counts it, and where it runs.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs;
use std::time::Duration;

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
    let allowed = sched_getaffinity(None).expect("a process may ask where it runs");
    let mut one = CpuSet::new();
    (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).into_iter().for_each(|core| one.set(core));
    sched_setaffinity(None, &one).expect("a process may choose among the cores it has");
}
