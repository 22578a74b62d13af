//! Fencing: an actor declared dead may rejoin only with a higher incarnation.
//!
//! An actor that was declared dead for its silence may be alive: cut off, or stopped for a while. Others have taken
//! over its work since. So it may come back only as a newer incarnation, which knows that it had been declared dead.

use std::collections::{BTreeMap, VecDeque};

use uuid::Uuid;

use super::handshake::Introduction;

/// The actors that were declared dead here, each with its incarnation then. The oldest are forgotten.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fenced {
    incarnations: BTreeMap<Uuid, u64>,
    order: VecDeque<Uuid>,
}

impl Fenced {
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

    /// Returns why this actor may not rejoin, if it was declared dead.
    pub(crate) fn refusal(&self, member: &Introduction) -> Option<String> {
        let lost = *self.incarnations.get(&member.who.uuid())?;
        (member.incarnation <= lost).then(|| {
            format!(
                "{} was declared dead here after a silence, in its incarnation {lost}, and comes back as {}: an actor \
                    that lost a connection to silence must dial again with a higher one; if it does not know that it \
                    was lost, end it and start a replacement",
                member.who, member.incarnation
            )
        })
    }
}

/// How many are remembered: more than one actor has connections by default would be of no use for long.
const MOST: usize = 4096;
