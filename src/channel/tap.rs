//! The messages of an actor as they pass, for those who trace it: which, when, how large, and never what is in them.
//!
//! ```text
//! a connection ── Tap ──► Line ──► the ring of each Tracing of its actor ──► a thread that tells another process
//! ```
//! The thread is that of `inspect/trace.rs`. An actor that ends waits a moment until its last messages are told.
//!
//! # Invariants
//! 1. While nothing is traced in this process, a message costs one relaxed load.
//! 2. No message waits for a tracing. One that finds the ring full is counted, and the count is in the next one.
//! 3. A ring has [`RING`] places, and what is in each has a bounded size: no payload is kept.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use pleach_wire::tap::{Tap, is_watched, set_watched};
use pleach_wire::{Encode, Format, Msg, Outgoing, Payload};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::actor::ActorId;
use crate::epoch;
use crate::error::Packed;

/// The kind of a message, as `pleach trace` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageKind {
    /// Runs a function of the peer.
    Call,
    /// Runs a context function of the peer.
    Context,
    /// Runs a stream function of the peer.
    Stream,
    /// The first value of a context.
    Started,
    /// The sender takes stream messages from now on.
    Open,
    /// One message of a stream.
    Item,
    /// The peer may send more stream messages.
    Credit,
    /// The sender sends no more stream messages.
    Stop,
    /// The function has returned this value.
    Answer,
    /// The function has failed; without a call, the peer's runtime has.
    Failure,
    /// The function has ended because it was cancelled.
    Cancelled,
    /// The function is not run.
    Refused,
    /// Asks to cancel the function.
    Cancel,
    /// That has been done.
    CancelAck,
    /// Asks whether the peer is alive.
    Heartbeat,
    /// It is.
    HeartbeatAck,
    /// The sender closes the connection.
    Goodbye,
    /// Another one.
    Other,
}

/// The direction of a message, as the traced actor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageDirection {
    /// The actor has sent it: it is in the queue of the connection.
    Sent,
    /// The actor has received it.
    Received,
}

/// A message that has passed.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    /// When, in microseconds since 1970.
    pub(crate) at_us: u64,
    /// The [`Line`] that it has passed.
    pub(crate) line: u64,
    pub(crate) peer: ActorId,
    pub(crate) direction: MessageDirection,
    pub(crate) kind: MessageKind,
    pub(crate) cid: Option<u64>,
    /// The beginning of the path of the function, in a request.
    pub(crate) function: Option<Box<str>>,
    /// Unknown for one that came in one piece with the end of the handshake.
    pub(crate) bytes: Option<u64>,
    /// How many before it have found no room.
    pub(crate) dropped: u64,
}

/// Which messages a trace tells; the default is all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TraceFilter {
    /// Those to and from peers that this [means](ActorId::is_meant_by).
    pub peer: Option<String>,
    /// Those of calls, contexts and streams with this number.
    pub cid: Option<u64>,
}

/// A connection of an actor, as tracings know it.
pub(super) struct Line {
    /// No other one in this process has it.
    number: u64,
    here: Uuid,
    peer: ActorId,
}

impl Line {
    pub(super) fn new(here: &ActorId, peer: &ActorId) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), here: here.uuid(), peer: peer.clone() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes a message that had come before this line was the tap of its connection.
    pub(super) fn note_early(&self, msg: &Msg) {
        if is_watched() {
            self.note(MessageDirection::Received, msg, read_ending, None);
        }
    }

    fn note<P>(&self, direction: MessageDirection, msg: &Msg<P>, ending: fn(&P) -> MessageKind, bytes: Option<usize>) {
        let tracers = tracers();
        let mut wanting = tracers.iter().filter(|tracer| tracer.wants(self, msg)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let passed = Passed {
            at_us: epoch::micros(SystemTime::now()),
            line: self.number,
            peer: self.peer.clone(),
            direction,
            kind: MessageKind::of(msg, ending),
            cid: msg.cid().map(|cid| cid.0),
            function: msg.target().map(|target| target[..target.floor_char_boundary(LONGEST_PATH)].into()),
            bytes: bytes.map(|bytes| bytes as u64),
            dropped: 0,
        };
        wanting.for_each(|tracer| tracer.put(passed.clone()));
    }
}

impl Tap for Line {
    #[cold]
    fn sent(&self, msg: &Outgoing<'_>, bytes: usize) {
        self.note(MessageDirection::Sent, msg, |error| written_ending(*error), Some(bytes));
    }

    #[cold]
    fn received(&self, msg: &Msg, bytes: usize) {
        self.note(MessageDirection::Received, msg, read_ending, Some(bytes));
    }
}

impl MessageKind {
    fn of<P>(msg: &Msg<P>, ending: fn(&P) -> Self) -> Self {
        match msg {
            Msg::Start { .. } => Self::Call,
            Msg::Open { .. } => Self::Context,
            Msg::Pull { .. } => Self::Stream,
            Msg::Started { .. } => Self::Started,
            Msg::Stream { .. } => Self::Open,
            Msg::Yield { .. } => Self::Item,
            Msg::Credit { .. } => Self::Credit,
            Msg::Stop { .. } => Self::Stop,
            Msg::Return { .. } => Self::Answer,
            Msg::Error { error, .. } => ending(error),
            Msg::Cancel { .. } => Self::Cancel,
            Msg::CancelAck { .. } => Self::CancelAck,
            Msg::Ping { .. } => Self::Heartbeat,
            Msg::Pong { .. } => Self::HeartbeatAck,
            Msg::Bye { .. } => Self::Goodbye,
            _ => Self::Other,
        }
    }

    /// Returns whether a function ends with it.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Answer | Self::Failure | Self::Cancelled | Self::Refused)
    }
}

fn read_ending(error: &Payload) -> MessageKind {
    match error.decode() {
        Ok(Packed::ContextCancelled(_)) => MessageKind::Cancelled,
        Ok(Packed::Refused { .. }) => MessageKind::Refused,
        Ok(Packed::Remote(_) | Packed::Group { .. }) | Err(_) => MessageKind::Failure,
    }
}

fn written_ending(error: &dyn Encode) -> MessageKind {
    let mut text = BytesMut::new();
    match error.encode(Format::Msgpack, &mut text) {
        Ok(()) => read_ending(&Payload::new(Format::Msgpack, text.freeze(), Bytes::new())),
        Err(_) => MessageKind::Failure,
    }
}

/// The place of a tracing that connections know.
struct Tracer {
    actor: Uuid,
    wanted: TraceFilter,
    /// Nothing in a place says that the actor has ended.
    ring: SyncSender<Option<Passed>>,
    dropped: AtomicU64,
    has_ended: AtomicBool,
    /// Cancelled when all is told.
    told: CancellationToken,
}

impl Tracer {
    fn wants<P>(&self, line: &Line, msg: &Msg<P>) -> bool {
        let TraceFilter { peer, cid } = &self.wanted;
        self.actor == line.here
            && cid.is_none_or(|cid| msg.cid().is_some_and(|of| of.0 == cid))
            && peer.as_ref().is_none_or(|peer| line.peer.is_meant_by(peer))
    }

    fn put(&self, mut passed: Passed) {
        passed.dropped = self.dropped.swap(0, Ordering::Relaxed);
        if let Err(TrySendError::Full(Some(passed))) = self.ring.try_send(Some(passed)) {
            self.dropped.fetch_add(passed.dropped + 1, Ordering::Relaxed);
        }
    }
}

/// The messages of an actor from now on. Dropping it ends that.
pub(crate) struct Tracing {
    tracer: Arc<Tracer>,
    passed: Receiver<Option<Passed>>,
}

/// What has come to a tracing.
pub(crate) enum Next {
    Message(Passed),
    Nothing,
    /// The actor has ended, and so many of its last messages were dropped.
    Ended,
}

impl Tracing {
    /// Begins one; `None` if there are [`MAX_TRACINGS`] in this process.
    pub(crate) fn begin(actor: Uuid, wanted: TraceFilter) -> Option<Self> {
        let (ring, passed) = sync_channel(RING);
        let (dropped, has_ended, told) = (AtomicU64::new(0), AtomicBool::new(false), CancellationToken::new());
        let tracer = Arc::new(Tracer { actor, wanted, ring, dropped, has_ended, told });
        let mut tracers = tracers_mut();
        if tracers.len() == MAX_TRACINGS {
            return None;
        }
        tracers.push(tracer.clone());
        set_watched(true);
        Some(Self { tracer, passed })
    }

    /// Returns what comes next; nothing, if that takes longer.
    pub(crate) fn next(&self, within: Duration) -> Next {
        match self.passed.recv_timeout(within) {
            Ok(Some(passed)) => Next::Message(passed),
            Ok(None) => Next::Ended,
            // The ring was full when it ended.
            Err(_) if self.tracer.has_ended.load(Ordering::Acquire) => Next::Ended,
            Err(_) => Next::Nothing,
        }
    }

    /// Takes the number of messages that were dropped since the last one that was not.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.tracer.dropped.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        {
            let mut tracers = tracers_mut();
            tracers.retain(|tracer| !Arc::ptr_eq(tracer, &self.tracer));
            set_watched(!tracers.is_empty());
        }
        self.tracer.told.cancel();
    }
}

/// Tells the tracings of an actor that it has ended, and waits until they have told its last messages.
///
/// # Cancel safety
/// If dropped, they go on telling them.
pub(crate) async fn end_of(actor: Uuid) {
    let traced: Vec<_> = tracers().iter().filter(|tracer| tracer.actor == actor).cloned().collect();
    for tracer in &traced {
        tracer.has_ended.store(true, Ordering::Release);
        let _ = tracer.ring.try_send(None); // a full ring is read, and then it is seen above
    }
    for tracer in traced {
        tracer.told.cancelled().await;
    }
}

/// It is held for a moment only.
fn tracers() -> RwLockReadGuard<'static, Vec<Arc<Tracer>>> {
    TRACERS.read().unwrap_or_else(PoisonError::into_inner)
}

fn tracers_mut() -> RwLockWriteGuard<'static, Vec<Arc<Tracer>>> {
    TRACERS.write().unwrap_or_else(PoisonError::into_inner)
}

static TRACERS: RwLock<Vec<Arc<Tracer>>> = RwLock::new(Vec::new());

/// How many tracings a process has at once.
pub(crate) const MAX_TRACINGS: usize = 16;

/// How many messages wait to be told.
const RING: usize = 8 << 10;

/// As many bytes of the path of a function are kept: it comes from a peer.
const LONGEST_PATH: usize = 256;

#[cfg(test)]
mod tests {
    use pleach_wire::{ByteStr, CallOptions, Cid};

    use super::*;

    fn call(function: &str, cid: u64) -> Outgoing<'static> {
        Msg::Start { cid: Cid(cid), target: function.to_owned().into(), args: &(), terms: CallOptions::default() }
    }

    fn next(tracing: &Tracing) -> Option<Passed> {
        match tracing.next(Duration::ZERO) {
            Next::Message(passed) => Some(passed),
            Next::Nothing | Next::Ended => None,
        }
    }

    // SEC-29
    #[test]
    fn what_finds_no_room_is_counted_in_its_place() {
        let [here, peer] = ["here", "peer"].map(ActorId::new);
        let line = Line::new(&here, &peer);
        let tracing = Tracing::begin(here.uuid(), TraceFilter::default()).unwrap();
        for cid in 0..RING as u64 + 20 {
            line.sent(&call("a::b", cid), 9);
        }
        let before = std::iter::from_fn(|| next(&tracing)).inspect(|passed| assert_eq!(passed.dropped, 0)).count();
        assert_eq!(before, RING);
        line.sent(&call("a::b", 1), 9);
        assert_eq!(next(&tracing).unwrap().dropped, 20);
        assert_eq!(tracing.take_dropped(), 0);
    }

    #[test]
    fn each_tracing_gets_what_it_wants_and_ends_with_its_actor() {
        let [here, peer, other] = ["here", "peer", "other"].map(ActorId::new);
        let lines = [&peer, &other].map(|peer| Line::new(&here, peer));
        let of = |wanted| Tracing::begin(here.uuid(), wanted).unwrap();
        let all = of(TraceFilter::default());
        let some = of(TraceFilter { peer: Some("peer".into()), cid: Some(3) });
        for (line, cid) in [(0, 1), (0, 3), (1, 3)] {
            lines[line].sent(&call("a::b", cid), 9);
        }
        lines[0].sent(&Msg::Bye { why: ByteStr::from_static("unused") }, 3);
        Line::new(&other, &here).sent(&call("a::b", 3), 9);
        let seen = |tracing| std::iter::from_fn(|| next(tracing)).map(|passed| (passed.kind, passed.cid)).collect();
        let [of_some, of_all]: [Vec<_>; 2] = [&some, &all].map(seen);
        assert_eq!((of_some, of_all.len()), (vec![(MessageKind::Call, Some(3))], 4));
        let ended = std::thread::spawn(move || matches!(all.next(Duration::MAX), Next::Ended));
        drop(some);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(end_of(here.uuid()));
        assert!(ended.join().unwrap());
    }

    #[test]
    fn no_more_than_the_beginning_of_a_path_is_kept() {
        let [here, peer] = ["here", "peer"].map(ActorId::new);
        let tracing = Tracing::begin(here.uuid(), TraceFilter::default()).unwrap();
        Line::new(&here, &peer).sent(&call(&"é".repeat(LONGEST_PATH), 1), 9);
        assert_eq!(next(&tracing).unwrap().function.unwrap().len(), LONGEST_PATH);
    }
}
