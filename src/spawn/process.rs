//! The launcher for a process on this machine: this program again, with its spec in a pipe.
//!
//! The pipe is the child's standard input. The parent writes the spec into it before the process
//! exists and holds it open afterwards: its end of file tells the child that its parent is gone.
//!
//! # What keeps a child from outliving its parent
//! 1. The child itself, as soon as it runs: [`ties`](super::ties) and [`watchdog`](super::watchdog). Nothing is done between `fork`
//!    and `exec`, so that no `fork` is needed, which takes the longer the more memory this process has.
//! 2. Its own process group: the child's own processes there are killed when its parent reaps it, or its watchdog ends
//!    it.
//! 3. The mark of its tree: marked processes outside of the group are killed at the root's end, see
//!    [`orphans`](super::orphans).

use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use tokio::process::{Child as TokioChild, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::mark::TreeMark;
use super::orphans::OwnChild;
use super::stderr::Relay;
use super::{ActorSpec, Exit, Launched, Launcher, Process, Signal, marked, program, ties};
use crate::error::{Error, Result, WaitStatus};
use crate::runtime::{Runtime, files};

/// Starts actors as processes on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processes;

#[async_trait::async_trait]
impl Launcher for Processes {
    async fn launch(
        &self,
        _runtime: &Arc<Runtime>,
        spec: &ActorSpec,
        env: &[(String, String)],
        _given_up: &CancellationToken,
    ) -> Result<Launched> {
        let failed = |why: String| Error::Spawn { actor: spec.name.clone(), why };
        super::entry::require_entry().map_err(failed)?;
        program::check().map_err(failed)?;
        spawn(command(spec, env), spec).await.map_err(failed)
    }
}

/// This program, about to become an actor.
pub(super) fn command(spec: &ActorSpec, env: &[(String, String)]) -> std::process::Command {
    let mut command = std::process::Command::new(program::OURSELVES);
    command
        .arg0(format!("{} [pleach]", spec.name))
        .arg(ties::ACTOR)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stderr(Stdio::piped());
    command
}

/// Starts the actor of `spec` with a command.
///
/// # Errors
/// Says why not.
pub(super) async fn spawn(mut command: std::process::Command, spec: &ActorSpec) -> Result<Launched, String> {
    let (stdin, liveness) = spec_pipe(spec).map_err(|error| format!("no pipe for it: {}", files::explain(&error)))?;
    command.stdin(stdin).process_group(0);
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    let (child, own) = spawn_on_lasting_thread(command).await.map_err(|error| program::explain(&error))?;
    // Its number is its own as long as nothing has waited for it.
    let group = Group::of(own.pid(), spec.mark).map_err(|error| files::explain(&error))?;
    let (process, exited, orders) = Process::new(Some(own.pid()));
    let name = spec.name.clone();
    let keeper = Box::pin(async move {
        keep(child, group, liveness, &name, orders, exited).await;
        drop(own);
    });
    Ok(Launched { process, keeper })
}

/// Starts another program, which does not outlive this one, in a group of its own.
#[cfg(feature = "ssh")]
pub(super) async fn spawn_bound(command: std::process::Command) -> std::io::Result<(TokioChild, OwnChild)> {
    let mut command = dying_with_us(command, rustix::process::Signal::KILL);
    command.kill_on_drop(true);
    spawn_on_lasting_thread(command).await
}

/// Starts another program that has something to do before it ends: it gets SIGTERM when this one ends, and nothing
/// when it is dropped.
pub(super) async fn spawn_asked(command: std::process::Command) -> std::io::Result<(TokioChild, OwnChild)> {
    spawn_on_lasting_thread(dying_with_us(command, rustix::process::Signal::TERM)).await
}

/// Makes the child's standard input, with the spec in it already, and our end of it.
fn spec_pipe(spec: &ActorSpec) -> std::io::Result<(Stdio, PipeWriter)> {
    use std::io::Write as _;
    let encoded = rmp_serde::to_vec_named(spec).map_err(std::io::Error::other)?;
    if encoded.len() > MAX_SPEC {
        let too_long = format!("the spec has {} bytes, the pipe takes {MAX_SPEC}: enable fewer modules", encoded.len());
        return Err(std::io::Error::other(too_long));
    }
    let (reader, mut writer) = std::io::pipe()?;
    // A user with many pipes gets small ones; writing more than fits would wait for a reader for ever.
    if rustix::pipe::fcntl_getpipe_size(&writer)? < encoded.len() + 4 {
        return Err(std::io::Error::other("the system gives only small pipes now: this user has too many open"));
    }
    writer.write_all(&(encoded.len() as u32).to_le_bytes())?;
    writer.write_all(&encoded)?;
    Ok((reader.into(), writer))
}

/// Has the kernel signal another program than this when this process ends: it does not ask for that by itself.
#[allow(unsafe_code)]
fn dying_with_us(mut command: std::process::Command, by: rustix::process::Signal) -> Command {
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

/// Spawns on a thread that lives as long as this process, because the parent-death signal is bound to
/// the thread: the caller's may be one of a pool, and end earlier.
async fn spawn_on_lasting_thread(mut command: Command) -> std::io::Result<(TokioChild, OwnChild)> {
    let handle = tokio::runtime::Handle::current();
    let spawn = move || {
        let _inside = handle.enter();
        OwnChild::spawn(&mut command)
    };
    lasting_thread::run(spawn)
        .await
        .unwrap_or_else(|| Err(std::io::Error::other("the thread that starts processes is gone")))
}

/// A child and its process group. Dropping it kills what is left of them.
///
/// Others may have put processes of theirs into that group; they are left alone.
struct Group {
    leader: OwnedFd,
    number: u32,
    mark: Option<TreeMark>,
}

impl Group {
    fn of(pid: u32, mark: Option<TreeMark>) -> std::io::Result<Self> {
        let number = raw_pid(pid).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Self { leader: pidfd_open(number, PidfdFlags::empty())?, number: pid, mark })
    }

    /// Signals the child alone: it ends its own processes itself, and the rest is killed when it has ended.
    fn signal(&self, signal: rustix::process::Signal) {
        if let Err(error) = pidfd_send_signal(&self.leader, signal)
            && error != rustix::io::Errno::SRCH
        {
            warn!(target: "pleach::runtime", pid = self.number, %error, ?signal, "not signalled");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        if let Some(mark) = self.mark {
            marked::signal_group(self.number, mark, rustix::process::Signal::KILL);
        }
    }
}

/// Waits for the process, relays its standard error, carries out signals.
async fn keep(
    mut child: TokioChild,
    group: Group,
    liveness: PipeWriter,
    name: &str,
    mut orders: mpsc::Receiver<Signal>,
    exited: watch::Sender<Option<Exit>>,
) {
    let mut liveness = Some(liveness);
    let mut relay = Relay::new(child.stderr.take(), name);
    let status = loop {
        tokio::select! {
            biased;
            ended = child.wait() => break ended.map_or(WaitStatus::Unknown, WaitStatus::from),
            Some(order) = orders.recv() => match order {
                Signal::Release => drop(liveness.take()),
                Signal::Terminate => group.signal(rustix::process::Signal::TERM),
                Signal::Kill => {
                    // One that may not be signalled from here ends itself when it sees that.
                    drop(liveness.take());
                    group.signal(rustix::process::Signal::KILL);
                }
            },
            () = relay.run() => {}
        }
    };
    drop(group);
    let stderr = relay.finish().await;
    exited.send_replace(Some(Exit { status, stderr, seen: true }));
}

/// Kills another program's group when its keeper is dropped instead of finished.
#[cfg(feature = "ssh")]
pub(super) struct KillGroupOnDrop(pub(super) u32);

#[cfg(feature = "ssh")]
impl Drop for KillGroupOnDrop {
    fn drop(&mut self) {
        if let Some(group) = raw_pid(self.0) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL); // it may be gone
        }
    }
}

/// Whether a child of this process has ended, and is a zombie or was waited for.
pub(super) fn is_dead(pid: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), look)).map_or(true, |ended| ended.is_some())
}

pub(super) fn raw_pid(pid: u32) -> Option<Pid> {
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

/// The pipe takes this much without a reader: 64 KiB on Linux, less the length.
const MAX_SPEC: usize = (64 << 10) - 4;
