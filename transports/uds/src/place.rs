//! Where sockets live in the file system: their directory, stale ones, and cleaning up.
//!
//! # Invariants
//! 1. The default directory of sockets is ours, has mode 0700, and is not a symbolic link.
//! 2. Only a socket that refuses connections is replaced; any other file stays and is an error.
//! 3. [`DIRECTORIES`] is locked while a socket is made or removed in this process, so that no directory
//!    is removed under a socket about to be bound; never across a wait.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use pleach_wire::sync::lock;
use tokio::net::{UnixListener, UnixStream};

/// The file of a bound socket. Dropping it removes the file, and the directory if this process made it
/// and nothing else is in it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Binds a socket at `path`. Its directory is made and guarded if it is `socket_dir`.
    ///
    /// # Cancel safety
    /// If dropped before it resolves, nothing was bound.
    pub(crate) async fn bind(path: &Path, socket_dir: &Path) -> io::Result<(UnixListener, Self)> {
        let stale = find_stale(path).await?;
        let mut made = directories();
        if path.parent() == Some(socket_dir) && prepare(socket_dir)? {
            made.insert(socket_dir.to_owned());
        }
        let bound = bind_over(path, stale);
        if bound.is_err() {
            tidy(&mut made, path);
        }
        drop(made);
        let (listener, file) = bound?;
        // The directory or the credentials keep strangers out; this keeps them from even connecting.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok((listener, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let mut made = directories();
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == self.identity) {
            // It was removed in the meantime, which is what we wanted.
            let _ = fs::remove_file(&self.path);
        }
        tidy(&mut made, &self.path);
    }
}

/// Binds at `path`, in the place of the stale socket that was found there.
fn bind_over(path: &Path, stale: Option<(u64, u64)>) -> io::Result<(UnixListener, SocketFile)> {
    // Only the very file that refused: another process may have replaced it by a live one since.
    if stale.is_some() && stale == fs::symlink_metadata(path).ok().as_ref().map(identity) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let identity = identity(&fs::symlink_metadata(path)?);
    Ok((listener, SocketFile { path: path.to_owned(), identity }))
}

/// Removes the directory of `path` if this process made it. Fails while another socket is in it; that
/// one's owner tries again.
fn tidy(made: &mut BTreeSet<PathBuf>, path: &Path) {
    if let Some(directory) = path.parent()
        && made.contains(directory)
        && fs::remove_dir(directory).is_ok()
    {
        made.remove(directory);
    }
}

/// Returns the identity of a socket at `path` that has no listener.
async fn find_stale(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let why = "there is a file of that name which is not a socket; remove it or choose another path";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Some(identity(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A listener answers, is too busy to, or may not be asked: the path is not ours to take.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Makes `directory`, or checks that it is safe; returns whether it was made.
fn prepare(directory: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = fs::symlink_metadata(directory)?;
    let own = rustix::process::geteuid().as_raw();
    let why = if !found.is_dir() {
        "is not a directory".to_owned()
    } else if found.uid() != own {
        format!("belongs to user {}, and this process runs as user {own}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("is open to other users (mode {:o}); make it 0700", found.mode() & 0o7777)
    } else {
        return Ok(false);
    };
    let why = format!("the socket directory {} {why}", directory.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn directories() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    lock(&DIRECTORIES)
}

/// The directories that this process made and still owes the removal of.
static DIRECTORIES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
