//! Control groups of actors: entered, bounded, removed. What a host does not have is refused with words, and these tests
//! look for those instead.

#![expect(clippy::unwrap_used, reason = "these are tests, though not by an attribute that clippy knows")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use pleach::leftovers::{self, What};
use pleach::prelude::*;
use pleach::{Cgroup, Error, WaitStatus};
use pleach_patience::patience;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

fn main() -> ExitCode {
    pleach::init();
    let tests = vec![
        test("a_group_is_entered_and_removed_with_all_in_it", removed),
        test("bounds_hold_or_are_refused", bounds),
        test("a_group_whose_maker_was_killed_is_found_and_removed", left),
        test("a_place_that_is_none_is_refused", no_place),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn test<F>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bound = 3 * patience();
        let ended = tokio.block_on(async { tokio::time::timeout(bound, body()).await });
        ended.map_err(|_| Failed::from(format!("did not end within {bound:?}")))
    })
}

async fn in_nursery<T, F>(body: impl FnOnce(Nursery) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let config = Config { transport: "uds".into(), ..Config::default() };
    pleach::open_root(config, async |_| pleach::open_nursery(body).await).await
}

/// Where this host has cgroup v2, if this user may make groups there.
fn place() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = Path::new(mount).join(own.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let tried = own.join(format!("tried-by-{}", std::process::id()));
    let made = fs::create_dir(&tried);
    if made.is_ok() {
        fs::remove_dir(tried).unwrap();
    }
    made.is_ok().then_some(own)
}

fn assert_refused<T>(started: Result<T>) {
    let said = format!("{:?}", started.err().expect("this host has no groups for this user"));
    assert!(said.contains("no control group for it: "), "{said}");
}

#[pleach::rpc]
async fn own_group() -> anyhow::Result<String> {
    let own = fs::read_to_string("/proc/self/cgroup")?;
    Ok(own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned())
}

/// Starts a program that leaves this actor's side; returns its process.
#[pleach::rpc]
async fn starts_a_program() -> anyhow::Result<u32> {
    let mut leaves = Command::new("sleep");
    leaves.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut leaves, 0);
    Ok(leaves.spawn()?.id())
}

fn watch(pid: u32) -> std::os::fd::OwnedFd {
    pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap()
}

fn assert_gone(process: &std::os::fd::OwnedFd) {
    let bound = Timespec::try_from(patience()).unwrap();
    assert_eq!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&bound)), Ok(1), "it is still there");
}

async fn removed() {
    in_nursery(async |n| {
        let start = n.start_actor("bounded").enable(module_path!()).cgroup(Cgroup::new());
        let Some(place) = place() else {
            assert_refused(start.await);
            return Ok(());
        };
        let there = start.await?;
        let group = there.run(own_group()).await?;
        let group = place.join(group.rsplit('/').next().unwrap());
        assert!(group.is_dir() && group.parent() == Some(&*place), "{}", group.display());
        let program = watch(there.run(starts_a_program()).await?);
        there.cancel_actor().await?;
        let ending = there.exited().await?;
        assert_eq!(ending.status, WaitStatus::Exited(0));
        assert_gone(&program);
        assert!(!group.exists());
        // Others are where their parent is.
        let usual = n.start_actor("usual").enable(module_path!()).await?;
        assert_eq!(place.join(usual.run(own_group()).await?).components().count(), place.components().count());
        usual.cancel_actor().await
    })
    .await
    .unwrap();
}

/// Uses memory until it is stopped.
#[pleach::rpc]
async fn eats() -> Result<u64> {
    let mut eaten = Vec::new();
    for _ in 0..4096 {
        eaten.push(vec![1_u8; 1 << 20]);
    }
    Ok(eaten.len() as u64)
}

async fn bounds() {
    let has_memory = place().is_some_and(|at| {
        let read = |file| fs::read_to_string(at.join(file)).unwrap_or_default();
        read("cgroup.controllers").contains("memory") && (at.parent().is_none() || read("cgroup.procs").is_empty())
    });
    let ended = in_nursery(async |n| {
        let bounds = Cgroup::new().memory_max(256 << 20);
        let there = n.start_actor("eater").enable(module_path!()).cgroup(bounds).await?;
        there.run(eats()).await
    });
    let error = ended.await.unwrap_err();
    match error.actor_died() {
        Some(died) if has_memory => assert_eq!(died.status, WaitStatus::OutOfMemory),
        _ => assert_refused(Err::<(), _>(error)),
    }
}

/// Starts an actor in a group, and tells its process and its group.
#[pleach::context]
async fn starts_one(ctx: &mut Context<(u32, String), (), ()>) -> Result<()> {
    pleach::open_nursery(async |n| {
        let inner = n.start_actor("inner").enable(module_path!()).cgroup(Cgroup::new()).await?;
        ctx.started((inner.id().pid(), inner.run(own_group()).await?)).await?;
        std::future::pending().await
    })
    .await
}

async fn left() {
    let Some(place) = place() else { return };
    let ended = in_nursery(async |n| {
        let outer = n.start_actor("outer").enable(module_path!()).await?;
        let killed = outer.open_context(starts_one(), async |_ctx, (inner, group): (u32, String)| {
            let group = place.join(group.rsplit('/').next().unwrap());
            let found = || {
                let found = leftovers::find(&Config::default()).unwrap();
                found.into_iter().find(|left| *left.what() == What::ControlGroup(group.clone()))
            };
            let (inner, maker) = (watch(inner), watch(outer.id().pid()));
            assert!(group.is_dir() && found().is_none(), "its maker lives");
            kill_process(Pid::from_raw(outer.id().pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
            assert_gone(&maker);
            assert_gone(&inner);
            // The next one that is made there may have removed it.
            if let Some(left) = found() {
                assert!(left.to_string().contains("control group"), "{left}");
                left.remove(patience()).unwrap();
            }
            assert!(!group.exists());
            pleach::Ok(())
        });
        killed.await
    });
    let error = ended.await.unwrap_err();
    assert!(error.actor_died().is_some(), "{error}");
}

async fn no_place() {
    in_nursery(async |n| {
        for (place, why) in [("/proc", "not a directory of a cgroup v2 file system"), ("/nowhere", "No such file")] {
            let started = n.start_actor("bounded").cgroup(Cgroup::new().below(place)).await;
            let Err(Error::Spawn { why: said, .. }) = started else { panic!("it was started") };
            assert!(said.contains(place) && said.contains(why), "{said}");
        }
        let on_a_thread = n.start_actor("thread").transport("mem").cgroup(Cgroup::new()).await;
        assert!(on_a_thread.is_err_and(|error| error.to_string().contains("no process")));
        Ok(())
    })
    .await
    .unwrap();
}
