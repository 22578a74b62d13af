//! Where an actor runs: a machine, the engine that starts processes there, and its settings.
//!
//! Only names live here. The engines are in `spawn`.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pleach_wire::Address;
use serde::{Deserialize, Serialize};

use super::hosts::Entry;
use crate::error::{Error, Result};

/// Where an actor is to run, for [`Start::on`](crate::Start::on).
///
/// It is written as text in files and variables, e.g. `local`, `ssh:user@node2` or `slurm:debug`; other settings of a
/// host are fields of a table, named like the functions here:
///
/// ```
/// use pleach::Host;
///
/// let host = Host::ssh("user@node2").program("/opt/count");
/// assert_eq!(host.to_string(), "ssh:user@node2");
/// assert_eq!("ssh:user@node2".parse::<Host>().unwrap(), Host::ssh("user@node2"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Entry", try_from = "Entry")]
pub struct Host {
    pub(crate) engine: Engine,
    pub(crate) options: HostOptions,
}

/// The engine that starts processes on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// This actor itself.
    #[default]
    Local,
    /// The `ssh` of this machine, which connects to `destination`.
    Ssh { destination: String },
    /// The `srun` of this machine; Slurm chooses the node.
    Slurm { partition: Option<String> },
}

/// The settings of an engine and of an actor on another host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostOptions {
    pub(crate) program: Option<PathBuf>,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) transport: Option<String>,
    pub(crate) listen: Vec<Address>,
    pub(crate) advertise: Vec<Address>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) job: Job,
}

impl Host {
    /// This machine: a child process, as without [`Start::on`](crate::Start::on).
    pub fn local() -> Self {
        Self::by(Engine::Local)
    }

    /// A machine that `ssh` reaches: `node2`, `user@node2`, or whatever the user's `ssh` configuration names.
    ///
    /// The user's own configuration, agent, and jump hosts are used. pleach never prompts, neither for a password nor
    /// to trust an unknown host. So log in by hand once. The destination can't be an option of `ssh`: it must not begin
    /// with `-`.
    pub fn ssh(destination: impl Into<String>) -> Self {
        Self::by(Engine::Ssh { destination: destination.into() })
    }

    /// A node of the cluster whose Slurm this machine belongs to, in its default partition.
    ///
    /// Each actor is one task, which Slurm puts where it fits. If this process is in a job itself, as after
    /// `salloc` or in a script for `sbatch`, the actor is a step of that job; otherwise it gets a job of its own,
    /// which is waited for ([`queue`](Self::queue)) and ends with the actor. The program has to be at the same
    /// path there; `arguments(["--bcast"])` has Slurm copy it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pleach::Host;
    ///
    /// let host = Host::slurm().partition("debug").cpus(4).time(Duration::from_secs(3600));
    /// assert_eq!(host.to_string(), "slurm:debug");
    /// ```
    pub fn slurm() -> Self {
        Self::by(Engine::Slurm { partition: None })
    }

    fn by(engine: Engine) -> Self {
        Self { engine, options: HostOptions::default() }
    }

    /// Names this program on that host. Default: where it is here, or a copy that is made in the user's cache
    /// directory there. A file that is another program than this one is not started.
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.program = Some(path.into());
        self
    }

    /// Names the configuration of `ssh` instead of the user's own.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.config_file = Some(path.into());
        self
    }

    /// Sets the working directory there. Default: the user's home, where a login begins.
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.directory = Some(path.into());
        self
    }

    /// Sets the protocol by which actors there connect to their parent here. Default: the configured one if it
    /// reaches other hosts with encryption, and else `quic`. A start over one that doesn't reach them, such as `uds` or
    /// `shm`, is an error.
    pub fn transport(mut self, protocol: impl Into<String>) -> Self {
        self.options.transport = Some(protocol.into());
        self
    }

    /// Adds an address at which actors there listen, e.g. `quic://10.0.0.2:0`; see
    /// [`Config::listen`](crate::Config::listen). Default: the protocol by which they connect, at all interfaces.
    pub fn listen(mut self, at: Address) -> Self {
        self.options.listen.push(at);
        self
    }

    /// Adds an address to announce instead of those where actors there are bound; see
    /// [`Config::advertise`](crate::Config::advertise).
    pub fn advertise(mut self, at: Address) -> Self {
        self.options.advertise.push(at);
        self
    }

    /// Sets an environment variable for the actors there.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.env.insert(name.into(), value.into());
        self
    }

    /// Names the partition of a job of its own. Only for Slurm, like all that follow; elsewhere it means nothing.
    pub fn partition(mut self, name: impl Into<String>) -> Self {
        if let Engine::Slurm { partition } = &mut self.engine {
            *partition = Some(name.into());
        }
        self
    }

    /// Names the account of a job of its own.
    pub fn account(mut self, name: impl Into<String>) -> Self {
        self.options.job.account = Some(name.into());
        self
    }

    /// Limits how long the actor may run, in whole minutes. Default: as the partition has it. With a limit, the
    /// allocation ends even if this machine goes down.
    pub fn time(mut self, limit: Duration) -> Self {
        self.options.job.time = Some(limit);
        self
    }

    /// Sets how many processors each actor has. Default: as the cluster has it, mostly one.
    ///
    /// # Panics
    /// If it is zero.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.options.job.cpus = Some(NonZero::new(cpus).expect("an actor has at least one processor"));
        self
    }

    /// Adds arguments for `srun`, e.g. `--gres=gpu:1`. They must not change the number of tasks or nodes.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.options.job.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets how long the job may wait until it runs. Default: ten minutes. The time to connect back begins after
    /// that.
    pub fn queue(mut self, patience: Duration) -> Self {
        self.options.job.queue = Some(patience);
        self
    }

    /// Returns whether it is this machine.
    pub fn is_local(&self) -> bool {
        self.engine == Engine::Local
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::local()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.engine {
            Engine::Local => f.write_str("local"),
            Engine::Ssh { destination } => write!(f, "ssh:{destination}"),
            Engine::Slurm { partition: None } => f.write_str("slurm"),
            Engine::Slurm { partition: Some(partition) } => write!(f, "slurm:{partition}"),
        }
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let host = match text.trim().split_once(':') {
            None if text.trim() == "local" => Some(Self::local()),
            None if text.trim() == "slurm" => Some(Self::slurm()),
            Some(("ssh", destination)) if is_destination(destination) => Some(Self::ssh(destination)),
            Some(("slurm", partition)) if is_destination(partition) => Some(Self::slurm().partition(partition)),
            _ => None,
        };
        host.ok_or_else(|| Error::Config(format!("`{text}` is not a valid host; use {SPELLINGS}")))
    }
}

/// How hosts are written.
const SPELLINGS: &str = "`local`, `ssh:user@node2`, `slurm` or `slurm:partition`";

/// Whether `ssh` takes it for a destination, and not for an option; and Slurm for a partition.
pub(crate) fn is_destination(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The options of an actor's job; unset ones are left to Slurm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) account: Option<String>,
    /// How long the job may run.
    pub(crate) time: Option<Duration>,
    /// How many processors the actor has.
    pub(crate) cpus: Option<NonZero<u32>>,
    /// More arguments for `srun`.
    pub(crate) arguments: Vec<String>,
    /// How long the job may wait until it runs.
    pub(crate) queue: Option<Duration>,
}

impl Job {
    /// How long it is waited for.
    pub(crate) fn patience(&self) -> Duration {
        self.queue.unwrap_or(QUEUE)
    }
}

/// Long enough for a lightly loaded cluster; users of a busy one set their own.
const QUEUE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_back_as_they_were_written() {
        for host in [
            Host::local(),
            Host::ssh("node2"),
            Host::ssh("me@[fe80::1%eth0]"),
            Host::ssh("ssh://me@node2:2222"),
            Host::slurm(),
            Host::slurm().partition("debug"),
        ] {
            assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        }
    }

    #[test]
    fn what_ssh_would_take_for_an_option_is_no_host() {
        for text in [
            "",
            "node2",
            "ssh:",
            "ssh:-oProxyCommand=sh",
            "ssh:a b",
            "ssh:a\nb",
            "rsh:a",
            "local:",
            "slurm:",
            "slurm:-x",
        ] {
            let error = text.parse::<Host>().unwrap_err().to_string();
            assert!(error.contains("is not a valid host; use `local`, `ssh:user@node2`, `slurm`"), "{error}");
        }
    }
}
