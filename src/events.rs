//! What has happened to actors lately, as this process knows it, for those who look from outside now and then.
//!
//! A parent tells of its children, so the life of an actor that was shorter than the time between two looks is told by
//! a process that is still there. Errors have a ring of their own: one that fails all the time hides no start.
//!
//! # Invariants
//! 1. Each ring keeps [`KEPT`] or [`KEPT_ERRORS`] events, and counts those that it has forgotten.
//! 2. A text has at most [`LONGEST_TEXT`] characters.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::SystemTime;

use pleach_wire::sync::try_lock;
use serde::{Deserialize, Serialize};

use crate::actor::ActorId;
use crate::epoch;
use crate::random;
use crate::sync::lock;

/// Something that has happened to an actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorEvent {
    /// When, in microseconds since 1970.
    pub at_us: u64,
    /// What.
    pub kind: ActorEventKind,
    /// The actor that it has happened to.
    pub actor: ActorId,
    /// The actor whose process tells it: the parent, one that has asked the actor to end, or itself.
    pub teller: ActorId,
    /// The beginning of what is to be said about it: how it has ended, an error's message, why it was escalated.
    pub message: Option<String>,
}

/// The kind of an [`ActorEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ActorEventKind {
    /// It was started, and has connected.
    Started,
    /// It was started by its supervisor in the place of one that had ended.
    Restarted,
    /// It could not be started; its process id may be unknown.
    NotStarted,
    /// A function of it has failed.
    Error,
    /// It was asked to end. Both sides tell it, and each that asks.
    CancelRequested,
    /// Asking was not enough: it was sent a signal.
    Escalated,
    /// It has ended.
    Ended,
    /// Its supervisor has given up: the message says on which child.
    GaveUp,
}

/// The events of a process since an [`EventCursor`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventsReport {
    /// From where to ask the next time.
    pub cursor: EventCursor,
    /// How many events it has forgotten since the last time: they were too many.
    pub missed: u64,
    /// The oldest first.
    pub events: Vec<Arc<ActorEvent>>,
}

/// A place in the events of a process. The default is the first event; what the process has forgotten by then was not
/// missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCursor(Option<Place>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// A random number of the process: a later one may have its id.
    process: u64,
    /// How many events there were, of lives and of errors.
    counts: [u64; 2],
}

/// Notes that something has happened to an actor.
pub(crate) fn note(kind: ActorEventKind, teller: &ActorId, actor: &ActorId, message: Option<String>) {
    let at_us = epoch::micros(SystemTime::now());
    let message = message.map(shortened);
    lock(&EVENTS).push(ActorEvent { at_us, kind, actor: actor.clone(), teller: teller.clone(), message });
}

/// Cuts a text that is too long to be kept.
pub(crate) fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => text[..end].to_owned(), // and lets go of the rest
        None => text,
    }
}

/// Returns what has happened since then, unless that is changing.
pub(crate) fn since(cursor: EventCursor) -> Option<EventsReport> {
    Some(try_lock(&EVENTS)?.since(cursor))
}

/// The rings: that of lives, and that of errors.
struct Events {
    process: u64,
    rings: [Ring; 2],
    /// How many there were of both.
    count: u64,
}

/// The latest events, each with its number among those of both rings.
struct Ring {
    kept: VecDeque<(u64, Arc<ActorEvent>)>,
    room: usize,
    count: u64,
}

impl Events {
    fn new() -> Self {
        let process = random::bytes().map_or(0, u64::from_ne_bytes);
        let rings = [KEPT, KEPT_ERRORS].map(|room| Ring { kept: VecDeque::new(), room, count: 0 });
        Self { process, rings, count: 0 }
    }

    fn push(&mut self, event: ActorEvent) {
        let ring = &mut self.rings[usize::from(event.kind == ActorEventKind::Error)];
        if ring.kept.len() == ring.room {
            ring.kept.pop_front();
        }
        ring.kept.push_back((self.count, Arc::new(event)));
        ring.count += 1;
        self.count += 1;
    }

    fn since(&self, EventCursor(place): EventCursor) -> EventsReport {
        let known = place.filter(|place| place.process == self.process).map(|place| place.counts);
        let first = known.unwrap_or_default();
        let unread = self.rings.iter().zip(first).flat_map(|(ring, first)| ring.since(first));
        let mut events: Vec<_> = unread.cloned().collect();
        events.sort_unstable_by_key(|(number, _)| *number);
        let missed = self.rings.iter().zip(known.unwrap_or([u64::MAX; 2]));
        EventsReport {
            cursor: EventCursor(Some(Place {
                process: self.process,
                counts: self.rings.each_ref().map(|ring| ring.count),
            })),
            missed: missed.map(|(ring, first)| ring.forgotten().saturating_sub(first)).sum(),
            events: events.into_iter().map(|(_, event)| event).collect(),
        }
    }
}

impl Ring {
    fn forgotten(&self) -> u64 {
        self.count - self.kept.len() as u64
    }

    fn since(&self, first: u64) -> impl Iterator<Item = &(u64, Arc<ActorEvent>)> {
        self.kept.iter().skip(first.saturating_sub(self.forgotten()) as usize)
    }
}

static EVENTS: LazyLock<Mutex<Events>> = LazyLock::new(|| Mutex::new(Events::new()));

/// How many events are kept: those of two or three thousand actors.
const KEPT: usize = 8 << 10;

/// How many errors are kept.
const KEPT_ERRORS: usize = 512;

/// As many characters of a message are kept.
const LONGEST_TEXT: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: ActorEventKind, number: u64) -> ActorEvent {
        let id = ActorId::new("a");
        ActorEvent { at_us: number, kind, actor: id.clone(), teller: id, message: None }
    }

    fn numbers(report: &EventsReport) -> Vec<u64> {
        report.events.iter().map(|event| event.at_us).collect()
    }

    #[test]
    fn each_event_is_told_once_in_order() {
        let mut events = Events::new();
        events.push(event(ActorEventKind::Started, 0));
        events.push(event(ActorEventKind::Error, 1));
        events.push(event(ActorEventKind::Ended, 2));
        let told = events.since(EventCursor::default());
        assert_eq!((numbers(&told), told.missed), (vec![0, 1, 2], 0));
        events.push(event(ActorEventKind::Error, 3));
        let next = events.since(told.cursor);
        assert_eq!((numbers(&next), numbers(&events.since(next.cursor))), (vec![3], vec![]));
        // Another process has got its id.
        let mut other = Events::new();
        other.push(event(ActorEventKind::Started, 9));
        assert_eq!(numbers(&other.since(next.cursor)), [9]);
    }

    #[test]
    fn what_is_forgotten_is_counted_and_errors_hide_no_start() {
        let mut events = Events::new();
        events.push(event(ActorEventKind::Started, 0));
        let begun = events.since(EventCursor::default()).cursor;
        for number in 0..KEPT_ERRORS as u64 + 7 {
            events.push(event(ActorEventKind::Error, number));
        }
        events.push(event(ActorEventKind::Ended, 1));
        let told = events.since(begun);
        assert_eq!((told.missed, told.events.len()), (7, KEPT_ERRORS + 1));
        assert_eq!(told.events.last().unwrap().kind, ActorEventKind::Ended);
        // For one that comes only now, that is the past.
        let later = events.since(EventCursor::default());
        assert_eq!((later.missed, later.events.len()), (0, KEPT_ERRORS + 2));
        for number in 0..2 * KEPT as u64 {
            events.push(event(ActorEventKind::Started, number));
        }
        let told = events.since(told.cursor);
        assert_eq!((told.missed, told.events.len()), (KEPT as u64, KEPT));
    }
}
