//! The default directory of a tree's Unix sockets.
//!
//! It is below the temporary directory, or where else there is room: the name of a socket is short. Each actor
//! that listens in it holds a lock on it. A root removes it at its end; one that was killed could not, so each new
//! root looks for directories without one. Cleaners of temporary files look for that lock, too; if one removes
//! the directory all the same, it is made again, and the actors that listened there listen again.
//!
//! # Invariants
//! 1. Only a process that has locked a directory against all others removes it, or the root whose tree has ended.
//!    Process ids are meaningless here: containers and hosts share directories.
//! 2. Directories of another kernel are left alone: its locks can't be seen everywhere.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FlockOperation, flock};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::random;
use crate::sync::lock;

/// Where the sockets of a tree are.
#[derive(Debug)]
pub(crate) struct SocketDir {
    path: PathBuf,
    /// Whether the directory is this tree's alone, and goes with it.
    is_ours: bool,
    /// The lock on it, while this actor listens there.
    held: Mutex<Option<File>>,
}

impl SocketDir {
    /// The one for a new tree. One without a configured name does not exist yet.
    ///
    /// # Errors
    /// [`Error::Config`] when sockets can't be in the named one.
    pub(crate) fn of_root(config: &Config) -> Result<Self> {
        match &config.socket_dir {
            Some(named) => Ok(Self::at(
                usable(named).map_err(|why| Error::Config(format!("`socket_dir`: {}: {why}", named.display())))?,
            )),
            None => Ok(Self::new()),
        }
    }

    /// One of its own for a new tree; removes the directories of roots that have ended.
    pub(crate) fn new() -> Self {
        let unique = random::unique().simple().to_string();
        let name = format!("{}{}", prefix(), &unique[..UNIQUE]);
        for place in places() {
            match usable(&place.join(&name)) {
                Ok(path) => {
                    sweep(&place);
                    return Self { is_ours: true, ..Self::at(path) };
                }
                Err(why) => {
                    debug!(target: "pleach::runtime", place = %place.display(), why, "sockets can't be there");
                }
            }
        }
        Self { is_ours: true, ..Self::at(Path::new("/tmp").join(name)) }
    }

    /// The one inherited from the parent.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, is_ours: false, held: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether it is this tree's alone.
    #[cfg(feature = "testing")]
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Makes it if it is missing, and locks it.
    ///
    /// # Errors
    /// When it can't be made.
    pub(crate) fn hold(&self) -> io::Result<()> {
        let mut held = lock(&self.held);
        while !held.as_ref().is_some_and(|dir| is_at(dir, &self.path)) {
            if !self.path.exists() {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
            }
            let dir = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // swept since
                opened => opened?,
            };
            // A file system without locks lets no other lock it either.
            let locked = flock(&dir, FlockOperation::LockShared);
            debug!(target: "pleach::runtime", dir = %self.path.display(), ?locked, "sockets are here");
            *held = Some(dir);
        }
        Ok(())
    }

    /// Removes it, if it was this tree's alone. The tree has ended; members that were killed have left their sockets.
    pub(crate) fn remove(&self) {
        if self.is_ours {
            remove(&self.path);
        }
        lock(&self.held).take();
    }
}

/// Returns the absolute path of a directory in which sockets can be.
fn usable(dir: &Path) -> std::result::Result<PathBuf, String> {
    let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
    match dir.to_str() {
        None => Err("it is not UTF-8, and addresses of sockets are".into()),
        Some(text) if text.len() > LONGEST => {
            Err(format!("its path has {} bytes, and sockets can be in one of {LONGEST} at most", text.len()))
        }
        Some(_) => Ok(dir),
    }
}

/// Where directories of trees are made, the first choice first.
pub(crate) fn places() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut places = Vec::new();
    for place in [Some(std::env::temp_dir()), runtime, Some("/tmp".into())].into_iter().flatten() {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Removes the directories of trees below `place` that no process holds.
fn sweep(place: &Path) {
    for path in below(place).into_iter().filter(|path| is_of_this_kernel(path)) {
        if let Some(_locked) = unused(&path) {
            remove(&path);
        }
    }
}

/// The directories of trees of this user below `place`, in use or not.
pub(crate) fn below(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
    let own = rustix::process::geteuid().as_raw();
    let is_ours = |about: fs::Metadata| about.is_dir() && about.uid() == own;
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| is_name(path) && fs::symlink_metadata(path).is_ok_and(is_ours)).collect()
}

/// Whether this kernel's trees make directories of that name. Invariant 2.
pub(crate) fn is_of_this_kernel(path: &Path) -> bool {
    name_of(path).starts_with(&prefix())
}

/// Whether no process uses a directory of this kernel's trees.
pub(crate) fn is_unused(path: &Path) -> bool {
    unused(path).is_some()
}

/// Removes a directory of this kernel's trees, with all that is in it.
///
/// # Errors
/// When a process uses it, and when it can't be removed.
pub(crate) fn remove_unused(path: &Path) -> io::Result<()> {
    let removed = match unused(path) {
        Some(_locked) => fs::remove_dir_all(path),
        None => Err(io::Error::new(io::ErrorKind::ResourceBusy, "a process uses it")),
    };
    // Another process may have been faster.
    if path.exists() { removed } else { Ok(()) }
}

/// Locks a directory against all others, if no process has a lock on it. Invariant 1: it stays locked while it is
/// removed, and a waiter checks whether it still exists.
fn unused(path: &Path) -> Option<File> {
    let dir = File::open(path).ok()?;
    let is_free = flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&dir, path);
    is_free.then_some(dir)
}

/// Whether trees make directories of that name: `pleach-`, the kernel, `-`, a random number.
fn is_name(path: &Path) -> bool {
    let name = name_of(path);
    let parts: Vec<_> = name.split('-').collect();
    let is_number = |part: &str, digits| part.len() == digits && part.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_kernel = |part: &str| is_number(part, KERNEL) || part == UNKNOWN;
    matches!(parts[..], [PREFIX, kernel, unique] if is_kernel(kernel) && is_number(unique, UNIQUE))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_at(dir: &File, path: &Path) -> bool {
    let identity = |about: io::Result<fs::Metadata>| about.ok().map(|about| (about.dev(), about.ino()));
    let held = identity(dir.metadata());
    held.is_some() && held == identity(fs::symlink_metadata(path))
}

fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => warn!(target: "pleach::runtime", dir = %dir.display(), %error, "not removed"),
    }
}

/// The prefix of the directories that this kernel's trees make. Invariant 2.
fn prefix() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{PREFIX}-{}-", boot.get(..KERNEL).unwrap_or(UNKNOWN))
}

const PREFIX: &str = "pleach";

/// Stands for a kernel that does not say which one it is.
const UNKNOWN: &str = "unknown";

/// How much of the kernel's id is in a name, in bytes.
const KERNEL: usize = 8;

/// How much of a name is random, in bytes.
const UNIQUE: usize = 12;

/// The longest path of a directory of sockets, in bytes: the name of a socket has 107, and the part behind the
/// directory, a process id and a number, or `ssh`'s own suffix, has 25.
const LONGEST: usize = 107 - 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn below(place: &Path) -> SocketDir {
        let unique = &random::unique().simple().to_string()[..UNIQUE];
        SocketDir { is_ours: true, ..SocketDir::at(place.join(format!("{}{unique}", prefix()))) }
    }

    #[test]
    fn only_unlocked_directories_are_swept() {
        let place = tempfile::tempdir().unwrap();
        let (held, dead, foreign) = (below(place.path()), below(place.path()), place.path().join("pleach-00000000-1"));
        held.hold().unwrap();
        dead.hold().unwrap();
        lock(&dead.held).take(); // as when its root was killed
        fs::create_dir(&foreign).unwrap();
        sweep(place.path());
        assert!(held.path().is_dir() && foreign.is_dir(), "they are in use");
        assert!(!dead.path().exists());
        held.remove();
        assert!(!held.path().exists());
    }

    #[test]
    fn a_directory_that_was_removed_is_made_and_held_again() {
        let place = tempfile::tempdir().unwrap();
        let dir = below(&place.path().join("not").join("yet"));
        for _ in 0..2 {
            dir.hold().unwrap();
            assert_eq!(dir.path().metadata().unwrap().mode() & 0o777, 0o700);
            fs::remove_dir(dir.path()).unwrap();
        }
        dir.hold().unwrap();
        sweep(dir.path().parent().unwrap());
        assert!(dir.path().is_dir());
    }

    #[test]
    fn paths_that_no_socket_fits_in_are_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        assert!(usable(&Path::new("/").join("x".repeat(LONGEST))).unwrap_err().contains("83 bytes"));
        assert!(usable(Path::new(std::ffi::OsStr::from_bytes(b"/tmp/\xff"))).unwrap_err().contains("UTF-8"));
        assert!(usable(Path::new("relative")).unwrap().is_absolute());
    }
}
