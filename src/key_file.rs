//! The file with a tree's key: any process that can read it is a member of the tree.
//!
//! One line of 64 hexadecimal digits. Several programs that are given the same file, on one host or with a
//! copy on each, can join one tree. It works like a private key of SSH: mode 0600, and a file that others
//! could read is refused, because then others are members too.
//!
//! # What must stay true
//! 1. A reader of the file sees a whole key or no file: it is written under another name first and then linked to its
//!    own, which fails if that exists. So programs that start at once agree on one key.
//! 2. The file that is checked is the file that is read, whatever its name refers to a moment later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::random;

/// Makes a key file with a fresh key, which only its owner can read.
///
/// # Errors
/// [`Error::Config`] when there is something at `path` already, which stays as it is, and when the file
/// can't be written. It names the path.
///
/// # Examples
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("tree.key");
/// pleach::key_file::create(&path)?;
/// let config = pleach::Config { key_file: Some(path.clone()), ..Default::default() };
/// assert!(pleach::key_file::create(&path).unwrap_err().to_string().contains("already exists"));
/// # Ok::<(), pleach::Error>(())
/// ```
pub fn create(path: &Path) -> Result<()> {
    match try_create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(fault(path, "the file already exists; replacing a key locks out the programs that have the old one"))
        }
        created => created.map_err(|error| fault(path, format!("can't be made: {error}"))),
    }
}

/// Reads the key; makes the file first if it is missing.
///
/// # Errors
/// [`Error::Config`], which names the path and says what to do.
pub(crate) fn read_or_create(path: &Path) -> Result<[u8; 32]> {
    match open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return read(path, opened),
    }
    match try_create(path) {
        // Another program was faster: it is the other one's key.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        created => created.map_err(|error| fault(path, format!("can't be made: {error}")))?,
    }
    read(path, open(path))
}

fn try_create(path: &Path) -> io::Result<()> {
    let key = random::bytes::<32>()?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).chain(["\n".into()]).collect();
    let draft = Draft::new(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::hard_link(&draft.0, path)
}

/// Another name beside the file's; removed when this is dropped.
struct Draft(PathBuf);

impl Draft {
    fn new(path: &Path) -> Self {
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}", random::unique().simple()));
        Self(path.with_file_name(name))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != ErrorKind::NotFound
        {
            warn!(target: "pleach::runtime", path = %self.0.display(), %error, "a copy of a key is left");
        }
    }
}

/// Opens without waiting: the name may be that of a pipe.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

fn read(path: &Path, opened: io::Result<File>) -> Result<[u8; 32]> {
    let unreadable = |error: io::Error| fault(path, format!("can't be read: {error}"));
    let file = opened.map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    let own = rustix::process::geteuid().as_raw();
    if !about.is_file() {
        return Err(fault(path, "is not a file; name one that has a key in it, or that can be created"));
    }
    if about.uid() != own {
        let why =
            format!("belongs to the user {}, and this program runs as {own}; make a copy of its own", about.uid());
        return Err(fault(path, why));
    }
    let mode = about.mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!(
            "can be read or written by others (mode {mode:04o}), so others may have the key; make a new one with \
             `pleach key new`, or `chmod 600` it if you are sure that no other user has read it"
        );
        return Err(fault(path, why));
    }
    let mut text = String::new();
    // A little more than a key, to see that there is more.
    let whole = file.take(LINE as u64 + 16).read_to_string(&mut text).is_ok();
    parse(text.trim_ascii()).filter(|_| whole).ok_or_else(|| {
        fault(path, "has no key in it, which is one line of 64 hexadecimal digits; make one with `pleach key new`")
    })
}

fn parse(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != LINE || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut key = [0; 32];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

fn fault(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::Config(format!("key_file: {}: {why}", path.display()))
}

/// Digits of a key.
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Barrier;

    use super::*;

    // SEC-17
    #[test]
    fn programs_that_start_at_once_agree_on_one_key() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("key");
            let start = Barrier::new(8);
            let keys: Vec<_> = std::thread::scope(|scope| {
                let read = || {
                    start.wait();
                    read_or_create(&path).unwrap()
                };
                let readers: Vec<_> = (0..8).map(|_| scope.spawn(read)).collect();
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            });
            assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; 32]), "{keys:?}");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left");
        }
    }

    // SEC-17
    #[test]
    fn a_file_that_is_no_good_says_why_and_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let fault = || read_or_create(&path).unwrap_err().to_string();
        for text in ["", "short", &"g".repeat(64), &"0".repeat(65), &"0".repeat(200), "ü"] {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(fault().contains("64 hexadecimal digits; make one with `pleach key new`"), "{}", fault());
        }
        fs::write(&path, "0A".repeat(32)).unwrap();
        assert_eq!(read_or_create(&path).unwrap(), [10; 32], "the line break may be missing");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(fault().contains(&format!("by others (mode {mode:04o})")), "{}", fault());
        }
        assert!(fault().contains("chmod 600") && fault().contains(path.to_str().unwrap()), "{}", fault());
        assert!(read_or_create(directory.path()).unwrap_err().to_string().contains("is not a file"));
        let nowhere = read_or_create(&directory.path().join("no/key")).unwrap_err().to_string();
        assert!(nowhere.contains("can't be made: No such file"), "{nowhere}");
    }

    // SEC-17
    #[test]
    fn a_file_of_another_user_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path).unwrap();
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return; // only root can give files away
        }
        let fault = read_or_create(&path).unwrap_err().to_string();
        assert!(fault.contains("belongs to the user 12345"), "{fault}");
    }

    #[test]
    fn a_key_that_is_there_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        create(&path).unwrap();
        let key = read_or_create(&path).unwrap();
        assert!(create(&path).unwrap_err().to_string().contains("already exists"));
        assert_eq!(read_or_create(&path).unwrap(), key);
    }
}
