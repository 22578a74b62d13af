//! Trees over many hosts: what is needed, what happens, what ends it.
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
//! # What is needed
//! - `ssh node2` works without a question: a key or an agent, and the host's key in `known_hosts`. An unknown key is
//!   never accepted, whatever the configuration says; log in by hand once, and compare the fingerprint.
//! - The machine is of the same kind as this one. The program need not be there: if the file at its own path, or the
//!   one that [`Host::program`](crate::Host::program) names, has another SHA-256 than the running one, it is copied to
//!   `~/.cache/pleach` there (`XDG_CACHE_HOME` is respected).
//! - From there, one of this parent's addresses can be reached over the network. See below if not.
//!
//! # What happens
//! 1. The parent listens at all its interfaces, by QUIC unless told otherwise, or where
//!    [`Config::listen`](crate::Config::listen) says. Only members of the tree get in.
//! 2. `ssh` logs in once for up to eight actors of a parent at one host, and runs a keeper there: this program, in
//!    another role. It gets the secrets over its standard input; they are in no argument, variable or file.
//! 3. The keeper starts the actor, which connects to the parent. What it writes to either output comes out of the
//!    parent's standard error, with its name in front.
//!
//! Actors are found by name from every host, and called without their parent in between. One that is started on the
//! parent's own host listens only for others there, unless [`Config::listen`](crate::Config::listen) says otherwise.
//!
//! # What ends it
//! | what happens | what follows |
//! |---|---|
//! | the actor is cancelled, or its nursery ends | asked, then SIGTERM and SIGKILL through its keeper |
//! | the actor dies | the parent has its exit status or signal, and its last lines |
//! | the parent is killed | `ssh` is killed with it; the keeper reads the end of file, and ends the actor and all below it |
//! | `ssh` or `srun` dies, or the host's `sshd` | the same there; the parent has an error that says what was said last |
//! | the keeper is killed | the kernel kills the actor and all below it; the next keeper there removes its directory |
//! | the network is cut | the actor ends when its lease is over; `ssh` notices after three unanswered questions |
//! | the parent's whole machine is gone | the actor ends when its lease is over; a job of Slurm that was made for it is cancelled from its node |
//!
//! That `ssh` or `srun` has ended here says nothing of the actor, which may live: it counts as lost. A supervisor puts
//! nobody in its place, and its nursery does not end, before it must have ended: when it has closed its connection in
//! order, or its [`lease`](crate::Config::lease) is over, and [`ladder`](crate::Config::ladder) after that, in which what
//! does not listen is killed there.
//!
//! # Hosts in configuration
//! `[[hosts]]` in `pleach.toml`, `PLEACH_HOSTS="ssh:a*2,local"`, or a file of their own; see [`Hosts`](crate::Hosts).
//!
//! # Behind a router
//! An actor there dials its parent. If the parent's addresses mean nothing there, because a router translates them,
//! there are three ways:
//! - The router forwards a port. `listen = ["quic://0.0.0.0:1616"]` fixes the port here, and
//!   `advertise = ["quic://gate.example:1616"]` is what actors there are told.
//! - `ssh` brings the connections along. It carries TCP only, so QUIC is out:
//!
//!   ```text
//!   # ~/.ssh/config                              # pleach.toml
//!   Host node2                                   listen = ["tcp://127.0.0.1:1616"]
//!       RemoteForward 1616 127.0.0.1:1616        advertise = ["tcp://127.0.0.1:1616"]
//!       ExitOnForwardFailure yes                 [[hosts]]
//!                                                on = "ssh:node2"
//!                                                transport = "tcp"
//!                                                listen = ["tcp://127.0.0.1:0"]
//!   ```
//!   Both ends are on loopback, and `ssh` encrypts what is between; `tls+tcp` in place of `tcp` keeps other users of
//!   that host out of it, too. One parent per host can have the port, and one login: so at most eight actors.
//! - A relay for UDP (a port of some host that both reach, forwarded here) works as a router does: `advertise` names it.
//!
//! What does not work: two hosts that reach neither each other nor a host between them, other than through `ssh`. Their
//! actors talk to their parents only.
