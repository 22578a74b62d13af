//! Supervision: children that are started again, and when a supervisor gives up.

mod dynamic;
mod growing;
mod health;
mod stops;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{
    Backoff, ChildSpec, EndedBy, Start, Supervision, Supervisor, SupervisorEvent, SupervisorEvents, WaitStatus,
};

use crate::support::{FOREVER, Notes, PROCESSES, Watched, assert_says, in_nursery, note, over, test, test_fn};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

/// Fails as often as there are notes to take, each in a process of its own.
#[pleach::rpc]
async fn fail_until(notes: String, file: String, times: usize) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut tries = std::fs::OpenOptions::new().create(true).append(true).open(&file)?;
    tries.write_all(b"x")?;
    let tries = std::fs::read(&file)?.len();
    note(&notes, format!("try {tries}"));
    anyhow::ensure!(tries > times, "try {tries} fails");
    Ok(())
}

#[pleach::rpc]
async fn fail() -> anyhow::Result<()> {
    anyhow::bail!("it never works")
}

/// Dies in the process with this number, and returns that of any other.
#[pleach::rpc]
async fn dies_as(number: u32) -> Result<u32> {
    if std::process::id() == number {
        std::process::abort();
    }
    Ok(std::process::id())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        tests.push(test(format!("supervise::a_killed_daemon_is_started_again_over_{protocol}"), move || {
            a_killed_daemon_is_started_again(protocol)
        }));
    }
    for protocol in ["mem", "uds"] {
        tests.push(test(format!("supervise::a_function_is_tried_until_it_works_over_{protocol}"), move || {
            a_function_is_tried_until_it_works(protocol)
        }));
        tests.push(test(format!("supervise::too_many_restarts_fail_the_nursery_over_{protocol}"), move || {
            too_many_restarts_fail_the_nursery(protocol)
        }));
    }
    tests.push(test_fn(each_strategy_starts_its_children_again));
    tests.push(test_fn(a_call_under_way_fails_and_is_not_repeated));
    tests.push(test_fn(a_child_is_ready_once_its_init_has_returned));
    tests.push(test_fn(a_first_start_that_fails_is_the_callers_error));
    tests.push(test_fn(a_child_that_is_over_has_no_portal));
    tests.push(test_fn(a_supervisor_without_sense_is_refused));
    tests.push(test_fn(a_panic_in_an_init_is_an_error_of_the_caller));
    tests.push(test_fn(an_init_runs_in_the_actor_of_its_supervisor));
    tests.extend(dynamic::tests());
    tests.extend(growing::tests());
    tests.extend(health::tests());
    tests.extend(stops::tests());
    tests
}

fn daemon(n: &Nursery, name: &str) -> Start<Portal> {
    n.start_actor(name).enable(module_path!())
}

/// Kills a child with SIGKILL and returns once its supervisor has taken note of that.
async fn kill(supervisor: &Supervisor, events: &mut SupervisorEvents, child: &str) {
    let actor = supervisor.portal(child).await.unwrap().id().pid();
    Watched::new(actor).kill();
    let (died, error) = next_death(events).await;
    assert_eq!(died, child);
    match error {
        Error::ActorDied(died) => assert_eq!((died.actor.pid(), died.status), (actor, WaitStatus::Signalled(9))),
        other => panic!("{other:?}"),
    }
}

async fn next_death(events: &mut SupervisorEvents) -> (String, Error) {
    loop {
        match events.recv().await.expect("the supervisor has ended") {
            SupervisorEvent::Died { child, error } => return (child.to_string(), error),
            _other => {}
        }
    }
}

/// Returns the events that are left, in short.
async fn rest(mut events: SupervisorEvents) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = events.recv().await {
        seen.push(match event {
            SupervisorEvent::Started { child, .. } => format!("{child} started"),
            SupervisorEvent::Died { child, .. } => format!("{child} died"),
            SupervisorEvent::Restarting { child, attempt, .. } => format!("{child} again {attempt}"),
            SupervisorEvent::Stopped { child } => format!("{child} stopped"),
            SupervisorEvent::Added { child } => format!("{child} added"),
            SupervisorEvent::Removed { child } => format!("{child} removed"),
            SupervisorEvent::Unhealthy { child, .. } => format!("{child} unhealthy"),
            SupervisorEvent::GaveUp { child, .. } => format!("gave up on {child}"),
            other => panic!("{other}"),
        });
    }
    assert_eq!(events.missed(), 0);
    seen
}

async fn a_killed_daemon_is_started_again(protocol: &'static str) {
    in_nursery(over(protocol), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "worker")))).await?;
        let mut events = supervisor.events();
        let before = supervisor.portal("worker").await?;
        for _ in 0..3 {
            kill(&supervisor, &mut events, "worker").await;
        }
        let after = supervisor.portal("worker").await?;
        assert_eq!(after.run(pid()).await?, after.id().pid());
        assert_ne!(before.id(), after.id());
        assert_says(&before.run(pid()).await, &["`worker`"]);
        supervisor.shutdown().await;
        Watched::new(after.id().pid()).assert_gone_within(Duration::ZERO);
        assert!(n.children().is_empty());
        let by: Vec<_> = n.report().endings.iter().map(|ending| ending.by).collect();
        assert_eq!(by, [EndedBy::Itself, EndedBy::Itself, EndedBy::Itself, EndedBy::Request]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_function_is_tried_until_it_works(protocol: &'static str) {
    let notes = Notes::new();
    let (address, file) = (notes.address(), notes.dir().join("tries").to_str().unwrap().to_owned());
    let seen = in_nursery(over(protocol), async |n| {
        let job = ChildSpec::run_once("job", move || fail_until(address.clone(), file.clone(), 2));
        let supervisor = n.supervise(Supervision::one_for_one().child(job)).await?;
        // It needs no stop: it ends when its only function has returned.
        supervisor.ended().await?;
        Ok(rest(supervisor.events()).await)
    })
    .await
    .unwrap();
    let expected = "job started, job died, job again 1, job started, job died, job again 2, job started, job stopped";
    assert_eq!(seen.join(", "), expected);
    assert_eq!([notes.next(), notes.next(), notes.next()], ["try 1", "try 2", "try 3"]);
}

async fn too_many_restarts_fail_the_nursery(protocol: &'static str) {
    let mut seen = None;
    let ended: Result<()> = in_nursery(over(protocol), async |n| {
        let supervision = Supervision::one_for_one()
            .intensity(2, FOREVER)
            .backoff(Backoff::none())
            .child(ChildSpec::daemon(daemon(&n, "idle")))
            .child(ChildSpec::run_once("job", fail));
        let supervisor = n.supervise(supervision).await?;
        seen = Some((supervisor.events(), supervisor.clone()));
        std::future::pending().await
    })
    .await;
    match &ended {
        Err(Error::GaveUp(gave_up)) => {
            assert_eq!((gave_up.child.as_str(), gave_up.restarts), ("job", 2));
            assert!(matches!(gave_up.last, Some(Error::Remote(_))), "{ended:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_says(&ended, &["gave up on `job`", "2 restarts", &format!("{FOREVER:?}"), "it never works", "`job`"]);
    let (events, supervisor) = seen.unwrap();
    let seen = rest(events).await;
    assert_eq!(seen.iter().filter(|event| *event == "job died").count(), 3, "{seen:?}");
    assert_eq!(seen[seen.len() - 2..], ["gave up on job", "idle stopped"]);
    assert_says(&supervisor.portal("idle").await, &["gave up on `job`"]);
    assert_says(&supervisor.ended().await, &["gave up on `job`"]);
}

async fn each_strategy_starts_its_children_again() {
    for (supervision, expected) in [
        (Supervision::one_for_one(), "b died, b again 1, b started"),
        (Supervision::one_for_all(), "b died, b again 1, c stopped, a stopped, a started, b started, c started"),
        (Supervision::rest_for_one(), "b died, b again 1, c stopped, b started, c started"),
    ] {
        in_nursery(over("uds"), async |n| {
            let children = ["a", "b", "c"].map(|name| ChildSpec::daemon(daemon(&n, name)));
            let supervisor = n.supervise(children.into_iter().fold(supervision, Supervision::child)).await?;
            let before = [supervisor.portal("a").await?, supervisor.portal("b").await?, supervisor.portal("c").await?];
            let mut started = supervisor.events();
            for _ in 0..3 {
                assert!(matches!(started.recv().await, Some(SupervisorEvent::Started { .. })));
            }
            let events = supervisor.events();
            Watched::new(before[1].id().pid()).kill();
            // The last one to come back is the last of the plan.
            let last = if expected.ends_with("c started") { "c" } else { "b" };
            loop {
                match started.recv().await.expect("it goes on") {
                    SupervisorEvent::Started { child, .. } if &*child == last => break,
                    _before => {}
                }
            }
            supervisor.shutdown().await;
            let seen = rest(events).await.join(", ");
            assert_eq!(seen, format!("{expected}, c stopped, b stopped, a stopped"));
            Ok(())
        })
        .await
        .unwrap();
    }
}

async fn a_call_under_way_fails_and_is_not_repeated() {
    in_nursery(over("uds"), async |n| {
        let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "worker")))).await?;
        let portal = supervisor.portal("worker").await?;
        let mut events = supervisor.events();
        let (answer, ()) = tokio::join!(portal.run(for_ever()), kill(&supervisor, &mut events, "worker"));
        assert_says(&answer, &["`worker`", "was killed by signal 9"]);
        assert!(supervisor.portal("worker").await?.run(pid()).await? > 0);
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_child_is_ready_once_its_init_has_returned() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    in_nursery(over("uds"), async |n| {
        let worker = ChildSpec::daemon(daemon(&n, "worker")).init(move |portal| {
            let counted = counted.clone();
            async move {
                // It fails once, after a restart: that is one more restart.
                match counted.fetch_add(1, Ordering::SeqCst) {
                    1 => Err(Error::Usage("not ready".into())),
                    _ => portal.run(pid()).await.map(drop),
                }
            }
        });
        let supervisor = n.supervise(Supervision::one_for_one().child(worker)).await?;
        let mut events = supervisor.events();
        kill(&supervisor, &mut events, "worker").await;
        let (_, error) = next_death(&mut events).await;
        assert!(matches!(error, Error::Usage(ref why) if why == "not ready"), "{error:?}");
        supervisor.portal("worker").await?.run(pid()).await?;
        assert_eq!(tries.load(Ordering::SeqCst), 3);
        supervisor.shutdown().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_first_start_that_fails_is_the_callers_error() {
    in_nursery(over("uds"), async |n| {
        let supervision = Supervision::one_for_one()
            .child(ChildSpec::daemon(daemon(&n, "good")))
            .child(ChildSpec::daemon(daemon(&n, "broken").env("IT_BEFORE_ENTRY", "exit 7")));
        assert_says(&n.supervise(supervision).await, &["`broken`", "before it connected back", "exited with code 7"]);
        assert!(n.children().is_empty(), "{n:?}");
        // The nursery is none the worse for it.
        let portal = daemon(&n, "other").await?;
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_child_that_is_over_has_no_portal() {
    in_nursery(over("uds"), async |n| {
        let supervision = Supervision::one_for_one()
            .child(ChildSpec::daemon(daemon(&n, "temporary")).temporary())
            .child(ChildSpec::daemon(daemon(&n, "transient")).transient());
        let supervisor = n.supervise(supervision).await?;
        let mut events = supervisor.events();
        assert_says(&supervisor.portal("tansient").await, &["no `tansient`", "`temporary`, `transient`"]);
        supervisor.portal("transient").await?.cancel_actor().await?;
        kill(&supervisor, &mut events, "temporary").await;
        // With that, no child is left.
        supervisor.ended().await?;
        for child in ["temporary", "transient"] {
            assert_says(&supervisor.portal(child).await, &[child, "not to be started again"]);
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_supervisor_without_sense_is_refused() {
    in_nursery(over("mem"), async |n| {
        assert_says(&n.supervise(Supervision::one_for_one()).await, &["nothing to supervise"]);
        let twice = Supervision::one_for_one()
            .child(ChildSpec::daemon(daemon(&n, "a")))
            .child(ChildSpec::run_once("a", for_ever));
        assert_says(&n.supervise(twice).await, &["two supervised children are named `a`"]);
        n.cancel().await;
        let late = Supervision::one_for_one().child(ChildSpec::daemon(daemon(&n, "late")));
        assert!(matches!(n.supervise(late).await, Err(Error::Cancelled(_))));
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_panic_in_an_init_is_an_error_of_the_caller() {
    in_nursery(over("mem"), async |n| {
        let worker = ChildSpec::daemon(daemon(&n, "worker")).init(|_| async { panic!("no good") });
        assert_says(&n.supervise(Supervision::one_for_one().child(worker)).await, &["a task panicked: no good"]);
        assert!(n.children().is_empty(), "{n:?}");
        Ok(())
    })
    .await
    .unwrap();
}

/// Supervises from a child, and notes which actor its `init` belongs to.
#[pleach::rpc]
async fn supervises() -> Result<String> {
    let seen = Arc::new(std::sync::OnceLock::new());
    let found = seen.clone();
    pleach::open_nursery(async move |n| {
        let worker = ChildSpec::daemon(daemon(&n, "worker")).init(move |_| {
            let found = found.clone();
            async move {
                let actor = pleach::current_actor().map(|actor| actor.id().name().to_owned());
                found.set(actor).unwrap();
                Ok(())
            }
        });
        n.supervise(Supervision::one_for_one().child(worker)).await?.shutdown().await;
        Ok::<_, Error>(())
    })
    .await?;
    Ok(seen.get().cloned().flatten().unwrap_or_default())
}

/// Over `mem`, several actors share a process, and only one of them is that of the process.
async fn an_init_runs_in_the_actor_of_its_supervisor() {
    let seen =
        in_nursery(over("mem"), async |n| n.run_in_actor(supervises()).name("middle").await?.result().await).await;
    assert_eq!(seen.unwrap(), "middle");
}
