//! A look into running actors, from outside: which processes of this user host some, and what those do.
//!
//! Each process with an actor in it has a socket on which it says so. It is answered by threads that have nothing to do
//! with the actors' own, so an actor whose tasks never yield is seen like any other. While there are no requests, it
//! costs a descriptor, and no processor time.
//!
//! | file | station |
//! |---|---|
//! | this one | who asks: [`processes`], and what travels |
//! | `report.rs` | the answer: a process, its actors, their connections |
//! | `work.rs` | the functions that run, and the calls that wait |
//! | `stacks.rs` | where tasks and threads are |
//! | `chains.rs` | calls that come back to an actor that waits |
//! | `listener.rs` | the socket of a process, and the threads that answer |
//! | `transfer.rs` | messages on a connection that may stall |
//! | `trace.rs` | the messages of an actor, as they pass |
//! | `stops.rs` | actors that stand still, and wait for the debugger's terminal |
//!
//! The sockets are in Linux's abstract namespace: they leave no file, whatever ends the process, and are listed in
//! `/proc/net/unix`, so that they need no directory to be found in. Other users can see their names, and no more.
//!
//! # Invariants
//! 1. Both sides know the other's user from the kernel before a byte is read: the same one, or root.
//! 2. An answer takes no lock that it would have to wait for, and needs no task of an actor.

mod chains;
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
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::UCred;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::listener::{NAME, is_trusted};
pub use pleach_wire::msg::FunctionKind;

pub use self::chains::{CallChain, ChainedCall, call_chains};
#[cfg(feature = "metrics")]
pub(crate) use self::report::soon;
pub use self::report::{ActorReport, Failure, PeerReport, ProcessReport, Stage};
pub use self::stacks::{Module, RunningTask, StacksReport, TaskStacks, ThreadStack, build_id};
use self::stops::Stop;
use self::trace::NotTraced;
pub use self::trace::{MessageKind, MessageWay, Trace, TraceEvent, TraceFilter, TracedMessage};
use self::transfer::Transfer;
pub use self::work::{Inside, RunningFunction, WaitingCall};
use crate::actor::ActorId;
use crate::channel::tap::Wanted;
use crate::os::abstract_sockets;

/// A process of this user that hosts actors, or did a moment ago.
#[derive(Debug)]
#[non_exhaustive]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// What it says, or why it says nothing: [`io::ErrorKind::TimedOut`] from one that is stopped.
    pub report: io::Result<ProcessReport>,
    socket: String,
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

    /// Asks it again what it hosts; `None` if it has ended.
    pub fn again(&self) -> Option<Self> {
        report_of(&self.socket).filter(|process| process.pid == self.pid)
    }

    /// Asks it to show here what stands still in its tree: see [`stops`].
    ///
    /// # Errors
    /// As for [`stacks`](Self::stacks).
    #[cfg(feature = "debugger")]
    pub(crate) fn attach(&self) -> io::Result<Transfer> {
        match ask_lastingly(&self.socket, &Request::Attach)? {
            (transfer, Reply::Attached) => Ok(transfer),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn asked(&self, request: &Request) -> io::Result<Reply> {
        match ask(&self.socket, request) {
            Some((pid, reply)) if pid == self.pid => reply,
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("process {} has ended", self.pid))),
        }
    }
}

/// Finds the processes of this user that host actors, on this host and in this network namespace, and asks each.
///
/// It blocks until all have answered; one that does not, such as a stopped one, takes two seconds. All are asked at
/// once. The process of the caller is among them, if it hosts an actor.
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
    // Each connection to a socket has its name, too.
    let sockets: BTreeSet<_> = abstract_sockets::names(&list, NAME).map(|rest| format!("{NAME}{rest}")).collect();
    let sockets: Vec<_> = sockets.into_iter().collect();
    let mut found = Vec::new();
    for some in sockets.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|name| scope.spawn(move || report_of(name))).collect();
            found.extend(asked.into_iter().filter_map(|asked| asked.join().ok()?));
        });
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

fn report_of(socket: &str) -> Option<Process> {
    let (pid, reply) = ask(socket, &Request::Report)?;
    let report = reply.and_then(|reply| match reply {
        Reply::Report(report) => Ok(report),
        _ => Err(io::ErrorKind::InvalidData.into()),
    });
    Some(Process { pid, report, socket: socket.to_owned() })
}

/// Asks the process behind a socket; `None` if it has ended, or is another user's.
fn ask(name: &str, request: &Request) -> Option<(u32, io::Result<Reply>)> {
    let (peer, answered) = begin(name, request, MAX_REPLY).ok()?;
    Some((peer.pid.as_raw_nonzero().get().unsigned_abs(), answered.map(|(_, reply)| reply)))
}

/// Asks the process behind a socket for something that lasts as long as the connection; returns also its first answer.
///
/// # Errors
/// When it has ended, or is another user's, or does not answer in time.
pub(crate) fn ask_lastingly<T: DeserializeOwned>(name: &str, request: &Request) -> io::Result<(Transfer, T)> {
    let (_, answered) = begin(name, request, MAX_FIRST)?;
    answered
}

/// A connection, and the first answer that has come over it.
type Begun<T> = io::Result<(Transfer, T)>;

/// Connects to the process behind a socket, asks, and receives an answer of at most `limit` bytes; again, while too many
/// others ask.
///
/// # Errors
/// When it has ended, or either side does not trust the other's user.
fn begin<T: DeserializeOwned>(name: &str, request: &Request, limit: usize) -> io::Result<(UCred, Begun<T>)> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (connection, peer) = connect(name)?;
        let mut transfer = Transfer::over(connection, until.saturating_duration_since(Instant::now()));
        let answered = transfer.send(request).and_then(|()| transfer.receive(limit));
        match answered {
            // Turned away: it does not trust this user, or too many ask just now.
            Err(error) if is_end(&error) && peer.uid != geteuid() => {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            Err(error) if is_end(&error) && Instant::now() < until => thread::park_timeout(PAUSE),
            answered => return Ok((peer, answered.map(|first| (transfer, first)))),
        }
    }
}

/// Connects to the process behind a socket.
///
/// # Errors
/// When it has ended, or is another user's (invariant 1).
fn connect(name: &str) -> io::Result<(UnixStream, UCred)> {
    let connection = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    let peer = socket_peercred(&connection)?;
    if is_trusted(peer.uid) { Ok((connection, peer)) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Returns whether the other side has closed the connection.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// A question to a process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// What it hosts.
    Report,
    Stacks,
    /// To hold a branch below it, for as long as the connection lasts: see [`holds`](crate::holds).
    Hold(Vec<Uuid>),
    /// To show an actor that stands still: the conversation of [`stops`].
    Show(Box<Stop>),
    /// To be shown, over this connection, the actors of its tree that stand still.
    Attach,
    /// To end one of its actors, in order.
    Cancel {
        actor: Uuid,
    },
    /// To be told, over this connection, the messages of one of its actors as they pass.
    Trace {
        actor: Uuid,
        wanted: Wanted,
    },
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Report(ProcessReport),
    Stacks(StacksReport),
    /// The branch is held.
    Held,
    /// What stands still will be shown.
    Attached,
    /// Whether there is such an actor, which will end.
    Cancelled {
        found: bool,
    },
    /// Messages follow.
    Traced,
    NotTraced(NotTraced),
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause after a process has turned this one away.
const PAUSE: Duration = Duration::from_millis(50);

/// How many processes are asked at once.
const AT_ONCE: usize = 64;

/// The largest first answer of a conversation, in bytes.
const MAX_FIRST: usize = 4 << 10;

/// The largest report, in bytes: a process may host thousands of actors.
const MAX_REPLY: usize = 16 << 20;
