//! How a nursery ends its actors: cancelled, asked, made to, in which order, at which moment of their lives.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use pleach::{EndedBy, WaitStatus};
use rustix::process::{Pid, Signal, kill_process};

use crate::promises::blocks_when_dropped;
use crate::support::{
    ALL, FOREVER, NoteOnDrop, Notes, PROCESSES, Watched, assert_says, in_nursery, in_root, is_there, note, over,
    poll_once, soon, test, test_fn,
};

#[pleach::rpc]
async fn answer() -> Result<u32> {
    Ok(42)
}

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

#[pleach::rpc]
async fn fail(text: String) -> anyhow::Result<()> {
    anyhow::bail!(text)
}

/// Fails for a reason of its own, once it is cancelled.
#[pleach::rpc]
async fn fail_when_cancelled(notes: String, text: String) -> anyhow::Result<()> {
    let _shield = Shield::enter();
    note(&notes, "waits");
    scope::cancelled().await;
    anyhow::bail!(text)
}

/// Streams for ever, and notes that it was cancelled.
#[pleach::context]
async fn stream_for_ever(ctx: &mut Context<(), (), u32>, notes: String) -> Result<()> {
    let _note = NoteOnDrop(notes, "the context was cancelled");
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?;
    for n in 0.. {
        stream.send(n).await?;
    }
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ALL {
        tests.push(test(format!("reaping::cancel_ends_all_and_the_body_goes_on_over_{protocol}"), move || {
            cancel_ends_all_and_the_body_goes_on(protocol)
        }));
        tests.push(test(format!("reaping::a_child_fails_while_the_body_streams_over_{protocol}"), move || {
            a_child_fails_while_the_body_streams(protocol)
        }));
    }
    for protocol in PROCESSES {
        tests.push(test(format!("reaping::a_hard_kill_does_not_ask_over_{protocol}"), move || {
            a_hard_kill_does_not_ask(protocol)
        }));
        tests.push(test(format!("reaping::what_was_escalated_is_reported_over_{protocol}"), move || {
            what_was_escalated_is_reported(protocol)
        }));
    }
    tests.push(test_fn(a_hard_kill_overtakes_a_polite_cancel));
    tests.push(test_fn(a_nursery_tells_others_that_it_was_left));
    tests.push(test_fn(functions_are_ended_first_and_daemons_when_cancelled));
    tests.push(test_fn(an_actor_that_is_started_while_the_nursery_joins_is_waited_for));
    tests.push(test_fn(a_panic_of_the_body_is_an_error_after_the_children_are_gone));
    tests.push(test_fn(failures_of_several_children_are_a_group_with_the_bodys_first));
    tests.push(test_fn(an_inner_nursery_fails_alone));
    tests
}

/// Starts an actor and stops its process, once that is ready for signals.
async fn stopped(n: &Nursery) -> Result<Portal> {
    let portal = n.start_actor("stopped").enable(module_path!()).await?;
    portal.run(answer()).await?;
    kill_process(Pid::from_raw(portal.id().pid() as i32).unwrap(), Signal::STOP).unwrap();
    Ok(portal)
}

/// S108, S111: a result that will never come says so, and the flag is the first thing that is set.
async fn cancel_ends_all_and_the_body_goes_on(protocol: &'static str) {
    let value = in_nursery(over(protocol), async |n| {
        let daemon = n.start_actor("daemon").enable(module_path!()).await?;
        let cut_short = n.run_in_actor(for_ever()).await?;
        let done = n.run_in_actor(answer()).await?;
        assert_eq!((done.result().await?, n.children().len()), (42, 3));
        assert!(!n.cancel_called() && !n.closed());
        {
            let mut cancelling = std::pin::pin!(n.cancel());
            poll_once(cancelling.as_mut()).await;
            assert!(n.cancel_called() && n.closed());
            cancelling.await;
        }
        assert!(n.children().is_empty(), "{n:?}");
        assert!(n.report().endings.iter().all(|ending| ending.by == EndedBy::Request), "{}", n.report());
        assert_eq!(n.report().endings.len(), 3);
        let result = cut_short.result().await;
        let is_cancelled = |error: &Error| error.to_string().contains("cancelled") || error.is_cancelled();
        assert!(result.as_ref().is_err_and(is_cancelled), "{result:?}");
        assert_eq!(done.result().await?, 42);
        assert!(daemon.run(answer()).await.is_err());
        assert!(matches!(n.start_actor("late").await, Err(Error::Cancelled(_))));
        Ok(7)
    })
    .await;
    assert_eq!(value.unwrap(), 7);
}

// S35, S111
async fn a_hard_kill_does_not_ask(protocol: &'static str) {
    let kill_after = soon();
    in_nursery(Config { kill_after, cancel_ack: FOREVER, ..over(protocol) }, async |n| {
        let portals = [n.start_actor("well").enable(module_path!()).await?, stopped(&n).await?];
        portals[0].run(answer()).await?;
        // It waits for no acknowledgement.
        n.kill().await;
        assert!(!portals.iter().any(|portal| is_there(portal.id().pid())), "a zombie is left");
        let mut endings = n.report().endings;
        endings.sort_by_key(|ending| ending.by);
        let seen: Vec<_> = endings.iter().map(|ending| (ending.actor.name(), ending.by, ending.status)).collect();
        let expected = [
            ("well", EndedBy::Sigterm, WaitStatus::Signalled(15)),
            ("stopped", EndedBy::Sigkill, WaitStatus::Signalled(9)),
        ];
        assert_eq!(seen, expected);
        let why = endings[1].why.as_deref().unwrap();
        assert_eq!(why, format!("a hard kill was asked for; it did not end within {kill_after:?} of SIGTERM"));
        assert!(endings[1].took >= kill_after, "{:?}", endings[1]);
        Ok(())
    })
    .await
    .unwrap();
}

// S35
async fn what_was_escalated_is_reported(protocol: &'static str) {
    let soon = soon();
    let notes = Arc::new(Notes::new());
    let config = Config { cancel_ack: soon, soft_reap: soon, kill_after: soon, task_cancel: soon, ..over(protocol) };
    let n = in_nursery(config, async |n| {
        n.start_actor("well").await?;
        stopped(&n).await?;
        let blocks = blocks_when_dropped(notes.address());
        let stubborn = n.start_actor("stubborn").enable(blocks.module()).await?;
        tokio::select! {
            ended = stubborn.run(blocks) => panic!("{ended:?}"),
            _ = notes.expect_async("begun") => {}
        }
        n.cancel().await;
        Ok(n)
    })
    .await
    .unwrap();
    let report = n.report();
    assert_eq!((report.endings.len(), report.earlier, report.endings[0].by), (3, 0, EndedBy::Request));
    assert_eq!(report.escalated().count(), 2);
    let of = |name: &str| report.endings.iter().find(|ending| ending.actor.name() == name).unwrap();
    let why = of("stopped").why.as_deref().unwrap();
    assert!(why.contains(&format!("did not acknowledge the cancel request within {soon:?}")), "{why}");
    assert!(why.ends_with(&format!("; it did not end within {soon:?} of SIGTERM")), "{why}");
    assert_eq!(of("stubborn").status, WaitStatus::Signalled(9));
    assert!(report.to_string().contains("ended by SIGKILL"), "{report}");
}

async fn a_hard_kill_overtakes_a_polite_cancel() {
    // Without the hard kill, the nursery would be patient for longer than the test.
    let config = Config { cancel_ack: FOREVER, kill_after: Duration::from_millis(100), ..over("uds") };
    in_nursery(config, async |n| {
        stopped(&n).await?;
        tokio::join!(n.cancel(), n.kill());
        assert_eq!(n.report().endings[0].by, EndedBy::Sigkill);
        Ok(())
    })
    .await
    .unwrap();
}

/// Another task learns that the block was left, when nothing of it is there any more.
// S26, S120
async fn a_nursery_tells_others_that_it_was_left() {
    in_root(over("uds"), async |_| {
        let (tell, told) = tokio::sync::oneshot::channel();
        let nursery = pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").await?;
            let found = Nursery::of(portal.id()).expect("it lives in this nursery");
            assert_eq!(found.children(), [portal.id().clone()]);
            let _ = tell.send((n.clone(), portal.id().clone()));
            n.cancel().await;
            tokio::task::yield_now().await;
            Ok::<_, Error>(())
        });
        let watcher = async {
            let (n, child) = told.await.unwrap();
            n.exited().await;
            (n.closed(), n.children().len(), is_there(child.pid()), Nursery::of(&child).is_some())
        };
        let mut watcher = std::pin::pin!(watcher);
        let left = tokio::select! {
            biased;
            seen = watcher.as_mut() => panic!("told too early: {seen:?}"),
            left = nursery => left,
        };
        left?;
        assert_eq!(watcher.await, (true, 0, false, false));
        Ok(())
    })
    .await
    .unwrap();
}

/// The body has returned: functions end with their results, daemons when they are cancelled.
// S34
async fn functions_are_ended_first_and_daemons_when_cancelled() {
    in_root(over("uds"), async |_| {
        let (tell, told) = tokio::sync::oneshot::channel();
        let nursery = pleach::open_nursery(async |n| {
            let daemon = n.start_actor("daemon").await?;
            let once = n.run_in_actor(answer()).name("once").await?;
            let _ = tell.send((n, daemon, once));
            Ok::<_, Error>(())
        });
        let outside = async {
            let (n, daemon, once) = told.await.unwrap();
            assert_eq!(once.result().await.unwrap(), 42);
            while n.report().endings.is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(n.children(), [daemon.id().clone()], "the daemon was not cancelled");
            daemon.cancel_actor().await.unwrap();
            n.exited().await;
            let ended: Vec<_> = n.report().endings.iter().map(|ending| ending.actor.name().to_owned()).collect();
            assert_eq!(ended, ["once", "daemon"]);
        };
        tokio::join!(nursery, outside).0
    })
    .await
    .unwrap();
}

async fn an_actor_that_is_started_while_the_nursery_joins_is_waited_for() {
    in_root(over("uds"), async |_| {
        let (tell, told) = tokio::sync::oneshot::channel();
        let nursery = pleach::open_nursery(async |n| {
            let early = n.start_actor("early").await?;
            let _ = tell.send((n, early));
            Ok::<_, Error>(())
        });
        let outside = async {
            let (n, early) = told.await.unwrap();
            let late = n.start_actor("late").await.unwrap();
            early.cancel_actor().await.unwrap();
            while n.report().endings.is_empty() {
                tokio::task::yield_now().await;
            }
            assert_eq!(n.children(), [late.id().clone()]);
            assert!(!n.closed());
            late.cancel_actor().await.unwrap();
            late.id().pid()
        };
        let (left, pid) = tokio::join!(nursery, outside);
        assert!(!is_there(pid), "the nursery left it behind");
        left
    })
    .await
    .unwrap();
}

async fn a_panic_of_the_body_is_an_error_after_the_children_are_gone() {
    in_root(over("uds"), async |_| {
        let mut watched = None;
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("child").await?;
            watched = Some(Watched::new(portal.id().pid()));
            panic!("the body's own")
        })
        .await;
        assert!(matches!(&ended, Err(Error::Panicked(why)) if why == "the body's own"), "{ended:?}");
        watched.unwrap().assert_gone_within(Duration::ZERO);
        // And the program goes on.
        pleach::open_nursery(async |n| n.run_in_actor(answer()).await?.result().await).await.map(drop)
    })
    .await
    .unwrap();
}

async fn failures_of_several_children_are_a_group_with_the_bodys_first() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        // The failure of the first cancels the other one at once; the body goes on in its shield.
        shield(async {
            let two = n.run_in_actor(fail_when_cancelled(notes.address(), "the second child's".into())).await?;
            notes.expect_async("waits").await;
            let one = n.run_in_actor(fail("the first child's".into())).await?;
            let (one, two) = tokio::join!(one.result(), two.result());
            assert!(one.is_err() && two.is_err());
            Err(Error::Usage("the body's".into()))
        })
        .await
    })
    .await;
    match &ended {
        Err(Error::Group(group)) => {
            assert_eq!(group.errors.len(), 3, "{ended:?}");
            assert!(matches!(&group.errors[0], Error::Usage(text) if text == "the body's"), "{ended:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_says(&ended, &["the first child's", "the second child's"]);
}

async fn a_child_fails_while_the_body_streams(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_nursery(over(protocol), async |n| {
        let streamer = n.start_actor("streamer").enable(module_path!()).await?;
        streamer
            .open_context(stream_for_ever(notes.address()), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                assert_eq!(stream.recv().await?, Some(0));
                n.run_in_actor(fail("beside the stream".into())).await?;
                while stream.recv().await?.is_some() {}
                Ok(())
            })
            .await
    })
    .await;
    assert_says(&ended, &["beside the stream", "`fail`"]);
    assert!(matches!(ended, Err(Error::Remote(_))), "only the child failed: {ended:?}");
    notes.expect("the context was cancelled");
}

/// Two nurseries in one task, one in the other: the inner one's failure is an error like any other outside.
async fn an_inner_nursery_fails_alone() {
    in_nursery(over("uds"), async |outer| {
        let daemon = outer.start_actor("outer").enable(module_path!()).await?;
        for _ in 0..2 {
            let inner: Result<()> = pleach::open_nursery(async |n| {
                n.run_in_actor(fail("inside".into())).await?;
                loop {
                    daemon.run(answer()).await?;
                }
            })
            .await;
            assert_says(&inner, &["inside"]);
            assert_eq!(daemon.run(answer()).await?, 42);
        }
        assert_eq!(outer.children(), [daemon.id().clone()]);
        daemon.cancel_actor().await
    })
    .await
    .unwrap();
}
