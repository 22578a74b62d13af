//! An integration test of a library crate, and what the harness shows of its actors.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::process::Command;

use actors::prelude::*;
use pleach_users_crate::{Counter, about, add, prints};

#[actors::test(crate = actors)]
async fn functions_of_the_library_and_of_the_test() -> Result<()> {
    actors::open_nursery(async |n| {
        let portal = n.start_actor("worker").enable("pleach_users_crate").enable(module_path!()).await?;
        assert_eq!(portal.run(add(1, 2)).await?, 3);
        assert_eq!(portal.run(local()).await?, "local");
        let counter = n.start(Counter::new(1)).await?;
        assert_eq!(counter.add(1).await?, 2);
        n.cancel().await;
        Ok(())
    })
    .await
}

#[actors::rpc(crate = actors)]
async fn local() -> Result<String> {
    Ok("local".into())
}

/// Each test has a root of its own, and so its own actor of that name.
macro_rules! beside_others {
    ($($name:ident)*) => {$(
        #[actors::test(crate = actors)]
        async fn $name() -> Result<()> {
            actors::open_nursery(async |n| {
                let portal = n.start_actor("namesake").enable("pleach_users_crate").await?;
                assert_eq!(actors::find_actor("namesake").required().await?.id(), portal.id());
                let mut pids = BTreeSet::new();
                for _ in 0..3 {
                    let (pid, arguments) = portal.run(about()).await?;
                    assert_eq!(arguments.last().map(String::as_str), Some(stringify!($name)), "it enters by this test");
                    pids.insert(pid);
                }
                assert_eq!(pids.len(), 1);
                portal.cancel_actor().await
            })
            .await
        }
    )*};
}

beside_others!(one two three four five six seven eight);

/// Another attribute's test, in a program with at least one of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokios_own_attribute() -> Result<()> {
    actors::open_nursery(async |n| {
        assert_ne!(n.run_in_actor(about()).await?.result().await?.0, std::process::id());
        Ok(())
    })
    .await
}

#[actors::test(crate = actors)]
#[ignore = "for `what_an_actor_prints_is_what_the_actor_has_printed`"]
async fn prints_two_lines() -> Result<()> {
    actors::open_nursery(async |n| {
        n.run_in_actor(prints("first line".into())).await?.result().await?;
        n.run_in_actor(prints("second line".into())).await?.result().await
    })
    .await
}

/// A child is one more run of the harness, which stays silent.
#[test]
fn what_an_actor_prints_is_what_the_actor_has_printed() {
    let this = std::env::current_exe().unwrap();
    let ran = Command::new(this).args(["--ignored", "--exact", "prints_two_lines", "--nocapture"]).output().unwrap();
    let printed = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{printed}");
    let lines: Vec<_> = printed.lines().filter(|line| !line.is_empty() && !line.starts_with("test result")).collect();
    assert!(lines.contains(&"first line") && lines.contains(&"second line"), "{printed}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("running ")).count(), 1, "{printed}");
}
