//! The standard output of an actor that a test harness enters: what the harness prints there is not the actor's.
//!
//! It is set aside before `main`, and given back where the actor begins.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// Has what is written to standard output vanish, until [`give_back_stdout`]. If the system refuses, the lines of the
/// harness show.
pub(super) fn set_stdout_aside() {
    let set_aside = || -> io::Result<()> {
        let nowhere = File::options().write(true).open("/dev/null")?;
        let own = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
        ASIDE.get_or_init(|| own);
        Ok(rustix::stdio::dup2_stdout(nowhere)?)
    };
    let _ = set_aside(); // the actor is none the worse
}

/// Gives the process its standard output.
///
/// # Errors
/// When the system refuses.
pub(crate) fn give_back_stdout() -> io::Result<()> {
    match ASIDE.get() {
        Some(own) => Ok(rustix::stdio::dup2_stdout(own)?),
        None => Ok(()),
    }
}

static ASIDE: OnceLock<OwnedFd> = OnceLock::new();
