//! One look after the other: who is there, and what has happened since the last one.
//!
//! Each process keeps what has happened to its actors and their children, and is asked from where it was left off. So
//! actors whose lives were shorter than the time between two looks are told, too, by their parents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use pleach::inspect::{ActorEvent, EventCursor, Process};
use uuid::Uuid;

use crate::ps::Chosen;
use crate::trees::Found;

/// What looks at the trees.
pub(super) struct Looker {
    tree: Option<String>,
    /// How far the events of each process are known.
    cursors: BTreeMap<Key, EventCursor>,
    /// The actors of the tree that were seen, or are told of: a process may have hosted another tree before.
    members: BTreeSet<Uuid>,
}

/// A process: its host, and its number there.
type Key = (Option<String>, u32);

/// What one look has found.
pub(super) struct Look {
    pub(super) found: Found,
    pub(super) told: Told,
}

/// What has happened since the last look, as far as processes tell it.
#[derive(Default)]
pub(super) struct Told {
    pub(super) events: Vec<Arc<ActorEvent>>,
    /// How many more there were: a process has forgotten them.
    pub(super) missed: u64,
}

impl Looker {
    pub(super) fn new(tree: Option<String>) -> Self {
        Self { tree, cursors: BTreeMap::new(), members: BTreeSet::new() }
    }

    /// Asks all processes; blocks until they have answered.
    ///
    /// # Errors
    /// As for [`Chosen::now`]: the tree has ended, or is not there.
    pub(super) fn look(&mut self) -> anyhow::Result<Look> {
        let chosen = Chosen::now(self.tree.as_deref(), None)?;
        // After the reports: the end of one that is in none is among the events.
        let mut told = self.ask(&chosen);
        if self.tree.is_some() {
            self.keep_those_of_the_tree(&chosen, &mut told);
        }
        Ok(Look { found: Found { at: Instant::now(), processes: chosen.reports(), silent: chosen.silent }, told })
    }

    fn ask(&mut self, chosen: &Chosen) -> Told {
        let asked = chosen.ask(|process| {
            let cursor = self.cursors.get(&key(process)).copied().unwrap_or_default();
            process.events(cursor)
        });
        let mut told = Told::default();
        for (process, report) in asked {
            let Ok(report) = report else { continue }; // it has ended, or will be asked again
            self.cursors.insert(key(process), report.cursor);
            told.missed += report.missed;
            told.events.extend(report.events);
        }
        self.forget(chosen);
        told
    }

    fn keep_those_of_the_tree(&mut self, chosen: &Chosen, told: &mut Told) {
        if self.members.len() > MANY_MEMBERS {
            self.members.clear(); // short lives tell little
        }
        self.members.extend(chosen.actors().map(|(_, actor)| actor.who.uuid()));
        // A start is told before what the actor itself tells.
        told.events.sort_by_key(|event| event.at_us);
        told.events.retain(|event| {
            let is_member = self.members.contains(&event.teller.uuid());
            self.members.extend(is_member.then(|| event.actor.uuid()));
            is_member
        });
    }

    /// Forgets processes that have ended, once there are many: one that says nothing now may go on.
    fn forget(&mut self, chosen: &Chosen) {
        if self.cursors.len() > MANY {
            let is_there = |(host, pid): &Key| {
                chosen.processes.iter().any(|process| (&process.host, process.pid) == (host, *pid))
                    || chosen
                        .silent
                        .iter()
                        .any(|silent| silent.host == *host && silent.pid.is_none_or(|silent| silent == *pid))
            };
            self.cursors.retain(|key, _| is_there(key));
        }
    }
}

fn key(process: &Process) -> Key {
    (process.host.clone(), process.pid)
}

/// So many actors are known that may be gone.
const MANY_MEMBERS: usize = 20_000;

/// So many processes are known without a look for those that have ended.
const MANY: usize = 1000;
