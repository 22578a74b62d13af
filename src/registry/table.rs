//! The registrar's table: the registered actors by name, and the waiters for a name.
//!
//! It does no I/O: [`registrar`](crate::discovery::registrar) answers from it, and the runtime enters each peer that connects. A
//! second actor of one name is logged once, for as long as there is one of that name. The table is as large as the
//! number of connections that hold an entry in it, which `max_connections` bounds, and an actor leaves nothing when the
//! last of those has ended.
//!
//! # Invariants
//! 1. An actor has one entry: that of its highest incarnation. An older one's entries and claims are void.
//! 2. On its host an address belongs to one actor: the last to claim it, because no other can be listening there.
//!    Actors of two hosts may both announce `tcp://127.0.0.1:4000`, or `tcp://192.168.0.2:4000` in two networks.
//! 3. A waiter for a name sees each entry that is made after it began to wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use pleach_wire::Address;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Endpoint, Registered};
use crate::actor::{ActorId, Place};
use crate::sync::lock;

/// The table, shared by registrations and queries.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<Entries>);

/// Keeps an actor registered. The entry ends with the last one of its incarnation.
#[derive(Debug)]
pub(crate) struct Hold {
    table: Arc<Table>,
    uuid: Uuid,
    number: u64,
}

impl Table {
    /// Enters an actor for as long as the returned hold lives. `None`: a newer incarnation of it is here.
    pub(crate) fn enter(self: &Arc<Self>, actor: Registered) -> Option<Hold> {
        let uuid = actor.who.uuid();
        let mut entries = self.lock();
        if let Some(waiting) = entries.waiters.get(actor.who.name()) {
            waiting.notify_waiters(); // they look once the lock is free
        }
        let who = actor.who.clone();
        let number = entries.enter(actor)?;
        let repeats = entries.is_first_repetition(who.name());
        drop(entries);
        let hold = Hold { table: self.clone(), uuid, number };
        if repeats {
            info!(target: "pleach::runtime", actor = %who, "a second actor has this name: `find_actor` finds the newest, and `.all()` each");
        }
        Some(hold)
    }

    /// Notes where an actor that is entered listens now.
    pub(crate) fn update(&self, actor: &Registered) {
        self.lock().update(actor);
    }

    /// Takes an actor out whatever holds it, unless it has come back with a newer incarnation than this.
    pub(crate) fn remove(&self, who: &ActorId, incarnation: u64) {
        let mut entries = self.lock();
        if entries.by_uuid(who.uuid()).is_some_and(|entry| entry.actor.incarnation <= incarnation) {
            entries.take_out(who.uuid());
        }
    }

    /// Returns whether this incarnation of an actor, or a newer one, is entered.
    pub(crate) fn knows(&self, uuid: Uuid, incarnation: u64) -> bool {
        self.lock().by_uuid(uuid).is_some_and(|entry| entry.actor.incarnation >= incarnation)
    }

    /// Returns all actors of this name, newest first.
    pub(crate) fn find(&self, name: &str) -> Vec<Registered> {
        let entries = self.lock();
        let numbers = entries.names.get(name).into_iter().flat_map(|named| &named.numbers).rev();
        numbers.filter_map(|number| Some(entries.by_number.get(number)?.actor.clone())).collect()
    }

    /// Waits until there is an actor of this name, and returns all, newest first.
    ///
    /// # Cancel safety
    /// Nothing is lost, and nothing stays.
    pub(crate) async fn wait_for(self: &Arc<Self>, name: &str) -> Vec<Registered> {
        let waiting = Waiting::new(self, name);
        loop {
            let mut entered = std::pin::pin!(waiting.entered.notified());
            entered.as_mut().enable(); // before the look: an entry between the two wakes it (invariant 3)
            let found = self.find(name);
            if !found.is_empty() {
                return found;
            }
            entered.await;
        }
    }

    /// Returns all actors, in the order of registration.
    pub(crate) fn list(&self) -> Vec<Registered> {
        self.lock().by_number.values().map(|entry| entry.actor.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        lock(&self.0)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.table.lock().leave(self.uuid, self.number);
    }
}

/// A waiter for a name; the table forgets the name with the last of them.
struct Waiting<'a> {
    table: &'a Table,
    name: &'a str,
    entered: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn new(table: &'a Table, name: &'a str) -> Self {
        let entered = table.lock().waiters.entry(name.to_owned()).or_default().clone();
        Self { table, name, entered }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut entries = self.table.lock();
        // The table's and ours: handles are only made under its lock.
        if Arc::strong_count(&self.entered) == 2 {
            entries.waiters.remove(self.name);
        }
    }
}

/// Ordered maps throughout: they give back their memory as they shrink.
#[derive(Debug, Default)]
struct Entries {
    /// In the order in which they came.
    by_number: BTreeMap<u64, Entry>,
    numbers: BTreeMap<Uuid, u64>,
    names: BTreeMap<String, Named>,
    addresses: BTreeMap<Claim, Uuid>,
    waiters: BTreeMap<String, Arc<Notify>>,
    /// The number of the next entry or hold.
    next: u64,
}

/// The actors of one name.
#[derive(Debug, Default)]
struct Named {
    numbers: BTreeSet<u64>,
    /// Whether a duplicate of the name has been logged.
    told: bool,
}

#[derive(Debug)]
struct Entry {
    actor: Registered,
    holds: BTreeSet<u64>,
}

/// An address, at a place, and if only a process can mean it, in that one.
type Claim = (Place, String, u32, String);

impl Entries {
    /// Enters an actor and returns the number of its new hold.
    fn enter(&mut self, actor: Registered) -> Option<u64> {
        let uuid = actor.who.uuid();
        let number = self.next;
        self.next += 1;
        let present = self.by_uuid(uuid).map(|entry| entry.actor.incarnation);
        match present {
            Some(present) if present > actor.incarnation => return None,
            Some(present) if present == actor.incarnation => self.update(&actor),
            _ => {
                self.take_out(uuid);
                self.numbers.insert(uuid, number);
                self.names.entry(actor.who.name().to_owned()).or_default().numbers.insert(number);
                self.claim(&actor);
                self.by_number.insert(number, Entry { actor, holds: BTreeSet::new() });
            }
        }
        self.entry(uuid)?.holds.insert(number);
        Some(number)
    }

    /// Returns whether there are several actors of this name, the first time that it finds some.
    fn is_first_repetition(&mut self, name: &str) -> bool {
        let several = self.names.get_mut(name).filter(|named| named.numbers.len() > 1);
        several.is_some_and(|named| !std::mem::replace(&mut named.told, true))
    }

    fn leave(&mut self, uuid: Uuid, hold: u64) {
        if let Some(entry) = self.entry(uuid)
            && entry.holds.remove(&hold)
            && entry.holds.is_empty()
        {
            self.take_out(uuid);
        }
    }

    fn update(&mut self, actor: &Registered) {
        let uuid = actor.who.uuid();
        let Some(entry) = self.entry(uuid).filter(|entry| entry.actor.incarnation == actor.incarnation) else { return };
        let before = std::mem::replace(&mut entry.actor, actor.clone());
        self.give_up(&before);
        self.claim(actor);
    }

    fn take_out(&mut self, uuid: Uuid) {
        let Some(number) = self.numbers.remove(&uuid) else { return };
        let Some(Entry { actor, .. }) = self.by_number.remove(&number) else { return };
        if let Some(same_name) = self.names.get_mut(actor.who.name()) {
            same_name.numbers.remove(&number);
            if same_name.numbers.is_empty() {
                self.names.remove(actor.who.name());
            }
        }
        self.give_up(&actor);
    }

    /// Invariant 2: an earlier claimant of the address loses it, and its entry if that was its last one.
    fn claim(&mut self, actor: &Registered) {
        for endpoint in &actor.listening {
            let before = self.addresses.insert(claim_of(&actor.who, endpoint), actor.who.uuid());
            let Some(before) = before.filter(|before| *before != actor.who.uuid()) else { continue };
            let Some(entry) = self.entry(before) else { continue };
            let (who, listening) = (&entry.actor.who, &mut entry.actor.listening);
            listening.retain(|theirs| claim_of(who, theirs) != claim_of(&actor.who, endpoint));
            if listening.is_empty() {
                self.take_out(before);
            }
        }
    }

    fn give_up(&mut self, actor: &Registered) {
        for endpoint in &actor.listening {
            let claim = claim_of(&actor.who, endpoint);
            if self.addresses.get(&claim) == Some(&actor.who.uuid()) {
                self.addresses.remove(&claim);
            }
        }
    }

    fn by_uuid(&self, uuid: Uuid) -> Option<&Entry> {
        self.by_number.get(self.numbers.get(&uuid)?)
    }

    fn entry(&mut self, uuid: Uuid) -> Option<&mut Entry> {
        self.by_number.get_mut(self.numbers.get(&uuid)?)
    }
}

fn claim_of(who: &ActorId, endpoint: &Endpoint) -> Claim {
    let is_within_process = matches!(endpoint.address.parse(), Ok(Address::Mem(_)));
    let process = if is_within_process { who.pid() } else { 0 };
    // One that has not announced its place is distinguished by the name of its host.
    let host = if who.place() == Place::default() { who.host().to_owned() } else { String::new() };
    (who.place(), host, process, endpoint.address.clone())
}

#[cfg(test)]
mod tests;
