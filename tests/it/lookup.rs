//! Portals to actors that are not our children: the root, the parent, oneself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use pleach::error::{Cancelled, Refusal};
use pleach::prelude::*;

use crate::support::{ALL, Notes, PROCESSES, Watched, in_nursery, in_root, matrix_fn, note, over, test, test_fn};

#[pleach::rpc]
async fn own_name() -> Result<String> {
    Ok(pleach::current_actor().map(|actor| actor.id().name().to_owned()).unwrap_or_default())
}

#[pleach::rpc]
async fn double(n: u64) -> Result<u64> {
    Ok(n * 2)
}

/// Says `n`, and then takes numbers and sends them back twice as large.
#[pleach::context]
async fn doubler(ctx: &mut Context<u64, u64, u64>, n: u64) -> Result<u64> {
    ctx.started(n).await?;
    let mut stream = ctx.open_stream().await?;
    while let Some(n) = stream.recv().await? {
        stream.send(n * 2).await?;
    }
    Ok(n)
}

/// Has the root double `count` numbers at once.
#[pleach::rpc]
async fn doubled_by_root(count: u64) -> Result<u64> {
    let root = pleach::get_root().await?;
    let all = try_join_all((0..count).map(|n| root.run(double(n)))).await?;
    let sum = all.into_iter().sum();
    root.close().await?;
    Ok(sum)
}

/// What an actor sees of the tree above it: its own name, the parent's, the root's.
#[pleach::rpc]
async fn above() -> Result<(String, String, String)> {
    let actor = pleach::current_actor().expect("this runs in an actor");
    let parent = actor.parent().expect("only the root has none");
    let root = pleach::get_root().await?;
    assert_eq!(parent.id().name(), parent.run(own_name()).await?);
    assert_eq!(root.id().pid(), root.run(process_id()).await?);
    Ok((actor.id().name().into(), parent.id().name().into(), root.run(own_name()).await?))
}

/// The same, as a task of a task sees it.
#[pleach::rpc]
async fn above_a_task() -> Result<(String, String, String)> {
    pleach::open_task_nursery(async |t| {
        t.spawn(async { pleach::open_task_nursery(async |t| t.spawn(above_all())?.join().await).await })?.join().await
    })
    .await
}

async fn above_all() -> Result<(String, String, String)> {
    pleach::current_actor().expect("this runs in an actor").enable(module_path!());
    pleach::open_nursery(async |n| n.run_in_actor(above()).name("leaf").await?.result().await).await
}

/// Cancels the actor above its own.
#[pleach::rpc]
async fn cancels_its_parent() -> Result<()> {
    pleach::current_actor().and_then(|actor| actor.parent()).expect("it has a parent").cancel_actor().await?;
    std::future::pending().await
}

/// Starts an actor that cancels this one.
#[pleach::context]
async fn has_an_enemy_below(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    pleach::open_nursery(async |n| n.run_in_actor(cancels_its_parent()).name("enemy").await?.result().await).await
}

#[pleach::rpc]
async fn process_id() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn above_one_below() -> Result<(String, String, String)> {
    above_all().await
}

#[pleach::rpc]
async fn dialog_with_root(from: u64) -> Result<u64> {
    dialog(&pleach::get_root().await?, from).await
}

async fn dialog(portal: &Portal, from: u64) -> Result<u64> {
    portal
        .open_context(doubler(from), async |ctx, first| {
            assert_eq!(first, from);
            let mut stream = ctx.open_stream().await?;
            for n in from..from + 20 {
                stream.send(n).await?;
                assert_eq!(stream.recv().await?, Some(2 * n));
            }
            stream.close().await?;
            ctx.result().await
        })
        .await
}

/// Opens and closes a connection to the root again and again.
#[pleach::rpc]
async fn comes_and_goes(times: u32) -> Result<()> {
    for _ in 0..times {
        let root = pleach::get_root().await?;
        let same = pleach::get_root().await?;
        assert_eq!((root.run(double(1)).await?, same.run(double(2)).await?), (2, 4));
        drop(same);
        root.close().await?;
    }
    Ok(())
}

#[pleach::rpc]
async fn comes_and_goes_below(times: u32) -> Result<()> {
    pleach::open_nursery(async |n| n.run_in_actor(comes_and_goes(times)).await?.result().await).await
}

/// Notes its process id, and has the root end itself.
#[pleach::rpc]
async fn cancels_the_root(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    let root = pleach::get_root().await?;
    assert!(!root.cancel_called());
    root.cancel_actor().await?;
    assert!(root.cancel_called());
    note(&notes, "acknowledged");
    std::future::pending().await
}

#[pleach::rpc]
async fn cancels_the_root_from_below(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    pleach::open_nursery(async |n| n.run_in_actor(cancels_the_root(notes)).await?.result().await).await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ALL {
        tests.push(test(format!("lookup::parent_and_root_are_reached_from_each_level_over_{protocol}"), move || {
            parent_and_root_are_reached_from_each_level(protocol)
        }));
        tests.push(test(format!("lookup::calls_and_contexts_go_both_ways_over_{protocol}"), move || {
            calls_and_contexts_go_both_ways(protocol)
        }));
    }
    for protocol in PROCESSES {
        tests.push(test(format!("lookup::a_grandchild_cancels_the_root_over_{protocol}"), move || {
            a_grandchild_cancels_the_root(protocol)
        }));
    }
    tests.extend(matrix_fn(a_context_is_cancelled_by_a_third_actor));
    tests.push(test_fn(a_root_exposes_nothing_unless_told));
    tests.push(test_fn(an_actor_reaches_itself));
    tests.push(test_fn(the_last_portal_closes_its_connection));
    tests
}

// S109
async fn parent_and_root_are_reached_from_each_level(protocol: &'static str) {
    let names = |names: [&str; 3]| (names[0].to_owned(), names[1].to_owned(), names[2].to_owned());
    in_root(over(protocol), async |actor| {
        actor.enable(module_path!());
        assert!(actor.parent().is_none());
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").enable(module_path!()).await?;
            assert_eq!(child.run(above()).await?, names(["child", "root", "root"]));
            assert_eq!(child.run(above_one_below()).await?, names(["leaf", "child", "root"]));
            assert_eq!(child.run(above_a_task()).await?, names(["leaf", "child", "root"]));
            child.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn calls_and_contexts_go_both_ways(protocol: &'static str) {
    in_root(over(protocol), async |actor| {
        actor.enable(module_path!());
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").enable(module_path!()).await?;
            // All at once, over one connection: each side numbers its own dialogs.
            let (here, there, sums) = tokio::join!(
                try_join_all((0..4).map(|n| dialog(&child, 100 * n))),
                try_join_all((0..4).map(|n| child.run(dialog_with_root(100 * n)))),
                try_join_all((0..4).map(|_| child.run(doubled_by_root(50)))),
            );
            assert_eq!((here?, there?), (vec![0, 100, 200, 300], vec![0, 100, 200, 300]));
            assert_eq!(sums?, [2450; 4]);
            child.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

// S121, S24: from any actor, the whole tree ends, and the request is acknowledged before.
async fn a_grandchild_cancels_the_root(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    let mut watched = Vec::new();
    let ended: Result<()> = in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(cancels_the_root_from_below(notes.address())).await?;
            // The body is cancelled meanwhile; the test looks at it all the same.
            shield(async {
                for _ in 0..2 {
                    watched.push(Watched::new(notes.expect_async("").await.parse().unwrap()));
                }
                notes.expect_async("acknowledged").await;
            })
            .await;
            std::future::pending().await
        })
        .await
    })
    .await;
    assert!(matches!(ended, Err(Error::Cancelled(Cancelled::Actor))), "{ended:?}");
    watched.iter().for_each(|one| one.assert_gone_within(Duration::ZERO));
}

// C-25: the request of a third actor, which neither opened the context nor runs it.
async fn a_context_is_cancelled_by_a_third_actor(config: Config) {
    in_nursery(config, async |n| {
        let portal = n.start_actor("victim").enable(module_path!()).await?;
        let ended: Result<()> =
            portal.open_context(has_an_enemy_below(), async |_, ()| std::future::pending().await).await;
        let Err(Error::ContextCancelled(cancelled)) = ended else { panic!("{ended:?}") };
        assert_eq!(cancelled.canceller.as_ref().map(|actor| actor.name()), Some("enemy"));
        assert_eq!(cancelled.actor, *portal.id());
        assert!(!cancelled.is_by_itself() && cancelled.relay_path.is_empty());
        Ok(())
    })
    .await
    .unwrap();
}

// SEC-23
async fn a_root_exposes_nothing_unless_told() {
    in_root(over("uds"), async |_| {
        let ended: Result<u64> =
            pleach::open_nursery(async |n| n.run_in_actor(doubled_by_root(1)).await?.result().await).await;
        let text = format!("{ended:?}");
        assert!(text.contains("module `it::lookup` is not exposed there"), "{text}");
        // Nor to itself.
        let refused = pleach::get_root().await?.run(double(1)).await;
        assert!(matches!(refused, Err(Error::Refused { why: Refusal::ModuleNotExposed { .. }, .. })), "{refused:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_actor_reaches_itself() {
    in_root(over("mem"), async |actor| {
        actor.enable(module_path!());
        let root = pleach::get_root().await?;
        assert_eq!(root.id(), actor.id());
        assert_eq!(root.run(own_name()).await?, "root");
        assert_eq!(dialog(&root, 7).await?, 7);
        // A call from a call: the same actor serves both.
        assert_eq!(root.run(doubled_by_root(3)).await?, 6);
        root.close().await?;
        assert_eq!(pleach::get_root().await?.run(double(4)).await?, 8);
        Ok(())
    })
    .await
    .unwrap();
}

async fn the_last_portal_closes_its_connection() {
    // The child, and one more: what is not closed would soon be too much.
    let config = Config { max_connections: 2, ..over("uds") };
    in_root(config, async |actor| {
        actor.enable(module_path!());
        pleach::open_nursery(async |n| n.run_in_actor(comes_and_goes_below(20)).await?.result().await).await
    })
    .await
    .unwrap();
}
