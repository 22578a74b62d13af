//! Children that are added and removed while their supervisor runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{
    Backoff, ChildSpec, ChildState, Handle, Retry, Supervision, Supervisor, SupervisorEvent, SupervisorEvents,
};

use super::{daemon, dies_as, kill, next_death, pid, rest};
use crate::support::{
    FOREVER, Notes, PROCESSES, Watched, assert_says, in_nursery, is_there, over, soon, test, test_fn,
};

/// Fails once the file is there.
#[pleach::rpc]
async fn fails_with(file: PathBuf) -> Result<()> {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    super::fail().await
}

pub(super) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        tests.push(test(format!("supervise::growing::an_added_child_is_kept_up_over_{protocol}"), move || {
            an_added_child_is_kept_up(protocol)
        }));
        let name = format!("supervise::growing::a_call_has_options_and_is_repeated_after_a_restart_over_{protocol}");
        tests.push(test(name, move || a_call_has_options_and_is_repeated_after_a_restart(protocol)));
    }
    tests.push(test_fn(added_children_come_last_in_the_order));
    tests.push(test_fn(an_added_child_that_does_not_start_is_forgotten));
    tests.push(test_fn(a_taken_name_is_refused));
    tests.push(test_fn(a_supervisor_that_has_ended_takes_no_child));
    tests.push(test_fn(an_ended_child_keeps_its_name_until_it_is_removed));
    tests.push(test_fn(a_typed_handle_is_on_the_very_child));
    for (name, supervision) in STRATEGIES {
        let case = |what: &str| format!("supervise::growing::{what}_in_{name}");
        tests.push(test(case("a_child_that_waits_for_its_restart_is_removed"), move || {
            removed_in_its_wait(supervision())
        }));
        tests.push(test(case("a_child_that_is_being_restarted_is_removed"), move || {
            removed_in_its_start(supervision())
        }));
        tests.push(test(case("a_dropped_addition_leaves_nothing"), move || dropped_addition(supervision())));
        tests.push(test(case("a_shutdown_ends_an_addition"), move || shut_down_meanwhile(supervision())));
    }
    tests.push(test_fn(an_addition_waits_for_a_restart_of_all));
    tests
}

type Strategy = (&'static str, fn() -> Supervision);

const STRATEGIES: [Strategy; 3] = [
    ("one_for_one", Supervision::one_for_one),
    ("one_for_all", Supervision::one_for_all),
    ("dynamic", Supervision::dynamic),
];

fn spec(n: &Nursery, name: &str) -> ChildSpec {
    ChildSpec::daemon(daemon(n, name))
}

fn names(supervisor: &Supervisor) -> Vec<String> {
    supervisor.children().iter().map(|child| child.name.to_string()).collect()
}

async fn a_call_has_options_and_is_repeated_after_a_restart(protocol: &'static str) {
    in_nursery(over(protocol), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().stay_open()).await?;
        let worker = supervisor.add_child(spec(&n, "worker")).await?;
        let first = worker.run(pid()).await?;
        let ended = worker.run(dies_as(first)).await;
        assert!(matches!(&ended, Err(error) if Retry::is_lost(error)), "{ended:?}");
        let second = worker.run(pid()).await?;
        let third = worker.run(dies_as(second)).retry(Retry::times(1)).await?;
        assert!(third != second && third == worker.run(pid()).await?);
        assert_says(&worker.run(super::for_ever()).timeout(soon()).await, &["`for_ever` in `worker`"]);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn an_added_child_is_kept_up(protocol: &'static str) {
    in_nursery(over(protocol), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().stay_open()).await?;
        let mut events = supervisor.events();
        let worker = supervisor.add_child(spec(&n, "worker")).await?;
        let before = worker.run(pid()).await?;
        kill(&supervisor, &mut events, "worker").await;
        // It waits out the restart before it sends.
        let after = worker.run(pid()).await?;
        assert_ne!(before, after);
        let children = supervisor.children();
        let [child] = &children[..] else { panic!("{children:?}") };
        assert_eq!((&*child.name, child.restarts), ("worker", 1));
        assert!(matches!(&child.state, ChildState::Running(actor) if actor.pid() == after), "{child:?}");

        supervisor.remove_child("worker").await?;
        Watched::new(after).assert_gone_within(Duration::ZERO);
        assert!(supervisor.children().is_empty());
        assert_says(&worker.run(pid()).await, &["`worker`", "was removed"]);
        assert_says(&supervisor.remove_child("worker").await, &["no `worker` is supervised here"]);
        let another = supervisor.add_child(spec(&n, "worker")).await?;
        assert!(another.run(pid()).await? > 0);
        assert_says(&worker.run(pid()).await, &["was removed"]);
        supervisor.shutdown().await;
        assert_eq!(
            rest(events).await.join(", "),
            "worker again 1, worker started, worker stopped, worker removed, worker added, worker started, worker stopped"
        );
        Ok(())
    })
    .await
    .unwrap();
}

async fn added_children_come_last_in_the_order() {
    for (supervision, expected) in [
        (Supervision::one_for_one(), "b died, b again 1, b started"),
        (Supervision::one_for_all(), "b died, b again 1, d stopped, a stopped, a started, b started, d started"),
        (Supervision::rest_for_one(), "b died, b again 1, d stopped, b started, d started"),
    ] {
        in_nursery(over("uds"), async |n| {
            let supervisor = n.supervise(supervision.child(spec(&n, "a"))).await?;
            for name in ["b", "c", "d"] {
                supervisor.add_child(spec(&n, name)).await?;
            }
            supervisor.remove_child("c").await?;
            assert_eq!(names(&supervisor), ["a", "b", "d"]);
            let mut seen = supervisor.events();
            while !matches!(seen.recv().await, Some(SupervisorEvent::Removed { .. })) {}
            let events = supervisor.events();
            Watched::new(supervisor.portal("b").await?.id().pid()).kill();
            let last = if expected.ends_with("d started") { "d" } else { "b" };
            loop {
                match seen.recv().await.expect("it goes on") {
                    SupervisorEvent::Started { child, .. } if &*child == last => break,
                    _before => {}
                }
            }
            supervisor.shutdown().await;
            assert_eq!(rest(events).await.join(", "), format!("{expected}, d stopped, b stopped, a stopped"));
            Ok(())
        })
        .await
        .unwrap();
    }
}

async fn an_added_child_that_does_not_start_is_forgotten() {
    for (_, supervision) in STRATEGIES {
        in_nursery(over("uds"), async |n| {
            let supervisor = n.supervise(supervision().child(spec(&n, "good"))).await?;
            let broken = ChildSpec::daemon(daemon(&n, "broken").env("IT_BEFORE_ENTRY", "exit 7"));
            assert_says(&supervisor.add_child(broken).await, &["`broken`", "exited with code 7"]);
            let failing = spec(&n, "failing").init(|_| async { Err(Error::Usage("not ready".into())) });
            assert_says(&supervisor.add_child(failing).await, &["not ready"]);
            let panicking = spec(&n, "panicking").init(|_| async { panic!("no good") });
            assert_says(&supervisor.add_child(panicking).await, &["a task panicked: no good"]);
            assert_eq!(names(&supervisor), ["good"]);
            assert_eq!(n.children().len(), 1, "{n:?}");
            assert!(supervisor.portal("good").await?.run(pid()).await? > 0);
            supervisor.shutdown().await;
            Ok(())
        })
        .await
        .unwrap();
    }
}

async fn a_taken_name_is_refused() {
    in_nursery(over("mem"), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(spec(&n, "a"))).await?;
        assert_says(&supervisor.add_child(spec(&n, "a")).await, &["`a` is supervised here already", "remove it first"]);
        assert!(supervisor.portal("a").await?.run(pid()).await? > 0);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_supervisor_that_has_ended_takes_no_child() {
    let dir = tempfile::tempdir().unwrap();
    let mut gave_up = None;
    let ended: Result<()> = in_nursery(over("mem"), async |n| {
        // With its last child…
        let supervisor = n.supervise(Supervision::one_for_all().child(spec(&n, "a"))).await?;
        supervisor.remove_child("a").await?;
        supervisor.ended().await?;
        assert_says(&supervisor.add_child(spec(&n, "b")).await, &["`b` can't be added", "stay_open"]);
        // …because it was told to…
        let supervisor = n.supervise(Supervision::dynamic()).await?;
        supervisor.shutdown().await;
        assert!(matches!(supervisor.add_child(spec(&n, "b")).await, Err(Error::Cancelled(_))));
        // …or in failure.
        let (file, told) = (dir.path().join("fail"), dir.path().join("fail"));
        let failing = ChildSpec::run_once("job", move || fails_with(file.clone()));
        let supervisor = n.supervise(Supervision::one_for_one().intensity(0, FOREVER).stay_open()).await?;
        gave_up = Some((supervisor.clone(), spec(&n, "b")));
        supervisor.add_child(failing).await?;
        std::fs::write(told, "").unwrap();
        std::future::pending().await
    })
    .await;
    assert!(matches!(ended, Err(Error::GaveUp(_))), "{ended:?}");
    let (supervisor, late) = gave_up.unwrap();
    assert_says(&supervisor.add_child(late).await, &["gave up on `job`"]);
    assert_eq!(supervisor.children()[0].state, ChildState::Ended);
    supervisor.remove_child("job").await.unwrap();
    assert!(supervisor.children().is_empty());
}

async fn an_ended_child_keeps_its_name_until_it_is_removed() {
    in_nursery(over("mem"), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().stay_open()).await?;
        let once = supervisor.add_child(ChildSpec::run_once("once", pid)).await?;
        once.ended().await?;
        assert_says(&once.run(pid()).await, &["`once` has ended"]);
        assert_eq!(supervisor.children()[0].state, ChildState::Ended);
        assert!(supervisor.add_child(ChildSpec::run_once("once", pid)).await.is_err());
        supervisor.remove_child("once").await?;
        supervisor.add_child(ChildSpec::run_once("once", pid)).await?.ended().await?;
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

struct Sum(i64);

#[pleach::actor]
impl Sum {
    pub(crate) async fn new(from: i64) -> Result<Self> {
        Ok(Self(from))
    }

    pub(crate) async fn value(&self) -> Result<i64> {
        Ok(self.0)
    }
}

#[pleach::rpc]
async fn value_of(sum: Handle<Sum>) -> Result<i64> {
    sum.value().await
}

async fn a_typed_handle_is_on_the_very_child() {
    in_nursery(over("uds"), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().stay_open()).await?;
        let other = daemon(&n, "other").enable(module_path!()).await?;
        supervisor.add_child(ChildSpec::actor(n.start(Sum::new(1)).name("sum"))).await?;
        let first: Handle<Sum> = supervisor.handle("sum")?;
        assert_eq!((first.value().await?, other.run(value_of(first.clone())).await?), (1, 1));
        supervisor.remove_child("sum").await?;
        supervisor.add_child(ChildSpec::actor(n.start(Sum::new(2)).name("sum"))).await?;
        let second: Handle<Sum> = supervisor.handle("sum")?;
        assert_eq!((second.value().await?, other.run(value_of(second)).await?), (2, 2));
        assert_says(&first.value().await, &["`sum`", "was removed"]);
        assert_says(&other.run(value_of(first)).await, &["`sum` was removed", "another one was added"]);
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
}

/// A child is removed that would be started again in an hour.
async fn removed_in_its_wait(supervision: Supervision) {
    in_nursery(over("uds"), async |n| {
        let slow = supervision.backoff(Backoff::constant(Duration::from_secs(3600))).child(spec(&n, "worker"));
        let supervisor = n.supervise(slow.stay_open()).await?;
        let mut events = supervisor.events();
        kill(&supervisor, &mut events, "worker").await;
        assert!(matches!(events.recv().await, Some(SupervisorEvent::Restarting { .. })));
        let waiting = supervisor.child("worker")?;
        let (waited, removed) = tokio::join!(waiting.run(pid()), supervisor.remove_child("worker"));
        removed?;
        assert_says(&waited, &["was removed"]);
        assert!(supervisor.children().is_empty());
        supervisor.shutdown().await;
        assert_eq!(rest(events).await, ["worker removed"]);
        Ok(())
    })
    .await
    .unwrap();
}

/// Returns a child that hangs in its start once a file is there, the file, and the notes of that.
fn hanging(n: &Nursery) -> (ChildSpec, PathBuf, Arc<Notes>) {
    let notes = Arc::new(Notes::new());
    let hangs = notes.dir().join("hangs");
    let hook = format!("hang_if {} {}", hangs.display(), notes.address());
    (ChildSpec::daemon(daemon(n, "hanging").env("IT_BEFORE_ENTRY", hook)), hangs, notes)
}

fn patient() -> Config {
    Config { connect_back: FOREVER, ..over("uds") }
}

async fn removed_in_its_start(supervision: Supervision) {
    in_nursery(patient(), async |n| {
        let (child, hangs, notes) = hanging(&n);
        let supervisor = n.supervise(supervision.child(child).child(spec(&n, "other"))).await?;
        let (mut events, all) = (supervisor.events(), supervisor.events());
        std::fs::write(&hangs, "").unwrap();
        kill(&supervisor, &mut events, "hanging").await;
        let hung: u32 = notes.expect_async("hung ").await.parse().unwrap();
        supervisor.remove_child("hanging").await?;
        assert!(!is_there(hung), "it outlived its removal");
        // The others go on.
        assert!(supervisor.portal("other").await?.run(pid()).await? > 0);
        assert_eq!(names(&supervisor), ["other"]);
        supervisor.shutdown().await;
        let seen = rest(all).await;
        assert_eq!(
            seen.iter().filter(|event| *event == "hanging died").count(),
            1,
            "a removal is not a failure: {seen:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
}

/// Waits until a child was removed.
async fn removed(events: &mut SupervisorEvents, name: &str) {
    loop {
        match events.recv().await.expect("it goes on") {
            SupervisorEvent::Removed { child } if &*child == name => return,
            _other => {}
        }
    }
}

async fn dropped_addition(supervision: Supervision) {
    in_nursery(patient(), async |n| {
        let (child, hangs, notes) = hanging(&n);
        let supervisor = n.supervise(supervision.child(spec(&n, "other"))).await?;
        let mut events = supervisor.events();
        std::fs::write(&hangs, "").unwrap();
        let hung: u32 = tokio::select! {
            added = supervisor.add_child(child) => panic!("{added:?}"),
            hung = notes.expect_async("hung ") => hung.parse().unwrap(),
        };
        removed(&mut events, "hanging").await;
        assert!(!is_there(hung), "it outlived its addition");
        // Also when the child is there, and its caller has yet to see that.
        {
            let mut adding = std::pin::pin!(supervisor.add_child(spec(&n, "unseen")));
            assert!(futures_util::poll!(adding.as_mut()).is_pending());
            while !matches!(events.recv().await, Some(SupervisorEvent::Started { child, .. }) if &*child == "unseen") {}
        }
        removed(&mut events, "unseen").await;
        assert_eq!(names(&supervisor), ["other"]);
        std::fs::remove_file(&hangs).unwrap();
        let again = supervisor.add_child(spec(&n, "hanging")).await?;
        assert!(again.run(pid()).await? > 0);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn shut_down_meanwhile(supervision: Supervision) {
    in_nursery(patient(), async |n| {
        let (child, hangs, notes) = hanging(&n);
        let supervisor = n.supervise(supervision.child(spec(&n, "other"))).await?;
        std::fs::write(&hangs, "").unwrap();
        let (added, hung) = tokio::join!(supervisor.add_child(child), async {
            let hung: u32 = notes.expect_async("hung ").await.parse().unwrap();
            supervisor.shutdown().await;
            hung
        });
        assert!(matches!(added, Err(Error::Cancelled(_))), "{added:?}");
        assert!(!is_there(hung), "it outlived its supervisor");
        assert!(n.children().is_empty());
        Ok(())
    })
    .await
    .unwrap();
}

/// The children of a group are restarted one after the other, so one that joins comes after that. One that is given up
/// before has never been there.
async fn an_addition_waits_for_a_restart_of_all() {
    in_nursery(patient(), async |n| {
        let (child, hangs, notes) = hanging(&n);
        let supervisor = n.supervise(Supervision::one_for_all().child(child)).await?;
        let mut events = supervisor.events();
        std::fs::write(&hangs, "").unwrap();
        kill(&supervisor, &mut events, "hanging").await;
        let hung: u32 = notes.expect_async("hung ").await.parse().unwrap();
        {
            let mut given_up = std::pin::pin!(supervisor.add_child(spec(&n, "given_up")));
            assert!(futures_util::poll!(given_up.as_mut()).is_pending());
            assert_eq!(names(&supervisor), ["hanging", "given_up"]);
        }
        assert_eq!(names(&supervisor), ["hanging"]);
        let mut joining = std::pin::pin!(supervisor.add_child(spec(&n, "joining")));
        assert!(futures_util::poll!(joining.as_mut()).is_pending());
        std::fs::remove_file(&hangs).unwrap();
        Watched::new(hung).kill();
        let (joined, death) = tokio::join!(joining, next_death(&mut events));
        assert_eq!(death.0, "hanging");
        assert!(joined?.run(pid()).await? > 0);
        supervisor.shutdown().await;
        let seen = rest(events).await.join(", ");
        assert_eq!(
            seen,
            "hanging again 2, hanging started, joining added, joining started, joining stopped, hanging stopped"
        );
        Ok(())
    })
    .await
    .unwrap();
}
