//! Sockets that actors have left in a directory that its user has named (`socket_dir`).
//!
//! Such a directory is not removed with a tree: other trees may have sockets in it.
//!
//! # Invariants
//! 1. Only a socket of this user that refuses connections is removed, and only under a name that actors give.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Those in a directory; none if it is not there.
///
/// # Errors
/// When it can't be read.
pub(crate) fn find(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| is_name(path) && is_dead(path)).collect())
}

/// Removes one.
///
/// # Errors
/// When a process listens to it now, and when it can't be removed.
pub(crate) fn remove(socket: &Path) -> io::Result<()> {
    match is_dead(socket) {
        true => fs::remove_file(socket),
        false => Err(io::Error::new(io::ErrorKind::ResourceBusy, "a process listens to it")),
    }
}

fn is_dead(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_ours = |about: fs::Metadata| about.file_type().is_socket() && about.uid() == own;
    fs::symlink_metadata(path).is_ok_and(is_ours) && connect_to(path) == Err(rustix::io::Errno::CONNREFUSED)
}

/// Does not wait for a listener that is busy.
fn connect_to(path: &Path) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
}

/// Whether actors make sockets of that name: a process id, `-`, a number.
fn is_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbers = name.strip_suffix(".sock").and_then(|numbers| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_sockets_of_actors_without_a_listener_are_found_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let _alive = UnixListener::bind(at("1f-1.sock")).unwrap();
        for dead in ["1f-2.sock", "theirs.sock", "1f-x.sock"] {
            UnixListener::bind(at(dead)).unwrap();
        }
        fs::write(at("1f-3.sock"), "").unwrap();
        assert_eq!(find(directory.path()).unwrap(), [at("1f-2.sock")]);
        remove(&at("1f-2.sock")).unwrap();
        assert_eq!(remove(&at("1f-1.sock")).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert!(find(directory.path()).unwrap().is_empty());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4, "the others stay");
        assert!(find(&at("missing")).unwrap().is_empty());
    }
}
