//! What is set up in a new process before it is an actor: directory, outputs, limits, priority, processors, user.
//!
//! The description travels in the actor's spec, and the process carries it out itself, so all of it works on other hosts
//! as it does here. Only the command line, the environment and the program belong to the one who starts the process:
//! [`Setup::apply_to`] is called there, here or on another host.
//!
//! # Invariants
//! 1. All of it is done while the process has one thread: before any log, signal handler or runtime.
//! 2. Privileges are dropped after what may need them, and before the sandbox, which needs none.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use rustix::process::{Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::cgroup::{self, Cgroup};
use super::privileges::drop_privileges;
use super::sandbox::{self, Sandbox};
use crate::error::{Error, Result};

/// How a process is set up; by default as its parent's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Setup {
    /// The program to run, if it is another one than this.
    pub(crate) program: Option<PathBuf>,
    /// Arguments after those of the library.
    pub(crate) args: Vec<String>,
    /// Whether it gets none of its parent's environment variables.
    pub(crate) env_clear: bool,
    pub(crate) cwd: Option<PathBuf>,
    /// Files that its outputs are appended to.
    pub(crate) stdout: Option<PathBuf>,
    pub(crate) stderr: Option<PathBuf>,
    pub(crate) limits: Vec<(Resource, u64)>,
    pub(crate) nice: Option<i32>,
    pub(crate) cpus: Vec<usize>,
    pub(crate) user: Option<User>,
    pub(crate) no_new_privileges: bool,
    /// Made by the process that starts it, which names it in `group`.
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) group: Option<PathBuf>,
    /// Carried out by [`Setup::confine`].
    pub(crate) sandbox: Option<Sandbox>,
}

/// A user to go on as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// A resource that the kernel limits for a process; for [`Start::limit`](crate::Start::limit).
///
/// See `setrlimit(2)` for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Resource {
    /// The size of its address space, in bytes: allocations beyond it fail.
    AddressSpace,
    /// The processor time that it may use, in seconds; then it gets SIGXCPU.
    CpuTime,
    /// The size of a core file, in bytes; 0 for none.
    CoreFile,
    /// The size of its data segment, in bytes.
    Data,
    /// The size of a file that it writes, in bytes; then it gets SIGXFSZ.
    FileSize,
    /// How many files it may have open.
    OpenFiles,
    /// How many processes and threads its user may have.
    Processes,
    /// The size of the stack of its main thread, in bytes.
    Stack,
}

impl Resource {
    const fn number(self) -> rustix::process::Resource {
        use rustix::process::Resource as Kernel;
        match self {
            Self::AddressSpace => Kernel::As,
            Self::CpuTime => Kernel::Cpu,
            Self::CoreFile => Kernel::Core,
            Self::Data => Kernel::Data,
            Self::FileSize => Kernel::Fsize,
            Self::OpenFiles => Kernel::Nofile,
            Self::Processes => Kernel::Nproc,
            Self::Stack => Kernel::Stack,
        }
    }
}

impl Setup {
    /// Returns whether nothing is set up.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what the command itself has to say.
    pub(crate) fn apply_to(&self, command: &mut std::process::Command) {
        command.args(&self.args);
        if self.env_clear {
            command.env_clear();
        }
    }

    /// Sets this process up (invariant 1).
    ///
    /// # Errors
    /// Says what the system refuses. The process must not become an actor then.
    pub(crate) fn carry_out(&self) -> Result<()> {
        let refused =
            |what: String| move |error: io::Error| Error::Usage(format!("it can't be set up: {what}: {error}"));
        if let Some(group) = &self.group {
            cgroup::enter(group).map_err(refused(format!("the control group {}", group.display())))?;
        }
        if let Some(cwd) = &self.cwd {
            std::env::set_current_dir(cwd).map_err(refused(format!("the directory {}", cwd.display())))?;
        }
        let outputs: [(_, _, fn(File) -> _); 2] = [
            ("the output", &self.stdout, rustix::stdio::dup2_stdout),
            ("the error output", &self.stderr, rustix::stdio::dup2_stderr),
        ];
        for (what, file, replace) in outputs {
            let Some(file) = file else { continue };
            let opened = OpenOptions::new().append(true).create(true).open(file);
            let replaced = opened.and_then(|opened| Ok(replace(opened)?));
            replaced.map_err(refused(format!("{what} {}", file.display())))?;
        }
        for (resource, most) in &self.limits {
            limit(*resource, *most).map_err(refused(format!("the limit {resource:?} = {most}")))?;
        }
        if let Some(nice) = self.nice {
            setpriority_process(None, nice).map_err(|error| refused(format!("the priority {nice}"))(error.into()))?;
        }
        if !self.cpus.is_empty() {
            pin_to(&self.cpus).map_err(refused(format!("the processors {:?}", self.cpus)))?;
        }
        if let Some(User { uid, gid, groups }) = &self.user {
            drop_privileges(*uid, *gid, groups)?;
        }
        if self.no_new_privileges {
            let done = rustix::thread::set_no_new_privs(true);
            done.map_err(|error| refused("no new privileges".into())(error.into()))?;
        }
        Ok(())
    }

    /// Shuts this process into its sandbox, if it is to have one (invariant 1). It will dial these ports of TCP, and no
    /// others.
    ///
    /// # Errors
    /// Says what the system does not offer, or refuses. The process must not become an actor then.
    pub(crate) fn confine(&self, dials: impl FnOnce() -> Vec<u16>) -> Result<()> {
        self.sandbox.as_ref().map_or(Ok(()), |sandbox| sandbox::confine(sandbox, &dials()))
    }
}

/// Sets both limits: the process can't raise it again, unless it is privileged.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let before = getrlimit(resource.number());
    let most = before.maximum.map_or(most, |hard| most.min(hard));
    Ok(setrlimit(resource.number(), Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn pin_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        if *cpu >= CpuSet::MAX_CPU {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}
