//! Who was counted dead, and is not let in again as the one that it was.
//!
//! An actor that was given up for its silence may be alive: cut off, or stopped for a while. What it did
//! was given to others since. So it may come back only as a newer incarnation of itself, which knows that it
//! had been counted dead.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::handshake::Member;

/// The actors that were counted dead here, each with its incarnation then. The oldest are forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    incarnations: BTreeMap<Uuid, u64>,
    order: VecDeque<Uuid>,
}

impl Lost {
    /// Remembers one.
    pub(crate) fn note(&mut self, uuid: Uuid, incarnation: u64) {
        if let Some(known) = self.incarnations.get_mut(&uuid) {
            *known = incarnation.max(*known);
            return;
        }
        if self.order.len() == MOST {
            self.order.pop_front().and_then(|oldest| self.incarnations.remove(&oldest));
        }
        self.incarnations.insert(uuid, incarnation);
        self.order.push_back(uuid);
    }

    /// Returns why this actor is not let in, if it was counted dead.
    pub(crate) fn refusal(&self, member: &Member) -> Option<String> {
        let lost = *self.incarnations.get(&member.who.uuid())?;
        (member.incarnation <= lost).then(|| {
            format!(
                "{} was counted dead here after a silence, in its incarnation {lost}, and comes back as {}: an actor that \
                 lost a connection to silence dials again with a higher one; if it does not know that it was lost, end it \
                 and start another in its place",
                member.who, member.incarnation
            )
        })
    }
}

/// How many are remembered: more than one actor has connections by default would be of no use for long.
const MOST: usize = 4096;
