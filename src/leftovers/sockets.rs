//! Socket directories, and sockets in a named one, that no process uses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Kept, Leftover, What};
use crate::error::{Error, Result};
use crate::os::{dead_sockets, socket_dir};

/// The directories of trees of this user, wherever trees make them.
pub(super) fn directories() -> Vec<Leftover> {
    let paths = socket_dir::places().into_iter().flat_map(|place| socket_dir::below(&place));
    let leftover = |path: PathBuf| {
        let kept = (!socket_dir::is_of_this_kernel(&path)).then_some(Kept::OtherKernel);
        let is_left = kept.is_some() || socket_dir::is_unused(&path);
        is_left.then(|| Leftover { age: age(&path), what: What::SocketDirectory(path), kept, process: None })
    };
    paths.filter_map(leftover).collect()
}

/// The sockets in a directory that its user has named.
///
/// # Errors
/// [`Error::Config`] when it can't be read.
pub(super) fn in_named(directory: Option<&Path>) -> Result<Vec<Leftover>> {
    let Some(directory) = directory else { return Ok(Vec::new()) };
    let found = dead_sockets::find(directory);
    let found = found.map_err(|error| Error::Config(format!("`socket_dir`: {}: {error}", directory.display())))?;
    let leftover = |path: PathBuf| Leftover { age: age(&path), what: What::Socket(path), kept: None, process: None };
    Ok(found.into_iter().map(leftover).collect())
}

/// How long ago it was changed last.
pub(super) fn age(path: &Path) -> Option<Duration> {
    fs::symlink_metadata(path).ok()?.modified().ok()?.elapsed().ok()
}
