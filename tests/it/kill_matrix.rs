//! SIGKILL each member of a tree of three levels, in turn, at three moments: nothing below it survives, and the rest of
//! the tree learns which one died and how.
//!
//! The tree runs in processes of its own, below the test. `mid` supervises `leaf`, and `root` waits
//! for `mid`'s report.

use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{Notes, PROCESSES, RootProcess, Watched, assert_says, in_root, note, over, patience, test_fn};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Moment {
    /// The victim's process has been started; the root's: its child's process has.
    BeforeConnectBack,
    /// All are connected, and nothing is asked of `leaf`.
    Idle,
    /// `leaf` is running a function for `mid`, which runs one for `root`.
    MidCall,
}

#[pleach::rpc]
async fn wait_for_ever(notes: String) -> Result<()> {
    note(&notes, "leaf runs");
    std::future::pending().await
}

/// Runs in `mid`.
#[pleach::rpc]
async fn supervise_leaf(notes: String, moment: Moment, leaf_hangs: bool) -> Result<()> {
    note(&notes, format!("mid {}", std::process::id()));
    pleach::open_nursery(async |n| {
        let mut start = n.start_actor("leaf").enable(module_path!());
        if leaf_hangs {
            start = start.env("IT_BEFORE_ENTRY", format!("hang {notes}"));
        }
        let leaf = start.await?;
        note(&notes, format!("leaf {}", leaf.id().pid()));
        match moment {
            Moment::MidCall => leaf.run(wait_for_ever(notes)).await,
            _ => std::future::pending().await,
        }
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        for victim in ["root", "mid", "leaf"] {
            for moment in [Moment::BeforeConnectBack, Moment::Idle, Moment::MidCall] {
                let name = format!("kill_matrix::{victim}_killed_{moment:?}_over_{protocol}");
                tests.push(Trial::test(name, move || {
                    kill(protocol, victim, moment);
                    Ok(())
                }));
            }
        }
    }
    tests.push(test_fn(an_orphan_that_is_no_actor_yet_is_reaped));
    tests
}

/// Its parent is killed before it has a name to be known by; once it stayed a zombie of the root.
async fn an_orphan_that_is_no_actor_yet_is_reaped() {
    let notes = Arc::new(Notes::new());
    let mut orphan = String::new();
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let mid = n.start_actor("mid").enable(module_path!()).await?;
            let killed = async {
                notes.expect_async("mid ").await;
                orphan = notes.expect_async("hung ").await;
                Watched::new(mid.id().pid()).kill();
                std::future::pending().await
            };
            tokio::select! {
                ended = mid.run(supervise_leaf(notes.address(), Moment::Idle, true)) => ended,
                never = killed => never,
            }
        })
        .await
    })
    .await;
    assert_says(&ended, &["`mid`", "signal 9 (SIGKILL)"]);
    assert!(!Path::new("/proc").join(&orphan).exists(), "process {orphan} was left behind");
}

fn kill(protocol: &str, victim: &str, moment: Moment) {
    let notes = Notes::new();
    // `root` can only be killed early in the sense that its first child has not connected.
    let hangs = match (victim, moment) {
        ("root" | "mid", Moment::BeforeConnectBack) => "mid",
        ("leaf", Moment::BeforeConnectBack) => "leaf",
        _ => "none",
    };
    let args = serde_json::to_string(&(protocol, moment, hangs)).unwrap();
    let mut root = RootProcess::start("kill_matrix", &notes, &args);
    let mut members = vec![("root", Watched::new(root.pid()))];
    if hangs == "mid" {
        members.push(("mid", watch(&notes.expect("hung "))));
    } else {
        members.push(("mid", watch(&notes.expect("mid "))));
        let leaf = if hangs == "leaf" { notes.expect("hung ") } else { notes.expect("leaf ") };
        members.push(("leaf", watch(&leaf)));
        if moment == Moment::MidCall {
            notes.expect("leaf runs");
        }
    }
    members.iter().find(|(name, _)| *name == victim).unwrap().1.kill();
    if victim != "root" {
        let report = notes.expect("ended: ");
        let when = if hangs == victim { " before it connected back" } else { "" };
        for part in [format!("actor `{victim}`"), format!("was killed by signal 9 (SIGKILL){when}")] {
            assert!(report.contains(&part), "no {part:?} in: {report}");
        }
    }
    members.iter().for_each(|(_, member)| member.assert_gone_within(patience()));
    root.0.wait().unwrap();
    if victim != "root" {
        let left: Vec<_> = std::fs::read_dir(notes.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes"], "the tree left files behind");
    }
}

fn watch(pid: &str) -> Watched {
    Watched::new(pid.parse().unwrap())
}

/// The root of the tree, in a process of its own.
pub(crate) fn root(notes: &str, args: &str) {
    let (protocol, moment, hangs): (String, Moment, String) = serde_json::from_str(args).unwrap();
    let config = over(&protocol);
    let tree = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let mut start = n.start_actor("mid").enable(module_path!());
            if hangs == "mid" {
                start = start.env("IT_BEFORE_ENTRY", format!("hang {notes}"));
            }
            let mid = start.await?;
            mid.run(supervise_leaf(notes.to_owned(), moment, hangs == "leaf")).await
        })
        .await
    });
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    note(notes, format!("ended: {:?}", ended.unwrap_err()));
}
