//! The table agrees with a plain list of its actors, and keeps its invariants one by one.

use std::time::Duration;

use pleach_wire::Key;
use proptest::prelude::*;

use super::*;

fn actor(name: &str, uuid: u128, incarnation: u64, addresses: &[&str]) -> Registered {
    let endpoint = |address: &&str| Endpoint { transport: Key::new("msgpack", "tcp"), address: (*address).to_owned() };
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
        (0..5_u128, 0..3_u8, 0..3_u64).prop_map(|(uuid, name, incarnation)| Step::Enter { uuid, name, incarnation }),
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
