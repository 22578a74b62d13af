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
mod tests {
    use std::time::Duration;

    use pleach_wire::Key;
    use proptest::prelude::*;

    use super::*;

    fn actor(name: &str, uuid: u128, incarnation: u64, addresses: &[&str]) -> Registered {
        let endpoint =
            |address: &&str| Endpoint { transport: Key::new("msgpack", "tcp"), address: (*address).to_owned() };
        let who = ActorId::with_uuid(name, Uuid::from_u128(uuid));
        Registered { who, incarnation, listening: addresses.iter().map(endpoint).collect() }
    }

    fn uuids(found: &[Registered]) -> Vec<u128> {
        found.iter().map(|actor| actor.who.uuid().as_u128()).collect()
    }

    #[test]
    fn names_repeat_and_the_newest_comes_first() {
        let table = Arc::new(Table::default());
        let _holds = [1, 2, 3].map(|uuid| table.enter(actor("a", uuid, 7, &[])).unwrap());
        assert_eq!(uuids(&table.find("a")), [3, 2, 1]);
        assert_eq!(uuids(&table.list()), [1, 2, 3]);
        assert!(table.find("b").is_empty());
    }

    #[test]
    fn a_repeated_name_is_told_once_while_it_lasts() {
        let mut entries = Entries::default();
        let mut repeats = |uuid| {
            entries.enter(actor("a", uuid, 7, &[])).unwrap();
            entries.is_first_repetition("a")
        };
        assert_eq!([1, 2, 2, 3].map(&mut repeats), [false, true, false, false]);
        let _ = [2, 3].map(|uuid| entries.take_out(Uuid::from_u128(uuid)));
        entries.enter(actor("a", 4, 7, &[])).unwrap();
        assert!(!entries.is_first_repetition("a"), "one of them was there all the time");
        let _ = [1, 4].map(|uuid| entries.take_out(Uuid::from_u128(uuid)));
        assert!(entries.names.is_empty());
    }

    #[test]
    fn the_last_hold_of_an_incarnation_keeps_the_entry() {
        let table = Arc::new(Table::default());
        let old = table.enter(actor("a", 1, 7, &[])).unwrap();
        let (one, two) = (table.enter(actor("a", 1, 8, &[])).unwrap(), table.enter(actor("a", 1, 8, &[])).unwrap());
        assert!(table.enter(actor("a", 1, 7, &[])).is_none(), "the older one is void");
        drop((old, one));
        assert!(table.knows(Uuid::from_u128(1), 8) && !table.knows(Uuid::from_u128(1), 9));
        table.remove(&actor("a", 1, 0, &[]).who, 7);
        assert_eq!(table.find("a").len(), 1, "an entry newer than the complaint stays");
        drop(two);
        assert!(table.list().is_empty());
    }

    #[test]
    fn a_hold_of_before_a_removal_does_not_end_the_entry_after_it() {
        let table = Arc::new(Table::default());
        let before = table.enter(actor("a", 1, 7, &[])).unwrap();
        table.remove(&actor("a", 1, 7, &[]).who, 7);
        assert!(table.find("a").is_empty());
        let _after = table.enter(actor("a", 1, 7, &[])).unwrap();
        drop(before);
        assert_eq!(table.find("a").len(), 1);
    }

    #[test]
    fn an_address_has_one_owner() {
        let table = Arc::new(Table::default());
        let (both, far) = (["tcp://127.0.0.1:1", "tcp://10.0.0.1:1"], ["tcp://10.0.0.1:1"]);
        let _first = table.enter(actor("a", 1, 7, &both)).unwrap();
        let second = table.enter(actor("b", 2, 7, &far)).unwrap();
        assert_eq!(table.find("a")[0].listening, actor("a", 1, 7, &both[..1]).listening);
        let _third = table.enter(actor("c", 3, 7, &both[..1])).unwrap();
        assert_eq!(uuids(&table.list()), [2, 3], "an actor without an address is removed");
        drop(second);
        let _again = table.enter(actor("a", 1, 8, &far)).unwrap();
        assert_eq!(uuids(&table.list()), [3, 1]);
    }

    #[test]
    fn hosts_may_have_the_same_addresses() {
        let at = ["tcp://127.0.0.1:4000", "uds:///run/a.sock", "quic://192.168.0.2:4000", "mem://a"];
        let on = |host: &str, pid: u32, uuid: u128| {
            let who = serde_json::json!({ "name": "a", "uuid": Uuid::from_u128(uuid), "pid": pid, "host": host });
            Registered { who: serde_json::from_value(who).unwrap(), ..actor("a", uuid, 7, &at) }
        };
        let table = Arc::new(Table::default());
        let actors = [on("here", 1, 1), on("there", 1, 2)];
        let _holds = actors.clone().map(|actor| table.enter(actor).unwrap());
        assert_eq!(table.list(), actors);
        let _hold = table.enter(on("here", 2, 3)).unwrap();
        assert_eq!(uuids(&table.list()), [1, 2, 3], "names within a process are its own");
        assert_eq!(table.list()[0].listening, actor("a", 1, 7, &at[3..]).listening);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_woken_and_leaves_nothing() {
        let table = Arc::new(Table::default());
        let given_up = tokio::time::timeout(Duration::from_secs(1), table.wait_for("a")).await;
        assert!(given_up.is_err() && table.lock().waiters.is_empty());
        let enter = async {
            tokio::task::yield_now().await;
            assert_eq!(table.lock().waiters.len(), 1);
            table.enter(actor("a", 1, 7, &[])).unwrap()
        };
        let (one, other, _hold) = tokio::join!(table.wait_for("a"), table.wait_for("a"), enter);
        assert_eq!((uuids(&one), uuids(&other)), (vec![1], vec![1]));
        assert_eq!(table.wait_for("a").await.len(), 1, "a registered actor is found at once");
        assert!(table.lock().waiters.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Enter { uuid: u128, name: u8, incarnation: u64 },
        Drop(usize),
        Remove { uuid: u128, incarnation: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..5_u128, 0..3_u8, 0..3_u64).prop_map(|(uuid, name, incarnation)| Step::Enter {
                uuid,
                name,
                incarnation
            }),
            (0..8_usize).prop_map(Step::Drop),
            (0..5_u128, 0..3_u64).prop_map(|(uuid, incarnation)| Step::Remove { uuid, incarnation }),
        ]
    }

    /// The table as a list, newest last: uuid, name, incarnation, the holds that count.
    type Model = Vec<(u128, String, u64, Vec<usize>)>;

    proptest! {
        #[test]
        fn it_agrees_with_a_plain_list(steps in prop::collection::vec(step(), 1..60)) {
            let table = Arc::new(Table::default());
            let (mut model, mut holds) = (Model::new(), Vec::<Option<Hold>>::new());
            for step in steps {
                match step {
                    Step::Enter { uuid, name, incarnation } => {
                        // One uuid has one name: names differ only between actors.
                        let name = format!("{}", (u128::from(name) + uuid) % 2 * 10 + uuid % 3);
                        let name = model.iter().find(|one| one.0 == uuid).map_or(name, |one| one.1.clone());
                        let hold = table.enter(actor(&name, uuid, incarnation, &[]));
                        let at = model.iter().position(|one| one.0 == uuid);
                        prop_assert_eq!(hold.is_some(), at.is_none_or(|at| model[at].2 <= incarnation));
                        if hold.is_some() {
                            match at.filter(|at| model[*at].2 == incarnation) {
                                Some(at) => model[at].3.push(holds.len()),
                                None => {
                                    model.retain(|one| one.0 != uuid);
                                    model.push((uuid, name, incarnation, vec![holds.len()]));
                                }
                            }
                        }
                        holds.push(hold);
                    }
                    Step::Drop(at) => {
                        if let Some(hold) = holds.get_mut(at) && hold.take().is_some() {
                            model.iter_mut().for_each(|one| one.3.retain(|held| *held != at));
                            model.retain(|one| !one.3.is_empty());
                        }
                    }
                    Step::Remove { uuid, incarnation } => {
                        table.remove(&actor("", uuid, 0, &[]).who, incarnation);
                        model.retain(|one| one.0 != uuid || one.2 > incarnation);
                    }
                }
                prop_assert_eq!(uuids(&table.list()), model.iter().map(|one| one.0).collect::<Vec<_>>());
                for name in model.iter().map(|one| &one.1) {
                    let newest_first = model.iter().rev().filter(|one| one.1 == *name).map(|one| one.0);
                    prop_assert_eq!(uuids(&table.find(name)), newest_first.collect::<Vec<_>>());
                }
            }
            drop(holds);
            let entries = table.lock();
            prop_assert!(entries.by_number.is_empty() && entries.numbers.is_empty());
            prop_assert!(entries.names.is_empty() && entries.addresses.is_empty());
        }
    }
}
