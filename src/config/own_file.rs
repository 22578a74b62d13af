//! A file that is read because it lies there: only if it is this user's own.
//!
//! Any user who may write to a directory could leave a `pleach.toml` for programs that are started in it, and so choose
//! where they listen and which keys they trust. The rule is that of `ssh` for `~/.ssh/config`: the file belongs to this
//! user or to root, and no other user may write to it. A file that is named explicitly is read whatever its owner, as
//! with `ssh -F`.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Reads a file, if it is this user's own.
///
/// # Errors
/// When it can't be read, with `PermissionDenied` and what to do when it is not to be trusted.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    // Of the file that was opened: another one may lie there by now.
    let about = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    if let Some(why) = distrust(about.uid(), about.mode(), user) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Returns why a file with this owner and mode is not trusted, and what to do.
fn distrust(owner: u32, mode: u32, user: u32) -> Option<String> {
    let named = "or, if it is to be used as it is, name it with PLEACH_CONFIG";
    if owner != user && owner != 0 {
        return Some(format!(
            "it belongs to user {owner}, not to you ({user}) or root: remove it, make it yours, {named}"
        ));
    }
    (mode & 0o022 != 0)
        .then(|| format!("others may write to it (mode {:04o}): `chmod go-w` it, {named}", mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ones_own_file_that_no_other_user_can_write() {
        for (owner, mode, user, trusted) in [
            (1000, 0o100_644, 1000, true),
            (0, 0o100_644, 1000, true),
            (1000, 0o100_600, 1000, true),
            (1001, 0o100_644, 1000, false),
            (1001, 0o100_600, 0, false),
            (1000, 0o100_664, 1000, false),
            (0, 0o100_646, 1000, false),
            (0, 0o100_666, 0, false),
        ] {
            assert_eq!(distrust(owner, mode, user).is_none(), trusted, "{owner} {mode:o} {user}");
        }
    }

    #[test]
    fn the_mode_of_the_file_itself_counts() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&link).unwrap(), "text");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        let refused = read(&link).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("(mode 0666): `chmod go-w` it, or"), "{refused}");
    }
}
