//! Starts that come to nothing: cancelled, dropped or failed at each moment, they leave no actor behind.

use std::future::IntoFuture as _;
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{EndedBy, Host};

use crate::support::{ALL, FOREVER, Notes, assert_says, in_nursery, in_root, is_there, over, poll_once, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(a_start_is_cancelled_before_exec),
        test_fn(a_start_is_cancelled_before_it_connects_back),
        test_fn(a_start_is_dropped_before_its_portal_was_returned),
        test_fn(a_failing_body_gives_up_a_start),
        test_fn(arguments_that_panic_leave_no_actor_behind),
        test_fn(no_actor_is_started_where_it_could_not_connect_back),
    ]
}

/// The nursery is cancelled when nothing of the child is there yet: there is nothing to reap, nor to report.
// S29
async fn a_start_is_cancelled_before_exec() {
    in_nursery(over("uds"), async |n| {
        let (started, ()) = tokio::join!(n.start_actor("early").into_future(), n.cancel());
        assert!(matches!(started, Err(Error::Cancelled(_))), "{started:?}");
        assert!(n.report().endings.is_empty() && n.children().is_empty());
        Ok(())
    })
    .await
    .unwrap();
}

/// The process is there but has not connected back: it is killed, without any patience.
// S29, S89
async fn a_start_is_cancelled_before_it_connects_back() {
    let notes = Arc::new(Notes::new());
    let patient = Config { connect_back: FOREVER, cancel_ack: FOREVER, ..over("uds") };
    in_nursery(patient, async |n| {
        let start = n.start_actor("sleeper").env("IT_BEFORE_ENTRY", format!("hang {}", notes.address()));
        let cancelling = async {
            let pid: u32 = notes.expect_async("hung ").await.parse().unwrap();
            n.cancel().await;
            pid
        };
        let (started, pid) = tokio::join!(start.into_future(), cancelling);
        assert!(matches!(started, Err(Error::Cancelled(_))), "{started:?}");
        assert!(!is_there(pid), "a zombie is left");
        assert!(n.report().endings.is_empty(), "it was never a member");
        Ok(())
    })
    .await
    .unwrap();
}

/// The child has connected, but its starter has left: it could never be cancelled.
// S29
async fn a_start_is_dropped_before_its_portal_was_returned() {
    in_nursery(over("uds"), async |n| {
        {
            let mut start = n.start_actor("unclaimed").into_future();
            poll_once(start.as_mut()).await;
            while n.children().is_empty() {
                tokio::task::yield_now().await;
            }
        }
        while !n.children().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(n.report().endings[0].by, EndedBy::Request);
        Ok(())
    })
    .await
    .unwrap();
}

// S89
async fn a_failing_body_gives_up_a_start() {
    let notes = Arc::new(Notes::new());
    in_root(Config { connect_back: FOREVER, ..over("uds") }, async |_| {
        let mut hung = None;
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let start = n.start_actor("sleeper").env("IT_BEFORE_ENTRY", format!("hang {}", notes.address()));
            tokio::select! {
                started = start.into_future() => panic!("{started:?}"),
                pid = notes.expect_async("hung ") => hung = Some(pid.parse().unwrap()),
            }
            Err(Error::Usage("enough".into()))
        })
        .await;
        assert_says(&ended, &["enough"]);
        assert!(!is_there(hung.unwrap()), "a zombie is left");
        Ok(())
    })
    .await
    .unwrap();
}

/// Arguments that panic while they are sent, which is after the actor was started.
#[derive(serde::Deserialize)]
struct Bomb;

impl serde::Serialize for Bomb {
    fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        panic!("the arguments are a bomb")
    }
}

#[pleach::rpc]
async fn defuse(_bomb: Bomb) -> Result<()> {
    Ok(())
}

async fn arguments_that_panic_leave_no_actor_behind() {
    in_root(over("uds"), async |_| {
        let mut left = None;
        // In a shield, so that the body sees the failure too: it is still only one.
        let ended = pleach::open_nursery(async |n| {
            left = Some(n.clone());
            shield(async { n.run_in_actor(defuse(Bomb)).await?.result().await }).await
        })
        .await;
        assert_says(&ended, &["a task panicked: the arguments are a bomb"]);
        assert!(!ended.unwrap_err().to_string().contains("2 errors"));
        let endings = left.unwrap().report().endings;
        assert!(!is_there(endings[0].actor.pid()), "it outlived its nursery");
        Ok(())
    })
    .await
    .unwrap();
}

/// Neither `ssh` nor `srun` is run: there are no such hosts.
async fn no_actor_is_started_where_it_could_not_connect_back() {
    in_nursery(over("uds"), async |n| {
        for transport in ALL.into_iter().filter(|transport| !["tcp", "quic"].contains(transport)) {
            for host in [Host::ssh("elsewhere"), Host::slurm()] {
                let started = n.start_actor("far").on(host.clone()).transport(transport).await;
                assert_says(&started, &[&format!("`{transport}` does not reach other hosts"), "`quic`", "`far`"]);
                let started = n.start_actor("far").on(host.transport(transport)).await;
                assert_says(&started, &[&format!("`{transport}` does not reach other hosts")]);
            }
        }
        Ok(())
    })
    .await
    .unwrap();
}
