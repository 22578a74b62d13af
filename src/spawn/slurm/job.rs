//! One job of Slurm, or one step of the job that this process is in.
//!
//! # Invariants
//! 1. An `srun` that was started has a task that waits for its end and then cancels the job.
//! 2. A job, or step, is known by its name, which no other has; its number is only for people.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::host::Job;
use crate::error::WaitStatus;
use crate::os::orphans::OwnChild;
use crate::os::process::spawn_asked;
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;
use crate::scope::OnDrop;
use crate::spawn::commands::{clean_up, run};
use crate::spawn::remote::{Link, apart};

/// The job of one actor.
pub(super) struct Srun {
    name: String,
    /// The job that this process is in, if it is in one.
    inside: Option<String>,
    partition: Option<String>,
    job: Job,
}

impl Srun {
    pub(super) fn new(spec: &ActorSpec, partition: Option<String>, job: Job) -> Self {
        let inside = env::var("SLURM_JOB_ID").ok().filter(|id| !id.is_empty());
        Self { name: format!("pleach-{}", spec.uuid), inside, partition, job }
    }

    /// The command that runs `program` as its only task.
    pub(super) fn command(&self, program: &Path, argument: &str) -> std::process::Command {
        let mut command = std::process::Command::new("srun");
        command.args(self.arguments()).arg(program).arg(argument);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn arguments(&self) -> Vec<OsString> {
        let mut arguments = vec![format!("--job-name={}", self.name)];
        arguments.extend(["--quiet", "--nodes=1", "--ntasks=1"].map(String::from));
        let mut say = |what: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("--{what}={value}")));
        };
        say("cpus-per-task", self.job.cpus.map(|cpus| cpus.to_string()));
        say("time", self.job.time.map(minutes));
        if self.inside.is_none() {
            say("partition", self.partition.clone());
            say("account", self.job.account.clone());
        } else {
            // Its processors are those of the job, not only those that no other step has.
            arguments.extend(["--overlap", "--exact"].map(String::from));
        }
        arguments.extend(self.job.arguments.iter().cloned());
        arguments.into_iter().map(OsString::from).collect()
    }

    /// Starts it, and the task of invariant 1. It is ended when `close` is cancelled, or the link is dropped.
    ///
    /// # Errors
    /// Says why not.
    pub(super) async fn start(
        &self,
        runtime: &Arc<Runtime>,
        command: std::process::Command,
        close: &CancellationToken,
    ) -> Result<Link, String> {
        let started = spawn_asked(command).await;
        let (mut srun, own) = started.map_err(|error| format!("`srun` can't be started: {error}; is Slurm here?"))?;
        let streams = (srun.stdin.take(), srun.stdout.take(), srun.stderr.take());
        let (Some(input), Some(output), Some(errors)) = streams else { return Err("`srun` has no streams".into()) };
        let (tell, ended) = oneshot::channel();
        runtime.keep(keep(srun, own, self.clean_up(), close.clone(), tell));
        let dropped = close.clone().drop_guard();
        let over = async move {
            let status = ended.await.unwrap_or(WaitStatus::Unknown);
            drop(dropped);
            format!("`srun` has ended: {status}")
        };
        let (input, output, errors) = apart::make(|| {
            let input = Sender::from_owned_fd(input.into_owned_fd()?)?;
            let output = Receiver::from_owned_fd(output.into_owned_fd()?)?;
            Ok((input, output, Receiver::from_owned_fd(errors.into_owned_fd()?)?))
        })?;
        Ok(Link { input: Box::new(input), output: Box::new(output), errors: Box::new(errors), over: Box::pin(over) })
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// Says why it does not, after the timeout.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn begun(&self) -> Result<(), String> {
        let (begun, patience) = (Instant::now(), self.job.patience());
        let mut pause = FIRST_LOOK;
        let mut last = "squeue does not know it yet".to_owned();
        while begun.elapsed() < patience {
            sleep(pause.min(patience.saturating_sub(begun.elapsed()))).await;
            pause = (pause * 2).min(SLOWEST_LOOK);
            match self.look().await {
                Ok(Seen::Running) => return Ok(()),
                Ok(Seen::Waiting(why)) => last = why,
                Ok(Seen::Unknown) => {}
                Err(why) => last = why,
            }
        }
        Err(format!("it did not begin to run within {patience:?} (`queue`): {last}"))
    }

    /// Asks Slurm how it stands.
    async fn look(&self) -> Result<Seen, String> {
        let mut squeue = Command::new("squeue");
        squeue.arg("--noheader");
        match &self.inside {
            Some(job) => squeue.args(["--steps", &format!("--jobs={job}"), "--format=%j RUNNING %i"]),
            None => squeue.args([&format!("--name={}", self.name), "--format=%j %T %i %r"]),
        };
        Ok(seen(&run(squeue).await?, &self.name))
    }

    /// The command that cancels the job that is made for the actor, if it runs on. A step ends with its `srun`.
    pub(super) fn clean_up(&self) -> Option<Vec<String>> {
        let name = format!("--name={}", self.name);
        self.inside.is_none().then(|| vec!["scancel".into(), "--quiet".into(), name])
    }
}

/// How a job stands.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Unknown,
    /// Which it is, and why it waits.
    Waiting(String),
    Running,
}

/// Finds the job `name` in the output of `squeue`: a name, a state, a number, a reason.
fn seen(listed: &str, name: &str) -> Seen {
    let Some(line) = listed.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' ')) else {
        return Seen::Unknown;
    };
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    match (word(), word(), word()) {
        (state @ ("PENDING" | "CONFIGURING"), number, why) => {
            Seen::Waiting(format!("job {number} is {}: {why}", state.to_lowercase()))
        }
        _ => Seen::Running,
    }
}

/// Waits for the end of an `srun`, then cleans up after it.
async fn keep(
    mut srun: Child,
    own: OwnChild,
    after: Option<Vec<String>>,
    close: CancellationToken,
    tell: oneshot::Sender<WaitStatus>,
) {
    let pid = own.pid();
    // When this task is dropped instead of finished, `srun` ends the job by itself.
    let terminate = OnDrop::new(move || signal(pid, Signal::TERM));
    let status = tokio::select! {
        biased;
        status = srun.wait() => status,
        () = close.cancelled() => {
            signal(pid, Signal::TERM);
            match timeout(LAST_WORDS, srun.wait()).await {
                Ok(status) => status,
                Err(_late) => {
                    signal(pid, Signal::KILL);
                    srun.wait().await
                }
            }
        }
    };
    terminate.disarm();
    if let Some(command) = after {
        clean_up(&command).await;
    }
    drop(own);
    let _ = tell.send(status.map_or(WaitStatus::Unknown, WaitStatus::from)); // the receiver may have left
}

/// Signals an `srun`, but not its second process.
fn signal(pid: u32, signal: Signal) {
    if let Some(srun) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Err(error) = kill_process(srun, signal)
    {
        warn!(target: "pleach::runtime", pid, %error, ?signal, "`srun` is not signalled");
    }
}

/// How Slurm writes a limit: whole minutes, and a job without any would end at once.
fn minutes(time: Duration) -> String {
    time.as_secs().div_ceil(60).max(1).to_string()
}

/// How often Slurm is asked at first: a cluster with nothing to do starts a job in less.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// And in the end: its controller has more to do than to answer us.
const SLOWEST_LOOK: Duration = Duration::from_secs(5);

/// How long `srun` may take to end its job. It gives the job itself seven seconds.
const LAST_WORDS: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn srun(inside: Option<&str>) -> Srun {
        let job = Job {
            account: Some("physics".into()),
            time: Some(Duration::from_secs(61)),
            cpus: std::num::NonZero::new(4),
            arguments: vec!["--gres=gpu:1".into()],
            queue: None,
        };
        Srun { name: "pleach-1".into(), inside: inside.map(Into::into), partition: Some("debug".into()), job }
    }

    #[test]
    fn a_step_says_nothing_of_the_allocation_that_it_is_in() {
        let said = |inside| srun(inside).arguments().join(" ".as_ref()).into_string().unwrap();
        let outside = "--job-name=pleach-1 --quiet --nodes=1 --ntasks=1 --cpus-per-task=4 --time=2 --partition=debug \
                       --account=physics --gres=gpu:1";
        assert_eq!(said(None), outside);
        let inside = "--job-name=pleach-1 --quiet --nodes=1 --ntasks=1 --cpus-per-task=4 --time=2 --overlap --exact \
                      --gres=gpu:1";
        assert_eq!(said(Some("7")), inside);
    }

    #[test]
    fn what_squeue_says_is_understood() {
        assert_eq!(seen("", "pleach-1"), Seen::Unknown);
        assert_eq!(seen("batch RUNNING 7.batch\npleach-2 RUNNING 7.0\n", "pleach-1"), Seen::Unknown);
        assert_eq!(seen("batch RUNNING 7.batch\npleach-1 RUNNING 7.1\n", "pleach-1"), Seen::Running);
        let waiting = seen("pleach-1 PENDING 8 Nodes required for job are DOWN\n", "pleach-1");
        assert_eq!(waiting, Seen::Waiting("job 8 is pending: Nodes required for job are DOWN".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_waits_too_long_is_not_waited_for() {
        // Inside of a job that is not there, or without Slurm: both say so.
        let job = Job { queue: Some(Duration::from_secs(1)), ..Job::default() };
        let srun = Srun { name: "pleach-1".into(), inside: Some("none".into()), partition: None, job };
        let why = srun.begun().await.unwrap_err();
        assert!(why.starts_with("it did not begin to run within 1s (`queue`): `squeue`"), "{why}");
    }
}
