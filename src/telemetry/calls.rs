//! What is observed of one call, on one of its sides: its span, and its part in the metrics.
//!
//! A span is made where the call is, unlike a record, so the subscriber has to be quick. Therefore there are spans only
//! if this process has asked for them ([`trace_calls`]); otherwise a call costs one branch, and no subscriber is asked.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use pleach_wire::TraceContext;
use pleach_wire::msg::FunctionKind;
use tracing::Span;
use tracing::field::Empty;
use tracing::instrument::{Instrument as _, Instrumented};

use super::meters::{CallMeters, Callee, Measured, OTHER};
use super::spans;

/// Makes spans of the calls, contexts and streams of this process from now on, as far as its subscriber takes them.
///
/// A span is named `rpc`, has the level `debug` and the target `pleach::rpc`, and is there on both sides of a call, with
/// the fields `actor`, `kind` (`rpc`, `context`, `stream`), `function`, `peer` and `outcome` (`returned`, `failed`,
/// `panicked`, `cancelled`, `refused`, `lost`), and those by which OpenTelemetry knows the side and the status. The
/// function runs in the span of its side.
///
/// The subscriber of [`init`](super::init) gets them by itself, and so does one with a
/// [propagator](super::propagate_with). Any other one has to ask, because it is called in the middle of a call: one that
/// blocks then holds up its actor, unlike one that only gets records. One that panics does no harm.
pub fn trace_calls() {
    TRACED.store(true, Ordering::Relaxed);
}

/// Has a task that is started here run in the span of the code that starts it, if calls are traced.
pub(crate) fn in_current_span<F>(task: F) -> Instrumented<F> {
    let span = if is_traced() { contained(Span::current).unwrap_or_else(Span::none) } else { Span::none() };
    task.instrument(span)
}

fn is_traced() -> bool {
    TRACED.load(Ordering::Relaxed)
}

static TRACED: AtomicBool = AtomicBool::new(false);

/// The observation of a call, context or stream. Dropping it notes that it was cancelled.
#[derive(Default)]
pub(crate) struct Observed {
    traced: Option<Box<Call>>,
    measured: Measured,
}

struct Call {
    span: Span,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    Returned,
    Failed,
    Panicked,
    /// It was cancelled, or the caller has left.
    Cancelled,
    /// The callee did not run it.
    Refused,
    /// It could not be sent, or its connection was lost.
    Lost,
}

impl CallOutcome {
    /// Each of them, in order.
    #[cfg(feature = "metrics")]
    pub(crate) const ALL: [Self; 6] =
        [Self::Returned, Self::Failed, Self::Panicked, Self::Cancelled, Self::Refused, Self::Lost];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Returned => "returned",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Cancelled => "cancelled",
            Self::Refused => "refused",
            Self::Lost => "lost",
        }
    }

    const fn is_error(self) -> bool {
        !matches!(self, Self::Returned | Self::Cancelled)
    }
}

/// The side of a call on which it is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallSide {
    Caller,
    Callee,
}

impl CallSide {
    /// The name that tracing systems and metrics have for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Caller => "client",
            Self::Callee => "server",
        }
    }
}

impl Observed {
    /// Begins to observe a call that this actor makes.
    pub(crate) fn caller(kind: FunctionKind, callee: &Callee, peer: &dyn Display) -> Self {
        let traced = if is_traced() { Call::begin_caller(kind, &callee.path, peer) } else { None };
        Self { traced, measured: Measured::begin(callee.meters, CallSide::Caller) }
    }

    /// Begins to observe a function that runs for a peer, which has named the trace that its call belongs to.
    pub(crate) fn callee(
        kind: FunctionKind,
        function: &'static str,
        meters: &'static CallMeters,
        peer: &dyn Display,
        trace: Option<&TraceContext>,
    ) -> Self {
        let traced = if is_traced() { Call::begin_callee(kind, function, peer, trace) } else { None };
        Self { traced, measured: Measured::begin(meters, CallSide::Callee) }
    }

    /// Observes a function that a peer has asked for, and that it may not run here: it is counted, and has no span.
    pub(crate) fn unknown() -> Self {
        Self { traced: None, measured: Measured::begin(&OTHER, CallSide::Callee) }
    }

    /// Returns the trace that a call takes along, if it belongs to one.
    pub(crate) fn trace_context(&self) -> Option<Box<TraceContext>> {
        if !is_traced() {
            return None;
        }
        let none = Span::none();
        let span = self.traced.as_ref().map_or(&none, |call| &call.span);
        contained(|| spans::context_of(span)).flatten()
    }

    /// Returns the span, if there is one, for the code of the call to run in.
    pub(crate) fn span(&self) -> Option<Span> {
        self.traced.as_ref().map(|call| call.span.clone()).filter(|span| !span.is_disabled())
    }

    /// Returns whether the call is observed, and has not ended.
    pub(crate) fn is_on(&self) -> bool {
        self.traced.is_some() || self.measured.is_on()
    }

    /// Notes how the call has ended. The first end counts.
    pub(crate) fn end(&mut self, outcome: CallOutcome) {
        self.measured.end(outcome);
        if let Some(call) = self.traced.take() {
            call.end(outcome);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.end(if std::thread::panicking() { CallOutcome::Panicked } else { CallOutcome::Cancelled });
    }
}

impl Call {
    #[cold]
    fn begin_caller(kind: FunctionKind, function: &str, peer: &dyn Display) -> Option<Box<Self>> {
        let make = || {
            tracing::debug_span!(
                target: "pleach::rpc", "rpc",
                otel.kind = CallSide::Caller.name(), otel.name = function, otel.status_code = Empty,
                actor = actor(), kind = kind_name(kind), function, peer = display(peer), outcome = Empty,
            )
        };
        let span = contained(make).unwrap_or_else(Span::none);
        Self::new(span)
    }

    #[cold]
    fn begin_callee(
        kind: FunctionKind,
        function: &'static str,
        peer: &dyn Display,
        trace: Option<&TraceContext>,
    ) -> Option<Box<Self>> {
        let make = || {
            let span = tracing::debug_span!(
                target: "pleach::rpc", parent: None, "rpc",
                otel.kind = CallSide::Callee.name(), otel.name = function, otel.status_code = Empty,
                actor = actor(), kind = kind_name(kind), function, peer = display(peer), outcome = Empty,
            );
            spans::continue_trace(&span, trace);
            span
        };
        let span = contained(make).unwrap_or_else(Span::none);
        Self::new(span)
    }

    fn new(span: Span) -> Option<Box<Self>> {
        (!span.is_disabled()).then(|| Box::new(Self { span }))
    }

    #[cold]
    fn end(self: Box<Self>, outcome: CallOutcome) {
        contained(|| {
            self.span.record("outcome", outcome.name());
            if outcome.is_error() {
                self.span.record("otel.status_code", "ERROR");
            }
            drop(self);
        });
    }
}

/// Calls the program's subscriber or recorder. If it panics, the call goes on without a span.
fn contained<T>(observe: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(observe)).ok()
}

fn actor() -> String {
    pleach_wire::log::origin().as_deref().unwrap_or_default().to_owned()
}

pub(super) fn kind_name(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Rpc => "rpc",
        FunctionKind::Context => "context",
        FunctionKind::Stream => "stream",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
    use tracing_subscriber::{Registry, filter::Targets};

    use super::*;

    /// The fields of the spans that were made.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<(String, String)>>>);

    impl Visit for &Seen {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.lock().unwrap().push((field.name().to_owned(), format!("{value:?}").replace('"', "")));
        }
    }

    impl Layer<Registry> for Seen {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, Registry>) {
            attributes.record(&mut &*self);
        }

        fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, Registry>) {
            values.record(&mut &*self);
        }
    }

    fn other() -> Callee {
        pleach_wire::ByteStr::from_static("a::b").into()
    }

    fn seen(filter: &str, body: impl FnOnce()) -> Vec<(String, String)> {
        trace_calls();
        let seen = Seen::default();
        with_default(Registry::default().with(seen.clone().with_filter(filter.parse::<Targets>().unwrap())), body);
        seen.0.lock().unwrap().clone()
    }

    #[test]
    fn a_span_names_both_sides_the_function_and_the_outcome() {
        let call = || Observed::callee(FunctionKind::Context, "a::b", other().meters, &"peer", None);
        let ended = seen("pleach::rpc=debug", || call().end(CallOutcome::Panicked));
        for (name, value) in [
            ("otel.kind", "server"),
            ("kind", "context"),
            ("function", "a::b"),
            ("peer", "peer"),
            ("outcome", "panicked"),
            ("otel.status_code", "ERROR"),
        ] {
            assert_eq!(ended.iter().filter(|field| **field == (name.into(), value.into())).count(), 1, "{ended:?}");
        }
        let dropped = seen("pleach::rpc=debug", || drop(call()));
        assert!(dropped.contains(&("outcome".into(), "cancelled".into())), "{dropped:?}");
        assert!(!dropped.iter().any(|(name, _)| name == "otel.status_code"), "{dropped:?}");
    }

    #[test]
    fn without_a_subscriber_that_wants_it_there_is_no_span() {
        let fields = seen("pleach::rpc=info,warn", || {
            let observed = Observed::caller(FunctionKind::Rpc, &other(), &"peer");
            assert!(observed.span().is_none() && observed.trace_context().is_none());
        });
        assert_eq!(fields, []);
    }
}
