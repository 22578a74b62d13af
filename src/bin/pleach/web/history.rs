//! Who is there, who was, and what has happened: from the differences of looks.
//!
//! # Invariants
//! 1. It holds the actors that are there, and at most [`MAX_GONE`] others and [`MAX_EVENTS`] events, however many come.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use uuid::Uuid;

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
    #[serde(skip)]
    looks: u64,
}

/// An actor that was there.
#[derive(Debug, Serialize)]
struct Gone {
    at_ms: u64,
    #[serde(flatten)]
    row: Row,
}

/// Something that has happened to an actor.
#[derive(Debug, Serialize)]
struct Event {
    at_ms: u64,
    kind: Kind,
    uuid: Uuid,
    name: String,
    pid: u32,
    /// An error's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Started,
    /// Started in the place of one of that name that had ended.
    Restarted,
    Error,
    /// Asked to end, by whichever side.
    Cancelled,
    Ended,
}

impl History {
    /// Takes in the next look.
    pub(super) fn take(&mut self, rows: Vec<Row>) {
        let now = now_ms();
        let before = std::mem::replace(&mut self.actors, rows);
        let before: BTreeMap<_, _> = before.into_iter().map(|row| (row.uuid, row)).collect();
        let mut events = Vec::new();
        for row in &self.actors {
            match before.get(&row.uuid) {
                None if self.looks > 0 => events.push(Event::of(self.kind_of_start(row), row, now)),
                None => {}
                Some(known) => {
                    if row.state == State::Ending && known.state != State::Ending {
                        events.push(Event::of(Kind::Cancelled, row, now));
                    }
                    if let Some(failure) = row.last_error.as_ref().filter(|_| row.last_error != known.last_error) {
                        let message = Some(failure.message.clone());
                        events.push(Event { message, ..Event::of(Kind::Error, row, failure.at_ms) });
                    }
                }
            }
        }
        // One that did not answer in time is back.
        self.gone.retain(|gone| now < gone.at_ms + SHOWN_MS && self.actors.iter().all(|row| row.uuid != gone.row.uuid));
        let there: std::collections::BTreeSet<_> = self.actors.iter().map(|row| row.uuid).collect();
        for row in before.into_values().filter(|row| !there.contains(&row.uuid)) {
            events.push(Event::of(Kind::Ended, &row, now));
            self.gone.push_back(Gone { at_ms: now, row: Row { state: State::Gone, ..row } });
        }
        self.events.extend(events);
        self.events.drain(..self.events.len().saturating_sub(MAX_EVENTS));
        self.gone.drain(..self.gone.len().saturating_sub(MAX_GONE));
        self.looks += 1;
    }

    fn kind_of_start(&self, row: &Row) -> Kind {
        let is_before = |gone: &Gone| gone.row.name == row.name && gone.row.parent_uuid == row.parent_uuid;
        let again = row.parent_uuid.is_some() && self.gone.iter().any(is_before);
        if again { Kind::Restarted } else { Kind::Started }
    }
}

impl Event {
    fn of(kind: Kind, row: &Row, at_ms: u64) -> Self {
        Self { at_ms, kind, uuid: row.uuid, name: row.name.clone(), pid: row.pid, message: None }
    }
}

/// How long an actor is shown after its end, in milliseconds.
const SHOWN_MS: u64 = 60_000;

const MAX_GONE: usize = 100;

const MAX_EVENTS: usize = 500;

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

    fn kinds(history: &History) -> Vec<Kind> {
        history.events.iter().map(|event| event.kind).collect()
    }

    #[test]
    fn what_happens_is_told_once() {
        let mut history = History::default();
        for (worker, stage, error) in [
            (2, "running", false),
            (2, "running", true),
            (2, "running", true),
            (2, "ending", true),
            (3, "running", false),
        ] {
            history.take(look(worker, stage, error));
        }
        history.take(look(4, "running", false));
        use Kind::{Cancelled, Ended, Error, Restarted, Started};
        assert_eq!(kinds(&history), [Error, Cancelled, Started, Ended, Restarted, Ended]);
        assert_eq!(history.events[0].message.as_deref(), Some("no ink"));
        assert_eq!(history.gone.len(), 2);
    }

    #[test]
    fn ten_thousand_actors_that_come_and_go_are_forgotten() {
        let mut history = History::default();
        for worker in 0..10_000 {
            history.take(look(worker + 2, "running", false));
        }
        assert_eq!((history.actors.len(), history.gone.len(), history.events.len()), (2, MAX_GONE, MAX_EVENTS));
    }
}
