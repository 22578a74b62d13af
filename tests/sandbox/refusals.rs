//! A sandbox that can't be had is an error, and never a smaller one.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};

use libtest_mimic::Trial;
use pleach::Sandbox;
use pleach::prelude::*;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

use crate::{assert_says, in_nursery, test};

pub(crate) fn tests() -> Vec<Trial> {
    let kernels = [
        ("without_landlock", libc::ENOSYS, "has no Landlock"),
        ("with_landlock_disabled", libc::EOPNOTSUPP, "`lsm=…`"),
        // An error of 0 is an answer: version 0.
        ("with_an_older_landlock", 0, "version 0 of Landlock, and 6 is needed (Linux 6.12)"),
    ];
    let kernels = kernels.map(|(name, error, says)| {
        test(format!("refusals::a_kernel_{name}_starts_nothing"), move || kernel(error, says))
    });
    let others = [
        test("refusals::a_path_that_is_not_there_is_named", missing),
        test("refusals::an_actor_on_a_thread_has_none", on_a_thread),
        test("refusals::threads_that_were_there_before_are_an_error", threads),
        test("refusals::actors_in_it_start_no_others_and_find_none", children),
    ];
    kernels.into_iter().chain(others).collect()
}

/// Says what a start of an actor in a sandbox came to, in a process whose kernel answers questions for Landlock so.
#[pleach::rpc]
async fn starts_one(error: i32) -> Result<String> {
    let calls: BTreeMap<_, _> = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
    let answer = SeccompAction::Errno(error.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter: BpfProgram = SeccompFilter::new(calls, SeccompAction::Allow, answer, arch).unwrap().try_into().unwrap();
    apply_filter_all_threads(&filter).unwrap();
    pleach::open_nursery(async |n| {
        let started = n.start_actor("inner").sandbox(Sandbox::new()).await;
        Ok(format!("{:?}", started.expect_err("the kernel has no Landlock")))
    })
    .await
}

// SEC-31
async fn kernel(error: i32, says: &'static str) {
    in_nursery("uds", async |n| {
        let outer = n.start_actor("outer").enable(module_path!()).await?;
        let said = outer.run(starts_one(error)).await?;
        assert!(said.contains("inner") && said.contains("sandbox") && said.contains(says), "{said}");
        outer.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn missing() {
    in_nursery("uds", async |n| {
        let started = n.start_actor("reader").sandbox(Sandbox::new().read("/nowhere/at/all")).await;
        assert_says(&started, &["reader", "sandbox", "/nowhere/at/all: No such file"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn on_a_thread() {
    in_nursery("uds", async |n| {
        let started = n.start_actor("thread").transport("mem").sandbox(Sandbox::new()).await;
        assert_says(&started, &["thread", "over `mem`", "no process"]);
        Ok(())
    })
    .await
    .unwrap();
}

/// Starts a thread before the process becomes an actor, if its environment says so.
pub(crate) fn thread_before_entry() -> Option<JoinHandle<()>> {
    std::env::var_os(THREAD_BEFORE).map(|_| thread::spawn(thread::park))
}

const THREAD_BEFORE: &str = "TEST_THREAD_BEFORE";

async fn threads() {
    in_nursery("uds", async |n| {
        let started = n.start_actor("late").env(THREAD_BEFORE, "1").sandbox(Sandbox::new()).await;
        assert_says(&started, &["late", "2 threads already", "start none before `pleach::init()`"]);
        Ok(())
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn wants_a_child() -> Result<String> {
    let started = pleach::open_nursery(async |n| n.start_actor("child").until_body_ends().await.map(drop)).await;
    Ok(format!("{started:?}"))
}

/// Starts an actor on a thread of its process, and calls it.
#[pleach::rpc]
async fn has_one_on_a_thread() -> Result<String> {
    pleach::open_nursery(async |n| {
        let thread = n.start_actor("thread").transport("mem").enable(module_path!()).until_body_ends().await?;
        thread.run(reads()).await
    })
    .await
}

#[pleach::rpc]
async fn reads() -> Result<String> {
    Ok(std::fs::read("/etc/passwd").map_or_else(|error| format!("{:?}", error.kind()), |_| "open".into()))
}

/// Has an actor in a sandbox that is not a child of the registrar, and looks for others there.
#[pleach::rpc]
async fn has_one_below() -> Result<String> {
    pleach::open_nursery(async |n| {
        let start = n.start_actor("below").enable(module_path!()).until_body_ends();
        start.sandbox(Sandbox::new()).await?.run(wants_another("sibling".into())).await
    })
    .await
}

/// Dials another actor.
#[pleach::rpc]
async fn wants_another(name: String) -> Result<String> {
    let found = match pleach::find_actor(&name).await {
        Ok(Some(found)) => found.run(wants_a_child()).await.map(|_| "it was called".to_owned()),
        Ok(None) => Ok("not found".into()),
        Err(error) => Err(error),
    };
    Ok(format!("{found:?}"))
}

async fn children() {
    for transport in crate::PROCESSES {
        in_nursery(transport, async |n| {
            let sibling = n.start_actor("sibling").enable(module_path!()).await?;
            let inner = n.start_actor("inner").enable(module_path!()).sandbox(Sandbox::new()).await?;
            let said = inner.run(wants_a_child()).await?;
            assert!(said.contains("an actor in a sandbox starts no processes"), "{said}");
            let said = inner.run(wants_another("sibling".into())).await?;
            assert!(said.contains("not permitted"), "{said}");
            assert_eq!(inner.run(has_one_on_a_thread()).await?, "PermissionDenied");
            let said = sibling.run(has_one_below()).await?;
            assert!(said.starts_with("Err("), "{said}");
            // It does not listen: only its parent calls it.
            let said = sibling.run(wants_another("inner".into())).await?;
            assert!(said.contains("listens nowhere"), "{said}");
            inner.cancel_actor().await?;
            sibling.cancel_actor().await
        })
        .await
        .unwrap();
    }
}
