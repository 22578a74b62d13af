//! The metrics of this library: the one place for their names, labels and meanings.
//!
//! The table in `src/manual/observing.rs` is compared with [`METRICS`] by a test.

use ::metrics::{KeyName, Recorder, SharedString, Unit};

/// A metric that this library records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, as Prometheus has it.
    pub name: &'static str,
    /// What kind it is.
    pub kind: MetricKind,
    /// The names of its labels. What they say is bounded by the program, whatever peers send.
    pub labels: &'static [&'static str],
    /// Its meaning.
    pub help: &'static str,
    unit: Unit,
}

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, from the start of its process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// The distribution of times, in seconds.
    Histogram,
}

impl Metric {
    const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, labels, help, unit: Unit::Count }
    }

    const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, labels, help, unit: Unit::Count }
    }

    const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, labels, help, unit: Unit::Seconds }
    }

    const fn in_bytes(mut self) -> Self {
        self.unit = Unit::Bytes;
        self
    }

    /// Tells a recorder what it means.
    pub(super) fn describe(&self, recorder: &dyn Recorder) {
        let (name, help) = (KeyName::from(self.name), SharedString::from(self.help));
        match self.kind {
            MetricKind::Counter => recorder.describe_counter(name, Some(self.unit), help),
            MetricKind::Gauge => recorder.describe_gauge(name, Some(self.unit), help),
            MetricKind::Histogram => recorder.describe_histogram(name, Some(self.unit), help),
        }
    }
}

pub(crate) const CALLS: Metric = Metric::counter(
    "pleach_calls_total",
    &["side", "kind", "function", "outcome"],
    "calls, contexts and streams that have ended",
);
pub(crate) const CALL_DURATION: Metric = Metric::histogram(
    "pleach_call_duration_seconds",
    &["side", "kind", "function"],
    "how long calls, contexts and streams took",
);
pub(crate) const CALLS_OPEN: Metric =
    Metric::gauge("pleach_calls_open", &["side"], "calls, contexts and streams that are under way");
pub(crate) const CONTEXTS_OPEN: Metric =
    Metric::gauge("pleach_contexts_open", &[], "contexts and streams that are open, by either side");
pub(crate) const CREDIT: Metric =
    Metric::gauge("pleach_stream_credit", &[], "stream messages that may be sent without a wait");
pub(crate) const UNREAD: Metric =
    Metric::gauge("pleach_stream_unread", &[], "stream messages that have come and were not taken yet");
pub(crate) const STALLED: Metric = Metric::counter(
    "pleach_senders_stalled_total",
    &[],
    "senders that found the buffer of their peer full for seconds",
);
pub(crate) const CONNECTIONS: Metric = Metric::gauge("pleach_connections", &["transport"], "open connections");
pub(crate) const CONNECTED: Metric =
    Metric::counter("pleach_connections_total", &["transport", "side"], "connections that were opened");
pub(crate) const MESSAGES: Metric =
    Metric::counter("pleach_messages_total", &["transport", "direction"], "messages over all connections");
pub(crate) const BYTES: Metric =
    Metric::counter("pleach_bytes_total", &["transport", "direction"], "bytes over all connections").in_bytes();
pub(crate) const SEND_QUEUE: Metric = Metric::gauge(
    "pleach_send_queue_bytes",
    &["transport"],
    "bytes that wait to be sent, or that the network has not confirmed",
)
.in_bytes();
pub(crate) const ROUND_TRIP: Metric =
    Metric::histogram("pleach_round_trip_seconds", &["transport"], "how long answers to heartbeats took");
pub(crate) const DECLARED_DEAD: Metric = Metric::counter(
    "pleach_peers_declared_dead_total",
    &["reason"],
    "peers whose heartbeats were missed for too long, or whose lease has expired",
);
pub(crate) const NOT_ADMITTED: Metric =
    Metric::counter("pleach_handshakes_refused_total", &["reason"], "connections that did not become those of members");
pub(crate) const ACTORS: Metric = Metric::gauge("pleach_actors", &[], "actors in this process");
pub(crate) const SPAWNS: Metric = Metric::counter("pleach_spawns_total", &["outcome"], "starts of actors");
pub(crate) const SPAWN_DURATION: Metric =
    Metric::histogram("pleach_spawn_duration_seconds", &[], "from the start of an actor until it has connected");
pub(crate) const ENDS: Metric = Metric::counter(
    "pleach_ends_total",
    &["by", "status"],
    "ends of child actors, and the strongest step that it took",
);
pub(crate) const REAP_STEPS: Metric =
    Metric::counter("pleach_reap_steps_total", &["step"], "steps to bring child actors to their end");
pub(crate) const RESTARTS: Metric = Metric::counter("pleach_restarts_total", &[], "restarts by supervisors");
pub(crate) const GIVE_UPS: Metric =
    Metric::counter("pleach_supervisor_give_ups_total", &[], "supervisors that have passed a failure on");

/// The metrics of this library.
pub const METRICS: &[Metric] = &[
    CALLS,
    CALL_DURATION,
    CALLS_OPEN,
    CONTEXTS_OPEN,
    CREDIT,
    UNREAD,
    STALLED,
    CONNECTIONS,
    CONNECTED,
    MESSAGES,
    BYTES,
    SEND_QUEUE,
    ROUND_TRIP,
    DECLARED_DEAD,
    NOT_ADMITTED,
    ACTORS,
    SPAWNS,
    SPAWN_DURATION,
    ENDS,
    REAP_STEPS,
    RESTARTS,
    GIVE_UPS,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(metric: &Metric) -> &'static str {
        match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }

    #[test]
    fn the_manual_lists_what_is_recorded() {
        let listed =
            include_str!("../../manual/observing.rs").lines().filter(|line| line.starts_with("//! | `pleach_"));
        let row = |metric: &Metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("//! | `{}` | {} | {} | {} |", metric.name, kind(metric), labels.join(", "), metric.help)
                .replace("|  |", "| |")
        };
        let recorded: Vec<_> = METRICS.iter().map(row).collect();
        assert_eq!(listed.collect::<Vec<_>>().join("\n"), recorded.join("\n"));
    }

    #[test]
    fn names_follow_the_conventions() {
        for metric in METRICS {
            assert!(metric.name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == MetricKind::Counter, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_seconds"), metric.kind == MetricKind::Histogram, "{}", metric.name);
        }
    }
}
