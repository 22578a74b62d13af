//! The launcher for a process on this machine: this program again, with its spec in a pipe.
//!
//! The pipe is the child's standard input. The parent writes the spec into it before the process
//! exists and holds it open afterwards: its end of file tells the child that its parent is gone.
//!
//! # What keeps a child from outliving its parent
//! 1. The child itself, as soon as it runs: [`ties`] and [`watchdog`](super::watchdog). Nothing is done between `fork`
//!    and `exec`, so that no `fork` is needed, which takes the longer the more memory this process has.
//! 2. Its own process group: the child's own processes there are killed when its parent reaps it, or its watchdog ends
//!    it.
//! 3. Its control group, if its start asks for one: all that is in it is killed with it.
//! 4. The mark of its tree: marked processes outside of the group are killed at the root's end, see
//!    [`orphans`](crate::os::orphans).

use std::borrow::Cow;
use std::io::PipeWriter;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::{Child as TokioChild, ChildStderr, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Exit, Launched, Launcher, Process, Signal};
use crate::config::ChildOutput;
use crate::error::{Error, Result, WaitStatus};
use crate::os::cgroup::{self, Cgroup};
use crate::os::process::{Group, spawn_on_lasting_thread};
use crate::os::relay::{Destination, Lines, Relay, ToStderr, ToStdout};
use crate::os::setup::Setup;
use crate::os::{core_dump, files, program, ties};
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;

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
        let arguments = arguments(spec).map_err(failed)?;
        program::check().map_err(failed)?;
        let mut command = command(spec, env, &arguments);
        command.stdout(stdio(spec.outputs.stdout)).stderr(stdio(spec.outputs.stderr));
        let to = if spec.heartbeats { ToStdout::unless_stalled() } else { ToStdout::waiting() };
        spawn(command, spec, Lines::named(&spec.name, to)).await.map_err(failed)
    }
}

/// The arguments with which the program becomes an actor.
///
/// # Errors
/// Says what to do when this program has no entry for that, or has no room for arguments of the actor's own.
fn arguments(spec: &ActorSpec) -> Result<Vec<String>, String> {
    if spec.setup.program.is_some() {
        return Ok(vec![ties::ACTOR.into()]);
    }
    let arguments = super::entry::arguments()?;
    match arguments.first().is_some_and(|first| first == ties::ACTOR) || spec.setup.args.is_empty() {
        true => Ok(arguments),
        false => Err("an actor of a test has the command line of the test harness: leave out its `args`".into()),
    }
}

/// This program, about to become an actor.
pub(super) fn command(spec: &ActorSpec, env: &[(String, String)], arguments: &[String]) -> std::process::Command {
    let program = spec.setup.program.as_deref().unwrap_or(Path::new(program::OURSELVES));
    let mut command = std::process::Command::new(program);
    command.arg0(format!("{}{}", spec.name, ties::SHOWN_AS)).args(arguments);
    spec.setup.apply_to(&mut command);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command
}

fn stdio(output: ChildOutput) -> Stdio {
    match output {
        ChildOutput::Inherit => Stdio::inherit(),
        ChildOutput::Relay => Stdio::piped(),
        ChildOutput::Null => Stdio::null(),
    }
}

/// Starts the actor of `spec` with a command. Outputs that are pipes are relayed: standard output as `lines`.
///
/// # Errors
/// Says why not.
pub(super) async fn spawn(
    mut command: std::process::Command,
    spec: &ActorSpec,
    lines: Lines<impl Destination + 'static>,
) -> Result<Launched, String> {
    let cgroup = spec.setup.cgroup.as_ref().map(Cgroup::make).transpose();
    let cgroup = cgroup.map_err(|why| format!("no control group for it: {why}"))?;
    let mut spec = Cow::Borrowed(spec);
    if let Some(cgroup) = &cgroup {
        spec.to_mut().setup.group = Some(cgroup.path().to_owned());
    }
    let (stdin, liveness) = spec_pipe(&spec).map_err(|error| format!("no pipe for it: {}", files::explain(&error)))?;
    command.stdin(stdin).process_group(0);
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    let (mut child, own) = spawn_on_lasting_thread(command).await.map_err(|error| match &spec.setup.program {
        Some(program) => format!("exec failed: {}: {}", program.display(), files::explain(&error)),
        None => program::explain(&error),
    })?;
    let stdout = Relay::new(child.stdout.take(), lines);
    let stderr = Relay::new(child.stderr.take(), Lines::named(&spec.name, ToStderr));
    // Its number is its own as long as nothing has waited for it.
    let group = Group::of(own.pid(), spec.mark).map_err(|error| files::explain(&error))?;
    let (process, exited, orders) = Process::new(Some(own.pid()));
    let setup = spec.setup.clone();
    let keeper = Box::pin(async move {
        keep(child, (group, cgroup), liveness, (stdout, stderr), orders, setup, exited).await;
        drop(own);
    });
    Ok(Launched { process, keeper })
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

/// Waits for the process, relays its outputs, carries out signals.
async fn keep(
    mut child: TokioChild,
    (group, cgroup): (Group, Option<cgroup::Group>),
    liveness: PipeWriter,
    (mut stdout, mut stderr): (Relay<ChildStdout, impl Destination>, Relay<ChildStderr, impl Destination>),
    mut orders: mpsc::Receiver<Signal>,
    setup: Setup,
    exited: watch::Sender<Option<Exit>>,
) {
    let mut liveness = Some(liveness);
    let pid = child.id();
    let status = loop {
        tokio::select! {
            biased;
            ended = child.wait() => break ended.ok(),
            Some(order) = orders.recv() => match order {
                Signal::Release => drop(liveness.take()),
                Signal::Terminate => group.signal(rustix::process::Signal::TERM),
                Signal::Kill => {
                    // One that may not be signalled from here ends itself when it sees that.
                    drop(liveness.take());
                    group.signal(rustix::process::Signal::KILL);
                }
            },
            () = stdout.run() => {}
            () = stderr.run() => {}
        }
    };
    drop(group);
    let mut judged = status.map_or(WaitStatus::Unknown, WaitStatus::from);
    if let Some(cgroup) = cgroup {
        judged = cgroup.judge(judged);
        cgroup.remove().await;
    }
    let (_, stderr) = tokio::join!(stdout.finish(), stderr.finish());
    let core_dump = status.zip(pid).and_then(|(status, pid)| core_dump::place(status, pid, setup.cwd.as_deref()));
    let exit = Exit { stderr, core_dump, ..Exit::with(judged) };
    super::report(&exited, exit, setup.program.is_none()).await;
}

/// The pipe takes this much without a reader: 64 KiB on Linux, less the length.
const MAX_SPEC: usize = (64 << 10) - 4;
