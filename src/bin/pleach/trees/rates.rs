//! What has happened between two looks, per second.

use std::collections::BTreeMap;

use pleach::inspect::{ActorReport, PeerReport, ProcessReport};
use pleach::wire::{Flow, Volume};
use serde::Serialize;
use uuid::Uuid;

use super::Found;

/// What processes and connections have done between two looks.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// By process.
    cpu: BTreeMap<ProcessKey, f64>,
    /// By the actor that was asked, and the one at the other end.
    lines: BTreeMap<(Uuid, Uuid), LineRate>,
}

/// What crosses a connection, or all those of an actor, in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct LineRate {
    pub(crate) sent: FlowRate,
    pub(crate) received: FlowRate,
}

/// What goes in one direction in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct FlowRate {
    pub(crate) messages: f64,
    pub(crate) bytes: f64,
}

impl Rates {
    /// Of those that are there in both looks: others have no rate yet.
    pub(crate) fn between(before: &Found, now: &Found) -> Self {
        let earlier: BTreeMap<_, _> = before.processes.iter().map(|process| (key(process), process)).collect();
        let mut rates = Self::default();
        for process in &now.processes {
            let Some(before) = earlier.get(&key(process)) else { continue };
            // Each answers when it can, which is not when the look began.
            let seconds = process.told_us.saturating_sub(before.told_us).max(SHORTEST_US) as f64 / 1e6;
            let used = process.cpu_ms.checked_sub(before.cpu_ms);
            rates.cpu.extend(used.map(|used| (key(process), used as f64 / 10.0 / seconds)));
            let known = volumes(before);
            rates.lines.extend(
                volumes(process)
                    .into_iter()
                    .filter_map(|(line, volume)| Some((line, LineRate::of(*known.get(&line)?, volume, seconds)))),
            );
        }
        rates
    }

    /// Returns the share of one processor that a process has used, in percent.
    pub(crate) fn cpu(&self, process: &ProcessReport) -> Option<f64> {
        self.cpu.get(&key(process)).copied()
    }

    /// Returns what crosses a connection.
    pub(crate) fn line(&self, actor: &ActorReport, peer: &PeerReport) -> Option<LineRate> {
        self.lines.get(&(actor.who.uuid(), peer.who.uuid())).copied()
    }

    /// Returns what crosses all connections of an actor.
    pub(crate) fn actor(&self, actor: &ActorReport) -> Option<LineRate> {
        let peers = actor.peers.as_ref()?;
        let lines = peers.iter().filter_map(|peer| self.line(actor, peer));
        lines.reduce(LineRate::and)
    }
}

/// A process id, and the host that it is of.
type ProcessKey = (u32, Option<String>);

fn key(process: &ProcessReport) -> ProcessKey {
    (process.pid, process.actors.first().map(|actor| actor.who.host().to_owned()))
}

/// What has crossed each connection since it began; several to the same actor count together.
fn volumes(process: &ProcessReport) -> BTreeMap<(Uuid, Uuid), Volume> {
    let mut volumes = BTreeMap::new();
    for actor in &process.actors {
        for peer in actor.peers.iter().flatten() {
            let Some(volume) = peer.volume else { continue };
            let line = (actor.who.uuid(), peer.who.uuid());
            volumes.entry(line).and_modify(|known| *known = sum(*known, volume)).or_insert(volume);
        }
    }
    volumes
}

fn sum(one: Volume, other: Volume) -> Volume {
    let flow =
        |one: Flow, other: Flow| Flow { messages: one.messages + other.messages, bytes: one.bytes + other.bytes };
    Volume {
        sent: flow(one.sent, other.sent),
        received: flow(one.received, other.received),
        waiting: one.waiting + other.waiting,
    }
}

impl LineRate {
    fn of(before: Volume, now: Volume, seconds: f64) -> Self {
        let flow = |before: Flow, now: Flow| FlowRate {
            messages: grown(before.messages, now.messages) as f64 / seconds,
            bytes: grown(before.bytes, now.bytes) as f64 / seconds,
        };
        Self { sent: flow(before.sent, now.sent), received: flow(before.received, now.received) }
    }

    fn and(self, other: Self) -> Self {
        let flow = |one: FlowRate, other: FlowRate| FlowRate {
            messages: one.messages + other.messages,
            bytes: one.bytes + other.bytes,
        };
        Self { sent: flow(self.sent, other.sent), received: flow(self.received, other.received) }
    }

    /// Returns both directions together, as messages and bytes.
    pub(crate) fn both(self) -> FlowRate {
        FlowRate { messages: self.sent.messages + self.received.messages, bytes: self.sent.bytes + self.received.bytes }
    }
}

/// A connection that was made again counts from its beginning.
fn grown(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

/// Two looks are not closer than this, in microseconds.
const SHORTEST_US: u64 = 1000;
