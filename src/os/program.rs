//! This program's executable, for starting it again, and how to notice a wrong one.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::files;

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
    let (code, inode) = own_code(&fs::read_to_string("/proc/self/maps").ok()?)?;
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
fn own_code(maps: &str) -> Option<(PathBuf, u64)> {
    let here = own_code as fn(&str) -> _ as usize;
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
        let inode = words.nth(3)?.parse().ok()?;
        let path = line.find('/').map(|at| PathBuf::from(&line[at..]))?;
        range.contains(&here).then_some((path, inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_what_the_system_takes_it_for() {
        assert_eq!((check(), impostor()), (Ok(()), None));
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
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
