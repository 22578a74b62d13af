//! The runtime around the tasks: asking it to end, the steps of its end, what runs last.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use libtest_mimic::Trial;
use pleach::error::Cancelled;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Notify;

use crate::support::{
    FOREVER, Notes, PROCESSES, RootProcess, Watched, assert_says, in_nursery, in_root, note, over, patience, test,
    test_fn,
};

/// Asks its own actor to end; returns what was known of that before and after.
#[pleach::rpc]
async fn ends_its_actor() -> Result<(bool, bool)> {
    let actor = pleach::current_actor().expect("this runs in an actor");
    let before = actor.cancel_called();
    actor.cancel_soon();
    Ok((before, actor.cancel_called()))
}

#[pleach::rpc]
async fn answer() -> Result<u8> {
    Ok(42)
}

/// Has the root answer, and then end itself.
#[pleach::rpc]
async fn asks_and_ends_the_root(notes: String) -> Result<()> {
    let root = pleach::get_root().await?;
    note(&notes, format!("answered {}", root.run(answer()).await?));
    root.cancel_actor().await
}

/// Notes that it has begun, and when it is dropped, and never returns.
#[pleach::rpc]
async fn lingers(notes: String) -> Result<()> {
    let _dropped = OnDrop(notes.clone());
    note(&notes, "begun");
    std::future::pending().await
}

struct OnDrop(String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        note(&self.0, "task dropped");
        // As a record of the library, so that it keeps its place among the others.
        pleach_wire::record!(WARN, target: "pleach::test", "task dropped");
    }
}

#[pleach::rpc]
async fn adds_callbacks(notes: String) -> Result<()> {
    for text in ["second", "third"] {
        let notes = notes.clone();
        pleach::on_exit(move || note(&notes, text));
    }
    pleach::on_exit(|| panic!("on purpose"));
    pleach::on_exit(move || {
        note(&notes, "fourth");
        pleach::on_exit(move || note(&notes, "late"));
    });
    Ok(())
}

/// Notes why it was cancelled.
#[pleach::rpc]
async fn tells_why(notes: String) -> Result<()> {
    note(&notes, "begun");
    let _shield = Shield::enter();
    scope::cancelled().await;
    match scope::checkpoint() {
        Err(Error::Cancelled(Cancelled::Caller(None))) => note(&notes, "its caller went away"),
        other => note(&notes, format!("{other:?}")),
    }
    Ok(())
}

#[pleach::rpc]
async fn has_the_root_linger(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    pleach::get_root().await?.run(tells_why(notes)).await
}

/// Takes a while to clean up, and then fails as it is told.
#[pleach::rpc]
async fn cleans_up_and(ends: String, notes: String) -> Result<()> {
    note(&notes, "begun");
    let _shield = Shield::enter();
    scope::cancelled().await;
    shield(tokio::time::sleep(Duration::from_millis(100))).await;
    match ends.as_str() {
        "fails" => Err(Error::Usage("the clean-up failed".into())),
        "panics" => panic!("the clean-up panicked"),
        _ => Ok(()),
    }
}

/// Says something on its stream when it is cancelled, and returns a value all the same.
#[pleach::context]
async fn last_words(ctx: &mut Context<(), u64, u64>) -> Result<u64> {
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?;
    let _shield = Shield::enter();
    scope::cancelled().await;
    shield(async {
        stream.send(99).await?;
        stream.close().await
    })
    .await?;
    Ok(7)
}

/// Keeps an actor below, and a task that never returns.
#[pleach::rpc]
async fn keeps_one_below(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        n.start_actor("below").await?;
        lingers(notes).await
    })
    .await
}

#[pleach::rpc]
async fn count() -> Result<u32> {
    static COUNTED: AtomicU32 = AtomicU32::new(0);
    Ok(COUNTED.fetch_add(1, Ordering::Relaxed) + 1)
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test_fn(an_actor_ends_itself),
        test_fn(a_root_that_is_asked_to_end_cancels_its_body),
        test_fn(a_root_that_is_dropped_while_it_ends_still_ends),
        test_fn(callbacks_run_last_in_first_out_when_the_actor_has_ended),
        test_fn(a_callers_death_cancels_its_tasks),
        test_fn(cancels_at_once_are_all_acknowledged),
        test_fn(tasks_that_fail_while_they_are_cancelled_hold_up_no_end),
        test_fn(each_actor_has_its_own_statics),
        Trial::test("runtime::an_actor_ends_in_ordered_steps", || {
            an_actor_ends_in_ordered_steps();
            Ok(())
        }),
    ];
    for protocol in PROCESSES {
        tests.push(test(format!("runtime::a_cancelled_actor_still_has_the_last_word_over_{protocol}"), move || {
            a_cancelled_actor_still_has_the_last_word(protocol)
        }));
    }
    for how in ["a request", "SIGTERM", "SIGINT"] {
        tests.push(Trial::test(format!("runtime::a_daemon_serves_until_it_is_ended_by {how}"), move || {
            daemon(how);
            Ok(())
        }));
    }
    tests
}

// S95, S106
async fn an_actor_ends_itself() {
    in_nursery(over("uds"), async |n| {
        let portal = n.start_actor("leaver").enable(module_path!()).await?;
        assert_eq!(portal.run(ends_its_actor()).await?, (false, true));
        Ok(()) // the daemon needs no cancel request: it ends by itself, and that is not a failure
    })
    .await
    .unwrap();
}

// S95, S106, S121
async fn a_root_that_is_asked_to_end_cancels_its_body() {
    let (mut kept, mut watched) = (None, None);
    let ended: Result<()> = in_root(over("uds"), async |actor| {
        pleach::open_nursery(async |n| {
            watched = Some(Watched::new(n.start_actor("idle").await?.id().pid()));
            assert!(!actor.cancel_called());
            kept = Some(actor.clone());
            // It is synchronous, so any thread may ask.
            std::thread::spawn(move || actor.cancel_soon()).join().unwrap();
            let actor = kept.as_ref().unwrap();
            assert!(actor.cancel_called() && actor.cancel_complete().now_or_never().is_none());
            std::future::pending().await
        })
        .await
    })
    .await;
    assert!(matches!(ended, Err(Error::Cancelled(Cancelled::Actor))), "{ended:?}");
    watched.unwrap().assert_gone_within(Duration::ZERO);
    kept.unwrap().cancel_complete().await;
}

// S99
fn daemon(how: &str) {
    let notes = Notes::new();
    let mut root = RootProcess::start("daemon", &notes, how);
    notes.expect("listening");
    let pid = Pid::from_raw(root.pid() as i32).unwrap();
    match how {
        "a request" => assert_eq!(notes.expect("answered"), "42"),
        "SIGTERM" => kill_process(pid, Signal::TERM).unwrap(),
        _ => kill_process(pid, Signal::INT).unwrap(),
    }
    assert_eq!(notes.expect("ended:"), "Ok(())");
    assert!(root.0.wait().unwrap().success());
}

/// A root that only serves, and a client of it.
pub(crate) fn daemon_root(notes: &str, how: &str) {
    let around = async {
        while !is_listening().await {
            tokio::task::yield_now().await;
        }
        note(notes, "listening");
        if how == "a request" {
            let asked = pleach::open_nursery(async |n| {
                n.run_in_actor(asks_and_ends_the_root(notes.to_owned())).await?.result().await
            });
            let _: Result<()> = asked.await; // the daemon may end first, and the asker with it
        }
    };
    let serving = async { tokio::join!(pleach::run_daemon(over("uds"), [module_path!()]), around).0 };
    let ended = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, serving);
    note(notes, format!("ended: {ended:?}"));
}

/// Is cancelled, but leaves only when it is let go.
#[pleach::rpc]
async fn is_held_up() -> Result<()> {
    let _shield = Shield::enter();
    HELD_UP.notify_one();
    LET_GO.notified().await;
    Ok(())
}

static HELD_UP: Notify = Notify::const_new();
static LET_GO: Notify = Notify::const_new();

/// The root's body has returned, and a task of a peer holds up the first step of its end.
async fn a_root_that_is_dropped_while_it_ends_still_ends() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let opened = in_root(over("mem"), async |actor| {
        actor.enable(module_path!());
        let root = pleach::get_root().await?;
        tokio::select! {
            ended = root.run(is_held_up()) => panic!("{ended:?}"),
            () = HELD_UP.notified() => {}
        }
        tell.send(actor).unwrap();
        Ok(())
    });
    let is_ending = async {
        let actor: pleach::Actor = told.await.unwrap();
        while !actor.cancel_called() {
            tokio::task::yield_now().await;
        }
        actor
    };
    let actor = tokio::select! {
        ended = opened => panic!("{ended:?}"),
        actor = is_ending => actor,
    };
    LET_GO.notify_one();
    tokio::time::timeout(patience(), actor.cancel_complete()).await.expect("it is left half shut down");
}

async fn is_listening() -> bool {
    match pleach::current_actor() {
        Some(actor) => !actor.addresses().await.is_empty(),
        None => false,
    }
}

// S96, S115
async fn callbacks_run_last_in_first_out_when_the_actor_has_ended() {
    let notes = Arc::new(Notes::new());
    in_nursery(over("uds"), async |n| {
        let start = n.start_actor("tidy").enable(module_path!());
        let portal = start.env("IT_BEFORE_ENTRY", format!("on_exit {}", notes.address())).await?;
        portal.run(adds_callbacks(notes.address())).await?;
        let cancelled = async {
            notes.expect_async("begun").await;
            portal.cancel_actor().await
        };
        tokio::join!(portal.run(lingers(notes.address())), cancelled).1
    })
    .await
    .unwrap();
    for expected in ["task dropped", "fourth", "late", "third", "second", "first in, last out"] {
        assert_eq!(notes.next(), expected);
    }
}

// S110
async fn a_callers_death_cancels_its_tasks() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |actor| {
        actor.enable(module_path!());
        pleach::open_nursery(async |n| {
            n.run_in_actor(has_the_root_linger(notes.address())).name("caller").await?;
            let pid = notes.expect_async("").await.parse().unwrap();
            shield(async {
                notes.expect_async("begun").await;
                Watched::new(pid).kill();
                notes.expect_async("its caller went away").await;
            })
            .await;
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_says(&ended, &["`caller`", "signal 9"]);
}

// S28, S37, S38: neither kind of request is a task that the other one could cancel.
async fn cancels_at_once_are_all_acknowledged() {
    let notes = Arc::new(Notes::new());
    in_nursery(over("uds"), async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let (scope, other) = (CancelScope::new(), portal.clone());
        let call = scope.run(portal.run(cleans_up_and("returns".into(), notes.address())));
        let cancels = async {
            notes.expect_async("begun").await;
            assert!(!portal.cancel_called());
            scope.cancel();
            tokio::try_join!(portal.cancel_actor(), other.cancel_actor(), portal.cancel_actor())
        };
        let (ended, cancelled) = tokio::join!(call, cancels);
        assert!(matches!(ended, Err(Error::Cancelled(_)) | Ok(Err(Error::Cancelled(_)))), "{ended:?}");
        cancelled?;
        assert!(portal.cancel_called() && other.cancel_called());
        Ok(())
    })
    .await
    .unwrap();
}

// S107, S108
async fn tasks_that_fail_while_they_are_cancelled_hold_up_no_end() {
    let notes = Arc::new(Notes::new());
    // Were the end of the last task missed, this would never end.
    let config = Config { task_cancel: FOREVER, soft_reap: FOREVER, ..over("uds") };
    in_nursery(config, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let calls = ["returns", "panics", "fails"].map(|ends| portal.run(cleans_up_and(ends.into(), notes.address())));
        let cancelled = async {
            for _ in 0..3 {
                notes.expect_async("begun").await;
            }
            portal.cancel_actor().await.unwrap();
        };
        let (ended, ()) = tokio::join!(join_all(calls), cancelled);
        assert!(ended[0].is_ok(), "{ended:?}");
        assert_says(&ended[1], &["panicked: the clean-up panicked"]);
        assert_says(&ended[2], &["the clean-up failed"]);

        // A requested end is not a failure of the nursery, but it shows in the result.
        let asked = n.run_in_actor(lingers(notes.address())).await?;
        notes.expect_async("begun").await;
        asked.cancel_actor().await?;
        assert_says(&asked.result().await, &["cancelled"]);
        Ok(())
    })
    .await
    .unwrap();
}

// S22, S23, S26, S27: a cancel request closes nothing here, and what the peer says before it leaves is read.
async fn a_cancelled_actor_still_has_the_last_word(protocol: &'static str) {
    in_nursery(over(protocol), async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let asking = portal.clone();
        let value = portal
            .open_context(last_words(), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                asking.cancel_actor().await?;
                assert_eq!((stream.recv().await?, stream.recv().await?), (Some(99), None));
                ctx.result().await
            })
            .await?;
        assert_eq!(value, 7);
        Ok(())
    })
    .await
    .unwrap();
}

// S102
async fn each_actor_has_its_own_statics() {
    in_nursery(over("uds"), async |n| {
        let one = n.start_actor("one").enable(module_path!()).await?;
        let other = n.start_actor("other").enable(module_path!()).await?;
        assert_eq!((one.run(count()).await?, one.run(count()).await?), (1, 2));
        assert_eq!((other.run(count()).await?, count().await?), (1, 1));
        tokio::try_join!(one.cancel_actor(), other.cancel_actor()).map(|_| ())
    })
    .await
    .unwrap();
}

// S105, S123, S124, S125
fn an_actor_ends_in_ordered_steps() {
    let notes = Notes::new();
    let (mut root, mut stderr) = RootProcess::start_unread("shutdown_order", &notes);
    let mut said = String::new();
    stderr.read_to_string(&mut said).unwrap();
    assert!(root.0.wait().unwrap().success(), "{said}");
    notes.expect("acknowledged");
    let steps = [
        "step=1",
        "task dropped",
        "step=2",
        "stopped listening",
        "step=3",
        "connection closed peer=actor `root`",
        "step=4",
        "step=5",
        "step=6",
    ];
    let of_leaver = said.lines().filter(|line| line.contains(" [leaver "));
    let seen: Vec<_> = of_leaver.filter_map(|line| steps.into_iter().find(|step| line.contains(step))).collect();
    assert_eq!(seen, steps, "{said}");
}

/// Cancels a child that has a task and a child of its own, and with that a listener and a connection.
pub(crate) fn ordered_root(notes: &str) {
    let begun = Arc::new(Notes::new());
    let tree = pleach::open_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("leaver").enable(module_path!()).env("PLEACH_LOG", "pleach=debug").await?;
            let cancelled = async {
                begun.expect_async("begun").await;
                portal.cancel_actor().await.map(|()| note(notes, "acknowledged"))
            };
            tokio::join!(portal.run(keeps_one_below(begun.address())), cancelled).1
        })
        .await
    });
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    ended.unwrap();
}
