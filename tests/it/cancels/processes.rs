//! Cancels that meet the process of the function: ended by a signal, stopped, or killed.

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::Shield;
use pleach::{ContextState, WaitStatus};
use rustix::process::{Pid, Signal, kill_process};

use super::{MODULE, Stage, Then, does, with_peer};
use crate::support::{FOREVER, PROCESSES, assert_says, in_root, matrix_over, soon};

pub(super) fn tests() -> Vec<Trial> {
    [
        matrix_over(&PROCESSES, "cancels::processes::a_signal_is_the_cause", a_signal_is_the_cause),
        matrix_over(
            &PROCESSES,
            "cancels::processes::a_peer_that_does_not_acknowledge_is_too_slow",
            a_peer_that_does_not_acknowledge_is_too_slow,
        ),
        matrix_over(
            &PROCESSES,
            "cancels::processes::a_peer_that_is_gone_needs_no_cancel",
            a_peer_that_is_gone_needs_no_cancel,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn a_signal_is_the_cause(config: Config) {
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(MODULE).await?;
            // The nursery learns of the end too; a shield keeps this body to look first.
            shield(async {
                let ended: Result<()> = portal
                    .open_context(does(Stage::Open, Then::Stays), async |_, pid| {
                        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::TERM).unwrap();
                        std::future::pending().await
                    })
                    .await;
                assert_terminated(&ended);
            })
            .await;
            Ok(())
        })
        .await;
        assert_terminated(&ended);
        Ok(())
    })
    .await
    .unwrap();
}

fn assert_terminated(ended: &Result<()>) {
    let died = ended.as_ref().unwrap_err().actor_died().expect("it died");
    assert_eq!((died.actor.name(), died.status), ("peer", WaitStatus::Signalled(15)));
}

async fn a_peer_that_does_not_acknowledge_is_too_slow(config: Config) {
    // S24, S51.
    // Twice, before QUIC gives up a peer that is stopped.
    let config = Config { cancel_ack: soon() / 2, ..config };
    with_peer(config, async |_, portal| {
        let mut pid = None;
        let ended: Result<()> = portal
            .open_context(does(Stage::Open, Then::Stays), async |ctx, process| {
                pid = Pid::from_raw(process as i32);
                stop(pid.unwrap()).await;
                let late = ctx.cancel().await;
                assert!(matches!(&late, Err(Error::ActorTooSlow { actor, .. }) if **actor == *portal.id()), "{late:?}");
                assert!(ctx.cancel_called() && !ctx.cancel_acked());
                assert_eq!(ctx.state(), ContextState::Cancelling);
                Ok(()) // the block can't tell that the task has ended
            })
            .await;
        kill_process(pid.unwrap(), Signal::CONT).unwrap();
        assert_says(&ended, &["did not acknowledge the cancel request"]);
        Ok(())
    })
    .await;
}

/// Stops a process, and waits until it stands still.
async fn stop(pid: Pid) {
    kill_process(pid, Signal::STOP).unwrap();
    let threads = format!("/proc/{}/task", pid.as_raw_nonzero());
    let stands = |thread: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
    };
    while !std::fs::read_dir(&threads).unwrap().all(|thread| stands(thread.unwrap())) {
        tokio::task::yield_now().await;
    }
}

async fn a_peer_that_is_gone_needs_no_cancel(config: Config) {
    // S51: with the connection goes the task, without a wait for an acknowledgement.
    let config = Config { cancel_ack: FOREVER, ..config };
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(MODULE).await?;
            shield(async {
                let ended: Result<u64> = portal
                    .open_context(does(Stage::Streaming, Then::Stays), async |ctx, pid| {
                        let _shield = Shield::enter();
                        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
                        ctx.cancel().await?;
                        Ok(5)
                    })
                    .await;
                assert!(matches!(ended, Ok(5)), "{ended:?}");
            })
            .await;
            Ok(())
        })
        .await;
        assert_says(&ended, &["`peer`", "signal 9"]);
        Ok(())
    })
    .await
    .unwrap();
}
