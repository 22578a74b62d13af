//! A look into running actors, from outside: which processes of this user host some, and what those do.
//!
//! Each process with an actor in it has a socket on which it says so. It is answered by threads that have nothing to do
//! with the actors' own, so an actor whose tasks never yield is seen like any other. While there are no requests, it
//! costs a descriptor, and no processor time.
//!
//! The sockets are in Linux's abstract namespace: they leave no file, whatever ends the process, and are listed in
//! `/proc/net/unix`, so that they need no directory to be found in. Other users can see their names, and no more.
//!
//! Actors on another host are asked through the process that has started them there, and its keeper: over the login,
//! and nothing listens on a network for it.
//!
//! # Invariants
//! 1. Both sides know the other's user from the kernel before a byte is read: the same one, or root.
//! 2. An answer takes no lock that it would have to wait for, and needs no task of an actor.

// The files:
//
// - this one: who is asked: [`processes`]
// - `ask.rs`: what travels, and the connection to a process
// - `report.rs`: the answer: a process, its actors, their connections
// - `work.rs`: the functions that run, and the calls that wait
// - `stacks.rs`: where tasks and threads are
// - `forest.rs`: actors put together to trees
// - `chains.rs`: calls that come back to an actor that waits
// - `listener.rs`: the socket of a process, and the threads that answer
// - `links.rs`: the links from this process to other hosts
// - `hops.rs`: a connection that leads over several processes
// - `transfer.rs`: messages on a connection that may stall
// - `trace.rs`: the messages of an actor, as they pass
// - `stops.rs`: actors that stand still, and wait for the debugger's terminal

mod ask;
mod chains;
mod forest;
pub(crate) mod hops;
pub(crate) mod links;
pub(crate) mod listener;
mod report;
mod stacks;
pub(crate) mod stops;
mod trace;
pub(crate) mod transfer;
mod work;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::thread;

#[cfg(feature = "prometheus")]
use uuid::Uuid;

use self::ask::ask;
#[cfg(feature = "debugger")]
pub(crate) use self::ask::ask_lastingly;
pub(crate) use self::ask::{Reply, Request};
use self::listener::NAME;
#[doc(inline)]
pub use pleach_wire::msg::FunctionKind;

pub use crate::events::{ActorEvent, ActorEventKind, EventCursor, EventsReport};

pub use self::chains::{CallChain, ChainedCall, call_chains};
pub use self::forest::{ActorNode, Forest};
pub use self::links::HostLink;
#[cfg(feature = "metrics")]
pub(crate) use self::report::soon;
pub use self::report::{ActorReport, Failure, PeerReport, ProcessReport, Stage};
pub use self::stacks::{Module, RunningTask, StacksReport, TaskStacks, ThreadStack, build_id};
pub use self::trace::{MessageDirection, MessageKind, Trace, TraceEvent, TraceFilter, TracedMessage};
#[cfg(feature = "debugger")]
use self::transfer::Transfer;
pub use self::work::{Inside, RunningFunction, WaitingCall};
use crate::actor::ActorId;
use crate::os::abstract_sockets;
use crate::runtime::route::{Hop, Route};

/// A process of this user that hosts actors, or did a moment ago.
#[derive(Debug)]
#[non_exhaustive]
pub struct Process {
    /// Its process id on its host; 0 where a whole host says nothing.
    pub pid: u32,
    /// The host, as the start of an actor there named it: `ssh:node2`; `None` for this one.
    pub host: Option<String>,
    /// What it says, or why it says nothing: [`io::ErrorKind::TimedOut`] from one that is stopped, and from a host that
    /// is out of reach.
    pub report: io::Result<ProcessReport>,
    route: Route,
}

impl Process {
    /// Asks where its tasks wait, and, if one does not answer, where its threads are.
    ///
    /// Each task is polled once more; nothing is changed by that, and no wake-up is lost. Threads are interrupted by a
    /// signal only if a task does not answer within some 300 ms: `SIGURG` or `SIGWINCH`, if the program handles neither.
    ///
    /// It blocks until the process has answered, for two seconds at most.
    ///
    /// # Errors
    /// When the process has ended, or does not answer: [`io::ErrorKind::TimedOut`] if it is stopped.
    pub fn stacks(&self) -> io::Result<StacksReport> {
        match self.asked(&Request::Stacks)? {
            Reply::Stacks(report) => Ok(report),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Asks one of its actors to end, in order, with all that is below it: as [`Actor::cancel_soon`](crate::Actor) does.
    ///
    /// Returns whether the actor is there; that it has ended shows in a later look ([`again`](Self::again)). It blocks for
    /// two seconds at most.
    ///
    /// # Errors
    /// As for [`stacks`](Self::stacks).
    pub fn cancel(&self, actor: &ActorId) -> io::Result<bool> {
        match self.asked(&Request::Cancel { actor: actor.uuid() })? {
            Reply::Cancelled { found } => Ok(found),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Asks what has happened since then to its actors and to their children, as far as it keeps that: the latest events of
    /// some thousand actors. It blocks for two seconds at most.
    ///
    /// # Errors
    /// As for [`stacks`](Self::stacks).
    ///
    /// ```
    /// # #[pleach::main]
    /// # async fn main() -> anyhow::Result<()> {
    /// use pleach::inspect::{self, ActorEventKind, EventCursor};
    ///
    /// pleach::open_nursery(async |n| {
    ///     n.start_actor("worker").await?.cancel_actor().await?;
    ///     n.cancel().await;
    ///     Ok::<_, anyhow::Error>(())
    /// })
    /// .await?;
    /// let mut found = tokio::task::spawn_blocking(inspect::processes).await??.into_iter();
    /// let this = found.find(|process| process.pid == std::process::id()).expect("it hosts the root");
    /// let told = tokio::task::spawn_blocking(move || this.events(EventCursor::default())).await??;
    /// let of_worker: Vec<_> = told.events.iter().filter(|event| event.actor.name() == "worker").collect();
    /// assert_eq!(of_worker.first().map(|event| event.kind), Some(ActorEventKind::Started));
    /// assert_eq!(of_worker.last().map(|event| event.kind), Some(ActorEventKind::Ended));
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self, since: EventCursor) -> io::Result<EventsReport> {
        match self.asked(&Request::Events { since })? {
            Reply::Events(report) => Ok(report),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Asks it again what it hosts; `None` if it has ended.
    pub fn again(&self) -> Option<Self> {
        report_of(self.route.clone(), self.host.as_deref()).filter(|process| process.pid == self.pid)
    }

    /// Asks it to show here what stands still in its tree: see [`stops`].
    ///
    /// # Errors
    /// As for [`stacks`](Self::stacks).
    #[cfg(feature = "debugger")]
    pub(crate) fn attach(&self) -> io::Result<Transfer> {
        match ask_lastingly(&self.route, &Request::Attach)? {
            (transfer, Reply::Attached) => Ok(transfer),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Asks what its recorder has, if it hosts an actor of a tree and records.
    ///
    /// # Errors
    /// When it does not answer.
    #[cfg(feature = "prometheus")]
    fn metrics(&self, tree: Uuid) -> io::Result<Option<String>> {
        if let Err(error) = &self.report {
            return Err(error.kind().into()); // it has not answered just now
        }
        match self.asked(&Request::Metrics { tree }) {
            Ok(Reply::Metrics(text)) => Ok(text),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None), // it has ended
            Err(error) => Err(error),
        }
    }

    fn asked(&self, request: &Request) -> io::Result<Reply> {
        match ask(&self.route, request) {
            Some((pid, reply)) if pid == self.pid => reply,
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("process {} has ended", self.pid))),
        }
    }
}

/// Finds the processes of this user that host actors, on this host and in this network namespace, and asks each; then
/// those that they have started on other hosts, and so on.
///
/// It blocks until all have answered; one that does not, such as a stopped one, takes two seconds, and a host that does
/// not, three more for each that is on the way. All are asked at once. The process of the caller is among them, if it
/// hosts an actor.
///
/// # Errors
/// When `/proc/net/unix` can't be read.
///
/// ```
/// # #[pleach::main]
/// # async fn main() -> anyhow::Result<()> {
/// pleach::open_nursery(async |n| {
///     n.start_actor("worker").await?;
///     let found = tokio::task::spawn_blocking(pleach::inspect::processes).await??;
///     let actors = found.into_iter().filter_map(|process| process.report.ok()).flat_map(|report| report.actors);
///     let names: Vec<_> = actors.map(|actor| actor.who.name().to_owned()).collect();
///     assert!(names.contains(&"worker".to_owned()), "{names:?}");
///     n.cancel().await;
///     Ok::<_, anyhow::Error>(())
/// })
/// .await
/// # }
/// ```
pub fn processes() -> io::Result<Vec<Process>> {
    let list = fs::read_to_string(abstract_sockets::LIST)?;
    let mut found = look_at(sockets_in(&list).into_iter().map(Route::to).collect(), None);
    // Another host of this network is seen from here, too.
    found.sort_by_key(|process| process.route.hops.len());
    let mut seen = BTreeSet::new();
    found.retain(|process| seen.insert(process.route.socket_there().to_owned()) || process.pid == 0);
    found.sort_by(|one, other| (&one.host, one.pid).cmp(&(&other.host, other.pid)));
    Ok(found)
}

/// Asks all processes for what their recorders have, if they host an actor of a tree; returns texts for Prometheus, and
/// how many processes or hosts did not answer.
///
/// It blocks as [`processes`] does.
///
/// # Errors
/// When `/proc/net/unix` can't be read.
#[cfg(feature = "prometheus")]
pub(crate) fn metrics_of(tree: Uuid) -> io::Result<(Vec<String>, usize)> {
    let answers = at_once(processes()?, |process| vec![process.metrics(tree)]);
    let silent = answers.iter().filter(|answer| answer.is_err()).count();
    Ok((answers.into_iter().flatten().flatten().collect(), silent))
}

/// Returns the names of the sockets on this host and in this network namespace, as far as they can be listed.
pub(crate) fn sockets_here() -> BTreeSet<String> {
    sockets_in(&fs::read_to_string(abstract_sockets::LIST).unwrap_or_default())
}

/// Returns the names of the sockets in a list of the kernel's: each connection to one has its name, too.
fn sockets_in(list: &str) -> BTreeSet<String> {
    abstract_sockets::names(list, NAME).map(|rest| format!("{NAME}{rest}")).collect()
}

/// Returns the process whose socket has this name.
pub(crate) fn pid_in(socket: &str) -> Option<u32> {
    socket.strip_prefix(NAME)?.split('/').next()?.parse().ok()
}

/// Asks processes of a host, and all that they have started on others.
fn look_at(routes: Vec<Route>, host: Option<&str>) -> Vec<Process> {
    at_once(routes, |route| match report_of(route, host) {
        Some(process) => with_those_beyond(process),
        None => Vec::new(),
    })
}

fn with_those_beyond(process: Process) -> Vec<Process> {
    let links = process.report.as_ref().map(|report| report.links.clone()).unwrap_or_default();
    let is_too_far = process.route.hops.len() >= MAX_HOPS;
    let links = if is_too_far { Vec::new() } else { links };
    let mut found =
        at_once(links, |HostLink { number, host }| look_at_host(process.route.clone().then(Hop::Link(number)), host));
    found.push(process);
    found
}

/// Asks the processes that a keeper looks after.
fn look_at_host(keeper: Route, host: String) -> Vec<Process> {
    let error = match ask(&keeper, &Request::Sockets) {
        Some((_, Ok(Reply::Sockets(names)))) => {
            let below = |name| keeper.clone().then(Hop::Below(name));
            return look_at(names.into_iter().map(below).collect(), Some(&host));
        }
        Some((_, Ok(_))) => io::ErrorKind::InvalidData.into(),
        Some((_, Err(error))) => error,
        None => return Vec::new(), // the actor there has ended
    };
    vec![Process { pid: 0, host: Some(host), report: Err(error), route: keeper }]
}

/// Does something that waits with each, on threads of their own.
fn at_once<T: Send, U: Send>(all: Vec<T>, look: impl Fn(T) -> Vec<U> + Sync) -> Vec<U> {
    let (mut all, mut found, look) = (all.into_iter().peekable(), Vec::new(), &look);
    while all.peek().is_some() {
        thread::scope(|scope| {
            let some = all.by_ref().take(AT_ONCE);
            let asked: Vec<_> = some.map(|one| scope.spawn(move || look(one))).collect();
            found.extend(asked.into_iter().filter_map(|asked| asked.join().ok()).flatten());
        });
    }
    found
}

fn report_of(route: Route, host: Option<&str>) -> Option<Process> {
    let (pid, reply) = ask(&route, &Request::Report)?;
    let report = reply.and_then(|reply| match reply {
        Reply::Report(report) => Ok(report),
        _ => Err(io::ErrorKind::InvalidData.into()),
    });
    Some(Process { pid, host: host.map(str::to_owned), report, route })
}

/// How many processes are asked at once.
const AT_ONCE: usize = 64;

/// The longest route, in hops: two for each host.
const MAX_HOPS: usize = 32;
