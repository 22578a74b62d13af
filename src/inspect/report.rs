//! What a process tells of its actors.
//!
//! It is a look from another thread while the actors go on: counts may be a moment apart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pleach_wire::{Key, Volume};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::links::{self, HostLink};
use super::work::{LineWork, RunningFunction, WaitingCall};
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::epoch;
use crate::proto::handshake::Endpoint;
use crate::runtime::{self, Runtime};

/// A process that hosts actors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessReport {
    /// Its process id.
    pub pid: u32,
    /// The path of its program.
    pub program: PathBuf,
    /// The processor time that it has used, in milliseconds.
    pub cpu_ms: u64,
    /// Its resident memory, in bytes.
    pub memory: u64,
    /// When this was told, in microseconds on a clock of the host that never goes back.
    #[serde(default)]
    pub told_us: u64,
    /// Its actors: most processes host one.
    pub actors: Vec<ActorReport>,
    /// Its links to other hosts, where it has started actors.
    #[serde(default)]
    pub links: Vec<HostLink>,
}

/// An actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorReport {
    /// Its identity.
    pub who: ActorId,
    /// Its parent; a root has none.
    pub parent: Option<ActorId>,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How far it is.
    pub stage: Stage,
    /// Where it listens; `None` while it is about to listen somewhere.
    pub listening: Option<Vec<Endpoint>>,
    /// Its connections, the oldest first; `None` while they were changing.
    pub peers: Option<Vec<PeerReport>>,
}

/// How far an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// It works.
    Running,
    /// It has been asked to end, or ends by itself.
    Ending,
}

/// A connection of an actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerReport {
    /// The actor at the other end.
    pub who: ActorId,
    /// Codec and protocol.
    pub transport: Key,
    /// How many calls and contexts of this actor wait there for their answers; `None` while that was changing.
    pub calls: Option<usize>,
    /// How many functions run here for the peer; `None` while that was changing.
    pub tasks: Option<usize>,
    /// How many contexts and streams are open over it, by either side; `None` while that was changing.
    pub contexts: Option<usize>,
    /// How many stream messages this actor may send over it without waiting; `None` while that was changing.
    pub credit: Option<u64>,
    /// How many stream messages have come over it and wait for a task to take them; `None` while that was changing.
    pub unread: Option<u64>,
    /// What has crossed it so far; `None` while that was changing, and over a transport that does not count.
    pub volume: Option<Volume>,
    /// The functions that run here for the peer, the oldest first; `None` while that was changing. Of many, some are left
    /// out: [`tasks`](Self::tasks) counts all.
    pub running: Option<Vec<RunningFunction>>,
    /// The calls, contexts and streams of this actor that wait there, the oldest first; `None` while that was changing.
    /// Of many, some are left out: [`calls`](Self::calls) counts all.
    pub waiting: Option<Vec<WaitingCall>>,
    /// How long the answer to the last heartbeat took, in microseconds, if heartbeats run.
    pub rtt_us: Option<u64>,
    /// The last failure of a function that the peer has been told.
    pub last_error: Option<Failure>,
}

/// A failure of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// When it was answered, in milliseconds since 1970.
    pub at_ms: u64,
    /// The beginning of its message.
    pub message: String,
}

impl ProcessReport {
    /// That of this process.
    pub(super) fn here() -> Self {
        let actors = soon(runtime::actors_here).unwrap_or_default();
        let [cpu, now] = [ClockId::ProcessCPUTime, ClockId::Boottime].map(|clock| {
            let time = clock_gettime(clock);
            Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
        });
        Self {
            pid: std::process::id(),
            program: std::env::current_exe().unwrap_or_default(),
            cpu_ms: cpu.as_millis() as u64,
            memory: resident_memory().unwrap_or_default(),
            told_us: now.as_micros() as u64,
            actors: actors.iter().map(|actor| ActorReport::of(actor, MAX_LISTED / actors.len())).collect(),
            links: links::all(),
        }
    }
}

impl ActorReport {
    /// Returns how many functions run in it for its peers; `None` while that was changing.
    pub fn tasks(&self) -> Option<usize> {
        self.peers.as_ref()?.iter().map(|peer| peer.tasks).sum()
    }

    /// Returns how many contexts and streams are open in it, by either side; `None` while that was changing.
    pub fn contexts(&self) -> Option<usize> {
        self.peers.as_ref()?.iter().map(|peer| peer.contexts).sum()
    }

    /// Returns the last failure of a function that a peer has been told, among the connections that it has now.
    pub fn last_error(&self) -> Option<&Failure> {
        let failures = self.peers.iter().flatten().filter_map(|peer| peer.last_error.as_ref());
        failures.max_by_key(|failure| failure.at_ms)
    }

    /// That of an actor of this process, with at most so many functions and calls.
    pub(crate) fn of(runtime: &Arc<Runtime>, most: usize) -> Self {
        Self {
            who: runtime.id().clone(),
            parent: runtime.identity.parent().cloned(),
            began_ms: runtime.identity.began_ms(),
            stage: if runtime.lifecycle.end_requested() { Stage::Ending } else { Stage::Running },
            listening: soon(|| runtime.endpoints_now()),
            peers: soon(|| runtime.peers_now()).map(|peers| PeerReport::all(&peers, most)),
        }
    }
}

impl PeerReport {
    fn all(channels: &[Channel], most: usize) -> Vec<Self> {
        let most = (most / channels.len().max(1)).clamp(1, MAX_OF_PEER);
        let work: Vec<_> = channels.iter().map(|channel| LineWork::of(channel, most)).collect();
        channels.iter().zip(&work).map(|(channel, line)| Self::of(channel, line, &work)).collect()
    }

    fn of(channel: &Channel, line: &LineWork<'_>, all: &[LineWork<'_>]) -> Self {
        let counts = line.seen().map(|work| work.counts);
        Self {
            who: channel.peer().clone(),
            transport: channel.transport_key(),
            calls: counts.map(|counts| counts.calls),
            tasks: counts.map(|counts| counts.tasks),
            contexts: counts.map(|counts| counts.dialogs),
            credit: counts.map(|counts| counts.credit),
            unread: counts.map(|counts| counts.unread),
            volume: soon(|| channel.volume_now()),
            running: line.running(),
            waiting: line.waiting(all),
            rtt_us: channel.rtt_now().map(|rtt| rtt.as_micros() as u64),
            last_error: channel.last_failure_now().map(|(at, message)| Failure { at_ms: epoch::millis(at), message }),
        }
    }
}

/// Returns the time, in milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    epoch::millis(SystemTime::now())
}

fn resident_memory() -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(sizes.split_whitespace().nth(1)?.parse::<u64>().ok()? * rustix::param::page_size() as u64)
}

/// Looks again for a moment, while what it looks at is locked.
pub(crate) fn soon<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    (0..LOOKS).find_map(|_| {
        let seen = look();
        if seen.is_none() {
            std::thread::yield_now();
        }
        seen
    })
}

/// How many functions and as many calls a report lists, of a process and over one connection.
const MAX_LISTED: usize = 16 << 10;
const MAX_OF_PEER: usize = 64;

/// How often a lock is tried that is held for a moment each time.
const LOOKS: usize = 200;
