//! What the process of an actor may still do once it has become one: almost nothing but compute, and answer its parent.
//!
//! [`Sandbox`] is the description, which travels in the actor's spec. The process shuts itself in, in two steps:
//!
//! ```text
//!   one thread      confine   no new privileges, no capabilities, Landlock (`files`), seccomp (`calls`)
//!   threads         …         the runtime dials the parent, and both prove that they know the tree's key
//!   all threads     seal      seccomp: no socket can be made or connected from now on
//!   any function of the actor
//! ```
//!
//! This is not a virtual machine: the kernel is shared, and the page [`manual::sandbox`](crate::manual) says what stays
//! open.
//!
//! # Invariants
//! 1. [`confine`] is called while the process has one thread: Landlock restricts the calling thread and those that it
//!    starts, and no other.
//! 2. A restriction that can't be had is an error, and the process does not become an actor: also where this build has
//!    no feature `sandbox`.
//! 3. No function of the actor runs before [`seal`]: the only connection until then is the one to the parent, and it is
//!    served after it.

#[cfg(feature = "sandbox")]
mod calls;
#[cfg(feature = "sandbox")]
mod files;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(not(feature = "sandbox"))]
use self::missing as steps;
#[cfg(feature = "sandbox")]
use self::present as steps;
use crate::error::Result;

/// What the process of an actor may do beyond what every actor needs; for [`Start::sandbox`](crate::Start::sandbox).
///
/// By default: no file, no connection but the one to its parent, no other program, no other process. Each method allows
/// something. The page [`manual::sandbox`](crate::manual::sandbox) has the whole list, tried, and what stays open.
///
/// Paths are those of the actor's host. They have to exist when it starts, and are the files that are there then:
/// another file that is put there later can't be opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(not(feature = "sandbox"), expect(unreachable_pub, reason = "it is public with the feature"))]
pub struct Sandbox {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    execute: Vec<PathBuf>,
    network: bool,
    /// Numbers of system calls, with the architecture that numbers them so.
    syscalls: Vec<(String, i64)>,
}

#[cfg(feature = "sandbox")]
impl Sandbox {
    /// A sandbox that allows nothing yet.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::Sandbox;
    ///
    /// #[pleach::rpc]
    /// async fn length_of(file: String) -> Result<Option<usize>> {
    ///     Ok(std::fs::read(file).map(|text| text.len()).ok())
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let sandbox = Sandbox::new().read("/etc/hostname");
    ///     let parser = n.start_actor("parser").enable(module_path!()).sandbox(sandbox).await?;
    ///     assert_eq!(parser.run(length_of("/etc/passwd".into())).await?, None);
    ///     parser.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows to read a file, or all files below a directory.
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.read.push(path.into());
        self
    }

    /// Allows to read and write a file; or to make, read, write, rename and remove files and directories below a
    /// directory. Links, sockets and devices can't be made there, and modes, owners and times of files not changed.
    pub fn write(mut self, path: impl Into<PathBuf>) -> Self {
        self.write.push(path.into());
        self
    }

    /// Allows to run a program, or all programs below a directory, as processes within the same sandbox. A program that
    /// is linked dynamically needs [`read`](Self::read) for its libraries, and its loader allowed like a program.
    pub fn execute(mut self, path: impl Into<PathBuf>) -> Self {
        self.execute.push(path.into());
        self
    }

    /// Allows connections and listeners over the network: TCP and UDP, to and at all addresses. Names of hosts are looked
    /// up by files that need [`read`](Self::read), such as `/etc/resolv.conf`. Unix sockets stay out of reach.
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Allows one more system call, by its number on this architecture (`libc::SYS_…`): a refused one fails with
    /// `EPERM`, and `strace -f` shows which that is. What Landlock keeps out stays out.
    pub fn syscall(mut self, number: i64) -> Self {
        self.syscalls.push((std::env::consts::ARCH.to_owned(), number));
        self
    }
}

/// Shuts this process in, as far as it can be before it has dialled its parent at these ports of TCP (invariant 1).
///
/// # Errors
/// Says what the system does not offer, or refuses. The process must not become an actor then (invariant 2).
pub(crate) fn confine(sandbox: &Sandbox, dials: &[u16]) -> Result<()> {
    steps::confine(sandbox, dials)
}

/// Completes the sandbox of this process, if it has one: no more connections (invariant 3). It does so once.
///
/// # Errors
/// Says what the system refuses. The actor has to end then.
pub(crate) fn seal() -> Result<()> {
    steps::seal()
}

/// Returns whether this process has shut itself in.
pub(crate) fn is_confined() -> bool {
    steps::is_confined()
}

/// A build with the feature.
#[cfg(feature = "sandbox")]
mod present {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

    use super::{Sandbox, calls, files};
    use crate::error::{Error, Result};

    pub(super) fn confine(sandbox: &Sandbox, dials: &[u16]) -> Result<()> {
        let failed = |why: String| Error::Usage(format!("it can't be shut into its sandbox: {why}"));
        require_one_thread().map_err(failed)?;
        set_no_new_privs(true).map_err(|error| failed(format!("no new privileges: {error}")))?;
        let nothing = CapabilitySet::empty();
        let nothing = CapabilitySets { effective: nothing, permitted: nothing, inheritable: nothing };
        set_capabilities(None, nothing).map_err(|error| failed(format!("its capabilities: {error}")))?;
        let held = files::restrict(sandbox, dials).map_err(failed)?;
        let at_last = calls::restrict(sandbox).map_err(failed)?;
        let first = CONFINED.set(Confined { _held: held, at_last, is_sealed: AtomicBool::new(false) }).is_ok();
        if first { Ok(()) } else { Err(failed("it is in one already".into())) }
    }

    pub(super) fn seal() -> Result<()> {
        let Some(confined) = CONFINED.get() else { return Ok(()) };
        // Only the parent is dialled before, and alone.
        if !confined.is_sealed.swap(true, Ordering::AcqRel) {
            let sealed = seccompiler::apply_filter_all_threads(&confined.at_last);
            sealed.map_err(|error| Error::Usage(format!("its sandbox can't be completed: {error}")))?;
        }
        Ok(())
    }

    pub(super) fn is_confined() -> bool {
        CONFINED.get().is_some()
    }

    /// Invariant 1 of the module.
    fn require_one_thread() -> Result<(), String> {
        let threads =
            std::fs::read_dir("/proc/self/task").map_err(|error| format!("/proc/self/task: {error}"))?.count();
        match threads {
            1 => Ok(()),
            more => Err(format!(
                "the process has {more} threads already, and Landlock restricts one: start none before `pleach::init()`, \
                 nor in the `init` of `#[pleach::main]`; in a test, use a `main` of your own (`harness = false`)"
            )),
        }
    }

    /// What a process that has shut itself in keeps.
    struct Confined {
        _held: Vec<landlock::PathFd>,
        /// For [`seal`].
        at_last: seccompiler::BpfProgram,
        is_sealed: AtomicBool,
    }

    static CONFINED: OnceLock<Confined> = OnceLock::new();
}

/// A build without the feature: invariant 2 of the module.
#[cfg(not(feature = "sandbox"))]
mod missing {
    use super::Sandbox;
    use crate::error::{Error, Result};

    pub(super) fn confine(_sandbox: &Sandbox, _dials: &[u16]) -> Result<()> {
        Err(Error::Usage(
            "it can't be shut into its sandbox: this program was built without pleach's feature `sandbox`".into(),
        ))
    }

    pub(super) fn seal() -> Result<()> {
        Ok(())
    }

    pub(super) fn is_confined() -> bool {
        false
    }
}

#[cfg(all(test, not(feature = "sandbox")))]
mod tests {
    use super::*;

    // SEC-31
    #[test]
    fn a_build_without_the_feature_refuses_a_sandbox() {
        let why = confine(&Sandbox::default(), &[]).unwrap_err();
        assert!(why.to_string().contains("feature `sandbox`"), "{why}");
        assert!(!is_confined());
    }
}
