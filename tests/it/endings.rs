//! How actors end: unasked, asked, before they began, all at once.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::EndedBy;
use pleach::error::WaitStatus;
use pleach::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    Notes, PROCESSES, RootProcess, Watched, assert_says, in_root, note, over, patience, soon, test, test_fn,
};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

/// Notes its process id and never returns.
#[pleach::rpc]
async fn stay(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    std::future::pending().await
}

#[pleach::rpc]
async fn leave(code: i32) -> Result<()> {
    eprintln!("the last words");
    std::process::exit(code)
}

/// Starts a daemon below, notes both process ids, and waits for ever.
#[pleach::rpc]
async fn keep_one_below(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let below = n.start_actor("below").enable(module_path!()).await?;
        note(&notes, format!("{} {}", std::process::id(), below.run(pid()).await?));
        std::future::pending().await
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        tests.push(test(
            format!("endings::a_portal_kills_its_actor_and_tells_how_it_ended_over_{protocol}"),
            move || a_portal_kills_its_actor_and_tells_how_it_ended(protocol),
        ));
        tests.push(test(format!("endings::an_actor_that_has_exited_is_called_in_vain_over_{protocol}"), move || {
            an_actor_that_has_exited_is_called_in_vain(protocol)
        }));
        tests.push(test(format!("endings::a_daemon_that_dies_unasked_fails_its_nursery_over_{protocol}"), move || {
            a_daemon_that_dies_unasked_fails_its_nursery(protocol)
        }));
        tests.push(test(
            format!("endings::a_child_that_exits_mid_call_is_named_with_its_last_words_over_{protocol}"),
            move || a_child_that_exits_mid_call_is_named_with_its_last_words(protocol),
        ));
        tests
            .push(test(format!("endings::a_nursery_dropped_in_a_timeout_leaves_nothing_over_{protocol}"), move || {
                a_nursery_dropped_in_a_timeout_leaves_nothing(protocol)
            }));
    }
    for (hook, says) in [
        ("exit 7", ["exited with code 7", "leaving before it starts"]),
        ("panic", ["exited with code 101", "broken before it starts"]),
    ] {
        tests.push(test(format!("endings::a_child_that_ends_before_it_connects_is_an_error: {hook}"), move || {
            ends_early(hook, says)
        }));
    }
    tests.push(test_fn(a_child_that_hangs_before_it_connects_is_killed));
    tests.push(test_fn(a_start_that_is_given_up_leaves_nothing));
    tests.push(test_fn(a_stopped_child_is_killed_in_bounded_time));
    tests.push(Trial::test("endings::a_root_dropped_in_a_timeout_makes_way_for_the_next", || {
        a_root_dropped_in_a_timeout_makes_way_for_the_next();
        Ok(())
    }));
    tests.push(test_fn(orphans_of_a_killed_child_are_reaped_by_the_root));
    for signal in ["INT", "TERM"] {
        tests.push(Trial::test(format!("endings::sig{}_ends_the_whole_tree", signal.to_lowercase()), move || {
            interrupted(signal);
            Ok(())
        }));
    }
    tests
}

async fn a_daemon_that_dies_unasked_fails_its_nursery(protocol: &'static str) {
    let ended: Result<()> = in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("victim").enable(module_path!()).await?;
            Watched::new(portal.run(pid()).await?).kill();
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_says(&ended, &["`victim`", "was killed by signal 9"]);
    assert!(matches!(ended, Err(Error::ActorDied(died)) if died.status == WaitStatus::Signalled(9)));
}

async fn a_portal_kills_its_actor_and_tells_how_it_ended(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let killed = n.start_actor("killed").enable(module_path!()).await?;
            let asked = n.start_actor("asked").await?;
            let pid = killed.run(pid()).await?;
            let (ended, waited) = tokio::join!(killed.kill(), killed.exited());
            let ended = ended?;
            assert_eq!((ended.by, ended.actor.pid(), waited?.by), (EndedBy::Sigterm, pid, EndedBy::Sigterm));
            assert_eq!(killed.kill().await?.by, EndedBy::Sigterm, "any number of times");
            asked.cancel_actor().await?;
            assert_eq!(asked.exited().await?.by, EndedBy::Request);
            let root = pleach::get_root().await?;
            assert_says(&root.exited().await, &["actor `root`", "was not started by this actor"]);
            assert_says(&root.kill().await, &["was not started by this actor"]);
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn an_actor_that_has_exited_is_called_in_vain(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("w").enable(module_path!()).await?;
            portal.cancel_actor().await?;
            // While it is ending, it may still answer, or refuse.
            let error = loop {
                match portal.run(pid()).await {
                    Err(error @ Error::Disconnected { .. }) => break error,
                    _ => tokio::task::yield_now().await,
                }
            };
            assert_says::<()>(&Err(error), &["actor `w`", ") has exited"]);
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_child_that_exits_mid_call_is_named_with_its_last_words(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("leaver").enable(module_path!()).await?;
            // The nursery learns of the death too, and cancels this body; a shield lets it look first.
            shield(async {
                let answer = portal.run(leave(3)).await;
                assert_says(&answer, &["`leaver`", "exited with code 3", "the last words"]);
            })
            .await;
            Ok(())
        })
        .await;
        assert_says(&ended, &["`leaver`", "exited with code 3"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_nursery_dropped_in_a_timeout_leaves_nothing(protocol: &'static str) {
    let notes = Arc::new(Notes::new());
    in_root(over(protocol), async |_| {
        let nursery = pleach::open_nursery(async |n| {
            let portal = n.start_actor("above").enable(module_path!()).await?;
            portal.run(keep_one_below(notes.address())).await
        });
        let watched = tokio::select! {
            _ = nursery => panic!("it never returns"),
            pids = notes.expect_async("") => pids.split(' ').map(|pid| Watched::new(pid.parse().unwrap())).collect::<Vec<_>>(),
        };
        // The nursery's future is dropped now: the reaper goes on, on this runtime.
        tokio::task::spawn_blocking(move || watched.iter().for_each(|one| one.assert_gone_within(patience()))).await.unwrap();
        Ok(())
    })
    .await
    .unwrap();
}

async fn ends_early(hook: &'static str, says: [&'static str; 2]) {
    in_root(over("uds"), async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            n.start_actor("broken").env("IT_BEFORE_ENTRY", hook).await?;
            Ok(())
        })
        .await;
        assert_says(&ended, &["`broken`", "before it connected back", says[0], says[1]]);
        Ok(())
    })
    .await
    .unwrap();
}

// S29, S89
async fn a_child_that_hangs_before_it_connects_is_killed() {
    let (notes, soon) = (Notes::new(), soon());
    let config = Config { connect_back: soon, ..over("uds") };
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            n.start_actor("sleeper").env("IT_BEFORE_ENTRY", format!("hang {}", notes.address())).await?;
            Ok(())
        })
        .await;
        assert_says(&ended, &["`sleeper`", &format!("did not connect back within {soon:?}"), "connect_back", "killed"]);
        Ok(())
    })
    .await
    .unwrap();
    let pid: u32 = notes.expect("hung ").parse().unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is there still");
}

// S29, S89
async fn a_start_that_is_given_up_leaves_nothing() {
    let notes = Arc::new(Notes::new());
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let start = n.start_actor("sleeper").env("IT_BEFORE_ENTRY", format!("hang {}", notes.address()));
            let watched = tokio::select! {
                _ = start.into_future() => panic!("it never connects"),
                pid = notes.expect_async("hung ") => Watched::new(pid.parse().unwrap()),
            };
            tokio::task::spawn_blocking(move || watched.assert_gone_within(patience())).await.unwrap();
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

// S35
async fn a_stopped_child_is_killed_in_bounded_time() {
    in_root(Config { cancel_ack: soon(), kill_after: soon(), ..over("uds") }, async |_| {
        let mut watched = None;
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("stopped").enable(module_path!()).await?;
            let pid = portal.run(pid()).await?;
            watched = Some(Watched::new(pid));
            kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP).unwrap();
            match portal.cancel_actor().await {
                Err(Error::ActorTooSlow { actor, .. }) => assert_eq!(actor.name(), "stopped"),
                other => panic!("a stopped process acknowledged: {other:?}"),
            }
            Err::<(), _>(Error::Usage("over".into()))
        })
        .await
        .unwrap_err();
        watched.unwrap().assert_gone_within(Duration::ZERO);
        Ok(())
    })
    .await
    .unwrap();
}

fn a_root_dropped_in_a_timeout_makes_way_for_the_next() {
    let notes = Notes::new();
    let mut root = RootProcess::start("roots_dropped", &notes, "uds");
    let mut watched = Vec::new();
    for _ in 0..3 {
        let go = notes.expect("drop me at ");
        watched.extend(notes.expect("").split(' ').map(|pid| Watched::new(pid.parse().unwrap())));
        note(&go, "now");
    }
    assert!(root.0.wait().unwrap().success());
    watched.iter().for_each(|one| one.assert_gone_within(Duration::ZERO));
    let left: Vec<_> = std::fs::read_dir(notes.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes"], "the trees left files behind");
}

/// Opens one implicit root after the other, and drops each in the middle.
pub(crate) fn roots_dropped_root(notes: &str) {
    let run = async {
        for _ in 0..3 {
            let go = Arc::new(Notes::new());
            let nursery = pleach::open_nursery(async |n| {
                let portal = n.start_actor("above").enable(module_path!()).await?;
                portal.run(keep_one_below(notes.to_owned())).await
            });
            let told = async {
                // The tree's own note comes later, when its processes run.
                note(notes, format!("drop me at {}", go.address()));
                go.expect_async("now").await
            };
            tokio::select! {
                ended = nursery => panic!("it never returns: {ended:?}"),
                _ = told => {}
            }
        }
    };
    pleach::__private::run_main(pleach::__private::Flavor::MultiThread { workers: Some(2) }, run);
}

async fn orphans_of_a_killed_child_are_reaped_by_the_root() {
    let notes = Arc::new(Notes::new());
    in_root(over("uds"), async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("above").enable(module_path!()).await?;
            let killer = async {
                let pids = notes.expect_async("").await;
                let (above, below) = pids.split_once(' ').unwrap();
                Watched::new(above.parse().unwrap()).kill();
                // It does not stay a zombie: its entry is gone as soon as the root has reaped it.
                while std::path::Path::new(&format!("/proc/{below}")).exists() {
                    tokio::task::yield_now().await;
                }
            };
            shield(async { tokio::join!(portal.run(keep_one_below(notes.address())), killer).0 }).await
        })
        .await;
        assert_says(&ended, &["`above`", "signal 9 (SIGKILL)"]);
        Ok(())
    })
    .await
    .unwrap();
}

fn interrupted(signal: &str) {
    let notes = Notes::new();
    let mut root = RootProcess::start("interrupted", &notes, "uds");
    let pids = notes.expect("");
    let below: Vec<_> = pids.split(' ').map(|pid| Watched::new(pid.parse().unwrap())).collect();
    let sent = Command::new("kill").args(["-s", signal, &root.pid().to_string()]).status().unwrap();
    assert!(sent.success());
    let status = root.0.wait().unwrap();
    assert_eq!(status.code(), Some(if signal == "INT" { 130 } else { 143 }));
    below.iter().for_each(|one| one.assert_gone_within(Duration::ZERO));
    let left: Vec<_> = std::fs::read_dir(notes.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes"], "the tree left files behind");
}

/// The root that is interrupted: it has a child and a grandchild.
pub(crate) fn interrupted_root(notes: &str, protocol: &str) {
    let (notes, config) = (notes.to_owned(), over(protocol));
    let run = pleach::open_root(config, async move |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("above").enable(module_path!()).await?;
            portal.run(keep_one_below(notes)).await
        })
        .await
    });
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, run);
    panic!("it ends by exit, not with {ended:?}");
}
