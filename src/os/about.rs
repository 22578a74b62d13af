//! What the kernel tells about a process of any user.

use std::fs;
use std::time::Duration;

/// A process, as it was at one moment: its number may have come to mean another one.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) parent: u32,
    /// The user that started it, and the one with whose rights it runs.
    pub(crate) users: [u32; 2],
    /// The process that debugs it.
    pub(crate) tracer: Option<u32>,
    pub(crate) age: Duration,
    /// Its program and arguments, as it shows them.
    pub(crate) arguments: Vec<String>,
}

impl About {
    /// Looks at a process, if it can be seen.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let status = read("status")?;
        let started = started(&read("stat")?)?;
        let up = Duration::try_from_secs_f64(fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()?);
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let arguments = arguments.strip_suffix(&[0]).unwrap_or(&arguments);
        Some(Self {
            parent: number(&status, "PPid:", 0)?,
            users: [number(&status, "Uid:", 0)?, number(&status, "Uid:", 1)?],
            tracer: number(&status, "TracerPid:", 0).filter(|tracer| *tracer != 0),
            age: up.unwrap_or_default().saturating_sub(started),
            arguments: arguments.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into()).collect(),
        })
    }
}

/// This process, its parent, the parent of that, and so on.
pub(crate) fn ancestry() -> impl Iterator<Item = u32> {
    ancestry_of(std::process::id())
}

/// A process, its parent, and so on.
pub(crate) fn ancestry_of(pid: u32) -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| About::of(*pid).map(|about| about.parent).filter(|parent| *parent != 0);
    // A process that ends meanwhile gives its children to another: the walk ends, whatever it meets.
    std::iter::successors(Some(pid), parent).take(MAX_DEPTH)
}

/// Whether a process holds a descriptor of another (pidfd); nothing, if this user may not look.
pub(crate) fn holds(pid: u32, other: u32) -> Option<bool> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).ok()?;
    let mut infos = files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
    Some(infos.any(|info| number(&info, "Pid:", 0) == Some(other)))
}

/// The number at a place of a line of a `/proc` entry.
fn number(entry: &str, line: &str, place: usize) -> Option<u32> {
    entry.lines().find_map(|found| found.strip_prefix(line))?.split_whitespace().nth(place)?.parse().ok()
}

/// When a process was started, after the start of the system.
fn started(stat: &str) -> Option<Duration> {
    let ticks: u64 = fields(stat)?.nth(19)?.parse().ok()?;
    Some(Duration::from_millis(ticks.saturating_mul(1000 / TICKS)))
}

/// Returns the fields of a process's `stat` behind its name: the state, the parent, the group, and so on.
pub(super) fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    // "pid (name) state …": the name may have anything in it, so look from its last bracket.
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

/// In a second, for programs of every architecture that Rust has.
const TICKS: u64 = 100;

/// Deeper than processes are nested.
const MAX_DEPTH: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_seen() {
        let about = About::of(std::process::id()).unwrap();
        let user = rustix::process::geteuid().as_raw();
        assert_eq!((about.parent, about.users, about.tracer), (std::os::unix::process::parent_id(), [user; 2], None));
        assert_eq!(about.arguments, std::env::args().collect::<Vec<_>>());
        assert!(about.age < About::of(about.parent).unwrap().age + Duration::from_secs(1));
        assert_eq!(ancestry().take(2).collect::<Vec<_>>(), [std::process::id(), about.parent]);
    }

    #[test]
    fn a_descriptor_of_a_process_is_seen() {
        let (own, parent) = (std::process::id(), rustix::process::getppid().unwrap());
        let _held = rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).unwrap();
        let holds = [parent.as_raw_nonzero().get().unsigned_abs(), own].map(|other| holds(own, other));
        assert_eq!(holds, [Some(true), Some(false)]);
    }

    #[test]
    fn a_name_with_anything_in_it_is_passed_over() {
        let fields: Vec<_> = (3..=30).map(|field| field.to_string()).collect();
        assert_eq!(started(&format!("7 (a) Z 1) {}", fields.join(" "))), Some(Duration::from_millis(220)));
        assert_eq!(started("7 (sleep) S 1"), None);
        assert_eq!(number("Name:\tcat\nUid:\t1\t2\t3\t4\n", "Uid:", 1), Some(2));
    }
}
