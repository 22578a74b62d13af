//! Children that live and do not work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{ChildSpec, EndedBy, Supervision, SupervisorEvent, SupervisorEvents};
use rustix::process::{Pid, Signal, kill_process};

use super::{daemon, kill, pid, rest};
use crate::support::{FOREVER, PROCESSES, assert_says, in_nursery, over, test, test_fn};

pub(super) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        tests.push(test(format!("supervise::health::a_sick_child_is_restarted_over_{protocol}"), move || {
            a_sick_child_is_restarted(protocol)
        }));
    }
    tests.push(test_fn(a_child_that_stands_still_is_killed));
    tests.push(test_fn(a_check_that_panics_is_not_passed));
    tests.push(test_fn(sickness_that_comes_back_is_given_up));
    tests.push(test_fn(a_death_is_not_reported_as_sickness));
    tests
}

static SICK: AtomicBool = AtomicBool::new(false);

#[pleach::rpc]
async fn fall_sick() -> Result<()> {
    SICK.store(true, Ordering::SeqCst);
    Ok(())
}

#[pleach::rpc]
async fn is_well() -> anyhow::Result<()> {
    anyhow::ensure!(!SICK.load(Ordering::SeqCst), "it has a cold");
    Ok(())
}

const OFTEN: Duration = Duration::from_millis(20);

fn checked(n: &Nursery, timeout: Duration) -> ChildSpec {
    let check = |portal: Portal| async move { portal.run(is_well()).await };
    ChildSpec::daemon(daemon(n, "worker").enable(module_path!())).health_check(OFTEN, timeout, check)
}

async fn next_sickness(events: &mut SupervisorEvents) -> Error {
    loop {
        match events.recv().await.expect("the supervisor has ended") {
            SupervisorEvent::Unhealthy { child, error } => {
                assert_eq!(&*child, "worker");
                return error;
            }
            _other => {}
        }
    }
}

async fn a_sick_child_is_restarted(protocol: &'static str) {
    in_nursery(over(protocol), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(checked(&n, FOREVER))).await?;
        let worker = supervisor.child("worker")?;
        let mut events = supervisor.events();
        let before = worker.run(pid()).await?;
        worker.run(fall_sick()).await?;
        assert_says(&Err::<(), _>(next_sickness(&mut events).await), &["it has a cold"]);
        assert_ne!(worker.run(pid()).await?, before);
        supervisor.shutdown().await;
        // It is one event of one kind: no death, and no stop.
        assert_eq!(rest(events).await, ["worker again 1", "worker started", "worker stopped"]);
        let by: Vec<_> = n.report().endings.iter().map(|ending| ending.by).collect();
        assert_eq!(by, [EndedBy::Request; 2], "{}", n.report());
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_child_that_stands_still_is_killed() {
    let brief = Duration::from_millis(100);
    in_nursery(Config { cancel_ack: brief, kill_after: brief, ..over("uds") }, async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(checked(&n, Duration::from_secs(1)))).await?;
        let worker = supervisor.child("worker")?;
        let mut events = supervisor.events();
        let before = worker.run(pid()).await?;
        kill_process(Pid::from_raw(before as i32).unwrap(), Signal::STOP).unwrap();
        assert_says(
            &Err::<(), _>(next_sickness(&mut events).await),
            &["the health check of `worker`", "longer than 1s"],
        );
        assert_ne!(worker.run(pid()).await?, before);
        assert_eq!(n.report().endings[0].by, EndedBy::Sigkill, "{}", n.report());
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_check_that_panics_is_not_passed() {
    in_nursery(over("mem"), async |n| {
        let worker =
            ChildSpec::daemon(daemon(&n, "worker")).health_check(OFTEN, FOREVER, |_| async { panic!("no good") });
        let supervisor =
            n.supervise(Supervision::one_for_one().intensity(1, FOREVER).child(worker.transient())).await?;
        let mut events = supervisor.events();
        assert_says(&Err::<(), _>(next_sickness(&mut events).await), &["a task panicked: no good"]);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn sickness_that_comes_back_is_given_up() {
    let ended: Result<()> = in_nursery(over("mem"), async |n| {
        let check = |_| async { Err(Error::Usage("it has a cold".into())) };
        let worker = ChildSpec::daemon(daemon(&n, "worker")).health_check(Duration::ZERO, FOREVER, check);
        n.supervise(Supervision::one_for_one().intensity(2, FOREVER).child(worker)).await?;
        std::future::pending().await
    })
    .await;
    assert_says(&ended, &["gave up on `worker`", "it has a cold"]);
}

/// The check under way fails with its process; that it has died says more.
async fn a_death_is_not_reported_as_sickness() {
    in_nursery(over("uds"), async |n| {
        let check = |portal: Portal| async move { portal.run(super::for_ever()).await };
        let worker = ChildSpec::daemon(daemon(&n, "worker")).health_check(Duration::ZERO, FOREVER, check);
        let supervisor = n.supervise(Supervision::one_for_one().child(worker)).await?;
        let (mut events, all) = (supervisor.events(), supervisor.events());
        for _ in 0..3 {
            kill(&supervisor, &mut events, "worker").await;
        }
        supervisor.portal("worker").await?;
        supervisor.shutdown().await;
        let seen = rest(all).await;
        assert!(!seen.iter().any(|event| event.contains("unhealthy")), "{seen:?}");
        Ok(())
    })
    .await
    .unwrap();
}
