//! What a look from another thread sees of a connection: it never waits for a lock.
//!
//! What is noted for it of each call and task takes no allocation: a path that is there anyway, a handle of a scope,
//! and the time.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use pleach_wire::msg::FunctionKind;
use pleach_wire::sync::try_lock;
use pleach_wire::{ByteStr, Key, SilenceLimit, TransportError, Volume};

use super::Channel;
use crate::error::Packed;
use crate::events::{self, ActorEventKind};
use crate::proto::failure_detector::PeerHealth;
use crate::proto::session::{Counts, Seen};
use crate::proto::target::Target;
use crate::scope::CancelScope;
use crate::sync::lock;
use crate::telemetry::meters::{self, Event};

/// When the last failure was told to the peer, and the beginning of its message.
pub(super) type LastFailure = Mutex<Option<(SystemTime, String)>>;

/// A call, context or stream of this side that waits for the peer.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) function: ByteStr,
    pub(crate) kind: FunctionKind,
    pub(crate) began: Moment,
    /// The scope of the code that has asked.
    pub(crate) scope: Option<CancelScope>,
}

impl Asked {
    /// Notes that the code that runs now asks for a function.
    pub(super) fn now(kind: FunctionKind, function: ByteStr) -> Self {
        Self { function, kind, began: Moment::now(), scope: CancelScope::current() }
    }
}

/// A function that runs here for the peer, and the scope by which it can be cancelled.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) scope: CancelScope,
    pub(crate) function: &'static str,
    pub(crate) kind: FunctionKind,
    pub(crate) began: Moment,
}

impl Running {
    /// Notes that a function begins.
    pub(crate) fn now(scope: CancelScope, kind: FunctionKind, function: &'static str) -> Self {
        Self { scope, function, kind, began: Moment::now() }
    }
}

/// A time that costs less to read than the exact one: it may be some milliseconds early.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(Duration);

impl Moment {
    #[expect(unsafe_code, reason = "std has no coarse clock, and that of rustix can't be read under valgrind")]
    fn now() -> Self {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: it writes one `timespec`, which is there. If the clock were missing, every time would be 0.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
        Self(Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32))
    }

    /// Returns how long ago it was.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// What is under way over a connection, the oldest first, at most as many as were asked for.
pub(crate) struct Work {
    pub(crate) counts: Counts,
    pub(crate) calls: Vec<Seen<Asked>>,
    pub(crate) tasks: Vec<Seen<Running>>,
}

impl Channel {
    /// Returns its codec and protocol.
    pub(crate) fn transport_key(&self) -> Key {
        let transport = self.transport();
        Key::new(transport.format().name(), self.protocol())
    }

    /// Returns its number as a [`Line`](super::tap::Line).
    pub(crate) fn line(&self) -> u64 {
        self.0.line.number()
    }

    /// Returns what is under way, unless that is changing; at most `most` calls and as many tasks.
    pub(crate) fn work_now(&self, most: usize) -> Option<Work> {
        let session = try_lock(&self.0.session)?;
        let calls = session.calls_seen().take(most).map(|seen| seen.map(Asked::clone)).collect();
        let tasks = session.tasks_seen().take(most).map(|seen| seen.map(Running::clone)).collect();
        Some(Work { counts: session.counts(), calls, tasks })
    }

    /// Returns the functions of the peer that run for this side and are not being cancelled, each once, the first
    /// called first, at most as many as were asked for.
    pub(super) fn functions_running(&self, most: usize) -> Vec<String> {
        let session = self.session();
        let mut functions: Vec<String> = Vec::new();
        for call in session.calls_seen().filter(|call| !call.cancelled) {
            if functions.len() == most {
                break;
            }
            let function = &call.what.function;
            let is_new = !functions.iter().any(|noted| noted == function.as_str());
            if is_new && matches!(Target::read(function.clone()), Target::Function(_)) {
                functions.push(function.as_str().to_owned());
            }
        }
        functions
    }

    /// Returns what has crossed, unless that is changing, or the transport does not count.
    pub(crate) fn volume_now(&self) -> Option<Volume> {
        self.transport().volume()
    }

    /// Counts that it was opened; whether by this side.
    pub(crate) fn note_opened(&self, dialled: bool) {
        meters::count(Event::Connected { transport: self.protocol(), dialled });
    }

    /// Counts that it has ended: what has crossed it, and whether its peer was declared dead.
    pub(crate) fn note_closed(&self) {
        meters::note_closed(self.protocol(), self.volume_now());
        if let Some(TransportError::Silent { limit, .. }) = self.end() {
            meters::count(Event::DeclaredDead(match limit {
                SilenceLimit::Lease(_) => "lease",
                SilenceLimit::OwnLease(_) => "own_lease",
                SilenceLimit::Phi(_) => "phi",
                _ => "network",
            }));
        }
    }

    /// Returns its protocol.
    pub(crate) fn protocol(&self) -> &str {
        self.transport().ends().remote.protocol()
    }

    /// Returns how long the answer to the last heartbeat took, if there was one.
    pub(crate) fn rtt_now(&self) -> Option<Duration> {
        match try_lock(self.0.detector.as_ref()?)?.health(self.now()) {
            PeerHealth::Alive { rtt } => rtt,
            PeerHealth::Suspect { .. } | PeerHealth::Dead => None,
        }
    }

    /// Returns the last failure that the peer was told, and when.
    pub(crate) fn last_failure_now(&self) -> Option<(SystemTime, String)> {
        try_lock(&self.0.last_failure)?.clone()
    }

    /// Notes what the peer is told.
    pub(super) fn note_failure_told(&self, failure: &Packed) {
        let message = events::shortened(failure.to_string());
        events::note(ActorEventKind::Error, self.here(), self.here(), Some(message.clone()));
        *lock(&self.0.last_failure) = Some((SystemTime::now(), message));
    }
}
