//! The limits of an actor: who meets one is told which it is.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use libtest_mimic::Trial;
use pleach::error::Refusal;
use pleach::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Semaphore;

use crate::support::{assert_says, in_nursery, in_root, over, soon, test_fn, with_peer};

#[pleach::rpc]
async fn reaches_the_root() -> Result<()> {
    pleach::get_root().await?.close().await
}

#[pleach::rpc]
async fn reaches_the_root_from_below() -> Result<()> {
    pleach::open_nursery(async |n| n.run_in_actor(reaches_the_root()).await?.result().await).await
}

/// Answers with a lot, once the test lets it.
#[pleach::rpc]
async fn much() -> Result<Bytes> {
    ASKED.fetch_add(1, Ordering::Relaxed);
    let _released = RELEASED.acquire().await.expect("it is never closed");
    Ok(vec![0; 90_000].into())
}

#[pleach::rpc]
async fn asks_for_much() -> Result<()> {
    let root = pleach::get_root().await?;
    join_all((0..MUCH).map(|_| root.run(much()))).await;
    Ok(())
}

/// Returns how many bytes it was given, once the test lets it.
#[pleach::rpc]
async fn keeps(bytes: Bytes) -> Result<usize> {
    KEPT.fetch_add(1, Ordering::Relaxed);
    let released = LET_GO.acquire().await.expect("it is never closed");
    released.forget();
    Ok(bytes.len())
}

#[pleach::rpc]
async fn keeps_none(bytes: Bytes) -> Result<usize> {
    Ok(bytes.len())
}

/// How many calls of [`keeps`] hold their arguments.
static KEPT: AtomicU32 = AtomicU32::new(0);
static LET_GO: Semaphore = Semaphore::const_new(0);

/// Answers with a lot, at once; one of many such calls stops the process that asks.
#[pleach::rpc]
async fn much_at_once(asking: i32) -> Result<Bytes> {
    if BEGUN.fetch_add(1, Ordering::Relaxed) == MUCH / 4 {
        kill_process(Pid::from_raw(asking).unwrap(), Signal::STOP).unwrap();
        STOPPED.add_permits(1);
    }
    Ok(vec![0; 90_000].into())
}

#[pleach::rpc]
async fn asks_for_much_at_once() -> Result<usize> {
    let root = pleach::get_root().await?;
    let asking = std::process::id() as i32;
    let much = join_all((0..MUCH).map(|_| root.run(much_at_once(asking))));
    let (much, little) = tokio::join!(much, root.run(little()));
    little?;
    Ok(much.into_iter().flatten().count())
}

/// Answers with a little.
#[pleach::rpc]
async fn little() -> Result<()> {
    LITTLE_BEGUN.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

static LITTLE_BEGUN: AtomicU32 = AtomicU32::new(0);
static STOPPED: Semaphore = Semaphore::const_new(0);
static BEGUN: AtomicU32 = AtomicU32::new(0);
static ASKED: AtomicU32 = AtomicU32::new(0);
static RELEASED: Semaphore = Semaphore::const_new(0);
const MUCH: u32 = 200;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(one_child_too_many_names_the_limit),
        test_fn(who_is_one_too_many_is_told_why),
        test_fn(a_peer_that_does_not_read_is_given_up),
        test_fn(arguments_beyond_the_limit_are_refused_until_others_are_done),
        test_fn(calls_of_a_peer_that_does_not_read_wait_to_begin),
    ]
}

async fn one_child_too_many_names_the_limit() {
    in_nursery(Config { max_connections: 2, ..over("uds") }, async |n| {
        let (one, other) = (n.start_actor("one").await?, n.start_actor("other").await?);
        let third = n.start_actor("third").await;
        assert!(matches!(third, Err(Error::Spawn { .. })), "{third:?}"); // it was not even tried
        assert_says(&third, &["`third`", "has 2 connections", "`max_connections`"]);
        // When one has left, there is room again.
        one.cancel_actor().await?;
        let fourth = loop {
            match n.start_actor("fourth").await {
                Ok(portal) => break portal,
                Err(Error::Spawn { .. }) => tokio::task::yield_now().await,
                Err(other) => return Err(other),
            }
        };
        fourth.cancel_actor().await?;
        other.cancel_actor().await
    })
    .await
    .unwrap();
}

// SEC-15
async fn who_is_one_too_many_is_told_why() {
    let config = Config { max_connections: 2, ..over("tcp") };
    let ended: Result<()> = in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            n.start_actor("idle").await?;
            n.run_in_actor(reaches_the_root_from_below()).await?.result().await
        })
        .await
    })
    .await;
    let text = format!("{ended:?}");
    assert!(text.contains("the listener refuses: it has 2 connections"), "{text}");
}

// SEC-15
async fn a_peer_that_does_not_read_is_given_up() {
    let soon = soon();
    let config = Config {
        max_frame: 100_000,
        max_backlog: 100_000,
        cancel_ack: soon,
        soft_reap: soon,
        kill_after: soon,
        death_notice: soon,
        ..over("uds")
    };
    let ended: Result<()> = in_root(config, async |actor| {
        actor.enable(module_path!());
        pleach::open_nursery(async |n| {
            let portal = n.run_in_actor(asks_for_much()).await?;
            while ASKED.load(Ordering::Relaxed) < MUCH {
                tokio::task::yield_now().await;
            }
            kill_process(Pid::from_raw(portal.id().pid() as i32).unwrap(), Signal::STOP).unwrap();
            RELEASED.add_permits(MUCH as usize);
            portal.result().await
        })
        .await
    })
    .await;
    assert_says(&ended, &["`asks_for_much`", "wait for a peer that does not read", "limit of 200000", "max_backlog"]);
}

// SEC-15
async fn arguments_beyond_the_limit_are_refused_until_others_are_done() {
    let config = Config { max_arguments: 1_000_000, ..over("mem") };
    with_peer(config, module_path!(), async |portal| {
        let large = || Bytes::from(vec![0; 400_000]);
        // The third is there when less than the limit is held: one message may be beyond it.
        let held = join_all((0..3).map(|_| portal.run(keeps(large()))));
        let refused = async {
            while KEPT.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            let refused = portal.run(keeps(large())).await;
            assert_eq!(portal.run(keeps_none(Bytes::from(vec![0; 1000]))).await?, 1000);
            LET_GO.add_permits(3);
            Ok::<_, Error>(refused)
        };
        let (held, refused) = tokio::join!(held, refused);
        assert_eq!(held.into_iter().collect::<Result<Vec<_>>>()?, [400_000; 3]);
        let refused = refused?;
        let Err(Error::Refused { why: Refusal::OverBudget { held, limit: 1_000_000 }, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!((1_200_000..1_201_000).contains(&held), "{held}");
        assert_says(&refused, &["limits::keeps", "bytes of arguments", "max_arguments", "peer"]);
        // One call after the other is never refused, however large they are.
        LET_GO.add_permits(20);
        for _ in 0..20 {
            assert_eq!(portal.run(keeps(vec![0; 1_500_000].into())).await?, 1_500_000);
        }
        Ok(())
    })
    .await;
}

// SEC-15
async fn calls_of_a_peer_that_does_not_read_wait_to_begin() {
    let config = Config { max_frame: 100_000, max_answers: 200_000, max_backlog: 2_000_000, ..over("uds") };
    in_root(config, async |actor| {
        actor.enable(module_path!());
        pleach::open_nursery(async |n| {
            let portal = n.run_in_actor(asks_for_much_at_once()).await?;
            let _stopped = STOPPED.acquire().await.expect("it is never closed");
            // The message loop reads all requests that have come.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            let (begun, little_begun) = (BEGUN.load(Ordering::Relaxed), LITTLE_BEGUN.load(Ordering::Relaxed));
            kill_process(Pid::from_raw(portal.id().pid() as i32).unwrap(), Signal::CONT).unwrap();
            assert_eq!(portal.result().await?, MUCH as usize);
            assert!(begun <= MUCH / 2, "{begun} of {MUCH} calls had begun");
            assert_eq!(little_begun, 1, "a small answer does not wait behind large ones");
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}
