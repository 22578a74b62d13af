//! Children that come and go in great numbers, their names, their events as a stream, and how long each may take to end.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Backoff, ChildSpec, EndedBy, Supervision, SupervisorEvent};

use super::{daemon, pid, rest};
use crate::support::{FOREVER, assert_says, in_nursery, over, test_fn};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        test_fn(many_children_come_and_go),
        test_fn(dynamic_children_are_stopped_at_the_same_time),
        test_fn(numbers_make_names_unique),
        test_fn(the_names_in_an_error_are_few),
        test_fn(events_are_a_stream),
        test_fn(a_call_in_flight_fails_by_a_stable_handle_too),
        test_fn(a_child_has_its_own_time_to_end),
        test_fn(jitter_shortens_the_wait),
    ]
}

async fn many_children_come_and_go() {
    in_nursery(over("mem"), async |n| {
        let supervisor = n.supervise(Supervision::dynamic()).await?;
        let added: Vec<_> =
            (0..200).map(|_| supervisor.add_child(ChildSpec::run_once("job", pid).numbered())).collect();
        let jobs = futures_util::future::try_join_all(added).await?;
        let names: BTreeSet<_> = jobs.iter().map(|job| job.name()).collect();
        assert_eq!(names.len(), 200);
        for job in &jobs {
            job.ended().await?;
        }
        assert!(supervisor.children().is_empty(), "{supervisor:?}");
        assert_says(&jobs[0].portal().await, &["`job-", "has ended or was removed"]);
        // It goes on without them.
        assert!(supervisor.add_child(ChildSpec::daemon(daemon(&n, "later"))).await?.run(pid()).await? > 0);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn does_not_stop() -> Result<()> {
    let _shield = pleach::scope::Shield::enter();
    std::future::pending().await
}

/// Each takes its whole time to end; ten of them one after the other would take ten times as long.
async fn dynamic_children_are_stopped_at_the_same_time() {
    let each = Duration::from_secs(2);
    in_nursery(Config { kill_after: Duration::from_millis(1), ..over("uds") }, async |n| {
        let supervisor = n.supervise(Supervision::dynamic()).await?;
        for _ in 0..10 {
            let slow = ChildSpec::run_once("slow", does_not_stop);
            supervisor.add_child(slow.numbered().shutdown(each)).await?;
        }
        let begun = std::time::Instant::now();
        supervisor.shutdown().await;
        assert!(begun.elapsed() < 6 * each, "{:?}", begun.elapsed());
        Ok(())
    })
    .await
    .unwrap();
}

async fn numbers_make_names_unique() {
    in_nursery(over("mem"), async |n| {
        let taken = ChildSpec::daemon(daemon(&n, "worker-3"));
        let numbered = || ChildSpec::daemon(daemon(&n, "worker")).numbered();
        let supervisor = n.supervise(Supervision::one_for_one().child(taken).child(numbered())).await?;
        let third = supervisor.add_child(numbered()).await?;
        assert_eq!(third.name(), "worker-4");
        assert_eq!(third.portal().await?.id().name(), "worker-4");
        let names: Vec<_> = supervisor.children().into_iter().map(|child| child.name.to_string()).collect();
        assert_eq!(names, ["worker-3", "worker-2", "worker-4"]);
        supervisor.shutdown().await;
        let clash = Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "a-2"))).child(numbered());
        n.supervise(clash).await?.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn the_names_in_an_error_are_few() {
    in_nursery(over("mem"), async |n| {
        let supervisor = n.supervise(Supervision::dynamic()).await?;
        assert_says(&supervisor.portal("a").await, &["no `a` is supervised here, and no other child either"]);
        for _ in 0..20 {
            supervisor.add_child(ChildSpec::daemon(daemon(&n, "worker")).numbered()).await?;
        }
        assert_says(&supervisor.portal("a").await, &["no `a`", "`worker-1`", "and 4 others"]);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn events_are_a_stream() {
    in_nursery(over("mem"), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "a")))).await?;
        let (stream, events) = (supervisor.events(), supervisor.events());
        supervisor.add_child(ChildSpec::daemon(daemon(&n, "b"))).await?;
        supervisor.shutdown().await;
        let seen: Vec<_> = stream.map(|event| event.to_string()).collect().await;
        let words = ["started as", "`b` was added", "`b` was started", "`b` was stopped", "`a` was stopped"];
        assert_eq!(seen.len(), words.len(), "{seen:?}");
        assert!(seen.iter().zip(words).all(|(event, words)| event.contains(words)), "{seen:?}");
        assert_eq!(rest(events).await.len(), 4);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_call_in_flight_fails_by_a_stable_handle_too() {
    in_nursery(over("uds"), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "worker")))).await?;
        let mut events = supervisor.events();
        let worker = supervisor.child("worker")?;
        let call = worker.run(super::for_ever());
        let (answer, ()) = tokio::join!(call, super::kill(&supervisor, &mut events, "worker"));
        assert_says(&answer, &["`worker`", "was killed by signal 9"]);
        assert!(worker.run(pid()).await? > 0);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

/// Ends in order once it was asked to, but not at once.
#[pleach::rpc]
async fn writes_a_checkpoint() -> Result<()> {
    let asked = pleach::scope::current_token();
    shield(async {
        asked.cancelled().await;
        tokio::time::sleep(Duration::from_millis(300)).await; // it writes
    })
    .await;
    Ok(())
}

async fn a_child_has_its_own_time_to_end() {
    let hurried = Config { soft_reap: Duration::from_millis(1), task_cancel: FOREVER, ..over("uds") };
    in_nursery(hurried, async |n| {
        let patient = ChildSpec::run_once("patient", writes_a_checkpoint).shutdown(Duration::from_secs(60));
        let brief = ChildSpec::run_once("brief", writes_a_checkpoint).shutdown(Duration::ZERO);
        let supervisor = n.supervise(Supervision::one_for_one().child(patient).child(brief)).await?;
        supervisor.shutdown().await;
        let endings: Vec<_> =
            n.report().endings.iter().map(|ending| (ending.actor.name().to_owned(), ending.was_escalated())).collect();
        assert_eq!(endings, [("brief".to_owned(), true), ("patient".to_owned(), false)], "{}", n.report());
        assert!(n.report().endings.iter().any(|ending| ending.by == EndedBy::Request));
        Ok(())
    })
    .await
    .unwrap();
}

async fn jitter_shortens_the_wait() {
    in_nursery(over("uds"), async |n| {
        let backoff = Backoff::constant(Duration::from_millis(40)).jitter();
        let supervision = Supervision::one_for_one().intensity(10, FOREVER).backoff(backoff);
        let supervisor = n.supervise(supervision.child(ChildSpec::daemon(daemon(&n, "worker")))).await?;
        let mut events = supervisor.events();
        let mut waits = BTreeSet::new();
        for _ in 0..5 {
            super::kill(&supervisor, &mut events, "worker").await;
            match events.recv().await {
                Some(SupervisorEvent::Restarting { after, .. }) => waits.insert(after),
                other => panic!("{other:?}"),
            };
        }
        assert!(waits.iter().all(|wait| (20..=40).contains(&wait.as_millis())), "{waits:?}");
        assert!(waits.len() > 1, "{waits:?}");
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}
