//! The mark of a tree: every process that descends from one of its actors carries it.
//!
//! A process can leave its parent, its group and its session, and change its name. Its resource limits it
//! inherits through all of that, and the kernel shows those of all processes, zombies included. So each actor sets
//! one of them on itself, first thing: how long it may compute under a real-time schedule without a pause. The
//! value is many thousand years, so it limits nothing, with a random number in it, which tells the trees apart.
//!
//! The root does not carry the mark: other processes of its program don't belong to the tree.
//! A tree within an actor of another tree extends the mark that it finds, so that it belongs to both.
//!
//! # Invariants
//! 1. A process without the mark is never waited for, and never signalled, on account of its place or its name.
//! 2. A limit that was set by other means stays as it is; such an actor has no mark.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::channel::handshake::fresh_nonce;

/// The mark of one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct TreeMark(u64);

impl TreeMark {
    /// Makes the mark of a new tree whose root is this process; nothing, where actors could not carry it.
    pub(crate) fn fresh() -> Option<Self> {
        let limit = getrlimit(Resource::Rttime);
        let random = fresh_nonce().ok()?;
        let number = u64::from(u32::from_le_bytes(random[..4].try_into().ok()?)) % NUMBERS + 1;
        let fresh = Self::within(limit.current, number);
        let fits = |mark: &Self| limit.maximum.is_none_or(|most| mark.0 <= most);
        fresh.filter(fits).or_else(|| {
            debug!(target: "pleach::runtime", ?limit, "RLIMIT_RTTIME is in use: leftovers of actors can't be recognised");
            None
        })
    }

    /// The mark of a tree in a process that has this limit.
    fn within(limit: Option<u64>, number: u64) -> Option<Self> {
        let around = match limit {
            None => ANY,
            Some(limit) if Self(limit).is_mark() => limit,
            Some(_) => return None, // Invariant 2
        };
        let free = LEVELS.into_iter().find(|shift| around & (NUMBERS << shift) == 0)?;
        Some(Self(around | number << free))
    }

    /// Marks this process, and with it all that it will start.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn put_on(self) -> rustix::io::Result<()> {
        let maximum = getrlimit(Resource::Rttime).maximum;
        setrlimit(Resource::Rttime, Rlimit { current: Some(self.0), maximum })
    }

    /// Returns whether a process, alive or not, has this mark, or that of a tree within this one.
    pub(super) fn is_on(self, pid: u32) -> bool {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        soft_limit(&limits).is_some_and(|limit| self.covers(limit))
    }

    fn covers(self, limit: u64) -> bool {
        let level = LEVELS.into_iter().rfind(|shift| self.0 & (NUMBERS << shift) != 0).unwrap_or_default();
        self.is_mark() && limit >> level == self.0 >> level
    }

    fn is_mark(self) -> bool {
        self.0 >> 62 == 1 && LEVELS.into_iter().any(|shift| self.0 & (NUMBERS << shift) != 0)
    }
}

/// Finds the real-time limit in a process's `/proc` entry.
fn soft_limit(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?.split_whitespace().next()?.parse().ok()
}

/// The common part of all marks: 146,000 years, in microseconds.
const ANY: u64 = 1 << 62;

/// Where the numbers of a tree, of one within it, and of one within that, are.
const LEVELS: [u32; 3] = [40, 20, 0];

/// The numbers of trees: from 1 to this.
const NUMBERS: u64 = (1 << 20) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_told_apart_and_those_within_belong_to_both() {
        let [one, other] = [1, NUMBERS].map(|number| TreeMark::within(None, number).unwrap());
        assert!(one.covers(one.0) && !one.covers(other.0) && !other.covers(one.0));
        let inner = TreeMark::within(Some(one.0), 7).unwrap();
        assert!(one.covers(inner.0) && !inner.covers(one.0) && !other.covers(inner.0));
        let innermost = TreeMark::within(Some(inner.0), 8).unwrap();
        assert!(one.covers(innermost.0) && inner.covers(innermost.0) && !innermost.covers(inner.0));
        assert_eq!(TreeMark::within(Some(innermost.0), 9), None, "there is room for three");
    }

    #[test]
    fn a_limit_that_was_set_before_is_no_mark_and_stays() {
        for limit in [0, 200_000, ANY - 1, ANY, u64::MAX] {
            assert_eq!(TreeMark::within(Some(limit), 1), None, "{limit}");
            assert!(!TreeMark::within(None, 1).unwrap().covers(limit));
        }
    }

    #[test]
    fn the_limit_of_a_process_is_found() {
        let mark = TreeMark::within(None, 3).unwrap();
        let line = format!("Max realtime priority     0   0\nMax realtime timeout      {}   unlimited   us\n", mark.0);
        assert_eq!(soft_limit(&line), Some(mark.0));
        assert_eq!(soft_limit("Max realtime timeout      unlimited   unlimited   us\n"), None);
        assert!(!mark.is_on(std::process::id()), "a test is not an actor");
    }
}
