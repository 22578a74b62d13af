//! How supervisors and their children come to their end.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Backoff, ChildSpec, EndedBy, Supervision, SupervisorEvent};
use rustix::process::{Pid, Signal, kill_process};

use super::{daemon, kill, pid, rest};
use crate::support::{FOREVER, Notes, Watched, assert_says, in_nursery, in_root, is_there, over, test, test_fn};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        test_fn(children_are_stopped_in_the_opposite_order),
        test_fn(cancelling_the_nursery_ends_a_supervisor_that_waits),
        test_fn(a_hard_kill_reaches_stopped_children),
        test_fn(an_unsupervised_child_still_cancels_all),
        test_fn(a_dropped_nursery_stops_supervised_children),
        test("supervise::stops::a_start_under_way_is_over_when_a_supervisor_is_shut_down", || start_under_way(false)),
        test("supervise::stops::a_start_under_way_is_over_when_a_supervisor_gives_up", || start_under_way(true)),
    ]
}

async fn children_are_stopped_in_the_opposite_order() {
    in_nursery(over("mem"), async |n| {
        let supervision = Supervision::one_for_one()
            .child(ChildSpec::daemon(daemon(&n, "first")))
            .child(ChildSpec::daemon(daemon(&n, "second")))
            .child(ChildSpec::daemon(daemon(&n, "third")));
        let supervisor = n.supervise(supervision).await?;
        n.cancel().await;
        let names: Vec<_> = n.report().endings.iter().map(|ending| ending.actor.name().to_owned()).collect();
        assert_eq!(names, ["third", "second", "first"]);
        supervisor.ended().await?;
        assert!(matches!(supervisor.portal("first").await, Err(Error::Cancelled(_))));
        Ok(())
    })
    .await
    .unwrap();
}

async fn cancelling_the_nursery_ends_a_supervisor_that_waits() {
    in_nursery(over("uds"), async |n| {
        let supervision = Supervision::one_for_one()
            .backoff(Backoff::constant(Duration::from_secs(3600)))
            .child(ChildSpec::daemon(daemon(&n, "worker")));
        let supervisor = n.supervise(supervision).await?;
        let mut events = supervisor.events();
        kill(&supervisor, &mut events, "worker").await;
        match events.recv().await {
            Some(SupervisorEvent::Restarting { after, attempt: 1, .. }) => assert_eq!(after.as_secs(), 3600),
            other => panic!("{other:?}"),
        }
        n.cancel().await;
        assert_eq!(n.report().endings.len(), 1, "nothing was started any more");
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_hard_kill_reaches_stopped_children() {
    in_nursery(Config { kill_after: Duration::from_millis(100), ..over("uds") }, async |n| {
        let supervision = Supervision::rest_for_one()
            .child(ChildSpec::daemon(daemon(&n, "one")))
            .child(ChildSpec::daemon(daemon(&n, "two")));
        let supervisor = n.supervise(supervision).await?;
        for child in ["one", "two"] {
            // Once it answers, it is ready for signals.
            let pid = supervisor.portal(child).await?.run(pid()).await?;
            kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP).unwrap();
        }
        n.kill().await;
        assert!(n.report().endings.iter().all(|ending| ending.by == EndedBy::Sigkill), "{}", n.report());
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_unsupervised_child_still_cancels_all() {
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "supervised")))).await?;
        let plain = daemon(&n, "plain").await?;
        Watched::new(plain.id().pid()).kill();
        std::future::pending().await
    })
    .await;
    assert_says(&ended, &["`plain`", "signal 9"]);
    assert!(matches!(ended, Err(Error::ActorDied(_))), "{ended:?}");
}

async fn a_dropped_nursery_stops_supervised_children() {
    in_root(over("uds"), async |_| {
        let (tell, told) = tokio::sync::oneshot::channel();
        let nursery = pleach::open_nursery(async |n| {
            let supervisor =
                n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "worker")))).await?;
            let watched = Watched::new(supervisor.portal("worker").await?.id().pid());
            tell.send((n, watched)).map_err(|_| Error::Usage("the test has ended".into()))?;
            std::future::pending::<Result<()>>().await
        });
        let (n, watched) = tokio::select! {
            ended = nursery => panic!("{ended:?}"),
            told = told => told.unwrap(),
        };
        n.exited().await;
        watched.assert_gone_within(Duration::ZERO);
        assert!(n.closed() && n.children().is_empty());
        Ok(())
    })
    .await
    .unwrap();
}

/// A child is being started again, and does not connect back, while its supervisor comes to its end.
async fn start_under_way(gives_up: bool) {
    let notes = Arc::new(Notes::new());
    let hangs = notes.dir().join("hangs");
    let patient = Config { connect_back: FOREVER, ..over("uds") };
    let ended = in_nursery(patient, async |n| {
        let hook = format!("hang_if {} {}", hangs.display(), notes.address());
        let hanging = ChildSpec::daemon(daemon(&n, "hanging").env("IT_BEFORE_ENTRY", hook));
        let mut supervision = Supervision::one_for_one().intensity(1, FOREVER).child(hanging);
        if gives_up {
            supervision = supervision.child(ChildSpec::daemon(daemon(&n, "other")));
        }
        let supervisor = n.supervise(supervision).await?;
        let mut events = supervisor.events();
        std::fs::write(&hangs, "").unwrap();
        kill(&supervisor, &mut events, "hanging").await;
        let hung: u32 = notes.expect_async("hung ").await.parse().unwrap();
        match gives_up {
            false => supervisor.shutdown().await,
            true => {
                // In a shield: the nursery fails, and this is to look before it is closed.
                shield(async {
                    kill(&supervisor, &mut events, "other").await;
                    assert!(matches!(supervisor.ended().await, Err(Error::GaveUp(_))));
                })
                .await;
            }
        }
        assert!(!is_there(hung), "it outlived its supervisor");
        if !gives_up {
            assert_eq!(rest(events).await, ["hanging again 1"], "it was never there");
        }
        Ok(())
    })
    .await;
    assert_eq!(ended.is_err(), gives_up, "{ended:?}");
}
