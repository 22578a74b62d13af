//! A control group (cgroup v2) for one actor: bounds of memory, processor time and processes for all that it starts.
//!
//! The process that starts the actor makes the group, on the actor's host, and removes it when the actor has ended, with
//! all that is left in it. The actor's process enters it before it does anything else.
//!
//! # Invariants
//! 1. A group is locked as long as the process lives that has made it: one without a lock was left behind. It is locked
//!    before a process can enter it.
//! 2. A limit that can't be set is an error, and the actor is not started.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::WaitStatus;
use crate::random;

/// Bounds for an actor and all processes that it starts, together; for [`Start::cgroup`](crate::Start::cgroup).
///
/// They are those of a control group of the kernel (cgroup v2), which is made for the actor and removed with it, along
/// with every process that is still in it. An actor that the kernel kills for its memory has died of
/// [`WaitStatus::OutOfMemory`].
///
/// A group needs a place where its user may make groups, and whose controllers are for them: by default the group of the
/// process that starts the actor, else [`below`](Self::below). The kernel refuses bounds in a group that has processes of
/// its own, unless it is the first one of all. With systemd, a service has such a place by `Delegate=yes` and
/// `DelegateSubgroup=main`: it is the group above the one in which the service runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroup {
    below: Option<PathBuf>,
    memory_max: Option<u64>,
    cpu_max: Option<u32>,
    pids_max: Option<u64>,
}

impl Cgroup {
    /// A group without bounds: its processes are ended together.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the group below this directory of a cgroup v2 file system, on the actor's host.
    pub fn below(mut self, directory: impl Into<PathBuf>) -> Self {
        self.below = Some(directory.into());
        self
    }

    /// The memory that its processes may use together, in bytes. Beyond it the kernel kills all of them. See `memory.max`
    /// in the kernel's documentation of cgroup v2; swap is not counted.
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// The processor time that they may use together, in percent of one processor: 150 for one and a half. Beyond it they
    /// wait. See `cpu.max`.
    pub fn cpu_max(mut self, percent: u32) -> Self {
        self.cpu_max = Some(percent);
        self
    }

    /// How many processes and threads they may be together. See `pids.max`.
    pub fn pids_max(mut self, most: u64) -> Self {
        self.pids_max = Some(most);
        self
    }

    /// Makes the group.
    ///
    /// # Errors
    /// Says what this host, or the place, does not offer (invariant 2).
    pub(crate) fn make(&self) -> Result<Group, String> {
        let base = match &self.below {
            Some(directory) => {
                let kind =
                    rustix::fs::statfs(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
                if kind.f_type != CGROUP2 {
                    return Err(format!("{} is not a directory of a cgroup v2 file system", directory.display()));
                }
                directory.clone()
            }
            None => own_group()?,
        };
        self.make_in(&base)
    }

    fn make_in(&self, base: &Path) -> Result<Group, String> {
        self.enable_in(base)?;
        sweep(base);
        let failed = |at: &Path, error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "{}: {error}: this user may make no groups there; name a place that was delegated to it by `Cgroup::below`",
                at.display()
            ),
            _ => format!("{}: {error}", at.display()),
        };
        let group = loop {
            let unique = random::unique().simple().to_string();
            let path = base.join(format!("{PREFIX}{}", &unique[..UNIQUE]));
            fs::create_dir(&path).map_err(|error| failed(&path, error))?;
            match File::open(&path).and_then(|dir| Ok(flock(&dir, FlockOperation::LockShared).map(|()| dir)?)) {
                Ok(lock) if path.exists() => break Group { path, _lock: lock },
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let _ = fs::remove_dir(&path); // it is empty; if not even that is allowed, the error says enough
                    return Err(failed(&path, error));
                }
                Ok(_) | Err(_) => {} // another process took it for one that was left, just before it was locked
            }
        };
        for (file, value) in self.values() {
            let file = group.path.join(file);
            fs::write(&file, value).map_err(|error| failed(&file, error))?;
        }
        Ok(group)
    }

    /// Has the groups in `base` what these bounds need.
    fn enable_in(&self, base: &Path) -> Result<(), String> {
        let list = |file: &str| {
            let file = base.join(file);
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
        };
        let (available, enabled) = (list("cgroup.controllers")?, list("cgroup.subtree_control")?);
        let has = |list: &str, controller: &str| list.split_whitespace().any(|one| one == controller);
        for controller in self.controllers().filter(|controller| !has(&enabled, controller)) {
            if !has(&available, controller) {
                return Err(format!(
                    "{} has no controller `{controller}`, only `{}`: this host has it as cgroup v1, or it was not delegated",
                    base.display(),
                    available.trim()
                ));
            }
            let enabled = fs::write(base.join("cgroup.subtree_control"), format!("+{controller}"));
            enabled.map_err(|error| match error.raw_os_error() {
                Some(libc::EBUSY) => format!(
                    "{} has processes of its own, so the kernel gives groups in it no `{controller}`: name a place without, by \
                     `Cgroup::below`",
                    base.display()
                ),
                _ => format!("{}: its groups can't have `{controller}`: {error}", base.display()),
            })?;
        }
        Ok(())
    }

    fn controllers(&self) -> impl Iterator<Item = &'static str> {
        let needed =
            [("memory", self.memory_max.is_some()), ("cpu", self.cpu_max.is_some()), ("pids", self.pids_max.is_some())];
        needed.into_iter().filter_map(|(controller, is_needed)| is_needed.then_some(controller))
    }

    /// What is written to which file of the group.
    fn values(&self) -> impl Iterator<Item = (&'static str, String)> {
        let memory = self.memory_max.map(|bytes| ("memory.max", bytes.to_string()));
        // Not only the largest of them.
        let all_of_them = self.memory_max.map(|_| ("memory.oom.group", "1".to_owned()));
        let cpu = self.cpu_max.map(|percent| ("cpu.max", format!("{} {PERIOD}", u64::from(percent) * PERIOD / 100)));
        let pids = self.pids_max.map(|most| ("pids.max", most.to_string()));
        [memory, all_of_them, cpu, pids].into_iter().flatten()
    }
}

/// A group that was made. Dropping it kills what is in it, and removes it if that is gone at once.
#[derive(Debug)]
pub(crate) struct Group {
    path: PathBuf,
    _lock: File,
}

impl Group {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how its first process ended, which is `status` unless the kernel has killed it for its memory.
    pub(crate) fn judge(&self, status: WaitStatus) -> WaitStatus {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        match status {
            WaitStatus::Signalled(libc::SIGKILL) if kills.is_some_and(|kills| kills > 0) => WaitStatus::OutOfMemory,
            status => status,
        }
    }

    /// Kills what is left in it, waits until that is gone, and removes it.
    ///
    /// # Cancel safety
    /// If dropped, it may stay: until the next group is made in its place, or `pleach reap`.
    pub(crate) async fn remove(self) {
        kill(&self.path);
        let mut pause = Duration::from_millis(1);
        while pause < LONGEST && is_in_use(remove_all(&self.path)) {
            tokio::time::sleep(pause).await; // the kernel has yet to end them
            pause *= 2;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(&self.path);
        match remove_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(target: "pleach::runtime", group = %self.path.display(), %error, "a control group is not removed");
            }
            _ => {}
        }
    }
}

/// Puts this process into a group.
///
/// # Errors
/// When the system refuses.
pub(crate) fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")
}

/// The groups of this user that are left in the place where this process makes them, if it has one: of processes that were
/// killed.
pub(crate) fn left() -> Vec<PathBuf> {
    own_group().map_or_else(|_| Vec::new(), |base| left_in(&base))
}

/// Removes a group that was left, with what is in it.
///
/// # Errors
/// When a process uses it, and when it can't be removed.
pub(crate) fn remove_left(path: &Path) -> io::Result<()> {
    let Some(_locked) = unused(path) else {
        return if path.exists() { Err(io::ErrorKind::ResourceBusy.into()) } else { Ok(()) };
    };
    kill(path);
    remove_all(path)
}

/// Removes what is left in `base`; what can't be removed now is left for later.
fn sweep(base: &Path) {
    for path in left_in(base) {
        let _ = remove_left(&path); // as said
    }
}

fn left_in(base: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base) else { return Vec::new() };
    let is_name = |name: &str| {
        let unique = name.strip_prefix(PREFIX);
        unique.is_some_and(|unique| unique.len() == UNIQUE && unique.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    let user = rustix::process::geteuid().as_raw();
    let is_ours = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|about| about.uid() == user);
    let ours = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_name) && is_ours(entry));
    ours.map(|entry| entry.path()).filter(|path| unused(path).is_some()).collect()
}

/// Locks a group, if no process has made it that lives (invariant 1).
fn unused(path: &Path) -> Option<File> {
    let dir = File::open(path).ok()?;
    flock(&dir, FlockOperation::NonBlockingLockExclusive).ok().map(|()| dir)
}

/// Kills what is in a group. Kernels before 5.14 can't; the processes end with their actor there, or by their mark.
fn kill(path: &Path) {
    if path.join("cgroup.kill").exists() {
        let _ = fs::write(path.join("cgroup.kill"), "1"); // removing it fails then, and says so
    }
}

/// Removes a group with those in it, whose makers were in it.
fn remove_all(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_all(&entry.path())?;
    }
    fs::remove_dir(path)
}

fn is_in_use(removed: io::Result<()>) -> bool {
    removed.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
}

/// The directory of the group in which this process is.
///
/// # Errors
/// Says so when this host has no cgroup v2.
fn own_group() -> Result<PathBuf, String> {
    let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let mount = mount_of(&read("/proc/self/mountinfo")?);
    let mount = mount.ok_or("this host has no cgroup v2 mounted: boot it with `systemd.unified_cgroup_hierarchy=1`")?;
    let groups = read("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    own.map(|own| mount.join(own)).ok_or_else(|| "this process is in no group of cgroup v2".into())
}

/// Where all of cgroup v2 is mounted, by the kernel's list.
fn mount_of(list: &str) -> Option<PathBuf> {
    list.lines().find_map(|line| {
        let (about, kind) = line.split_once(" - ")?;
        let mut about = about.split(' ').skip(3);
        let (root, at) = (about.next()?, about.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then(|| at.into())
    })
}

/// `CGROUP2_SUPER_MAGIC`.
const CGROUP2: rustix::fs::FsWord = 0x6367_7270;

/// The period of `cpu.max`, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// The prefix of the names of groups.
const PREFIX: &str = "pleach-";

/// How much of a name is random, in hexadecimal digits.
const UNIQUE: usize = 12;

/// The longest pause before a group is removed: about twice that is waited for its processes.
const LONGEST: Duration = Duration::from_millis(500);
