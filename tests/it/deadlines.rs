//! Deadlines that travel with calls and contexts: who learns of them, and who stops. D1, C-21.

use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::{Shield, cancelled, checkpoint, current_deadline};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    ALL, Notes, PROCESSES, RootProcess, assert_says, in_root, matrix_fn, note, over, patience, soon, test,
};

/// Waits until it is cancelled, notes why, and returns that.
#[pleach::rpc]
async fn stays(notes: String) -> Result<()> {
    stay(&notes).await
}

#[pleach::context]
async fn stays_in_context(ctx: &mut Context<(), (), ()>, notes: String) -> Result<()> {
    ctx.started(()).await?;
    stay(&notes).await
}

async fn stay(notes: &str) -> Result<()> {
    let _shield = Shield::enter();
    note(notes, "begun");
    cancelled().await;
    let why = checkpoint();
    note(notes, format!("over: {}", why.as_ref().unwrap_err()));
    why
}

/// Has an actor of its own do what [`stays`] does.
#[pleach::rpc]
async fn stays_below(notes: String) -> Result<()> {
    with_peer(async |portal| portal.run(stays(notes)).await).await
}

/// Returns the milliseconds that are left to a call made here.
#[pleach::rpc]
async fn left_below(shielded: bool) -> Result<Option<u64>> {
    with_peer(async |portal| match shielded {
        true => shield(portal.run(left())).await,
        false => portal.run(left()).await,
    })
    .await
}

#[pleach::rpc]
async fn left() -> Result<Option<u64>> {
    Ok(current_deadline().map(|at| at.duration_since(tokio::time::Instant::now()).as_millis() as u64))
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_fn(what_a_callee_calls_inherits_the_time_left);
    // The other tests spend their time waiting.
    for protocol in ALL {
        tests.push(test(format!("deadlines::a_context_ends_at_its_deadline_over_{protocol}"), move || {
            a_context_ends_at_its_deadline(protocol)
        }));
    }
    for protocol in ["mem", "quic"] {
        let name = format!("deadlines::a_task_ends_several_hops_down_over_{protocol}");
        tests.push(test(name, move || several_hops(protocol)));
        tests.push(test(format!("deadlines::the_answer_names_the_deadline_over_{protocol}"), move || {
            the_answer_names_the_deadline(protocol)
        }));
    }
    for protocol in PROCESSES {
        let name = format!("deadlines::a_task_ends_though_its_caller_is_stopped_over_{protocol}");
        tests.push(test(name, move || stopped_caller(protocol)));
    }
    tests
}

/// Runs `body` with a daemon that exposes this module.
async fn with_peer<T, F, Fut>(body: F) -> Result<T>
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let value = body(portal.clone()).await?;
        portal.cancel_actor().await?;
        Ok(value)
    })
    .await
}

fn is_timeout<T>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::Timeout { .. }))
}

async fn what_a_callee_calls_inherits_the_time_left(config: Config) {
    in_root(config, async |_| {
        with_peer(async |portal| {
            assert_eq!(portal.run(left()).await?, None);
            assert_eq!(portal.run(left_below(false)).await?, None);
            let patience = patience();
            let bound = |left: Option<u64>| {
                assert!(left.is_some_and(|left| 0 < left && u128::from(left) <= patience.as_millis()), "{left:?}")
            };
            bound(fail_after(patience, portal.run(left())).await?);
            bound(fail_after(patience, portal.run(left_below(false))).await?);
            assert_eq!(fail_after(patience, portal.run(left_below(true))).await?, None);
            assert_eq!(fail_after(patience, shield(portal.run(left()))).await?, None);
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn several_hops(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    in_root(over(protocol), async |_| {
        with_peer(async |portal| {
            let late = fail_after(3 * soon(), portal.run(stays_below(notes.address()))).await;
            assert!(is_timeout(&late), "{late:?}");
            notes.expect_async("begun").await;
            notes.expect_async("over").await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_context_ends_at_its_deadline(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    in_root(over(protocol), async |_| {
        with_peer(async |portal| {
            let open = portal.open_context(stays_in_context(notes.address()), async |ctx, ()| {
                notes.expect_async("begun").await;
                ctx.result().await
            });
            let late = fail_after(2 * soon(), open).await;
            assert!(is_timeout(&late), "{late:?}");
            notes.expect_async("over").await;
            // One whose body has returned waits for the function's result, and no longer than this.
            let open = portal.open_context(stays_in_context(notes.address()), async |_, ()| Ok::<_, Error>(()));
            assert!(is_timeout(&fail_after(soon(), open).await));
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// What the runtime makes of the answer is the caller's own time-out; a portal shows the answer itself.
async fn the_answer_names_the_deadline(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    in_root(over(protocol), async |_| {
        let mut answer = None;
        let late = fail_after(
            3 * soon(),
            pleach::open_nursery(async |n| {
                let portal = n.run_in_actor(stays(notes.address())).await?;
                answer = Some(shield(portal.result()).await);
                Ok::<_, Error>(())
            }),
        );
        let late = late.await;
        assert!(is_timeout(&late), "{late:?}");
        assert_says(&answer.unwrap(), &["stays", "cancelled: its deadline has passed"]);
        notes.expect_async("begun").await;
        notes.expect_async("over: cancelled: its deadline has passed").await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn stopped_caller(protocol: &'static str) {
    tokio::task::spawn_blocking(move || {
        let notes = Notes::new();
        let mut root = RootProcess::start("stopped_caller", &notes, protocol);
        let pid = Pid::from_raw(root.pid() as i32).unwrap();
        notes.expect("begun");
        kill_process(pid, Signal::STOP).unwrap();
        // No cancel request comes from there.
        notes.expect("over: cancelled: its deadline has passed");
        kill_process(pid, Signal::CONT).unwrap();
        notes.expect("timed out");
        assert!(root.0.wait().unwrap().success());
    })
    .await
    .unwrap();
}

/// The root of [`stopped_caller`].
pub(crate) fn stopped_caller_root(notes: &str, protocol: &str) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = tokio.block_on(in_root(over(protocol), async |_| {
        with_peer(async |portal| {
            let late = fail_after(soon(), portal.run(stays(notes.to_owned()))).await;
            assert!(is_timeout(&late), "{late:?}");
            Ok(())
        })
        .await
    }));
    outcome.unwrap();
    note(notes, "timed out");
}
