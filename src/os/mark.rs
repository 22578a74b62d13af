//! The mark of a tree: every process that descends from one of its actors carries it.
//!
//! A process can leave its parent, its group and its session, and change its name. Its resource limits it
//! inherits through all of that, and the kernel shows those of all processes, zombies included. So each actor sets
//! one of them on itself, first thing: how long it may compute under a real-time schedule without a pause. The soft
//! and the hard limit are many thousand years, so they limit nothing, with random numbers of 40 bits in them, which
//! tell the trees apart: of a thousand on one machine, two have the same once in two million times.
//!
//! The root does not carry the mark: other processes of its program don't belong to the tree.
//! A tree within an actor of another tree extends the mark that it finds, so that it belongs to both.
//!
//! # Invariants
//! 1. A process without the mark is never waited for, and never signalled, on account of its place or its name.
//! 2. A limit that was set by other means stays as it is; such an actor has no mark.

use std::fmt;
use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::random;

/// The mark of one tree.
///
/// A nested tree raises the soft limit and lowers the hard one: no process needs a privilege for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct TreeMark {
    soft: u64,
    hard: u64,
}

impl TreeMark {
    /// Makes the mark of a new tree whose root is this process; nothing, where actors could not carry it.
    pub(crate) fn fresh() -> Option<Self> {
        let limit = getrlimit(Resource::Rttime);
        let random = [random::bytes().ok()?, random::bytes().ok()?];
        let fresh = Self::within(&limit, random.map(|random| u64::from(u32::from_ne_bytes(random)) % NUMBERS + 1));
        if fresh.is_none() {
            debug!(target: "pleach::runtime", ?limit, "RLIMIT_RTTIME is in use: leftovers of actors can't be recognised");
        }
        fresh
    }

    /// The mark of a tree in a process that has this limit.
    fn within(limit: &Rlimit, [soft, hard]: [u64; 2]) -> Option<Self> {
        let around = match (limit.current, limit.maximum) {
            (None, None) => Self { soft: ANY, hard: u64::MAX },
            (Some(soft), Some(hard)) => Some(Self { soft, hard }).filter(Self::is_mark)?,
            _ => return None, // Invariant 2
        };
        let free = LEVELS.into_iter().find(|level| !around.has(*level))?;
        Some(Self { soft: around.soft | soft << free, hard: around.hard - (hard << free) })
    }

    /// Marks this process, and with it all that it will start.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn put_on(self) -> rustix::io::Result<()> {
        setrlimit(Resource::Rttime, Rlimit { current: Some(self.soft), maximum: Some(self.hard) })
    }

    /// Returns the mark of a process, alive or not, if it has one.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        of_process(&limits).filter(Self::is_mark)
    }

    /// Returns whether a process, alive or not, has this mark, or that of a tree within this one.
    pub(crate) fn is_on(self, pid: u32) -> bool {
        Self::of(pid).is_some_and(|mark| self.covers(mark))
    }

    /// Returns the mark of the outermost tree that processes with this mark belong to.
    pub(crate) fn outermost(self) -> Self {
        let inner = (1 << LEVELS[0]) - 1;
        Self { soft: self.soft & !inner, hard: self.hard | inner }
    }

    fn covers(self, other: Self) -> bool {
        let level = LEVELS.into_iter().rfind(|level| self.has(*level)).unwrap_or_default();
        self.is_mark() && self.soft >> level == other.soft >> level && self.hard >> level == other.hard >> level
    }

    fn is_mark(&self) -> bool {
        let is_in_hard = |level: u32| self.hard >> level & NUMBERS != NUMBERS;
        self.soft >> 60 == ANY >> 60
            && self.hard >> 60 == u64::MAX >> 60
            && LEVELS.into_iter().all(|level| self.has(level) == is_in_hard(level))
            && LEVELS.into_iter().any(|level| self.has(level))
    }

    /// Returns whether a tree has its numbers there.
    fn has(&self, level: u32) -> bool {
        self.soft >> level & NUMBERS != 0
    }
}

/// Ten hexadecimal digits, and ten more for each tree that this one is within.
impl fmt::Display for TreeMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LEVELS.into_iter().filter(|level| self.has(*level)).try_for_each(|level| {
            let [soft, hard] = [self.soft, !self.hard].map(|limit| limit >> level & NUMBERS);
            write!(f, "{soft:05x}{hard:05x}")
        })
    }
}

/// Finds the real-time limits in a process's `/proc` entry.
fn of_process(limits: &str) -> Option<TreeMark> {
    let limits = limits.lines().find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    let mut limits = limits.split_whitespace().map(str::parse);
    Some(TreeMark { soft: limits.next()?.ok()?, hard: limits.next()?.ok()? })
}

/// The common part of the soft limits of all marks: 146,000 years, in microseconds.
const ANY: u64 = 1 << 62;

/// Where the numbers of a tree, of one within it, and of one within that, are.
const LEVELS: [u32; 3] = [40, 20, 0];

/// The two numbers of a tree are from 1 to this each.
const NUMBERS: u64 = (1 << 20) - 1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const UNLIMITED: Rlimit = Rlimit { current: None, maximum: None };

    fn within(outer: TreeMark, numbers: [u64; 2]) -> Option<TreeMark> {
        TreeMark::within(&Rlimit { current: Some(outer.soft), maximum: Some(outer.hard) }, numbers)
    }

    #[test]
    fn trees_are_told_apart_and_those_within_belong_to_both() {
        let marks = [[1, 1], [1, NUMBERS], [NUMBERS, 1], [NUMBERS; 2]];
        let marks = marks.map(|numbers| TreeMark::within(&UNLIMITED, numbers).unwrap());
        for one in marks {
            assert_eq!(marks.into_iter().filter(|other| one.covers(*other)).collect::<Vec<_>>(), [one]);
            let inner = within(one, [7, 9]).unwrap();
            let is_outer = |mark: &TreeMark| mark.covers(inner) && !inner.covers(*mark);
            assert_eq!(marks.into_iter().filter(is_outer).collect::<Vec<_>>(), [one]);
            let innermost = within(inner, [8, NUMBERS]).unwrap();
            assert!(one.covers(innermost) && inner.covers(innermost) && !innermost.covers(inner));
            assert_eq!([one, inner, innermost].map(TreeMark::outermost), [one; 3]);
            assert_eq!(innermost.to_string(), format!("{one}000070000900008fffff"));
            assert_eq!(within(innermost, [9, 9]), None, "there is room for three");
        }
    }

    #[test]
    fn thousands_of_trees_have_marks_of_their_own() {
        let marks: Vec<_> = (0..5000).map(|_| TreeMark::fresh().unwrap()).collect();
        assert_eq!(marks.iter().collect::<BTreeSet<_>>().len(), marks.len());
    }

    #[test]
    fn a_limit_that_was_set_before_is_no_mark_and_stays() {
        let mark = TreeMark::within(&UNLIMITED, [1, 1]).unwrap();
        for limit in [0, 200_000, ANY - 1, ANY, u64::MAX - 1].map(Some) {
            for limit in
                [(limit, None), (limit, limit), (None, limit), (Some(mark.soft), limit), (limit, Some(mark.hard))]
            {
                let limit = Rlimit { current: limit.0, maximum: limit.1 };
                assert_eq!(TreeMark::within(&limit, [1, 1]), None, "{limit:?}");
            }
        }
    }

    #[test]
    fn the_limits_of_a_process_are_found() {
        let mark = TreeMark::within(&UNLIMITED, [3, 4]).unwrap();
        let limits = format!("{:<20} {:<20}", mark.soft, mark.hard);
        let lines = format!("Max realtime priority     0   0\nMax realtime timeout      {limits} us        \n");
        assert_eq!(of_process(&lines), Some(mark));
        assert_eq!((mark.to_string().as_str(), mark.outermost()), ("0000300004", mark));
        assert_eq!(of_process("Max realtime timeout      unlimited   unlimited   us\n"), None);
        assert!(!mark.is_on(std::process::id()), "a test is not an actor");
    }
}
