//! The terminal of this process: whether it may be used, which group has it, and that it is left as it was.
//!
//! # Invariants
//! 1. From the first [`Held`] to the end of the process, in whatever way that ends, the terminal's settings are put
//!    back to those that were found.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use pleach_wire::sync::try_lock;
use rustix::process::{Pid, getpgrp};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::sync::lock;
use crate::telemetry;

/// The controlling terminal, while a debugger of this process uses it.
#[derive(Debug)]
pub(crate) struct Held {
    terminal: File,
}

impl Held {
    /// Takes the terminal, if this process has one and is in its foreground.
    ///
    /// # Errors
    /// Says what is missing.
    pub(crate) fn take() -> Result<Self, String> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let terminal = terminal.map_err(|_| "this program has no terminal".to_owned())?;
        if tcgetpgrp(&terminal).ok() != Some(getpgrp()) {
            return Err("this program runs in the background of its terminal".into());
        }
        let settings = tcgetattr(&terminal).map_err(|error| format!("the terminal's settings: {error}"))?;
        let kept = terminal.try_clone().map_err(|error| error.to_string())?;
        lock(&FOUND).get_or_insert((kept, settings));
        put_back_at_exit();
        IS_HELD.store(true, Ordering::Release);
        Ok(Self { terminal })
    }

    /// Returns another descriptor of it.
    ///
    /// # Errors
    /// When files have run out.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.terminal.try_clone()
    }

    /// Gives the terminal back to this process's group, with its settings.
    pub(crate) fn take_back(&self) {
        let _ = give(self.terminal.as_fd(), getpgrp()); // a terminal that hung up is given to no group
        put_settings_back();
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        IS_HELD.store(false, Ordering::Release);
        put_settings_back();
        *lock(&FOUND) = None;
    }
}

/// Returns whether a debugger of this process uses the terminal: an interrupt does not ask the program to end then.
pub(crate) fn is_held() -> bool {
    IS_HELD.load(Ordering::Acquire)
}

/// Makes a process group the foreground of a terminal, also from the background. It makes system calls only, and so
/// may be called between `fork` and `exec`.
///
/// # Errors
/// When the group, or the terminal, is gone.
#[allow(unsafe_code)]
pub(crate) fn give(terminal: BorrowedFd<'_>, group: Pid) -> io::Result<()> {
    // SAFETY: the sets live for the calls, which fill them in and read them; all zeros is a valid set.
    unsafe {
        let (mut stop, mut before) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed::<libc::sigset_t>());
        libc::sigemptyset(&mut stop);
        libc::sigaddset(&mut stop, libc::SIGTTOU); // stops a background process that does this
        libc::pthread_sigmask(libc::SIG_BLOCK, &stop, &mut before);
        let given = set_foreground(terminal.as_raw_fd(), group.as_raw_nonzero().get());
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        given
    }
}

#[allow(unsafe_code)]
fn set_foreground(terminal: RawFd, group: i32) -> io::Result<()> {
    // SAFETY: it takes plain numbers.
    match unsafe { libc::tcsetpgrp(terminal, group) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts back the settings that were found, if they have been changed. For the end of the process, from any thread: what
/// is written to standard error goes there again.
pub(crate) fn put_back() {
    telemetry::divert(None); // a line would have the debugger use the terminal again
    put_settings_back();
}

fn put_settings_back() {
    if let Some(found) = try_lock(&FOUND)
        && let Some((terminal, settings)) = &*found
        && tcgetpgrp(terminal).ok() == Some(getpgrp())
    {
        let _ = tcsetattr(terminal, OptionalActions::Now, settings); // it may have hung up
    }
}

/// Does so when the process exits.
#[allow(unsafe_code)]
fn put_back_at_exit() {
    static ONCE: Once = Once::new();
    extern "C" fn at_exit() {
        put_back();
    }
    // SAFETY: the function lives as long as the program, and does not unwind: nothing in it panics.
    ONCE.call_once(|| unsafe {
        libc::atexit(at_exit);
    });
}

static IS_HELD: AtomicBool = AtomicBool::new(false);

/// The terminal, and the settings that it had.
static FOUND: Mutex<Option<(File, Termios)>> = Mutex::new(None);
