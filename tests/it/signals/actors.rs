//! Signals to a single actor of a tree.

use std::sync::Arc;
use std::time::Duration;

use pleach::error::{Cancelled, WaitStatus};
use pleach::prelude::*;
use pleach::{ChildSpec, Supervision, SupervisorEvent};
use rustix::process::Signal;

use super::{MODULE, await_state, calls_another, computes, pid, send, send_first, tells_why, waits};
use crate::support::{Notes, assert_says, in_root, over};

pub(super) async fn a_tree_that_was_stopped_goes_on(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let (one, other) = (n.start_actor("one").enable(MODULE), n.start_actor("other").enable(MODULE));
            let (one, other) = (one.await?, other.await?);
            let pids = [one.run(pid()).await?, other.run(pid()).await?];
            for pid in pids {
                send(pid, Signal::STOP);
                await_state(pid, 'T');
            }
            // A call to one that is stopped waits, as to one that is busy.
            let (waiting, going_on) = (one.run(pid()), async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                pids.iter().for_each(|pid| send(*pid, Signal::CONT));
            });
            let (answer, ()) = tokio::join!(waiting, going_on);
            assert_eq!([answer?, other.run(pid()).await?], pids);
            tokio::try_join!(one.cancel_actor(), other.cancel_actor()).map(drop)
        })
        .await
    })
    .await
    .unwrap();
}

fn assert_died_of(ended: &Result<()>, name: &str, signal: Signal) {
    let signal = signal.as_raw();
    assert_says(ended, &[&format!("`{name}`"), &format!("signal {signal} (SIG")]);
    match ended {
        Err(Error::ActorDied(died)) => assert_eq!(died.status, WaitStatus::Signalled(signal)),
        other => panic!("{other:?}"),
    }
}

/// The body meets the same error as its nursery, whichever comes first.
pub(super) async fn to_one_actor(protocol: &'static str, signal: Signal) {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("target").enable(MODULE).await?;
            let told = async {
                send(notes.expect_async("waits ").await.parse().unwrap(), signal);
            };
            let called = shield(async { tokio::join!(portal.run(waits(notes.address())), told).0 }).await;
            assert_died_of(&called, "target", signal);
            called
        })
        .await
    })
    .await;
    assert_died_of(&ended, "target", signal);
}

pub(super) async fn an_idle_actor_that_gets_one_is_named() {
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("idle").enable(MODULE).await?;
            send(portal.run(pid()).await?, Signal::TERM);
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "idle", Signal::TERM);
}

pub(super) async fn the_function_of_an_actor_that_gets_one_learns_it() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(tells_why(notes.address())).name("target").await?;
            send(notes.expect_async("waits ").await.parse().unwrap(), Signal::TERM);
            let why = shield(notes.expect_async("")).await;
            assert_eq!(why, format!("{:?}", Err::<(), _>(Error::Cancelled(Cancelled::Signal(15)))));
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "target", Signal::TERM);
}

pub(super) async fn another_caller_of_an_actor_that_gets_one_learns_it() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |_| {
        // The caller is not a sibling: those are cancelled as soon as the death is known.
        pleach::open_nursery(async |callers| {
            pleach::open_nursery(async |n| {
                n.start_actor("target").enable(MODULE).await?;
                callers.run_in_actor(calls_another("target".into(), notes.address())).name("caller").await?;
                send(notes.expect_async("waits ").await.parse().unwrap(), Signal::TERM);
                let told = shield(notes.expect_async("by Some(15) of target: ")).await;
                assert!(told.contains("its process got SIGTERM"), "{told}");
                std::future::pending().await
            })
            .await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "target", Signal::TERM);
}

pub(super) async fn a_second_one_ends_an_actor_that_computes() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(computes(notes.address())).name("busy").await?;
            let busy: u32 = notes.expect_async("computes ").await.parse().unwrap();
            send_first(busy, Signal::TERM);
            send(busy, Signal::TERM);
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "busy", Signal::TERM);
}

pub(super) async fn a_supervised_actor_that_gets_one_is_started_again() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let child = ChildSpec::daemon(n.start_actor("kept").enable(MODULE));
            let supervisor = n.supervise(Supervision::one_for_one().child(child)).await?;
            let mut events = supervisor.events();
            let first = supervisor.portal("kept").await?.run(pid()).await?;
            send(first, Signal::TERM);
            let mut why = None;
            while let Some(event) = events.recv().await {
                match event {
                    SupervisorEvent::Died { error, .. } => why = Some(error),
                    SupervisorEvent::Started { actor, .. } if actor.pid() != first => break,
                    _ => {}
                }
            }
            assert_died_of(&Err(why.unwrap()), "kept", Signal::TERM);
            assert_ne!(supervisor.portal("kept").await?.run(pid()).await?, first);
            supervisor.shutdown().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}
