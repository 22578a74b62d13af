//! Actors found by their names, within one tree.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::discovery::{Registered, registrar};
use pleach::prelude::*;
use pleach::{ActorId, find_actor, get_registry, query_actor, wait_for_actor};

use crate::free_address::free_address;
use crate::registry_suite::actor as invented;
use crate::support::{
    Notes, PROCESSES, Watched, in_nursery, in_root, matrix_fn, matrix_over, note, over, patience, test_fn,
};

#[pleach::rpc]
async fn own_name() -> Result<String> {
    Ok(pleach::current_actor().map(|actor| actor.id().name().to_owned()).unwrap_or_default())
}

#[pleach::rpc]
async fn process_id() -> Result<u32> {
    Ok(std::process::id())
}

/// Finds an actor, and has it say its name.
#[pleach::rpc]
async fn finds(name: String) -> Result<String> {
    let portal = find_actor(name).required().await?;
    let said = portal.run(own_name()).await?;
    assert_eq!(said, portal.id().name());
    portal.close().await?;
    Ok(said)
}

/// Starts an actor below this one, which finds another one.
#[pleach::rpc]
async fn finds_from_below(name: String) -> Result<String> {
    pleach::open_nursery(async |n| n.run_in_actor(finds(name)).name("nephew").await?.result().await).await
}

/// Starts an actor below this one, and keeps it.
#[pleach::rpc]
async fn keeps(name: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        n.start_actor(name).enable(module_path!()).await?;
        std::future::pending().await
    })
    .await
}

#[pleach::rpc]
async fn waits_for(name: String, notes: String) -> Result<u32> {
    note(&notes, "waiting");
    let portal = wait_for_actor(name).await?;
    portal.run(process_id()).await
}

#[pleach::rpc]
async fn finds_itself() -> Result<bool> {
    let here = pleach::current_actor().expect("this runs in an actor");
    let portal = find_actor(here.id().name()).required().await?;
    assert_eq!(portal.run(own_name()).await?, here.id().name());
    let root = find_actor("root").required().await?;
    assert_eq!((root.id(), get_registry().await?.id()), (pleach::get_root().await?.id(), root.id()));
    Ok(portal.id() == here.id())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_fn(siblings_and_uncles_find_each_other);
    tests.extend(matrix_fn(the_newest_of_a_name_is_found));
    tests.extend(matrix_fn(waiting_ends_when_the_actor_comes));
    tests.extend(matrix_fn(an_actor_finds_itself));
    tests.extend(matrix_over(
        &PROCESSES,
        "names::an_actor_that_was_killed_is_not_found",
        an_actor_that_was_killed_is_not_found,
    ));
    tests.push(test_fn(an_entry_that_does_not_answer_is_removed));
    tests.push(test_fn(an_actor_that_another_host_can_not_reach_stays_registered));
    tests.push(test_fn(an_actor_that_is_ending_is_not_found));
    tests.push(test_fn(a_portal_leaves_the_connection_that_was_there));
    tests.push(test_fn(a_missing_actor_is_an_error_only_if_required));
    tests.push(test_fn(a_lookup_that_is_cancelled_leaves_nothing));
    tests
}

async fn siblings_and_uncles_find_each_other(config: Config) {
    in_nursery(config, async |n| {
        let uncle = n.start_actor("uncle").enable(module_path!()).await?;
        let father = n.start_actor("father").enable(module_path!()).await?;
        assert_eq!(father.run(finds("uncle".into())).await?, "uncle");
        assert_eq!(uncle.run(finds("father".into())).await?, "father");
        assert_eq!(father.run(finds_from_below("uncle".into())).await?, "uncle");
        // And downwards: an actor is found by all as soon as its start has returned.
        let keeping = father.run(keeps("cousin".into()));
        let found = async {
            let cousin = wait_for_actor("cousin").await?;
            assert_eq!(cousin.run(own_name()).await?, "cousin");
            assert_eq!(uncle.run(finds("cousin".into())).await?, "cousin");
            uncle.cancel_actor().await?;
            father.cancel_actor().await
        };
        tokio::join!(keeping, found).1
    })
    .await
    .unwrap();
}

async fn the_newest_of_a_name_is_found(config: Config) {
    in_nursery(config, async |n| {
        let first = n.start_actor("twin").await?;
        let second = n.start_actor("twin").await?;
        assert_eq!(find_actor("twin").await?.map(|found| found.id().clone()).as_ref(), Some(second.id()));
        let all = find_actor("twin").all().await?;
        assert_eq!(all.iter().map(Portal::id).collect::<Vec<_>>(), [second.id(), first.id()]);
        second.cancel_actor().await?;
        until_found("twin", first.id().uuid()).await;
        first.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn waiting_ends_when_the_actor_comes(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let asker = n.start_actor("asker").enable(module_path!()).await?;
        let late = async {
            notes.expect_async("waiting").await;
            n.start_actor("late").enable(module_path!()).await
        };
        let (here, there, late) =
            tokio::join!(wait_for_actor("late"), asker.run(waits_for("late".into(), notes.address())), late);
        let late = late?;
        assert_eq!((here?.id(), there?), (late.id(), late.id().pid()));
        // Who is there already is not waited for.
        assert_eq!(asker.run(waits_for("late".into(), notes.address())).await?, late.id().pid());
        late.cancel_actor().await?;
        asker.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn an_actor_finds_itself(config: Config) {
    in_root(config, async |actor| {
        actor.enable(module_path!());
        assert!(actor.is_registrar());
        assert_eq!(finds("root".into()).await?, "root");
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").enable(module_path!()).await?;
            assert!(child.run(finds_itself()).await?);
            child.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

// The registrar notices by itself, also of those that others have started.
async fn an_actor_that_was_killed_is_not_found(config: Config) {
    let ended: Result<()> = in_nursery(config, async |n| {
        let father = n.start_actor("father").enable(module_path!()).await?;
        let keeping = father.run(keeps("child".into()));
        let kill = async {
            let child = wait_for_actor("child").await?;
            Watched::new(child.id().pid()).kill();
            let gone = shield(until_not_found("child"));
            // Over QUIC only the idle time-out says so.
            tokio::time::timeout(patience(), gone).await.expect("a dead actor is still listed");
            Ok::<_, Error>(())
        };
        tokio::join!(keeping, kill).1?;
        father.cancel_actor().await
    })
    .await;
    assert!(ended.is_ok() || format!("{ended:?}").contains("signal 9"), "{ended:?}");
}

async fn an_entry_that_does_not_answer_is_removed() {
    in_root(over("tcp"), async |actor| {
        let registry = actor.registry().expect("it has begun");
        let free = free_address();
        let mut missing = invented("ghost");
        missing.who = as_here(&missing.who, actor.id());
        missing.listening[0].address = format!("tcp://{free}");
        // Nor is it the actor that listens there now.
        pleach::open_nursery(async |n| {
            let alive = n.start_actor("alive").await?;
            let mut former = invented("former");
            former.who = as_here(&former.who, alive.id());
            former.listening = query_actor("alive").await?.expect("it is there").listening;
            let _entries = [registry.register(missing.clone()).await?, registry.register(former.clone()).await?];
            let listed = |name: &str| query_actor(name.to_owned());
            assert_eq!(listed("ghost").await?, Some(missing));
            assert!(find_actor("ghost").await?.is_none());
            assert_eq!(listed("ghost").await?, None);
            assert!(find_actor("former").await?.is_none());
            assert!(registry.list().await?.iter().all(|one| one.who.name() != "former"));
            alive.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// An address leads elsewhere from another host, and may be refused on the way: that says nothing of the actor.
async fn an_actor_that_another_host_can_not_reach_stays_registered() {
    in_root(over("tcp"), async |actor| {
        let registry = actor.registry().expect("it has begun");
        let free = free_address();
        actor.enable(module_path!());
        pleach::open_nursery(async |n| {
            let alive = n.start_actor("alive").await?;
            let mut refused = invented("far");
            refused.listening[0].address = format!("tcp://{free}");
            let mut anothers = invented("far");
            anothers.listening = query_actor("alive").await?.expect("it is there").listening;
            let _entries = [registry.register(refused.clone()).await?, registry.register(anothers.clone()).await?];
            let found = find_actor("far").await;
            assert!(matches!(found, Err(Error::Transport(_))), "{found:?}");
            assert_eq!(registry.find("far").await?, [anothers, refused]);
            assert!(query_actor("alive").await?.is_some());
            alive.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// It hangs up first, and is out of the registry a little later: then it was not found. It is not an error.
async fn an_actor_that_is_ending_is_not_found() {
    for host in [None, Some("nowhere")] {
        in_root(over("tcp"), async |actor| {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut ending = invented("ending");
            ending.listening[0].address = format!("tcp://{}", listener.local_addr().unwrap());
            if host.is_none() {
                ending.who = as_here(&ending.who, actor.id());
            }
            let entry = actor.registry().expect("it has begun").register(ending).await?;
            let end = async {
                for _ in 0..2 {
                    drop(listener.accept().await.unwrap());
                }
                drop(listener);
                // From another host one can't know that it is gone for good.
                match host {
                    Some(_) => entry.leave().await,
                    None => Ok(()),
                }
            };
            let (found, ended) = tokio::join!(find_actor("ending").into_future(), end);
            assert!(found?.is_none());
            ended
        })
        .await
        .unwrap();
    }
}

async fn a_portal_leaves_the_connection_that_was_there() {
    in_nursery(over("uds"), async |n| {
        let child = n.start_actor("child").enable(module_path!()).await?;
        for _ in 0..3 {
            find_actor("child").required().await?.close().await?;
            drop(find_actor("child").await?);
            assert_eq!(child.run(own_name()).await?, "child");
        }
        child.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_missing_actor_is_an_error_only_if_required() {
    in_root(over("uds"), async |_| {
        assert!(find_actor("missing").await?.is_none());
        assert!(find_actor("missing").all().await?.is_empty());
        assert!(query_actor("missing").await?.is_none());
        let missing = find_actor("missing").required().await;
        assert!(matches!(&missing, Err(Error::NotFound { name }) if name == "missing"), "{missing:?}");
        assert!(missing.unwrap_err().to_string().contains("`wait_for_actor`"));
        let listed: Vec<Registered> = get_registry().await?.run(registrar::list()).await?;
        assert_eq!(listed.len(), 1);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_lookup_that_is_cancelled_leaves_nothing() {
    in_nursery(over("uds"), async |n| {
        let asker = n.start_actor("asker").enable(module_path!()).await?;
        let notes = Arc::new(Notes::new());
        let scope = CancelScope::new();
        let waiting = scope.run(asker.run(waits_for("missing".into(), notes.address())));
        let cancel = async {
            notes.expect_async("waiting").await;
            scope.cancel();
        };
        let (ended, ()) = tokio::join!(waiting, cancel);
        assert!(ended.is_err_and(|error| error.is_cancelled()));
        let given_up = fail_after(Duration::from_millis(20), wait_for_actor("missing")).await;
        assert!(matches!(given_up, Err(Error::Timeout { .. })), "{given_up:?}");
        asker.cancel_actor().await
    })
    .await
    .unwrap();
}

/// The same actor on the host of another one.
fn as_here(who: &ActorId, neighbour: &ActorId) -> ActorId {
    let mut here = serde_json::to_value(who).unwrap();
    let neighbour = serde_json::to_value(neighbour).unwrap();
    for part in ["host", "place"] {
        here[part] = neighbour[part].clone();
    }
    serde_json::from_value(here).unwrap()
}

async fn until_found(name: &str, uuid: uuid::Uuid) {
    while query_actor(name).await.unwrap().is_none_or(|found| found.who.uuid() != uuid) {
        tokio::task::yield_now().await;
    }
}

async fn until_not_found(name: &str) {
    while query_actor(name).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
}
