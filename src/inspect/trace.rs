//! The messages of an actor, told to another process as they pass, for as long as the connection lasts.
//!
//! A thread of this process reads the ring of a [`Tracing`], gives each message the function that it belongs to, and
//! writes. It has nothing to do with the actor's own threads; a reader that is slow costs messages, which are counted.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Process;
use super::ask::{MAX_REPLY, Reply, Request, ask_lastingly, is_end};
use super::report::soon;
use super::transfer::Transfer;
use crate::actor::ActorId;
use crate::channel::tap::{MAX_TRACINGS, Next, Passed, Tracing};
pub use crate::channel::tap::{MessageDirection, MessageKind, TraceFilter};
use crate::runtime::{self, Runtime};

/// A message of a traced actor. What is in it is not told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TracedMessage {
    /// When it passed, in microseconds since 1970.
    pub at_us: u64,
    /// Its direction.
    pub direction: MessageDirection,
    /// The actor at the other end.
    pub peer: ActorId,
    /// The number of its call, context or stream on the connection: as in a [`WaitingCall`](super::WaitingCall) and a
    /// [`RunningFunction`](super::RunningFunction).
    pub cid: Option<u64>,
    /// What it is.
    pub kind: MessageKind,
    /// The path of the function that it belongs to, as far as it is known.
    pub function: Option<String>,
    /// Its size in bytes, with all that is sent of it but the length in front; unknown for one that came together with
    /// the end of the handshake.
    pub bytes: Option<u64>,
}

/// What a trace tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TraceEvent {
    /// A message has passed.
    Message(TracedMessage),
    /// So many messages have passed here that are not told, because the reader was too slow.
    Dropped(u64),
    /// The actor has ended.
    Ended,
}

/// The messages of an actor as they pass. Dropping it ends that.
#[derive(Debug)]
pub struct Trace(Transfer);

impl Trace {
    /// Waits for what comes next: at least one event, in the order in which they were. The last one is
    /// [`TraceEvent::Ended`], also where the process was killed.
    ///
    /// # Errors
    /// When the process says what this version does not understand.
    pub fn recv(&mut self) -> io::Result<Vec<TraceEvent>> {
        match self.0.receive(MAX_REPLY) {
            Err(error) if is_end(&error) => Ok(vec![TraceEvent::Ended]),
            events => events,
        }
    }
}

impl Process {
    /// Begins to trace one of its actors: the messages from now on, of all its connections.
    ///
    /// The actor waits for no reader. It keeps some thousand messages for one that is slow, and counts those that it then
    /// drops. It blocks for two seconds at most.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the actor has ended; [`io::ErrorKind::ResourceBusy`] when sixteen traces run in the
    /// process; otherwise as for [`stacks`](Self::stacks).
    pub fn trace(&self, actor: &ActorId, filter: TraceFilter) -> io::Result<Trace> {
        let request = Request::Trace { actor: actor.uuid(), wanted: filter };
        match ask_lastingly(&self.route, &request)? {
            (transfer, Reply::Traced) => Ok(Trace(transfer.without_bound())),
            (_, Reply::NotTraced(NotTraced::Ended)) => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("{actor} has ended")))
            }
            (_, Reply::NotTraced(NotTraced::TooMany)) => {
                let why = format!("{MAX_TRACINGS} traces run in process {}, which is the limit; end one", self.pid);
                Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Why an actor is not traced.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum NotTraced {
    Ended,
    TooMany,
}

/// A trace that is told to another process.
pub(super) struct Telling {
    tracing: Tracing,
    actor: Weak<Runtime>,
    functions: Functions,
}

impl Telling {
    /// Begins to trace an actor of this process.
    ///
    /// # Errors
    /// Why it is not traced.
    pub(super) fn begin(actor: Uuid, wanted: TraceFilter) -> Result<Self, NotTraced> {
        let tracing = Tracing::begin(actor, wanted).ok_or(NotTraced::TooMany)?;
        let actors = soon(runtime::actors_here).unwrap_or_default();
        let actor = actors.into_iter().find(|candidate| candidate.id().uuid() == actor).ok_or(NotTraced::Ended)?;
        // After the tracing has begun: a request that is not among these is in the ring.
        let functions = Functions::under_way(&actor);
        Ok(Self { tracing, actor: Arc::downgrade(&actor), functions })
    }

    /// Tells what passes until the actor has ended, or the other side has left.
    ///
    /// # Errors
    /// When the other side has left.
    pub(super) fn tell(mut self, mut transfer: Transfer) -> io::Result<()> {
        loop {
            let (mut events, mut has_ended) = self.next();
            // One that was killed, or that had ended before this began, does not say so.
            has_ended |= events.is_empty() && self.actor.upgrade().is_none_or(|actor| actor.lifecycle.has_ended());
            if has_ended {
                events.extend(dropped(self.tracing.take_dropped()));
                events.push(TraceEvent::Ended);
            }
            match events.is_empty() {
                true if transfer.is_readable() => return Ok(()),
                true => {}
                false => transfer.send(&events)?,
            }
            if has_ended {
                return Ok(());
            }
        }
    }

    /// Waits a moment for what passes; returns it, and whether the actor has ended.
    fn next(&mut self) -> (Vec<TraceEvent>, bool) {
        let (mut events, mut patience) = (Vec::new(), LOOK);
        while events.len() < MAX_BATCH {
            match self.tracing.next(patience) {
                Next::Message(passed) => self.push(passed, &mut events),
                Next::Nothing => break,
                Next::Ended => return (events, true),
            }
            patience = Duration::ZERO;
        }
        (events, false)
    }

    fn push(&mut self, passed: Passed, events: &mut Vec<TraceEvent>) {
        events.extend(dropped(passed.dropped));
        let function = self.functions.of(&passed);
        let Passed { at_us, peer, direction, kind, cid, bytes, .. } = passed;
        events.push(TraceEvent::Message(TracedMessage { at_us, direction, peer, cid, kind, function, bytes }));
    }
}

fn dropped(count: u64) -> Option<TraceEvent> {
    (count > 0).then_some(TraceEvent::Dropped(count))
}

/// The functions of the calls, by line and number: a request has its path, and what follows has not.
#[derive(Default)]
struct Functions {
    open: BTreeMap<(u64, u64), Box<str>>,
    /// Of the last ones that have ended: something may follow, such as the acknowledgement of a cancellation.
    ended: VecDeque<((u64, u64), Box<str>)>,
}

impl Functions {
    /// Those that run in an actor, or that it waits for.
    fn under_way(actor: &Runtime) -> Self {
        let mut functions = Self::default();
        for channel in soon(|| actor.peers_now()).unwrap_or_default() {
            let Some(work) = soon(|| channel.work_now(MAX_OPEN)) else { continue };
            let calls = work.calls.iter().map(|call| (call.cid.0, call.what.function.as_str()));
            let tasks = work.tasks.iter().map(|task| (task.cid.0, task.what.function));
            functions.open.extend(calls.chain(tasks).map(|(cid, path)| ((channel.line(), cid), path.into())));
        }
        functions
    }

    /// Returns the function of a message, as far as it is known.
    fn of(&mut self, passed: &Passed) -> Option<String> {
        let call = (passed.line, passed.cid?);
        if let Some(path) = &passed.function {
            if self.open.len() >= MAX_OPEN {
                self.open.pop_first();
            }
            self.open.insert(call, path.clone());
        }
        let ended = || self.ended.iter().rev().find(|(ended, _)| *ended == call).map(|(_, path)| path);
        let path = self.open.get(&call).or_else(ended)?.to_string();
        if passed.kind.is_end()
            && let Some(path) = self.open.remove(&call)
        {
            if self.ended.len() == MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back((call, path));
        }
        Some(path)
    }
}

/// How often a trace without messages looks whether both sides are still there.
const LOOK: Duration = Duration::from_millis(200);

/// How many events are told at once: each names an actor and a function, so that they fit into a reply.
const MAX_BATCH: usize = 128;

/// How many functions are known at once: of calls that are open, and that have ended.
const MAX_OPEN: usize = 16 << 10;
const MAX_ENDED: usize = 256;
