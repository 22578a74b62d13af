//! Calls and events on their way to the recorder.
//!
//! The handles of a function's meters are taken at its first call, once for each side: after that, a call costs two
//! reads of the clock, a counter and a histogram, and neither an allocation nor a search. Events are rare, and look
//! their counters up by name.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ::metrics::{Counter, Histogram, counter, histogram};
use pleach_wire::Volume;
use pleach_wire::msg::FunctionKind;

use super::recorder::{self, contained};
use super::{Event, names};
use crate::sync::lock;
use crate::telemetry::calls::{CallOutcome, CallSide, kind_name};

/// The meters of one function.
#[derive(Debug)]
pub(crate) struct CallMeters {
    caller: SideMeters,
    callee: SideMeters,
}

/// The meters of one function, on one side of its calls.
#[derive(Debug)]
struct SideMeters {
    function: &'static str,
    kind: FunctionKind,
    side: CallSide,
    handles: OnceLock<Handles>,
}

#[derive(Debug)]
struct Handles {
    ended: [Counter; CallOutcome::ALL.len()],
    duration: Histogram,
}

impl CallMeters {
    pub(crate) const fn new(function: &'static str, kind: FunctionKind) -> Self {
        let caller = SideMeters { function, kind, side: CallSide::Caller, handles: OnceLock::new() };
        Self { caller, callee: SideMeters { function, kind, side: CallSide::Callee, handles: OnceLock::new() } }
    }
}

impl SideMeters {
    fn record(&self, outcome: CallOutcome, took: Option<Duration>) {
        let handles = self.handles.get_or_init(|| self.register());
        handles.ended[outcome as usize].increment(1);
        if let Some(took) = took {
            handles.duration.record(took);
        }
    }

    #[cold]
    fn register(&self) -> Handles {
        let (side, kind, function) = (self.side.name(), kind_name(self.kind), self.function);
        let ended = |outcome: CallOutcome| counter!(names::CALLS.name, "side" => side, "kind" => kind, "function" => function, "outcome" => outcome.name());
        let duration = histogram!(names::CALL_DURATION.name, "side" => side, "kind" => kind, "function" => function);
        Handles { ended: CallOutcome::ALL.map(ended), duration }
    }
}

/// The measurement of one call.
#[derive(Debug, Default)]
pub(crate) struct Measured(Option<Running>);

#[derive(Debug)]
struct Running {
    meters: &'static SideMeters,
    /// `None` if it began before there was a recorder.
    began: Option<Began>,
}

impl Measured {
    #[inline]
    pub(crate) fn begin(meters: &'static CallMeters, side: CallSide) -> Self {
        let meters = match side {
            CallSide::Caller => &meters.caller,
            CallSide::Callee => &meters.callee,
        };
        Self(Some(Running { meters, began: if recorder::is_known() { Began::now() } else { None } }))
    }

    /// Returns whether it has not ended, and its end will be recorded.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some() && recorder::is_there()
    }

    /// Records the end. The first one counts.
    #[inline]
    pub(crate) fn end(&mut self, outcome: CallOutcome) {
        if let Some(Running { meters, began }) = self.0.take()
            && recorder::is_there()
        {
            contained(|| meters.record(outcome, began.map(Began::elapsed)));
        }
    }
}

/// When a call began, in nanoseconds since the first one that was measured: half as long as an [`Instant`].
#[derive(Clone, Copy, Debug)]
struct Began(NonZeroU64);

impl Began {
    fn now() -> Option<Self> {
        NonZeroU64::new(Self::nanos() + 1).map(Self)
    }

    fn elapsed(self) -> Duration {
        Duration::from_nanos((Self::nanos() + 1).saturating_sub(self.0.get()))
    }

    fn nanos() -> u64 {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        FIRST.elapsed().as_nanos() as u64
    }
}

/// Counts an event.
pub(crate) fn count(event: Event<'_>) {
    if recorder::is_there() {
        contained(|| record(event));
    }
}

fn record(event: Event<'_>) {
    let once = |counter: Counter| counter.increment(1);
    match event {
        Event::Spawned(took) => {
            once(counter!(names::SPAWNS.name, "outcome" => "connected"));
            histogram!(names::SPAWN_DURATION.name).record(took);
        }
        Event::NotSpawned => once(counter!(names::SPAWNS.name, "outcome" => "failed")),
        Event::SpawnCancelled => once(counter!(names::SPAWNS.name, "outcome" => "cancelled")),
        Event::Ended { by, status } => once(counter!(names::ENDS.name, "by" => by, "status" => status)),
        Event::ReapStep(step) => once(counter!(names::REAP_STEPS.name, "step" => step)),
        Event::Restarted => once(counter!(names::RESTARTS.name)),
        Event::GaveUp => once(counter!(names::GIVE_UPS.name)),
        Event::Connected { transport, dialled } => {
            let side = if dialled { CallSide::Caller } else { CallSide::Callee };
            once(counter!(names::CONNECTED.name, "transport" => transport.to_owned(), "side" => side.name()));
        }
        Event::NotAdmitted(reason) => once(counter!(names::NOT_ADMITTED.name, "reason" => reason)),
        Event::DeclaredDead(reason) => once(counter!(names::DECLARED_DEAD.name, "reason" => reason)),
        Event::RoundTrip { transport, took } => {
            histogram!(names::ROUND_TRIP.name, "transport" => transport.to_owned()).record(took);
        }
        Event::Stalled => once(counter!(names::STALLED.name)),
    }
}

/// Notes what has crossed a connection that has ended: nothing else will know it.
pub(crate) fn note_closed(transport: &str, volume: Option<Volume>) {
    let Some(volume) = volume else { return };
    let mut closed = lock(&CLOSED);
    let total = closed.entry(transport.to_owned()).or_default();
    for (total, flow) in [(&mut total.sent, volume.sent), (&mut total.received, volume.received)] {
        total.messages += flow.messages;
        total.bytes += flow.bytes;
    }
}

/// Returns what has crossed all connections of this process that have ended, for each protocol.
pub(crate) fn closed_connections() -> Vec<(String, Volume)> {
    lock(&CLOSED).iter().map(|(transport, volume)| (transport.clone(), *volume)).collect()
}

static CLOSED: Mutex<BTreeMap<String, Volume>> = Mutex::new(BTreeMap::new());
