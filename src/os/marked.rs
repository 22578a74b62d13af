//! Processes that descend from an actor, as the kernel shows them, and how they are ended.
//!
//! # Invariants
//! 1. A signal goes through a descriptor of the process that was looked at (pidfd), so a number that has come to
//!    mean another process does no harm.
//! 2. Only a process with the mark of the tree is signalled, whatever group it is in: a process that the program
//!    itself has put into the group of an actor is left alone.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal, test_kill_process_group};

use super::about;
use super::mark::TreeMark;
use super::process::{raw_pid, signal_process};

/// A process with the mark of a tree.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) pid: u32,
    pub(crate) group: u32,
    pub(crate) parent: u32,
    pub(crate) is_zombie: bool,
    fd: OwnedFd,
}

impl Marked {
    /// Takes hold of a process, if it has the mark.
    pub(crate) fn hold(pid: u32, mark: TreeMark) -> Option<Self> {
        if !mark.is_on(pid) {
            return None; // most of them: without a descriptor
        }
        let fd = pidfd_open(raw_pid(pid)?, PidfdFlags::empty()).ok()?;
        // From here on reads are of this process, or of one that this descriptor does not reach.
        let [parent, group, is_zombie] = stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        mark.is_on(pid).then_some(Self { pid, group, parent, is_zombie: is_zombie != 0, fd })
    }

    /// All processes of this machine with the mark that are alive, but not this one.
    pub(crate) fn living(mark: TreeMark) -> Vec<Self> {
        let own = std::process::id();
        let others = pids().into_iter().filter(|pid| *pid != own);
        others.filter_map(|pid| Self::hold(pid, mark)).filter(|process| !process.is_zombie).collect()
    }

    /// All living processes of this machine that descend from an actor, each with the mark of its outermost tree; but
    /// not this one.
    pub(crate) fn of_all_trees() -> Vec<(TreeMark, Self)> {
        let own = std::process::id();
        let others = pids().into_iter().filter(|pid| *pid != own);
        let marked = others.filter_map(|pid| {
            let mark = TreeMark::of(pid)?.outermost();
            Some((mark, Self::hold(pid, mark)?))
        });
        marked.filter(|(_, process)| !process.is_zombie).collect()
    }

    /// Sends a signal; it may have ended.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_process(&self.fd, self.pid, signal);
    }

    /// Kills it, and waits for its end on this thread.
    ///
    /// # Errors
    /// When it may not be signalled, and when it has not ended in time.
    pub(crate) fn kill(&self, patience: Duration) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, Signal::KILL) {
            Err(error) if error != rustix::io::Errno::SRCH => return Err(error.into()),
            _ => {}
        }
        match self.has_ended(patience) {
            true => Ok(()),
            false => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("it is still there {patience:?} after SIGKILL")))
            }
        }
    }

    /// Returns whether it has ended, or does so in time; it may be a zombie.
    pub(crate) fn has_ended(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let ended = rustix::io::retry_on_intr(|| {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap_or_default();
            poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&left))
        });
        ended.is_ok_and(|ended| ended > 0)
    }

    /// Its command line.
    pub(crate) fn command_line(&self) -> String {
        let words = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ")
    }
}

impl AsFd for Marked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Signals the marked members of a group, this process excepted.
///
/// The leader may have been waited for: if nothing else is in the group, this is one look at that.
pub(crate) fn signal_group(group: u32, mark: TreeMark, signal: Signal) {
    let is_empty = raw_pid(group).is_none_or(|group| test_kill_process_group(group) == Err(rustix::io::Errno::SRCH));
    if !is_empty {
        Marked::living(mark).iter().filter(|member| member.group == group).for_each(|member| member.signal(signal));
    }
}

/// All processes of this machine that can be seen.
fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the parent, the group, and whether it is a zombie, from a process's `/proc` entry.
fn stat(line: &str) -> Option<[u32; 3]> {
    let mut fields = about::fields(line)?;
    let (state, parent, group) = (fields.next()?, fields.next()?, fields.next()?);
    Some([parent.parse().ok()?, group.parse().ok()?, matches!(state, "Z" | "X").into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_is_passed_over() {
        assert_eq!(stat("7 (a) Z 1) (b) S 3 4 5 0"), Some([3, 4, 0]));
        assert_eq!(stat("7 (sleep) Z 3 7 7 0"), Some([3, 7, 1]));
        assert_eq!(stat("7 (sleep"), None);
        assert!(pids().contains(&std::process::id()));
    }
}
