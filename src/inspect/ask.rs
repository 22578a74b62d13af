//! Asking a process: what travels, and the connection over which it does, on this host or by way of others.

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

use super::listener::is_trusted;
use super::stops::Stop;
use super::trace::NotTraced;
use super::transfer::Transfer;
use super::{EventCursor, EventsReport, ProcessReport, StacksReport, pid_in};
use crate::channel::tap::TraceFilter;
use crate::runtime::route::{Hop, Route};

/// A question to a process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// What it hosts.
    Report,
    Stacks,
    /// What has happened.
    Events {
        since: EventCursor,
    },
    /// To hold a branch below it, for as long as the connection lasts: see [`holds`](crate::holds).
    Hold(Vec<Uuid>),
    /// To show an actor that stands still: the conversation of [`stops`](super::stops).
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
        wanted: TraceFilter,
    },
    /// What its recorder has, if it hosts an actor of this tree.
    #[cfg(feature = "prometheus")]
    Metrics {
        tree: Uuid,
    },
    /// To lead the connection on: what comes next is for the process there.
    Pass(Hop),
    /// The names of the sockets below a keeper.
    Sockets,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Report(ProcessReport),
    Stacks(StacksReport),
    Events(EventsReport),
    /// The branch is held.
    Held,
    /// What stands still will be shown.
    Attached,
    /// Whether there is such an actor, which will end.
    Cancelled {
        found: bool,
    },
    /// In the text format of Prometheus; `None` from a process that records nothing, or for another tree.
    #[cfg(feature = "prometheus")]
    Metrics(Option<String>),
    /// Messages follow.
    Traced,
    NotTraced(NotTraced),
    /// The connection leads on.
    Passed,
    /// There is nothing where it was to lead.
    NotThere,
    Sockets(Vec<String>),
}

impl Reply {
    /// Whether the connection leads on.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is nothing where it was to lead.
    pub(super) fn passed(self) -> io::Result<()> {
        match self {
            Self::Passed => Ok(()),
            Self::NotThere => Err(io::ErrorKind::NotFound.into()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Asks the process at the end of a route; `None` if it has ended, or is another user's.
pub(super) fn ask(route: &Route, request: &Request) -> Option<(u32, io::Result<Reply>)> {
    let (peer, answered) = begin(route, request, MAX_REPLY).ok()?;
    let pid = match route.is_far() {
        true => pid_in(route.socket_there()).unwrap_or_default(),
        false => peer.pid.as_raw_nonzero().get().unsigned_abs(),
    };
    Some((pid, answered.map(|(_, reply)| reply)))
}

/// Asks the process at the end of a route for something that lasts as long as the connection; returns also its first
/// answer.
///
/// # Errors
/// When it has ended, or is another user's, or does not answer in time.
pub(crate) fn ask_lastingly<T: DeserializeOwned>(route: &Route, request: &Request) -> io::Result<(Transfer, T)> {
    let (_, answered) = begin(route, request, MAX_FIRST)?;
    answered
}

/// A connection, and the first answer that has come over it.
type Begun<T> = io::Result<(Transfer, T)>;

/// Connects to the process at the end of a route, asks, and receives an answer of at most `limit` bytes; again, while too
/// many others ask.
///
/// # Errors
/// When it has ended, or either side does not trust the other's user.
fn begin<T: DeserializeOwned>(route: &Route, request: &Request, limit: usize) -> io::Result<(UCred, Begun<T>)> {
    let until = Instant::now() + if route.is_far() { FAR_PATIENCE } else { PATIENCE };
    loop {
        let (connection, peer) = connect(&route.socket)?;
        let mut transfer = Transfer::over(connection, until.saturating_duration_since(Instant::now()));
        let answered = match pass(&mut transfer, &route.hops) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            passed => passed.and_then(|()| transfer.send(request)).and_then(|()| transfer.receive(limit)),
        };
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

/// Has a connection go on to where it is to lead.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when the route has ended; as for the transfer.
fn pass(transfer: &mut Transfer, hops: &[Hop]) -> io::Result<()> {
    for hop in hops {
        transfer.send(&Request::Pass(hop.clone()))?;
        transfer.receive::<Reply>(MAX_FIRST)?.passed()?;
    }
    Ok(())
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
pub(super) fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// And over one or more hosts.
const FAR_PATIENCE: Duration = Duration::from_secs(3);

/// The pause after a process has turned this one away.
const PAUSE: Duration = Duration::from_millis(50);

/// The largest first answer of a conversation, in bytes.
pub(super) const MAX_FIRST: usize = 4 << 10;

/// The largest report, in bytes: a process may host thousands of actors.
pub(super) const MAX_REPLY: usize = 16 << 20;
