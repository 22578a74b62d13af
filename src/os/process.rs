//! Processes: starting one, its group, its end.
//!
//! The kernel's death signal is bound to the *thread* that has started a process. So all are started on one thread,
//! which lives as long as this process.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::process::{Child, Command};

use super::mark::TreeMark;
use super::marked;
use super::orphans::OwnChild;

/// Starts another program, which does not outlive this one, in a group of its own.
#[cfg(feature = "ssh")]
pub(crate) async fn spawn_bound(command: std::process::Command) -> std::io::Result<(Child, OwnChild)> {
    let mut command = dying_with_us(command, Signal::KILL);
    command.kill_on_drop(true);
    spawn_on_lasting_thread(command).await
}

/// Starts another program that has something to do before it ends: it gets SIGTERM when this one ends, and nothing
/// when it is dropped.
pub(crate) async fn spawn_asked(command: std::process::Command) -> std::io::Result<(Child, OwnChild)> {
    spawn_on_lasting_thread(dying_with_us(command, Signal::TERM)).await
}

/// Spawns on a thread that lives as long as this process, because the parent-death signal is bound to
/// the thread: the caller's may be one of a pool, and end earlier.
pub(crate) async fn spawn_on_lasting_thread(mut command: Command) -> std::io::Result<(Child, OwnChild)> {
    let handle = tokio::runtime::Handle::current();
    let spawn = move || {
        let _inside = handle.enter();
        OwnChild::spawn(&mut command)
    };
    lasting_thread::run(spawn)
        .await
        .unwrap_or_else(|| Err(std::io::Error::other("the thread that starts processes is gone")))
}

/// Has the kernel signal another program than this when this process ends: it does not ask for that by itself.
#[allow(unsafe_code)]
fn dying_with_us(mut command: std::process::Command, by: Signal) -> Command {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(by))?;
        // The parent may have ended before the line above: then the kernel would not send the signal.
        match rustix::process::getppid() {
            Some(actual) if actual == parent => Ok(()),
            _ => Err(rustix::io::Errno::SRCH.into()),
        }
    };
    // SAFETY: between fork and exec only async-signal-safe code may run. The closure makes two system
    // calls without going through libc's state, compares two integers, and neither allocates nor locks.
    unsafe {
        command.process_group(0).pre_exec(before_exec);
    }
    command.into()
}

/// A child and its process group. Dropping it kills what is left of them.
///
/// Others may have put processes of theirs into that group; they are left alone.
pub(crate) struct Group {
    leader: OwnedFd,
    number: u32,
    mark: Option<TreeMark>,
}

impl Group {
    pub(crate) fn of(pid: u32, mark: Option<TreeMark>) -> std::io::Result<Self> {
        let number = raw_pid(pid).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Self { leader: pidfd_open(number, PidfdFlags::empty())?, number: pid, mark })
    }

    /// Signals the child alone: it ends its own processes itself, and the rest is killed when it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        signal_process(&self.leader, self.number, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mark) = self.mark {
            marked::signal_group(self.number, mark, Signal::KILL);
        }
    }
}

/// Kills another program's group when its keeper is dropped instead of finished.
#[cfg(feature = "ssh")]
pub(crate) struct KillGroupOnDrop(pub(crate) u32);

#[cfg(feature = "ssh")]
impl Drop for KillGroupOnDrop {
    fn drop(&mut self) {
        if let Some(group) = raw_pid(self.0) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL); // it may be gone
        }
    }
}

/// Signals a process by its descriptor (pidfd); it may have ended. `pid` is for the log.
pub(super) fn signal_process(process: &OwnedFd, pid: u32, signal: Signal) {
    if let Err(error) = pidfd_send_signal(process, signal)
        && error != rustix::io::Errno::SRCH
    {
        warn!(target: "pleach::runtime", pid, %error, ?signal, "not signalled");
    }
}

/// Whether a child of this process has ended, and is a zombie or was waited for.
pub(crate) fn is_dead(pid: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), look)).map_or(true, |ended| ended.is_some())
}

pub(crate) fn raw_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// A thread that lives as long as the process and runs one closure after the other.
mod lasting_thread {
    use std::sync::OnceLock;
    use std::sync::mpsc::{SyncSender, sync_channel};

    use tokio::sync::oneshot;

    type Job = Box<dyn FnOnce() + Send>;

    /// Runs `job` there; `None` if the thread could not be started or is gone.
    pub(super) async fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        static JOBS: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
        let jobs = JOBS.get_or_init(|| {
            let (jobs, queue) = sync_channel::<Job>(64);
            let started = std::thread::Builder::new().name("pleach-spawn".into()).spawn(move || {
                queue.into_iter().for_each(|job| job());
            });
            started.is_ok().then_some(jobs)
        });
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let _ = done.send(job()); // the caller may have left; the child is killed on drop
        });
        jobs.as_ref()?.send(job).ok()?;
        result.await.ok()
    }
}
