//! Who is there, who was, and what has happened: from looks, and from what the processes tell.
//!
//! An actor's parent tells its start and its end. Where no parent is seen, as for a root, they show in the difference of
//! two looks.
//!
//! # Invariants
//! 1. It holds the actors that are there, and at most [`MAX_GONE`] others and [`MAX_EVENTS`] events, however many come.
//! 2. Each event is there once: of the starts, the ends and the requests to end of an actor the first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pleach::inspect::{ActorEvent, ActorEventKind};
use serde::Serialize;
use uuid::Uuid;

use super::look::Told;
use crate::ps::table::now_ms;
use crate::top::rows::{Row, State};

/// What a page shows.
#[derive(Debug, Default, Serialize)]
pub(super) struct History {
    /// In the order of the tree; those that are gone are behind.
    actors: Vec<Row>,
    gone: VecDeque<Gone>,
    /// The oldest first.
    events: VecDeque<Event>,
    /// How many there were before those.
    earlier: u64,
    /// How many more there were that no look has seen.
    missed: u64,
    #[serde(skip)]
    looks: u64,
}

/// An actor that was there.
#[derive(Debug, Serialize)]
struct Gone {
    at_ms: u64,
    #[serde(flatten)]
    row: Row,
    /// Whether its end is, or was, among the events.
    #[serde(skip)]
    is_told: bool,
}

/// Something that has happened to an actor.
#[derive(Debug, Serialize)]
struct Event {
    /// No other one has it.
    number: u64,
    at_ms: u64,
    kind: Kind,
    uuid: Uuid,
    name: String,
    pid: u32,
    /// How it has ended, an error's message, and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Started,
    /// Started in the place of one of that name that had ended.
    Restarted,
    NotStarted,
    Error,
    /// Asked to end.
    Cancelled,
    Escalated,
    GaveUp,
    Ended,
}

impl History {
    /// Takes in the next look.
    pub(super) fn take(&mut self, rows: Vec<Row>, told: Told) {
        let now = now_ms();
        let before = std::mem::replace(&mut self.actors, rows);
        let before: BTreeMap<_, _> = before.into_iter().map(|row| (row.uuid, row)).collect();
        let there: BTreeSet<_> = self.actors.iter().map(|row| row.uuid).collect();
        self.missed += told.missed;
        told.events.iter().for_each(|event| self.add_told(event));
        if self.looks > 0 {
            self.add_starts(&before, &there, now);
        }
        // One that did not answer in time is back.
        self.gone.retain(|gone| now < gone.at_ms + SHOWN_MS && !there.contains(&gone.row.uuid));
        for row in before.into_values().filter(|row| !there.contains(&row.uuid)) {
            self.gone.push_back(Gone { at_ms: now, row: Row { state: State::Gone, ..row }, is_told: false });
        }
        self.add_ends(&there);
        self.events.make_contiguous().sort_by_key(|event| event.at_ms);
        let forgotten = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..forgotten);
        self.earlier += forgotten as u64;
        self.gone.drain(..self.gone.len().saturating_sub(MAX_GONE));
        self.looks += 1;
    }

    /// Adds what a process tells.
    fn add_told(&mut self, event: &ActorEvent) {
        let Some(kind) = Kind::of(event.kind) else { return };
        let actor = &event.actor;
        let (name, pid, message) = (actor.name().to_owned(), actor.pid(), event.message.clone());
        self.add(Event { number: 0, at_ms: event.at_us / 1000, kind, uuid: actor.uuid(), name, pid, message });
    }

    /// Adds the starts that no parent tells.
    fn add_starts(&mut self, before: &BTreeMap<Uuid, Row>, there: &BTreeSet<Uuid>, now: u64) {
        let is_new = |row: &&Row| !before.contains_key(&row.uuid) && !is_told_by_parent(row, there);
        let starts = self.actors.iter().filter(is_new).map(|row| Event::of(self.kind_of_start(row), row, now));
        starts.collect::<Vec<_>>().into_iter().for_each(|start| self.add(start));
    }

    /// Adds the ends that no parent tells: those of roots, and of actors that have ended together with their parents.
    fn add_ends(&mut self, there: &BTreeSet<Uuid>) {
        for gone in self.gone.iter_mut().filter(|gone| !gone.is_told) {
            let end = Event::of(Kind::Ended, &gone.row, gone.at_ms);
            let is_known = self.events.iter().any(|known| known.is_same(&end));
            let is_untold = !is_known && !is_told_by_parent(&gone.row, there);
            gone.is_told = is_known || is_untold;
            if is_untold {
                let number = self.earlier + self.events.len() as u64;
                self.events.push_back(Event { number, ..end });
            }
        }
    }

    fn add(&mut self, event: Event) {
        if !event.kind.is_told_once() || self.events.iter().all(|known| !known.is_same(&event)) {
            let number = self.earlier + self.events.len() as u64;
            self.events.push_back(Event { number, ..event });
        }
    }

    fn kind_of_start(&self, row: &Row) -> Kind {
        let is_before = |gone: &Gone| gone.row.name == row.name && gone.row.parent_uuid == row.parent_uuid;
        let again = row.parent_uuid.is_some() && self.gone.iter().any(is_before);
        if again { Kind::Restarted } else { Kind::Started }
    }
}

/// Returns whether the start and the end of an actor are among the events of its parent.
fn is_told_by_parent(row: &Row, there: &BTreeSet<Uuid>) -> bool {
    row.parent_uuid.is_some_and(|parent| there.contains(&parent))
}

impl Event {
    fn of(kind: Kind, row: &Row, at_ms: u64) -> Self {
        Self { number: 0, at_ms, kind, uuid: row.uuid, name: row.name.clone(), pid: row.pid, message: None }
    }

    fn is_same(&self, other: &Self) -> bool {
        let both_start = self.kind.is_start() && other.kind.is_start();
        self.uuid == other.uuid && (self.kind == other.kind || both_start)
    }
}

impl Kind {
    fn of(kind: ActorEventKind) -> Option<Self> {
        Some(match kind {
            ActorEventKind::Started => Self::Started,
            ActorEventKind::Restarted => Self::Restarted,
            ActorEventKind::NotStarted => Self::NotStarted,
            ActorEventKind::Error => Self::Error,
            ActorEventKind::CancelRequested => Self::Cancelled,
            ActorEventKind::Escalated => Self::Escalated,
            ActorEventKind::GaveUp => Self::GaveUp,
            ActorEventKind::Ended => Self::Ended,
            _ => return None,
        })
    }

    fn is_start(self) -> bool {
        matches!(self, Self::Started | Self::Restarted)
    }

    fn is_told_once(self) -> bool {
        self.is_start() || matches!(self, Self::Cancelled | Self::Ended)
    }
}

/// How long an actor is shown after its end, in milliseconds.
const SHOWN_MS: u64 = 60_000;

const MAX_GONE: usize = 100;

const MAX_EVENTS: usize = 2000;

#[cfg(test)]
mod tests {
    use pleach::inspect::ProcessReport;

    use super::*;
    use crate::trees::Found;
    use crate::trees::rates::Rates;

    /// A root, and one actor below it, with that number.
    fn look(worker: u64, stage: &str, error: bool) -> Vec<Row> {
        let id = |name: &str, pid: u64| {
            serde_json::json!({
                "name": name, "uuid": Uuid::from_u128(u128::from(pid)), "pid": pid, "host": "here", "place": 1
            })
        };
        let line = serde_json::json!({
            "who": id("root", 1), "transport": { "codec": "msgpack", "protocol": "uds" },
            "last_error": error.then(|| serde_json::json!({ "at_ms": 5, "message": "no ink" }))
        });
        let actor = |who, parent, stage, peers| {
            serde_json::json!({
                "who": who, "parent": parent, "began_ms": 0, "stage": stage, "listening": null, "peers": peers
            })
        };
        let actors = [
            actor(id("root", 1), serde_json::Value::Null, "running", serde_json::json!([])),
            actor(id("worker", worker), id("root", 1), stage, serde_json::json!([line])),
        ];
        let process: ProcessReport = serde_json::from_value(serde_json::json!({
            "pid": 1, "program": "/bin/true", "cpu_ms": 1, "memory": 1, "actors": actors
        }))
        .unwrap();
        let found = Found { at: std::time::Instant::now(), processes: vec![process], silent: Vec::new() };
        Row::all(&found, &Rates::default())
    }

    fn told(worker: u64, kinds: &[ActorEventKind]) -> Told {
        let event = |kind: &ActorEventKind| {
            let id = |name: &str, pid: u64| serde_json::json!({ "name": name, "uuid": Uuid::from_u128(u128::from(pid)), "pid": pid, "host": "here" });
            let event = serde_json::json!({
                "at_us": now_ms() * 1000, "kind": kind, "actor": id("worker", worker), "teller": id("root", 1),
                "message": null
            });
            std::sync::Arc::new(serde_json::from_value(event).unwrap())
        };
        Told { events: kinds.iter().map(event).collect(), missed: 0 }
    }

    fn kinds(history: &History) -> Vec<Kind> {
        history.events.iter().map(|event| event.kind).collect()
    }

    #[test]
    fn what_happens_is_told_once() {
        use ActorEventKind as A;
        let mut history = History::default();
        history.take(look(2, "running", false), told(2, &[A::Started]));
        history.take(look(2, "running", true), told(2, &[A::Error]));
        // Both sides tell it.
        history.take(look(2, "ending", true), told(2, &[A::CancelRequested, A::CancelRequested]));
        history.take(look(3, "running", false), told(3, &[A::Restarted]));
        history.take(look(3, "running", false), told(2, &[A::Escalated, A::Ended]));
        // It lived between two looks.
        history.take(look(3, "running", false), told(4, &[A::Started, A::Ended]));
        use Kind::{Cancelled, Ended, Error, Escalated, Restarted, Started};
        assert_eq!(kinds(&history), [Started, Error, Cancelled, Restarted, Escalated, Ended, Started, Ended]);
        let numbers: Vec<_> = history.events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn the_ends_of_a_parent_and_its_children_show_in_what_is_gone() {
        let mut history = History::default();
        history.take(look(2, "running", false), told(2, &[ActorEventKind::Started]));
        history.take(Vec::new(), Told::default());
        history.take(Vec::new(), Told::default());
        assert_eq!(kinds(&history), [Kind::Started, Kind::Ended, Kind::Ended]);
        assert_eq!(history.gone.len(), 2);
        history.take(look(2, "running", false), Told::default());
        assert_eq!((kinds(&history)[3], history.gone.len()), (Kind::Started, 0), "a root that no process tells of");
    }

    #[test]
    fn ten_thousand_actors_that_come_and_go_are_forgotten() {
        let mut history = History::default();
        for worker in 0..10_000 {
            let lives = [ActorEventKind::Started, ActorEventKind::Ended];
            history.take(look(worker + 2, "running", false), told(worker + 2, &lives));
        }
        assert_eq!((history.actors.len(), history.gone.len(), history.events.len()), (2, MAX_GONE, MAX_EVENTS));
        assert_eq!(history.earlier + history.events.len() as u64, 20_000);
    }
}
