//! Giving up privileges without giving up the ties to the parent.

use std::io;

use super::ties;
use crate::error::{Error, Result};

/// Makes this process go on as another user: its user, its group and its further groups, for good.
///
/// Call it in an actor or a root that was started with privileges, before it touches untrusted input. A bare `setuid`
/// works as well, but makes the kernel forget the actor's death signal until the actor's watchdog sets it again; after
/// this function that has been done.
///
/// Unaffected: existing connections, calls and streams over them, being dialled by others, being cancelled, signalled
/// and waited for. A *new* connection to an actor of the former user is refused over `uds`, where both ends are checked
/// for their user, and so is a child's of this actor. Use `tcp`, `tls+tcp` or `quic` in trees whose actors drop
/// privileges and then look for others, or start some.
///
/// # Errors
/// [`Error::Usage`] when the system refuses; the process may have lost some of its privileges then, and should
/// end. Also when the former user could be regained.
///
/// # Examples
/// ```no_run
/// #[pleach::rpc]
/// async fn parse(untrusted: String) -> pleach::Result<usize> {
///     pleach::drop_privileges(65534, 65534, &[])?;
///     Ok(untrusted.len())
/// }
/// ```
pub fn drop_privileges(user: u32, group: u32, further_groups: &[u32]) -> Result<()> {
    let refused = |what: &str, error: io::Error| Error::Usage(format!("privileges are not dropped: {what}: {error}"));
    set_groups(further_groups).map_err(|error| refused("setgroups", error))?;
    set_group(group).map_err(|error| refused("setresgid", error))?;
    set_user(user).map_err(|error| refused("setresuid", error))?;
    ties::die_with_parent_again();
    if user != 0 && set_user(0).is_ok() {
        return Err(Error::Usage("privileges are not dropped: this process may still become root".into()));
    }
    Ok(())
}

// Those of the C library change all threads; the system calls below it only one.

#[allow(unsafe_code)]
fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one slice, which is only read.
    checked(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) })
}

#[allow(unsafe_code)]
fn set_group(group: u32) -> io::Result<()> {
    // SAFETY: it takes plain numbers.
    checked(unsafe { libc::setresgid(group, group, group) })
}

#[allow(unsafe_code)]
fn set_user(user: u32) -> io::Result<()> {
    // SAFETY: it takes plain numbers.
    checked(unsafe { libc::setresuid(user, user, user) })
}

fn checked(returned: libc::c_int) -> io::Result<()> {
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
