//! The limits of an actor: who meets one is told which it is.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use libtest_mimic::Trial;
use pleach::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Semaphore;

use crate::support::{assert_says, in_nursery, in_root, over, soon, test_fn};

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

static ASKED: AtomicU32 = AtomicU32::new(0);
static RELEASED: Semaphore = Semaphore::const_new(0);
const MUCH: u32 = 200;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(one_child_too_many_names_the_limit),
        test_fn(who_is_one_too_many_is_told_why),
        test_fn(a_peer_that_does_not_read_is_given_up),
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
