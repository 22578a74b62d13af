//! Trees over many hosts: requirements, start, end.
//!
//! ```no_run
//! # use pleach::prelude::*;
//! # #[pleach::rpc]
//! # async fn add(a: i64, b: i64) -> Result<i64> { Ok(a + b) }
//! # #[pleach::main]
//! # async fn main() -> Result<()> {
//! use pleach::Host;
//!
//! pleach::open_nursery(async |n| {
//!     let sum = n.run_in_actor(add(1, 2)).on(Host::ssh("node2")).await?;
//!     assert_eq!(sum.result().await?, 3);
//!     Ok(())
//! })
//! .await
//! # }
//! ```
//!
//! # Requirements
//! - `ssh node2` works without a prompt: with a key or an agent, and the host's key in `known_hosts`. An unknown host
//!   key is never accepted, whatever the configuration says; log in by hand once, and compare the fingerprint.
//! - The machine is of the same kind as this one. The program need not be there: if the file at its own path, or the
//!   one that [`Host::program`](crate::Host::program) names, has another SHA-256 than the running one, it is copied to
//!   `~/.cache/pleach` there (`XDG_CACHE_HOME` is respected). With `PLEACH_LOG=info`, records tell how far it has come.
//! - That host can reach one of this parent's addresses over the network. See below if not.
//!
//! # Start
//! 1. The parent listens on all its interfaces, over QUIC unless configured otherwise, or where
//!    [`Config::listen`](crate::Config::listen) says. Only members of the tree get in.
//! 2. `ssh` logs in once for up to eight actors of a parent at one host, and runs an agent there: this program, in
//!    another role. The agent gets the secrets over its standard input; they are never in an argument, variable or
//!    file. A second, small `ssh` per actor waits for the agent: it shares the connection of the first, and does not
//!    read your configuration again.
//! 3. The agent starts the actor, which connects to the parent. Its outputs go to the parent's, by the same rule as
//!    those of an actor on the parent's own host; see [`observing`](super::observing).
//!
//! Actors are found by name from every host, and called directly, not through their parent. An actor on the parent's
//! own host listens on that host only, unless [`Config::listen`](crate::Config::listen) says otherwise.
//!
//! # End
//! | what happens | what follows |
//! |---|---|
//! | the actor is cancelled, or its nursery ends | it is asked to end, then gets SIGTERM and SIGKILL through its agent |
//! | the actor dies | the parent gets its exit status or signal, and the last lines of its output |
//! | the parent is killed | `ssh` is killed with it; the agent reads the end of file, and ends the actor and all below it |
//! | `ssh` or `srun` dies, or the host's `sshd` | the same there; the parent gets an error with the last output |
//! | the agent is killed | the kernel kills the actor and all below it; the next agent there removes its directory |
//! | the network is cut | the actor ends when its lease expires; `ssh` notices after three unanswered keep-alives |
//! | the parent's machine fails | the actor ends when its lease expires; a Slurm job that was made for it is cancelled from its node |
//!
//! When the local `ssh` or `srun` ends, the actor may still live: it counts as lost. Its supervisor does not replace
//! it, and its nursery does not end, before the actor must have ended: once it has closed its connection in order, or
//! its [`lease`](crate::Config::lease) has expired, and [`ladder`](crate::Config::ladder) has passed after that, in
//! which a process that does not respond is killed there.
//!
//! # Looking and debugging
//! The tool (`pleach ps`, `stacks`, `top`, `web`, `trace`, `cancel`), [`inspect`](crate::inspect) and the
//! [debugger](super::debugging) reach the actors there through the process that has started them and its login: nothing
//! more listens on a network. On a host without the root, the tool sees that host's part of the tree, and what that has
//! started elsewhere.
//!
//! # Hosts in configuration
//! `[[hosts]]` in `pleach.toml`, `PLEACH_HOSTS="ssh:a*2,local"`, or a file of their own; see [`Hosts`](crate::Hosts).
//!
//! # Behind a router
//! An actor dials its parent. If a router translates the parent's addresses, so that they mean
//! nothing on the actor's host, there are three ways:
//! - The router forwards a port. `listen = ["quic://0.0.0.0:1616"]` fixes the port here, and
//!   `advertise = ["quic://gate.example:1616"]` is the address that actors there get.
//! - `ssh` forwards the connections. It carries TCP only, so not QUIC:
//!
//!   ```text
//!   # ~/.ssh/config                              # pleach.toml
//!   Host node2                                   listen = ["tcp://127.0.0.1:1616"]
//!       RemoteForward 1616 127.0.0.1:1616        advertise = ["tcp://127.0.0.1:1616"]
//!       ExitOnForwardFailure yes                 [[hosts]]
//!                                                on = "ssh:node2"
//!                                                transport = "tcp"
//!                                                listen = ["tcp://127.0.0.1:0"]
//!   ``` Both ends are on loopback, and `ssh` encrypts the way between; `tls+tcp` in place of `tcp` keeps other users
//!   of that host out, too. Only one parent per host can have the port, over one login: so at most eight actors.
//! - A UDP relay (a forwarded port of a host that both reach) works like a router: `advertise` names it.
//!
//! Not supported: two hosts that reach neither each other nor a host between them, other than through `ssh`. Their
//! actors talk to their parents only.
