//! What `pleach top` shows of each actor: a report and, where two looks allow it, what happens per second.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use pleach::inspect::{ActorNode, ActorReport, Failure, Forest, PeerReport, ProcessReport, Stage};
use serde::Serialize;
use uuid::Uuid;

use crate::ps::calls;
use crate::ps::table::now_ms;
use crate::trees::Found;
use crate::trees::rates::{LineRate, Rates};

/// An actor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) parent: Option<String>,
    pub(crate) parent_uuid: Option<Uuid>,
    /// How many actors are above it.
    pub(crate) depth: usize,
    /// That of the connection to its parent.
    pub(crate) transport: Option<String>,
    pub(crate) age_ms: u64,
    pub(crate) state: State,
    /// The share of one processor that its process uses; `None` after the first look, as for all rates.
    pub(crate) cpu_percent: Option<f64>,
    pub(crate) memory: u64,
    pub(crate) tasks: Option<usize>,
    pub(crate) contexts: Option<usize>,
    pub(crate) calls: Option<usize>,
    pub(crate) rate: Option<LineRate>,
    /// The bytes that wait to be sent.
    pub(crate) waiting: Option<u64>,
    pub(crate) unread: Option<u64>,
    pub(crate) credit: Option<u64>,
    /// The longest of its connections, in microseconds.
    pub(crate) rtt_us: Option<u64>,
    pub(crate) last_error: Option<Failure>,
    pub(crate) connections: Vec<Line>,
    /// What it works on and waits for, in words; `connections` has it for programs.
    pub(crate) work: Vec<String>,
}

/// A connection of an actor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    pub(crate) report: PeerReport,
    pub(crate) rate: Option<LineRate>,
}

/// How far an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Running,
    Ending,
    /// It was there a moment ago.
    Gone,
}

impl Row {
    /// All actors of a look, each below its parent, the oldest root first.
    pub(crate) fn all(found: &Found, rates: &Rates) -> Vec<Self> {
        let mut rows = Vec::new();
        for root in &Forest::of(&found.processes).0 {
            push(root, 0, rates, &mut rows);
        }
        rows
    }

    fn of(process: &ProcessReport, actor: &ActorReport, rates: &Rates) -> Self {
        let peers = actor.peers.as_deref();
        Self {
            uuid: actor.who.uuid(),
            name: actor.who.name().to_owned(),
            pid: actor.who.pid(),
            host: actor.who.host().to_owned(),
            parent_uuid: actor.parent.as_ref().map(|parent| parent.uuid()),
            parent: actor.parent.as_ref().map(|parent| parent.name().to_owned()),
            depth: 0,
            transport: None,
            age_ms: now_ms().saturating_sub(actor.began_ms),
            state: if actor.stage == Stage::Ending { State::Ending } else { State::Running },
            cpu_percent: rates.cpu(process),
            memory: process.memory,
            tasks: actor.tasks(),
            contexts: actor.contexts(),
            calls: total(peers, |peer| peer.calls),
            rate: rates.actor(actor),
            waiting: total(peers, |peer| peer.volume.map(|volume| volume.waiting)),
            unread: total(peers, |peer| peer.unread),
            credit: total(peers, |peer| peer.credit),
            rtt_us: peers.unwrap_or_default().iter().filter_map(|peer| peer.rtt_us).max(),
            last_error: actor.last_error().cloned(),
            connections: peers
                .unwrap_or_default()
                .iter()
                .map(|peer| Line { report: peer.clone(), rate: rates.line(actor, peer) })
                .collect(),
            work: calls::of(actor),
        }
    }
}

fn push(node: &ActorNode<'_>, depth: usize, rates: &Rates, rows: &mut Vec<Row>) {
    let transport = node.line_to_parent().map(|line| line.transport.protocol.to_string());
    rows.push(Row { depth, transport, ..Row::of(node.process, node.actor, rates) });
    node.children.iter().for_each(|child| push(child, depth + 1, rates, rows));
}

fn total<T: std::iter::Sum>(peers: Option<&[PeerReport]>, of: fn(&PeerReport) -> Option<T>) -> Option<T> {
    peers?.iter().map(of).sum()
}

/// The order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Each below its parent
    #[default]
    Tree,
    Name,
    Pid,
    Cpu,
    Memory,
    Tasks,
    Contexts,
    /// Messages per second
    Messages,
    /// Bytes per second
    Bytes,
    /// Bytes that wait to be sent
    Queue,
    Credit,
    /// Round trip
    Rtt,
    Age,
}

impl Sort {
    /// Sorts rows that are in the order of the tree: by name and number upwards, otherwise the most first.
    pub(crate) fn sort(self, rows: &mut [&Row], reversed: bool) {
        rows.sort_by(|one, other| self.compare(one, other));
        if reversed && self != Self::Tree {
            rows.reverse();
        }
    }

    fn compare(self, one: &Row, other: &Row) -> Ordering {
        let most = |of: fn(&Row) -> f64| of(other).total_cmp(&of(one));
        let rate = |row: &Row| row.rate.unwrap_or_default().both();
        match self {
            Self::Tree => Ordering::Equal,
            Self::Name => one.name.cmp(&other.name),
            Self::Pid => one.pid.cmp(&other.pid),
            Self::Cpu => most(|row| row.cpu_percent.unwrap_or(-1.0)),
            Self::Memory => other.memory.cmp(&one.memory),
            Self::Tasks => other.tasks.cmp(&one.tasks),
            Self::Contexts => other.contexts.cmp(&one.contexts),
            Self::Messages => rate(other).messages.total_cmp(&rate(one).messages),
            Self::Bytes => rate(other).bytes.total_cmp(&rate(one).bytes),
            Self::Queue => other.waiting.cmp(&one.waiting),
            Self::Credit => other.credit.cmp(&one.credit),
            Self::Rtt => other.rtt_us.cmp(&one.rtt_us),
            Self::Age => other.age_ms.cmp(&one.age_ms),
        }
    }

    /// Returns the next one, or the one before.
    pub(crate) fn next(self, back: bool) -> Self {
        let all = Self::value_variants();
        let at = all.iter().position(|sort| *sort == self).unwrap_or(0);
        all[(at + if back { all.len() - 1 } else { 1 }) % all.len()]
    }
}

/// Rows of actors that were there a moment ago, among those that are there.
#[derive(Debug, Default)]
pub(crate) struct Departed {
    /// How many looks ago each was last seen, and what it was.
    gone: BTreeMap<Uuid, (u32, Row)>,
    seen: Vec<Row>,
}

impl Departed {
    /// Takes in the next look; returns its rows, and those that are not long gone behind their siblings.
    pub(crate) fn merge(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let there: BTreeSet<_> = rows.iter().map(|row| row.uuid).collect();
        self.gone.retain(|uuid, (looks, _)| {
            *looks += 1;
            *looks <= SHOWN_FOR && !there.contains(uuid)
        });
        for row in self.seen.drain(..).filter(|row| !there.contains(&row.uuid)) {
            self.gone.insert(row.uuid, (1, Row { state: State::Gone, ..row }));
        }
        self.seen.clone_from(&rows);
        let mut all = rows;
        all.extend(self.gone.values().map(|(_, row)| row.clone()));
        all
    }
}

/// How many looks long an actor is shown after its end.
const SHOWN_FOR: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uuid: u128, name: &str, memory: u64) -> Row {
        Row {
            uuid: Uuid::from_u128(uuid),
            name: name.into(),
            pid: uuid as u32,
            host: "here".into(),
            parent: None,
            parent_uuid: None,
            depth: 0,
            transport: None,
            age_ms: 0,
            state: State::Running,
            cpu_percent: None,
            memory,
            tasks: None,
            contexts: None,
            calls: None,
            rate: None,
            waiting: None,
            unread: None,
            credit: None,
            rtt_us: None,
            last_error: None,
            connections: Vec::new(),
            work: Vec::new(),
        }
    }

    fn names(rows: &[Row]) -> Vec<(&str, State)> {
        rows.iter().map(|row| (&*row.name, row.state)).collect()
    }

    #[test]
    fn what_has_ended_is_shown_for_a_moment() {
        let mut departed = Departed::default();
        departed.merge(vec![row(1, "root", 0), row(2, "worker", 0)]);
        for _ in 0..SHOWN_FOR {
            let shown = departed.merge(vec![row(1, "root", 0)]);
            assert_eq!(names(&shown), [("root", State::Running), ("worker", State::Gone)]);
        }
        assert_eq!(names(&departed.merge(vec![row(1, "root", 0)])), [("root", State::Running)]);
        let shown = departed.merge(vec![row(3, "root", 0)]);
        assert_eq!(names(&shown), [("root", State::Running), ("root", State::Gone)]);
        // One that did not answer in time is back.
        let shown = departed.merge(vec![row(1, "root", 0), row(3, "root", 0)]);
        assert_eq!(names(&shown), [("root", State::Running); 2]);
    }

    #[test]
    fn the_most_comes_first_and_names_from_a_to_z() {
        let rows = [row(3, "b", 1), row(1, "c", 3), row(2, "a", 2)];
        let order = |sort: Sort, reversed| {
            let mut rows: Vec<_> = rows.iter().collect();
            sort.sort(&mut rows, reversed);
            rows.iter().map(|row| row.name.clone()).collect::<String>()
        };
        assert_eq!(order(Sort::Tree, true), "bca", "a tree has one order");
        assert_eq!(order(Sort::Memory, false), "cab");
        assert_eq!(order(Sort::Memory, true), "bac");
        assert_eq!(order(Sort::Name, false), "abc");
        assert_eq!(order(Sort::Pid, false), "cab");
        assert_eq!(Sort::Age.next(false), Sort::Tree);
        assert_eq!(Sort::Tree.next(true), Sort::Age);
    }
}
