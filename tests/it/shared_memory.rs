//! Trees over shared memory: what they hold, and that nothing of it is left.

use std::fs;

use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{in_nursery, over, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test_fn(a_hundred_actors_leave_no_memory_and_no_descriptor)]
}

#[pleach::rpc]
async fn square(number: u64) -> Result<u64> {
    Ok(number * number)
}

/// How many descriptors this process has, and how many mappings of memory that it shares.
fn held() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let mappings = fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, mappings.lines().filter(|line| line.contains("memfd:pleach")).count())
}

/// Has so many children at once; returns the sum of their answers, and what this process holds meanwhile.
async fn squares(children: u64) -> Result<(u64, (usize, usize))> {
    pleach::open_nursery(async |n| {
        let start = async |number| n.start_actor(format!("child-{number}")).enable(module_path!()).await;
        let portals = try_join_all((0..children).map(start)).await?;
        let answers = (0..).zip(&portals).map(|(number, portal)| portal.run(square(number)));
        let sum = try_join_all(answers).await?.into_iter().sum();
        let held = held();
        try_join_all(portals.iter().map(Portal::cancel_actor)).await?;
        Ok((sum, held))
    })
    .await
}

/// Counts in a process of its own, whose connection to its parent stays.
#[pleach::rpc]
async fn many_come_and_go() -> anyhow::Result<()> {
    let own = held().1;
    squares(1).await?; // so that it listens
    while held().1 != own {
        tokio::task::yield_now().await; // the last connection is being closed
    }
    let before = held().0;
    let (sum, meanwhile) = squares(100).await?;
    anyhow::ensure!(sum == (0..100).map(|number| number * number).sum::<u64>(), "{sum}");
    anyhow::ensure!(meanwhile.0 >= before + 500 && meanwhile.1 >= own + 200, "{before}, {own}, then {meanwhile:?}");
    while held().0 > before || held().1 > own {
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn a_hundred_actors_leave_no_memory_and_no_descriptor() {
    in_nursery(over("shm"), async |n| n.run_in_actor(many_come_and_go()).await?.result().await).await.unwrap();
    let left = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let left: Vec<_> =
        left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("pleach")).collect();
    assert!(left.is_empty(), "{left:?}");
}
