//! Running untrusted code: an actor in a sandbox, what that keeps out, and what it does not.
//!
//! An actor is a process, so code that is not trusted can have one of its own: a parser of files from strangers, a plug-in,
//! a codec. With the feature `sandbox` its start shuts that process in, by the kernel's own means:
//!
//! ```
//! use pleach::prelude::*;
//! use pleach::{Resource, Sandbox};
//!
//! /// Counts the words of a document, by a parser that a document may have taken over.
//! #[pleach::rpc]
//! async fn words(document: String) -> Result<usize> {
//!     Ok(document.split_whitespace().count())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let parser = n
//!             .start_actor("parser")
//!             .enable(module_path!())
//!             .transport("uds")
//!             .limit(Resource::AddressSpace, 4 << 30)
//!             .limit(Resource::CoreFile, 0) // it would have the tree's key in it
//!             .sandbox(Sandbox::new()) // .read("/usr/share/dict").write("/var/lib/app/scratch")
//!             .await?;
//!         assert_eq!(parser.run(words("to be or not".into())).await?, 4);
//!         parser.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//!
//! By default such an actor computes, answers its parent, and starts threads. [`Sandbox`](crate::Sandbox) has a method
//! for each thing that it may do beyond that. The same start works on other hosts; on each host the kernel has to be Linux
//! 6.12 or later with Landlock (version 6 of its interface) and seccomp, and the program has to have the feature. Where
//! something is missing the start fails, and says what: there is no smaller sandbox.
//!
//! # How
//! The process does this to itself, before it has a second thread and before any function of the actor runs, in this
//! order: limits ([`Start::limit`](crate::Start::limit)); another user ([`Start::user`](crate::Start::user)); no new
//! privileges; no capabilities, also as root; Landlock, which decides about files, ports of TCP, signals and abstract
//! sockets; seccomp, a list of the system calls that are allowed. Then it connects to its parent, and a second filter takes
//! away what that needed: from its first function on the actor has no call left that makes or connects a socket. So it
//! needs no rule for the directory of the tree's Unix sockets.
//!
//! The list of system calls is one of those that are allowed, because a list of those that are refused is out of date with
//! the next kernel, and can be passed by under other numbers. It has what the standard library, tokio, allocators and the
//! transports use. A call that is missing fails with `EPERM`; [`Sandbox::syscall`](crate::Sandbox::syscall) adds one.
//!
//! # What it keeps out
//! `tests/sandbox` tries each of these as a function of an actor in `Sandbox::new()`, on the actor's thread and on others,
//! as root and as another user, and compares what comes of it with this table. `none` means that there is no such socket.
//!
//! | an attempt to | over `uds`, `shm`, `tcp`, `tls+tcp` | over `quic` |
//! |---|---|---|
//! | read `/etc/passwd` | `EACCES` | `EACCES` |
//! | read `/etc/shadow` | `EACCES` | `EACCES` |
//! | read a file of its parent | `EACCES` | `EACCES` |
//! | write to a file of its parent | `EACCES` | `EACCES` |
//! | make a file | `EACCES` | `EACCES` |
//! | make a directory | `EACCES` | `EACCES` |
//! | remove a file of its parent | `EACCES` | `EACCES` |
//! | rename a file of its parent | `EACCES` | `EACCES` |
//! | cut a file of its parent short | `EACCES` | `EACCES` |
//! | link to a file of its parent | `EACCES` | `EACCES` |
//! | make a symbolic link | `EPERM` | `EPERM` |
//! | make a device | `EPERM` | `EPERM` |
//! | list `/` | `EACCES` | `EACCES` |
//! | change the mode of a file | `EPERM` | `EPERM` |
//! | change the owner of a file | `EPERM` | `EPERM` |
//! | change the times of a file | `EPERM` | `EPERM` |
//! | set an extended attribute | `EPERM` | `EPERM` |
//! | read what its parent's process has (`/proc/PID/environ`) | `EACCES` | `EACCES` |
//! | read the sockets of the host (`/proc/net/unix`) | `EACCES` | `EACCES` |
//! | write to `/proc/self/mem` | `EACCES` | `EACCES` |
//! | watch a directory (`inotify`) | `EPERM` | `EPERM` |
//! | learn that a file exists, its size and times (`stat`) | **open** | **open** |
//! | connect over TCP | `EPERM` | `EPERM` |
//! | listen over TCP | `EPERM` | `EPERM` |
//! | send over UDP by a socket of its own | `EPERM` | `EPERM` |
//! | send over UDP by its transport's socket | none | **open** |
//! | connect to a Unix socket by its path | `EPERM` | `EPERM` |
//! | connect to an abstract Unix socket | `EPERM` | `EPERM` |
//! | make a Unix socket for datagrams | `EPERM` | `EPERM` |
//! | make a raw socket | `EPERM` | `EPERM` |
//! | make a socket of the kernel's (`AF_NETLINK`, `AF_ALG`, `AF_VSOCK`) | `EPERM` | `EPERM` |
//! | connect without `connect` (`MSG_FASTOPEN`) | `EPERM` | `EPERM` |
//! | start `/bin/sh` | `EPERM` | `EPERM` |
//! | become `/bin/sh` (`execve`) | `EPERM` | `EPERM` |
//! | become a program in memory (`execveat`) | `EPERM` | `EPERM` |
//! | fork | `EPERM` | `EPERM` |
//! | fork by `clone3` | `ENOSYS` | `ENOSYS` |
//! | ask its parent's process for its signal 0 (`kill`) | `EPERM` | `EPERM` |
//! | kill its parent | `EPERM` | `EPERM` |
//! | hold its parent's process (`pidfd_open`) | `EPERM` | `EPERM` |
//! | trace its parent (`ptrace`) | `EPERM` | `EPERM` |
//! | read its parent's memory (`process_vm_readv`) | `EPERM` | `EPERM` |
//! | leave its process group (`setsid`) | `EPERM` | `EPERM` |
//! | outlive its parent (`PR_SET_PDEATHSIG`) | `EPERM` | `EPERM` |
//! | raise its limits | `EPERM` | `EPERM` |
//! | raise its priority | `EPERM` | `EPERM` |
//! | choose its processors | `EPERM` | `EPERM` |
//! | become another user | `EPERM` | `EPERM` |
//! | start a thread | **open** | **open** |
//! | `io_uring_setup` | `EPERM` | `EPERM` |
//! | `bpf` | `EPERM` | `EPERM` |
//! | `perf_event_open` | `EPERM` | `EPERM` |
//! | `userfaultfd` | `EPERM` | `EPERM` |
//! | `keyctl` | `EPERM` | `EPERM` |
//! | `mount` | `EPERM` | `EPERM` |
//! | `unshare` | `EPERM` | `EPERM` |
//! | `shmget` | `EPERM` | `EPERM` |
//! | `mq_open` | `EPERM` | `EPERM` |
//! | another filter (`seccomp`) | `EPERM` | `EPERM` |
//! | type into its terminal (`TIOCSTI`) | `EPERM` | `EPERM` |
//! | a call by another numbering (x32) | `EPERM` | `EPERM` |
//!
//! Files that it may read are its own program and the shared libraries that were loaded, `/dev/null` (also to write),
//! `/dev/urandom`, and of itself `/proc/self/` with `maps`, `stat`, `statm` and `status`.
//!
//! # What it leaves open
//! - *The connection to its parent.* The actor is a member of the tree, and has the tree's key in its memory: what it sends
//!   to its parent is a member's message, with the bounds and the trust that [`security`](super::security) tells. It can
//!   call the functions that its parent has exposed, and ask for names and remove them if its parent is the registrar. Its
//!   answers are input from a stranger: check them as such. The key is of no use to it without a connection; but it can
//!   pass the key to an accomplice, in an answer or an output. If the accomplice can reach the tree, have the untrusted
//!   actor in a tree of its own, over `uds`.
//! - *Its outputs.* It writes to the standard output and error that it was started with; have them `Null` or relayed, not
//!   inherited, where a terminal would interpret what it prints. Descriptors that the parent's process leaves open for all
//!   its children (those of Rust are not) are open in it, too.
//! - *Its environment*: variables with secrets are in its memory unless its start has
//!   [`env_clear`](crate::Start::env_clear). Nothing of its parent's memory is: it is a new process of the program.
//! - *UDP over `quic`.* The socket of the transport sends anywhere, to strangers on the network, too. Over the others there
//!   is none. Between hosts, `tls+tcp` keeps more out.
//! - *Names, sizes, times and modes of files*, of all that its user may look up: `stat`, `readlink` and `access` are not
//!   restricted by Landlock.
//! - *Processor time and memory*: without [`limit`](crate::Start::limit), [`nice`](crate::Start::nice),
//!   [`cpus`](crate::Start::cpus) and [`cgroup`](crate::Start::cgroup) it takes what it gets. It starts no processes, but as many threads as it likes: the kernel
//!   applies `Resource::Processes` to users other than root only. Limits hold for each process, those of processes for the
//!   user.
//! - *Signals from others*: its own user's processes may signal and inspect it. With `.user(…)` it has a user of its own,
//!   which protects it from those, and them from it once more; not over `uds` and `shm`, whose both ends have one user.
//! - *Its parent's turns over `shm`*: it can make the parent's thread wait for it, as [`shared_memory`](super::shared_memory)
//!   says. Take `uds` for untrusted code.
//! - *What it tells of itself.* `pleach ps`, `pleach trace` and a debugger show what the process answers.
//! - *What it may execute*, with [`Sandbox::execute`](crate::Sandbox::execute): such a program is in the same sandbox, and
//!   as hostile.
//! - *With [`Sandbox::network`](crate::Sandbox::network) all of TCP and UDP*, this host's services and other members of the
//!   tree included, whose key it has.
//! - *The kernel.* Its faults in the calls that are allowed, side channels by timing and caches, and hardware. Against those
//!   a virtual machine helps, and nothing here.
//!
//! # What does not work in it
//! - It starts no actors, except over `mem`, and no programs: both fail with an error that says so.
//! - It does not listen, and does not look for others: its parent is the only actor that calls it. Other actors find its
//!   name if its parent is the registrar, but can't connect.
//! - A parent that listens at an abstract Unix socket (`uds://@name`) can't be reached; at a path it can.
//! - The parent's address has to be a number, as it is unless `advertise` says otherwise: a name is looked up in files that
//!   need [`Sandbox::read`](crate::Sandbox::read).
//! - Modes, owners and times of files can't be changed, so [`std::fs::copy`] fails, after it has copied. Files are written
//!   and renamed as usual below what [`Sandbox::write`](crate::Sandbox::write) names.
//! - As root it has no capabilities: it opens what belongs to root or is open to all, within its sandbox.
//! - Exporters of telemetry that connect from the actor's process need [`Sandbox::network`](crate::Sandbox::network).
//!   `pleach tree` shows the actor; the stacks of its threads and its debugger's terminal are out of its reach.
//! - Threads that were there before `pleach::init()` would not be restricted: the start fails then. In a test, actors in a
//!   sandbox need a `main` of their own (`harness = false`), because a harness has threads.
//! - Processors of other kinds than x86-64, 64-bit ARM and 64-bit RISC-V have no filter: the start fails there. It was tried
//!   on x86-64 with the GNU C library.
