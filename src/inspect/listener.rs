//! The socket on which this process tells what it hosts.
//!
//! The [`watchdog`](crate::spawn) of an actor process waits on it beside its own duty, and hands each connection to a
//! thread of its own: nothing that a caller does delays the watchdog. In the process of a root a thread does nothing
//! else.
//!
//! # Invariants
//! 1. A process has one, whatever number of actors it hosts.
//! 2. At most [`MAX_ANSWERS`] threads answer at once; further callers are turned away.
//! 3. At most [`MAX_HOLDS`] threads wait for the end of a hold; a further one is let go at once. The number of traces is
//!    bounded by [`tap`](crate::channel::tap).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use uuid::Uuid;

use super::report::soon;
use super::trace::Telling;
use super::transfer::Transfer;
use super::{ProcessReport, Reply, Request, StacksReport};
use super::{links, stops};
use crate::events::{self, EventCursor, EventsReport};
use crate::holds::Hold;
use crate::random;
use crate::runtime;
use crate::runtime::route::Hop;

/// The socket. Dropping it closes it, and this process opens no other.
#[derive(Debug)]
pub(crate) struct Listener(UnixListener);

impl Listener {
    /// Opens that of this process. `None`: it has one already, or the system refuses it; actors work without it.
    pub(crate) fn of_process() -> Option<Self> {
        if OPENED.swap(true, Ordering::AcqRel) {
            return None;
        }
        let opened = Self::open();
        if let Err(error) = &opened {
            debug!(target: "pleach::runtime", %error, "this process can't be inspected");
        }
        opened.ok()
    }

    /// Opens one.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn open() -> io::Result<Self> {
        let (socket, name) = bind(NAME)?;
        let _ = ADDRESS.set(name); // tests open more than one
        Ok(Self(socket))
    }

    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Takes the next connection, if there is one, and has it answered. Waits a moment only when files have run out:
    /// the connection stays in the queue then, and the next poll finds it at once.
    pub(crate) fn answer_next(&self) {
        let connection = match self.0.accept() {
            Ok((connection, _)) => connection,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return thread::park_timeout(PAUSE),
        };
        if !socket_peercred(&connection).is_ok_and(|peer| is_trusted(peer.uid)) {
            return;
        }
        let before = ANSWERING.fetch_add(1, Ordering::AcqRel);
        let thread = thread::Builder::new().name("pleach-answer".into()).stack_size(STACK);
        let answering = Answering;
        if before < MAX_ANSWERS {
            let _ = thread.spawn(move || answer(connection, answering)); // without a thread, without an answer
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Has this process answer, unless it does already: on a thread that lives as long as the process.
pub(crate) fn start() {
    let Some(listener) = Listener::of_process() else { return };
    let thread = thread::Builder::new().name("pleach-inspect".into()).stack_size(STACK);
    let _ = thread.spawn(move || {
        loop {
            match poll(&mut [PollFd::new(&listener, PollFlags::IN)], None) {
                Ok(_) => listener.answer_next(),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    });
}

/// Opens a socket of this process in the abstract namespace; returns its name, too, which begins with `prefix`.
///
/// # Errors
/// When the system refuses it.
pub(crate) fn bind(prefix: &str) -> io::Result<(UnixListener, String)> {
    // Random: containers that share a network number their processes alike.
    let random = u32::from_ne_bytes(random::bytes()?);
    let name = format!("{prefix}{}/{random:08x}", std::process::id());
    let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    socket.set_nonblocking(true)?;
    Ok((socket, name))
}

/// Returns the name of this process's socket, if it has one.
pub(crate) fn address() -> Option<&'static str> {
    ADDRESS.get().map(String::as_str)
}

/// Returns whether a process of this user may be told, or asked, what actors do.
pub(crate) fn is_trusted(user: rustix::process::Uid) -> bool {
    user == geteuid() || user.is_root()
}

/// Invariant 2.
struct Answering;

impl Drop for Answering {
    fn drop(&mut self) {
        ANSWERING.fetch_sub(1, Ordering::AcqRel);
    }
}

fn answer(connection: UnixStream, answering: Answering) {
    let mut transfer = Transfer::over(connection, TO_ASK);
    let asked = transfer.receive(MAX_REQUEST);
    let mut transfer = transfer.with_bound(TO_READ);
    let answered = asked.and_then(|request| match request {
        Request::Report => transfer.send(&Reply::Report(ProcessReport::here())),
        Request::Stacks => transfer.send(&Reply::Stacks(StacksReport::here())),
        Request::Events { since } => transfer.send(&Reply::Events(events_since(since)?)),
        Request::Cancel { actor } => end(actor, &mut transfer),
        #[cfg(feature = "prometheus")]
        Request::Metrics { tree } => transfer.send(&Reply::Metrics(recorded(tree))),
        Request::Hold(branch) => {
            let hold = Hold::branch(branch);
            transfer.send(&Reply::Held)?;
            drop(answering); // it lasts, and has a bound of its own
            hold_on(hold, transfer);
            Ok(())
        }
        Request::Trace { actor, wanted } => match Telling::begin(actor, wanted) {
            Ok(telling) => {
                transfer.send(&Reply::Traced)?;
                drop(answering); // as above
                telling.tell(transfer.without_bound())
            }
            Err(why) => transfer.send(&Reply::NotTraced(why)),
        },
        Request::Show(stop) => stops::queue(*stop, transfer),
        Request::Attach => stops::attach(transfer),
        Request::Pass(Hop::Link(link)) => links::pass(link, transfer),
        Request::Pass(_) | Request::Sockets => transfer.send(&Reply::NotThere), // asked of keepers
    });
    if let Err(error) = answered {
        debug!(target: "pleach::runtime", %error, "an inspection was not answered");
    }
}

/// # Errors
/// [`io::ErrorKind::WouldBlock`] while they are changing all the time.
fn events_since(cursor: EventCursor) -> io::Result<EventsReport> {
    soon(|| events::since(cursor)).ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

/// Holds a branch until the actor that asked for it lets go, or has ended. One for each that stands still: invariant 3.
fn hold_on(hold: Hold, transfer: Transfer) {
    if HOLDING.fetch_add(1, Ordering::AcqRel) < MAX_HOLDS {
        transfer.wait_for_end();
    }
    HOLDING.fetch_sub(1, Ordering::AcqRel);
    drop(hold);
}

/// Asks an actor of this process to end, in order; before that it says whether there is such an actor, as the process may
/// end with it.
fn end(actor: Uuid, transfer: &mut Transfer) -> io::Result<()> {
    let actors = soon(runtime::actors_here).unwrap_or_default();
    let actor = actors.iter().find(|candidate| candidate.id().uuid() == actor);
    let answered = transfer.send(&Reply::Cancelled { found: actor.is_some() });
    if let Some(actor) = actor {
        actor.request_end(actor.id());
        info!(target: "pleach::cancel", actor = %actor.id(), "asked to end, by another process of this user");
    }
    answered
}

/// Has `render` say what the recorder of this process has.
#[cfg(feature = "prometheus")]
pub(crate) fn answer_metrics_with(render: fn() -> String) {
    let _ = RECORDED.set(render); // each caller brings the same one
}

/// Returns what the recorder of this process has, if it hosts an actor of this tree.
#[cfg(feature = "prometheus")]
fn recorded(tree: Uuid) -> Option<String> {
    let actors = soon(runtime::actors_here).unwrap_or_default();
    let render = RECORDED.get()?;
    actors.iter().any(|actor| actor.identity.tree() == tree).then(render)
}

#[cfg(feature = "prometheus")]
static RECORDED: OnceLock<fn() -> String> = OnceLock::new();
static OPENED: AtomicBool = AtomicBool::new(false);
static ADDRESS: OnceLock<String> = OnceLock::new();
static ANSWERING: AtomicUsize = AtomicUsize::new(0);
static HOLDING: AtomicUsize = AtomicUsize::new(0);

/// The prefix of the sockets' names, in the abstract namespace; the process id follows, and a random number.
pub(crate) const NAME: &str = "pleach-inspect/";

/// How many callers are answered at once.
const MAX_ANSWERS: usize = 8;

/// How many branches are held at once.
const MAX_HOLDS: usize = 1024;

/// The pause after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a caller may take to ask: less than others try again for that find no place meanwhile.
const TO_ASK: Duration = Duration::from_millis(500);

/// How long a caller may take to read.
pub(crate) const TO_READ: Duration = Duration::from_secs(2);

/// The largest request, in bytes.
pub(crate) const MAX_REQUEST: usize = 64 << 10;

/// The stack of a thread here, in bytes.
const STACK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use pleach_patience::patience;
    use uuid::Uuid;

    use super::*;
    use crate::holds::is_held;
    use crate::inspect::ask::ask_lastingly;
    use crate::runtime::route::Route;

    // SEC-28
    #[test]
    fn a_branch_is_held_as_long_as_its_connection_lasts() {
        let listener = Listener::open().unwrap();
        let address = listener.address();
        let name = String::from_utf8(address.as_abstract_name().unwrap().into()).unwrap();
        let (leaf, other) = (Uuid::new_v4(), Uuid::new_v4());
        let asking = thread::spawn(move || ask_lastingly(&Route::to(name), &Request::Hold(vec![leaf])).unwrap());
        while !asking.is_finished() {
            let _ = poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&rustix::event::Timespec::default()));
            listener.answer_next();
        }
        let (hold, first) = asking.join().unwrap();
        assert!(matches!(first, Reply::Held));
        assert!(is_held(leaf) && !is_held(other));
        drop(hold);
        let until = std::time::Instant::now() + patience();
        while is_held(leaf) {
            assert!(std::time::Instant::now() < until, "it is held by a connection that has ended");
            thread::park_timeout(PAUSE);
        }
    }
}
