//! Metrics: what actors count and measure, for any recorder of the [`metrics`](https://docs.rs/metrics) crate.
//!
//! A program that installs a recorder gets those of this library with its own, in each process that does so: actors run
//! the program's `init`, and not its `main`.
//!
//! ```
//! // For `#[pleach::main(init = record)]`: each process of the tree runs it.
//! fn record() {
//!     # use metrics::NoopRecorder as Statsd;
//!     metrics::set_global_recorder(Statsd).expect("there is one recorder"); // that of your monitoring system
//! }
//! ```
//! A recorder is found when an actor begins in its process, when an event is counted, and at the end of each call: what
//! has happened before it was installed is not known to it. Only the global one counts, and no recorder of a thread. It
//! is called where a call ends, so it has to be quick: one that blocks holds up its actor. One that panics does no harm.
//!
//! Calls and events are recorded when they happen. Bytes, messages, and what is open or waits are counted without a
//! recorder, too, and brought to it once a second by a thread, which is there only while there are a recorder and an actor;
//! and when the last actor of a process has ended. [`sample`] does it at once.
//!
//! | file | station |
//! |---|---|
//! | this one | when a process samples |
//! | `sampler` | one sample |
//! | `prometheus` | an endpoint for Prometheus |
//!
//! # Invariants
//! 1. A process has at most one thread that samples, and none without a recorder or without an actor.

#[cfg(feature = "prometheus")]
pub mod prometheus;
mod sampler;

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::inspect::soon;
use crate::runtime;
use crate::sync::lock;
pub use crate::telemetry::meters::names::{METRICS, Metric, MetricKind};
use crate::telemetry::meters::recorder;

/// Brings the metrics that are sampled up to date, if there is a recorder: for a program that is about to hand over what
/// its recorder has. It does not wait for actors.
pub fn sample() {
    if recorder::is_there() {
        recorder::contained(sampler::sample);
    }
}

/// Has an actor of this process sampled, once there is a recorder.
pub(crate) fn actor_begins() {
    recorder::when_there(start);
}

/// Takes the last sample of an actor that has ended.
pub(crate) fn actor_ended() {
    sample();
}

/// Starts the thread, unless it runs (invariant 1).
fn start() {
    let mut runs = lock(&RUNS);
    if !*runs {
        let thread = thread::Builder::new().name("pleach-metrics".into());
        *runs = thread.spawn(run).is_ok(); // without a thread, without samples
    }
}

/// The thread's loop.
fn run() {
    loop {
        sample();
        #[cfg(feature = "prometheus")]
        prometheus::keep_up();
        let mut runs = lock(&RUNS);
        if soon(runtime::actors_here).is_some_and(|actors| actors.is_empty()) {
            *runs = false;
            return;
        }
        drop(runs);
        thread::park_timeout(INTERVAL);
    }
}

static RUNS: Mutex<bool> = Mutex::new(false);

/// The time between two samples: well below the intervals at which monitoring systems look.
const INTERVAL: Duration = Duration::from_secs(1);
