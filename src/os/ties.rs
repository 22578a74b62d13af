//! Ties a child to its parent process, from the child's side.
//!
//! The kernel signals a process when its parent ends, if it has asked for that (`man 2 prctl`,
//! `PR_SET_PDEATHSIG`). It forgets the wish when the process executes a program with set-user-id, set-group-id or
//! capabilities, and when a thread's credentials change. So the child asks, not its parent before `exec`; and it
//! asks again, in each thread that lasts, whenever the wish may have been forgotten.
//!
//! The first time is before `main`: a program may do a lot there before it gets to [`init`](crate::init).
//!
//! The wish alone is not enough: a parent may not be allowed to signal its child. The
//! watchdog (`spawn/watchdog.rs`) is the other tie.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, getppid, pidfd_open, set_parent_process_death_signal};

use super::process::raw_pid;

/// Asks the kernel to kill this process when its parent ends. The wish is the calling thread's.
pub(crate) fn die_with_parent() {
    // It fails for signals that do not exist, and so never.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// As [`die_with_parent`], if this process is an actor's: other processes are not to die with their parents.
pub(crate) fn die_with_parent_again() {
    if is_actor() {
        die_with_parent();
    }
}

/// Run by the C library before `main`.
#[used]
#[allow(unsafe_code)]
// SAFETY: the section holds pointers to C functions; this one needs nothing that is set up in `main`.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = tie_if_actor;

/// Ties this process to its parent if it was started as an actor; ends it if the parent is gone already.
#[expect(clippy::disallowed_methods, reason = "nothing of the program has run yet")]
extern "C" fn tie_if_actor() {
    if is_actor() {
        die_with_parent();
        if is_hung_up() {
            std::process::exit(1);
        }
        #[cfg(feature = "testing")]
        if mark().as_deref() == Some(TESTED.as_bytes()) {
            super::harness::set_stdout_aside();
        }
    }
}

fn is_actor() -> bool {
    mark().is_some_and(|mark| is_mark(&mark))
}

/// The first argument of this process, where that of an actor is its mark.
fn mark() -> Option<Vec<u8>> {
    // Not `std::env::args`: not every C library has them at hand before `main`.
    let arguments = std::fs::read("/proc/self/cmdline").unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1).map(<[u8]>::to_vec)
}

/// Returns whether the first argument of a process marks it as an actor.
pub(crate) fn is_mark(argument: &[u8]) -> bool {
    [ACTOR, TESTED].iter().any(|mark| argument == mark.as_bytes())
}

/// Whether the other end of standard input is closed. The parent's is, before the kernel tells of its death.
fn is_hung_up() -> bool {
    let stdin = io::stdin();
    let mut looked = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut looked, Some(&Timespec::default())).is_ok() && looked[0].revents().contains(PollFlags::HUP)
}

/// Checks that the process that has started this one is still its parent; returns a descriptor that tells of its
/// end, where there is one.
///
/// To be called after [`die_with_parent`]: a parent that ended before has signalled no child.
///
/// # Errors
/// When it is gone.
pub(crate) fn hold_on_to(parent: u32) -> io::Result<Option<OwnedFd>> {
    let check = || match getppid() {
        Some(actual) if Some(actual) == raw_pid(parent) => Ok(true),
        Some(_another) => Err(io::Error::other(format!("process {parent}, which had started it, is gone"))),
        // It is in another PID namespace, where it has no number that would mean something here.
        None => Ok(false),
    };
    if !check()? {
        return Ok(None);
    }
    let parent = raw_pid(parent).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // Only now is it certain whose descriptor that is.
    check().map(|_| parent)
}

/// The only argument of an actor process; everything else comes over the pipe.
pub(crate) const ACTOR: &str = "--pleach-actor";

/// The first argument of an actor that enters by a test. The others are for the harness, to which this is one more name of
/// a test, that none has.
pub(crate) const TESTED: &str = "pleach::an-actor-of-a-test";

/// What follows the name of an actor where its program would be shown, e.g. in `ps`.
pub(crate) const SHOWN_AS: &str = " [pleach]";
