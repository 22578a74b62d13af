//! What actors leave behind, and what the program around the tree has started itself: the first ends with the
//! root, whatever it has fled into; the second is never waited for and never signalled by the tree.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{EndedBy, WaitStatus};

use crate::support::{
    Notes, PROCESSES, RootProcess, Watched, copy_program, in_nursery, in_root, note, over, patience, state, test,
    test_fn,
};

/// Starts processes that leave their parent, their group and their session; returns their numbers.
#[pleach::rpc]
pub(crate) async fn leave_daemons() -> anyhow::Result<Vec<u32>> {
    let ways = [
        // In the actor's group.
        "sleep 1000 >&- 2>&- & echo $!",
        // In a session of its own.
        "setsid sleep 1000 >&- 2>&- & echo $!",
        // Twice forked, in a session of its own, under an actor's name, with an empty environment.
        "(setsid env -i bash -c 'exec -a pl:worker sleep 1000' >&- 2>&- & echo $!) & wait",
        // Deaf to everything that can be ignored.
        "setsid sh -c 'trap \"\" TERM HUP INT; exec sleep 1000' >&- 2>&- & echo $!",
    ];
    ways.into_iter().map(shell).collect()
}

/// Starts `count` processes that end soon, orphaned and as leaders of sessions; returns their numbers.
#[pleach::rpc]
async fn orphan(count: usize) -> anyhow::Result<Vec<u32>> {
    (0..count).map(|_| shell("setsid sleep 0.1 >&- 2>&- & echo $!")).collect()
}

fn shell(script: &str) -> anyhow::Result<u32> {
    let output = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// As [`leave_daemons`], one level down.
#[pleach::rpc]
async fn leave_daemons_below() -> Result<Vec<u32>> {
    pleach::open_nursery(async |n| n.run_in_actor(leave_daemons()).await?.result().await).await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        tests.push(test(format!("descendants::daemons_of_actors_end_with_the_root_over_{protocol}"), move || {
            daemons_of_actors_end_with_the_root(protocol)
        }));
    }
    tests.push(test_fn(orphaned_leaders_of_sessions_are_reaped));
    tests.push(test_fn(children_of_the_program_keep_life_and_status));
    tests.push(Trial::test("descendants::the_first_process_of_a_container_reaps", || {
        the_first_process_of_a_container_reaps();
        Ok(())
    }));
    tests.push(Trial::test("descendants::orphans_go_where_they_went_before_once_the_last_root_has_ended", || {
        orphans_go_where_they_went_before_once_the_last_root_has_ended();
        Ok(())
    }));
    tests.push(test_fn(an_actor_that_kill_does_not_end_is_left_and_reported));
    tests
}

async fn daemons_of_actors_end_with_the_root(protocol: &'static str) {
    let mut left = Vec::new();
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            left.extend(n.run_in_actor(leave_daemons()).await?.result().await?);
            left.extend(n.run_in_actor(leave_daemons_below()).await?.result().await?);
            assert_eq!(left.len(), 8);
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
    let alive: Vec<_> = left.into_iter().filter(|pid| is_alive(*pid)).collect();
    assert!(alive.is_empty(), "{alive:?} have outlived the root");
}

pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

async fn orphaned_leaders_of_sessions_are_reaped() {
    in_nursery(over("uds"), async |n| {
        let orphans = n.run_in_actor(orphan(20)).await?.result().await?;
        assert_reaped(&orphans).await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn assert_reaped(orphans: &[u32]) {
    let until = Instant::now() + patience();
    while orphans.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
        assert!(Instant::now() < until, "some of {orphans:?} are zombies");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The root is process 1 of its namespace: all orphans are its children, whatever they come from.
fn the_first_process_of_a_container_reaps() {
    let may = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: this user may make no namespaces");
    }
    let notes = Notes::new();
    let container = ["unshare", "--pid", "--fork", "--mount-proc"];
    let mut root = RootProcess::spawn(RootProcess::command_under(&container, "first_process", &notes, ""));
    assert_eq!(notes.next(), "1: all reaped");
    assert!(root.0.wait().unwrap().success());
}

/// Runs as process 1.
pub(crate) fn first_process_root(notes: &str) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(orphaned_leaders_of_sessions_are_reaped());
    note(notes, format!("{}: all reaped", std::process::id()));
}

fn orphans_go_where_they_went_before_once_the_last_root_has_ended() {
    let notes = Notes::new();
    let mut root = RootProcess::start("orphans", &notes, "");
    assert_eq!(notes.next(), "before false, in two true, in one true, after false");
    assert!(root.0.wait().unwrap().success());
}

/// Notes whether this process is the one that gets orphans: before, in and after the lives of its roots.
pub(crate) fn orphans_root(notes: &str) {
    let adopts = || rustix::process::child_subreaper().unwrap().is_some();
    let before = adopts();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inside = tokio.block_on(async {
        let (two_begun, one_ended) = (tokio::sync::Barrier::new(2), tokio::sync::Notify::new());
        let one = async {
            in_nursery(over("uds"), async |n| {
                n.run_in_actor(orphan(0)).await?.result().await.unwrap();
                two_begun.wait().await;
                Ok(())
            })
            .await
            .unwrap();
            one_ended.notify_one();
        };
        let other = in_nursery(over("uds"), async |n| {
            n.run_in_actor(orphan(0)).await?.result().await.unwrap();
            two_begun.wait().await;
            let in_two = adopts();
            one_ended.notified().await;
            Ok((in_two, adopts()))
        });
        tokio::join!(one, other).1.unwrap()
    });
    note(notes, format!("before {before}, in two {}, in one {}, after {}", inside.0, inside.1, adopts()));
}

/// Children of the program with every look that an actor's process, or a part of one, may have.
// Once the root took the statuses of some, and killed others with the group of an actor.
async fn children_of_the_program_keep_life_and_status() {
    let notes = Notes::new();
    let mut strangers = Vec::new();
    in_nursery(over("uds"), async |n| {
        let actor = n.start_actor("actor").enable(module_path!()).await?;
        let groups = [rustix::process::getpgrp().as_raw_nonzero().get(), 0, actor.id().pid() as i32];
        for name in ["sh", "pl:actor", "exe", "pleach-spawn"] {
            let path = notes.dir().join(name);
            copy_program(Path::new("/bin/sh"), &path);
            for group in groups {
                for script in ["exit 7", "kill -KILL $$", "read line; exit 8"] {
                    let mut command = Command::new(&path);
                    command.args(["-c", script]).process_group(group).stdin(Stdio::piped());
                    strangers.push((format!("{name} in {group}: {script}"), command.spawn().unwrap()));
                }
            }
        }
        actor.run(orphan(3)).await?; // their ends make the root look
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
    for (what, child) in &mut strangers {
        assert_kept(what, child);
    }
}

fn assert_kept(what: &str, child: &mut Child) {
    drop(child.stdin.take()); // ends the last one
    let status = child.wait().unwrap_or_else(|error| panic!("{what}: its status is lost: {error}"));
    let ended = (status.code(), status.signal());
    let expected = match what {
        what if what.ends_with("exit 7") => (Some(7), None),
        what if what.ends_with("exit 8") => (Some(8), None),
        _ => (None, Some(9)),
    };
    assert_eq!(ended, expected, "{what}");
}

/// A frozen process can't be killed, as one that waits for a broken disk.
async fn an_actor_that_kill_does_not_end_is_left_and_reported() {
    let quick = Duration::from_millis(100);
    let config = Config { give_up_after: quick, kill_after: quick, ..over("uds") };
    let Some(freezer) = Freezer::new() else { return eprintln!("skipped: there is no freezer of control groups") };
    in_nursery(config, async |n| {
        let actor = n.start_actor("frozen").await?;
        let watched = Watched::new(actor.id().pid());
        freezer.freeze(actor.id().pid());
        n.kill().await;
        let report = n.report();
        let ending = &report.endings[0];
        assert_eq!((ending.by, ending.status), (EndedBy::StillThere, WaitStatus::Unknown), "{report}");
        let why = ending.why.as_deref().unwrap();
        assert!(why.ends_with("it was still there 100ms after SIGKILL"), "{why}");
        freezer.thaw();
        watched.assert_gone_within(patience());
        Ok(())
    })
    .await
    .unwrap();
}

/// A control group whose processes can be frozen. Dropping it thaws them.
struct Freezer(PathBuf);

impl Freezer {
    fn new() -> Option<Self> {
        let group = PathBuf::from(format!("/sys/fs/cgroup/freezer/pleach-it-{}", std::process::id()));
        std::fs::create_dir(&group).is_ok().then(|| Self(group))
    }

    fn freeze(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
        std::fs::write(self.0.join("freezer.state"), "FROZEN").unwrap();
        while std::fs::read_to_string(self.0.join("freezer.state")).unwrap().trim() != "FROZEN" {
            std::thread::yield_now();
        }
    }

    fn thaw(&self) {
        std::fs::write(self.0.join("freezer.state"), "THAWED").unwrap();
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
        while std::fs::read_to_string(self.0.join("cgroup.procs")).is_ok_and(|left| !left.is_empty()) {
            std::thread::yield_now();
        }
        std::fs::remove_dir(&self.0).unwrap();
    }
}
