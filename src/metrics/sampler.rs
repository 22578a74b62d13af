//! One sample: what the actors of this process have sent and received, and what is open in them or waits.
//!
//! It is a look from another thread while the actors go on (as in [`inspect`](crate::inspect)). What was changing just
//! then is in the next sample.
//!
//! # Invariants
//! 1. What a recorder has been told of a counter never decreases: a connection that has left the list of its actor, and is
//!    not among the closed ones yet, is missing for a moment only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ::metrics::{counter, gauge};
use pleach_wire::{Flow, Volume};

use crate::channel::Channel;
use crate::inspect::soon;
use crate::runtime;
use crate::sync::lock;
use crate::telemetry::meters::{closed_connections, names};

/// What was there to see.
#[derive(Debug, Default)]
struct Sample {
    actors: usize,
    calls: usize,
    tasks: usize,
    contexts: usize,
    credit: u64,
    unread: u64,
    /// For each protocol that this process has ever used: how many connections it has, and what has crossed all.
    transports: BTreeMap<String, (usize, Volume)>,
}

/// Takes a sample, and tells the recorder.
pub(super) fn sample() {
    static TOLD: Mutex<BTreeMap<String, Volume>> = Mutex::new(BTreeMap::new());
    // One at a time: a later one must not be told before an earlier one.
    let mut told = lock(&TOLD);
    let Sample { actors, calls, tasks, contexts, credit, unread, transports } = Sample::take();
    gauge!(names::ACTORS.name).set(actors as f64);
    gauge!(names::CALLS_OPEN.name, "side" => "client").set(calls as f64);
    gauge!(names::CALLS_OPEN.name, "side" => "server").set(tasks as f64);
    gauge!(names::CONTEXTS_OPEN.name).set(contexts as f64);
    gauge!(names::CREDIT.name).set(credit as f64);
    gauge!(names::UNREAD.name).set(unread as f64);
    for (transport, (connections, volume)) in transports {
        gauge!(names::CONNECTIONS.name, "transport" => transport.clone()).set(connections as f64);
        gauge!(names::SEND_QUEUE.name, "transport" => transport.clone()).set(volume.waiting as f64);
        let told = told.entry(transport.clone()).or_default();
        tell(&transport, "sent", volume.sent, &mut told.sent);
        tell(&transport, "received", volume.received, &mut told.received);
    }
}

/// Adds what has gone one way since the last sample (invariant 1).
fn tell(transport: &str, direction: &'static str, flow: Flow, told: &mut Flow) {
    let labels = [("transport", transport.to_owned()), ("direction", direction.to_owned())];
    counter!(names::MESSAGES.name, &labels).increment(flow.messages.saturating_sub(told.messages));
    counter!(names::BYTES.name, &labels).increment(flow.bytes.saturating_sub(told.bytes));
    *told = Flow { messages: flow.messages.max(told.messages), bytes: flow.bytes.max(told.bytes) };
}

impl Sample {
    fn take() -> Self {
        let mut sample = Self::default();
        let actors = soon(runtime::actors_here).unwrap_or_default();
        sample.actors = actors.len();
        // Before the open ones: one that is closed meanwhile is missing now, and not there twice.
        let closed = closed_connections();
        for actor in &actors {
            soon(|| actor.peers_now()).iter().flatten().for_each(|channel| sample.add(channel));
        }
        for (transport, volume) in closed {
            sample.add_volume(transport, 0, volume);
        }
        sample
    }

    fn add(&mut self, channel: &Channel) {
        let volume = soon(|| channel.volume_now()).unwrap_or_default();
        self.add_volume(channel.protocol().to_owned(), 1, volume);
        let Some(work) = soon(|| channel.work_now(0)) else { return };
        self.calls += work.counts.calls;
        self.tasks += work.counts.tasks;
        self.contexts += work.counts.dialogs;
        self.credit += work.counts.credit;
        self.unread += work.counts.unread;
    }

    fn add_volume(&mut self, transport: String, connections: usize, volume: Volume) {
        let (open, total) = self.transports.entry(transport).or_default();
        *open += connections;
        total.waiting += volume.waiting;
        for (total, flow) in [(&mut total.sent, volume.sent), (&mut total.received, volume.received)] {
            total.messages += flow.messages;
            total.bytes += flow.bytes;
        }
    }
}
