//! From the context of an OpenTelemetry span to the trace that a call carries, and back.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use pleach_wire::TraceContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::super::Propagator;

/// Connects the spans of processes whose subscribers have a layer of `tracing-opentelemetry`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtelPropagator;

impl Propagator for OtelPropagator {
    fn inject(&self, span: &Span) -> Option<TraceContext> {
        let context = span.context();
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| TraceContext {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            parent_id: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
            state: context.trace_state().header().into(),
        })
    }

    fn extract(&self, span: &Span, caller: &TraceContext) {
        let (trace, parent) = (caller.trace_id.to_be_bytes(), caller.parent_id.to_be_bytes());
        // A state that is not valid is left out, as the standard has it.
        let state = caller.state.parse::<TraceState>().unwrap_or_default();
        let (trace, parent) = (TraceId::from_bytes(trace), SpanId::from_bytes(parent));
        let caller = SpanContext::new(trace, parent, TraceFlags::new(caller.flags), true, state);
        let _ = span.set_parent(Context::new().with_remote_span_context(caller)); // no layer of OpenTelemetry: no trace
    }
}
