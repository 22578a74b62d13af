//! Spans over hops: which trace a call belongs to, and how that gets from the caller's span to the callee's.
//!
//! A tracing system knows both its spans and the ids of traces; this library knows neither. So the system, or the
//! glue to it (`otel`), is a [`Propagator`]. Without one no call carries a trace, and none is asked for.

use std::sync::OnceLock;

use pleach_wire::TraceContext;
use tracing::Span;

use super::calls::trace_calls;

/// Connects the spans of this process with those of other processes.
///
/// The program's subscriber has to take the spans of calls: see [`trace_calls`]. Both functions are called in the task that calls or serves. They must not block.
pub trait Propagator: Send + Sync {
    /// Returns where in which trace `span` is, if it is in one; a call takes that along.
    fn inject(&self, span: &Span) -> Option<TraceContext>;

    /// Makes `span`, which has just been made for a call from another actor, a child of the caller's.
    fn extract(&self, span: &Span, caller: &TraceContext);
}

/// Has calls, contexts and streams of this process carry the trace that they belong to.
///
/// Returns whether this is the first propagator: only that one counts. Each process of a tree sets its own, so call it
/// in `#[pleach::main(init = …)]`.
pub fn propagate_with(propagator: impl Propagator + 'static) -> bool {
    let is_first = PROPAGATOR.set(Box::new(propagator)).is_ok();
    trace_calls();
    is_first
}

/// Returns the trace that a call with this span belongs to; one without a span belongs to that of the code around.
pub(super) fn context_of(span: &Span) -> Option<Box<TraceContext>> {
    let propagator = PROPAGATOR.get()?;
    let context = if span.is_disabled() { propagator.inject(&Span::current()) } else { propagator.inject(span) };
    context.map(Box::new)
}

/// Puts the span of a task below that of its caller.
pub(super) fn continue_trace(span: &Span, caller: Option<&TraceContext>) {
    if let (Some(caller), Some(propagator)) = (caller, PROPAGATOR.get()) {
        propagator.extract(span, caller);
    }
}

static PROPAGATOR: OnceLock<Box<dyn Propagator>> = OnceLock::new();
