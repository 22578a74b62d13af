//! What is counted, how much of it may be, and how much of it is wanted.
//!
//! A gate stands a little above what was counted last; lower it when a change has made something cheaper. A goal is
//! what is wanted in the end.

use std::collections::BTreeMap;

use crate::memory;
use crate::tools::{IN_VAIN, instructions, system_calls};
use crate::work::{self, Work};

/// Lines that are counted together.
pub(crate) struct Group {
    pub(crate) lines: &'static [Line],
    /// Returns a value for each line.
    pub(crate) count: fn() -> Vec<f64>,
}

/// One value.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    /// The bench fails above it.
    pub(crate) gate: Option<f64>,
    pub(crate) goal: Option<f64>,
}

pub(crate) const GROUPS: &[Group] = &[
    Group {
        lines: &[line("instructions per call, 64 in flight", 14_000.0, 9_000.0)],
        count: || vec![instructions(Work::Flight, CALLS)],
    },
    Group {
        lines: &[watched("instructions per call, one caller", 21_500.0)],
        count: || vec![instructions(Work::Call, CALLS)],
    },
    Group {
        lines: &[line("instructions per stream item", 2_900.0, 3_200.0)],
        count: || vec![instructions(Work::Item, ITEMS)],
    },
    Group {
        lines: &[line("allocations per call, 64 in flight", 5.5, 6.0), line("allocations per stream item", 0.05, 0.05)],
        count: || vec![work::run(Work::Flight, "mem", CALLS.1), work::run(Work::Item, "mem", ITEMS.1)],
    },
    Group {
        lines: &[
            line("system calls per call, one caller", 7.5, 9.4),
            line("sends per call, one caller", 2.05, 2.05),
            line("receives per call, one caller", 2.05, 2.05),
            line("epoll turns per call, one caller", 3.5, 5.0),
            line("system calls in vain per call, one caller", 0.05, 0.05),
        ],
        count: || {
            let calls = system_calls(Work::Call, CALLS);
            vec![all(&calls), sends(&calls), receives(&calls), turns(&calls), in_vain(&calls)]
        },
    },
    Group {
        lines: &[watched("system calls per call, 64 in flight", 0.3), watched("system calls per stream item", 0.06)],
        count: || vec![all(&system_calls(Work::Flight, CALLS)), all(&system_calls(Work::Item, ITEMS))],
    },
    Group {
        lines: &[
            line("bytes per open context, caller", 3_500.0, 4_000.0),
            line("bytes per open context, callee", 2_500.0, 1_500.0),
        ],
        count: || {
            let (caller, callee) = memory::of_a_context();
            vec![caller, callee]
        },
    },
    Group {
        lines: &[line("bytes per connection, accepting side", 14_000.0, 16_000.0)],
        count: || vec![memory::of_a_connection()],
    },
    Group {
        lines: &[line("anonymous bytes of an idle child", 940_000.0, 410_000.0)],
        count: || vec![memory::of_an_idle_child()],
    },
    Group {
        lines: &[line("cost of a child at 1 GiB, as a ratio to 0", 1.3, 1.2)],
        count: || vec![memory::growth_of_a_start()],
    },
];

const fn line(name: &'static str, gate: f64, goal: f64) -> Line {
    Line { name, gate: Some(gate), goal: Some(goal) }
}

/// A line without a goal of its own.
const fn watched(name: &'static str, gate: f64) -> Line {
    Line { name, gate: Some(gate), goal: None }
}

fn all(calls: &BTreeMap<String, f64>) -> f64 {
    calls.iter().filter(|(name, _)| *name != IN_VAIN).map(|(_, calls)| calls).sum()
}

fn sends(calls: &BTreeMap<String, f64>) -> f64 {
    of(calls, &["sendto", "sendmsg", "write", "writev"])
}

fn receives(calls: &BTreeMap<String, f64>) -> f64 {
    of(calls, &["recvfrom", "recvmsg", "read", "readv"])
}

fn turns(calls: &BTreeMap<String, f64>) -> f64 {
    of(calls, &["epoll_wait", "epoll_pwait", "epoll_pwait2"])
}

fn in_vain(calls: &BTreeMap<String, f64>) -> f64 {
    of(calls, &[IN_VAIN])
}

fn of(calls: &BTreeMap<String, f64>, names: &[&str]) -> f64 {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

/// How many calls the shorter and the longer run make.
const CALLS: (u64, u64) = (2_048, 10_240);

/// How many items the shorter and the longer run send.
const ITEMS: (u64, u64) = (10_240, 51_200);
