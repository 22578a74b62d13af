//! The directory in which a tree keeps its Unix sockets, unless it was told another one.
//!
//! The root names it after its process and removes it at its end. A root that was killed could not,
//! so each new one looks for such directories first.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use uuid::Uuid;

/// Returns the path of a directory for a new tree, which does not exist yet, and sweeps up after
/// roots that are gone.
pub(crate) fn new_dir() -> PathBuf {
    let temporary = std::env::temp_dir();
    sweep(&temporary);
    let unique = Uuid::new_v4().simple().to_string();
    temporary.join(format!("{}{}-{}", prefix(), std::process::id(), &unique[..8]))
}

/// Removes the directory of a tree that has ended.
pub(crate) fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => warn!(target: "pleach::runtime", dir = %dir.display(), %error, "not removed"),
    }
}

fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    let prefix = prefix();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.split_once('-')?.0.parse().ok());
        if let Some(pid) = owner.and_then(Pid::from_raw)
            && test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
            && entry.metadata().is_ok_and(|about| is_ours(&about))
        {
            remove(&entry.path());
        }
    }
}

fn is_ours(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    about.is_dir() && about.uid() == rustix::process::getuid().as_raw()
}

/// What the names of these directories begin with; the root's process id follows.
///
/// Containers may share a temporary directory, and process ids mean something only inside one.
fn prefix() -> String {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let number: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    format!("pleach-{number}-")
}
