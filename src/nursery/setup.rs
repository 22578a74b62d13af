//! What a start says about the process of its actor: directory, arguments, limits, priority, processors, user.
//!
//! All of it is set before any other code of the process runs, here and on other hosts alike
//! ([`setup`](crate::os::setup)). An actor on a thread (`mem`) has no process of its own: to ask for one of these is an
//! error of its start. What the process may not do (a higher priority, another user) is an error of the start too.

use std::path::PathBuf;

use super::start::Start;
use crate::os::cgroup::Cgroup;
#[cfg(feature = "sandbox")]
use crate::os::sandbox::Sandbox;
use crate::os::setup::{Resource, User};

impl<P> Start<P> {
    /// Starts the actor in this directory. A relative path is relative to its parent's; on another host, to that of the
    /// process that starts it there.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.options.setup.cwd = Some(directory.into());
        self
    }

    /// Adds arguments to the command line of the actor's process, after the library's own one: they begin with the second
    /// of [`std::env::args`].
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.options.setup.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Gives the actor none of its parent's environment variables: it has those of [`env`](Self::env) only.
    pub fn env_clear(mut self) -> Self {
        self.options.setup.env_clear = true;
        self
    }

    /// Limits a resource of the actor's process, for good: the hard limit and the soft one. A limit that is lower already
    /// stays so.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::Resource;
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let parser = n.start_actor("parser").limit(Resource::AddressSpace, 4 << 30).limit(Resource::CoreFile, 0).await?;
    ///     parser.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn limit(mut self, resource: Resource, most: u64) -> Self {
        self.options.setup.limits.push((resource, most));
        self
    }

    /// Sets the priority of the actor's process: from -20, the highest, to 19. See `setpriority(2)`.
    pub fn nice(mut self, priority: i32) -> Self {
        self.options.setup.nice = Some(priority);
        self
    }

    /// Runs the actor on these processors only, by their numbers from 0 up.
    pub fn cpus(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.options.setup.cpus.extend(cpus);
        self
    }

    /// Runs the actor as another user, with this group and these further groups, for good; as
    /// [`drop_privileges`](crate::drop_privileges), but before any code of the actor. Its parent has to be privileged, and
    /// the transport one that does not check users: not `uds`.
    pub fn user(mut self, uid: u32, gid: u32, groups: &[u32]) -> Self {
        self.options.setup.user = Some(User { uid, gid, groups: groups.to_vec() });
        self
    }

    /// Keeps the actor, and all processes that it starts, from gaining privileges by what they execute. See
    /// `PR_SET_NO_NEW_PRIVS` in `prctl(2)`.
    pub fn no_new_privileges(mut self) -> Self {
        self.options.setup.no_new_privileges = true;
        self
    }

    /// Puts the actor into a control group of its own (cgroup v2), with bounds for it and all processes that it starts. Where
    /// the system has none, or not with what the bounds need, the start fails, and says so.
    ///
    /// ```no_run
    /// # use pleach::prelude::*;
    /// use pleach::Cgroup;
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let bounds = Cgroup::new().memory_max(512 << 20).cpu_max(150).pids_max(64);
    ///     let worker = n.start_actor("worker").cgroup(bounds).await?;
    ///     worker.cancel_actor().await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn cgroup(mut self, cgroup: Cgroup) -> Self {
        self.options.setup.cgroup = Some(cgroup);
        self
    }

    /// Shuts the actor into a sandbox: from its first function on it opens no file, makes no connection and starts no
    /// process, but for what `sandbox` allows. Needs Linux 6.12 with Landlock on the actor's host; without that the start
    /// fails. See [`manual::sandbox`](crate::manual::sandbox).
    ///
    /// Only its parent can call such an actor: it does not listen, and starts no actors of its own.
    #[cfg(feature = "sandbox")]
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.options.setup.sandbox = Some(sandbox);
        self
    }

    /// Appends the standard output of the actor's process to a file, on its host.
    pub fn stdout_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.setup.stdout = Some(file.into());
        self
    }

    /// Appends the standard error of the actor's process to a file, on its host. Its last lines are missing in
    /// [`ActorDied`](crate::ActorDied) then.
    pub fn stderr_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.setup.stderr = Some(file.into());
        self
    }

    /// Runs another program as the actor, which has to enter the library as this one does (`#[pleach::main]`). Functions
    /// can be called there that both programs declare alike; others are refused
    /// ([`Error::Refused`](crate::Error::Refused)).
    pub fn program(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.setup.program = Some(file.into());
        self
    }
}
