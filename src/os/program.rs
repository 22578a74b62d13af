//! This program's executable, for starting it again, and how to notice a wrong one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::files;
use super::maps::{self, Mapping};

/// The file that this process runs, also after another was put in its place.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// Checks that this program can be started again.
///
/// # Errors
/// Names the missing part.
pub(crate) fn check() -> Result<(), String> {
    match fs::read_link(OURSELVES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{OURSELVES} is not there, by which this program starts itself again: mount `/proc`"))
        }
        _ => Ok(()),
    }
}

/// Says why this program could not be executed.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => format!("exec failed: {OURSELVES}: {error}"),
        _ if error.raw_os_error() == Some(libc::ENOEXEC) => format!(
            "exec failed: {OURSELVES}: {error}: the system can't run this program by itself; under an emulator, \
             register that for such programs (`binfmt_misc`)"
        ),
        _ => format!("exec failed: {}", files::explain(error)),
    }
}

/// Says which program the system would run instead of this one, if it is another. Only asked when a start has failed:
/// the finding need not be the cause.
pub(crate) fn impostor() -> Option<String> {
    let executed = fs::read_link(OURSELVES).ok()?;
    let (code, inode) = own_code(&fs::read(maps::OWN).ok()?)?;
    if code == executed || fs::metadata(OURSELVES).is_ok_and(|about| about.ino() == inode) {
        return None;
    }
    let (executed, code) = (executed.display(), code.display());
    Some(format!(
        "the system runs {executed} as this program, but its code is in {code}: it was started by a loader or \
         an emulator, or is loaded by another program. Start it by its own path, as a program"
    ))
}

/// Finds the file, and its number, in which this very code is.
fn own_code(maps: &[u8]) -> Option<(PathBuf, u64)> {
    let here = own_code as fn(&[u8]) -> _ as usize;
    let mut mappings = maps.split(|byte| *byte == b'\n').filter_map(Mapping::parse);
    let own = mappings.find(|mapping| mapping.addresses.contains(&here))?;
    Some((own.path()?.to_owned(), own.inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_what_the_system_takes_it_for() {
        assert_eq!((check(), impostor()), (Ok(()), None));
        let maps = fs::read(maps::OWN).unwrap();
        assert_eq!(own_code(&maps).unwrap().0, std::env::current_exe().unwrap());
    }

    #[test]
    fn failures_to_execute_say_what_to_do() {
        let said = |code| explain(&io::Error::from_raw_os_error(code));
        assert!(said(libc::ENOEXEC).contains("binfmt_misc"));
        assert!(said(libc::EMFILE).contains("ulimit -n"));
        assert!(said(libc::ENOENT).contains(OURSELVES));
    }
}
