//! Pools over two hosts, and what processes there are set up with.

use std::collections::BTreeSet;
use std::process;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Resource, Retry};
use rustix::process::{Signal, kill_process};

use crate::site::{dir, expect_nothing_left, host, in_nursery, node, raw, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("pools::each_item_has_one_result_whatever_dies", deaths),
        test("pools::a_process_there_is_set_up_as_one_here", set_up),
        #[cfg(feature = "sandbox")]
        test("pools::a_process_there_is_in_its_sandbox", in_sandbox),
    ]
}

const ITEMS: u64 = 10_000;

const fn is_poison(item: u64) -> bool {
    item % 500 == 77
}

/// Ends its process if the item is a bad one.
#[pleach::rpc]
async fn work(item: u64) -> Result<(u64, u32)> {
    tokio::task::yield_now().await;
    if is_poison(item) {
        process::abort();
    }
    Ok((2 * item, process::id()))
}

#[pleach::rpc]
async fn found() -> anyhow::Result<(String, Vec<String>, i32, String)> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let cwd = std::env::current_dir()?.display().to_string();
    Ok((cwd, std::env::args().skip(2).collect(), rustix::process::getpriority_process(None)?, files.to_owned()))
}

async fn deaths() {
    in_nursery(Config::default(), async |n| {
        let workers = n.start_actor("far").enable(module_path!());
        let pool = workers.pool(4).hosts([node(), host("other")]).in_flight(16).retries(2).await?;
        let mut results = pool.map_unordered(0..ITEMS, work);
        let (mut came, mut poison, mut killed) = (BTreeSet::new(), 0, 0);
        while let Some((number, result)) = results.next().await {
            assert!(came.insert(number), "{number} came twice");
            let item = number as u64;
            match result {
                Ok((double, worker)) => {
                    assert_eq!(double, 2 * item);
                    if came.len().is_multiple_of(1_500) {
                        let _ = kill_process(raw(worker), Signal::KILL); // it may be gone
                        killed += 1;
                    }
                }
                Err(Error::Poison(why)) => {
                    assert!(is_poison(item), "{item} is innocent: {why}");
                    poison += 1;
                }
                Err(other) => panic!("{item}: {other}"),
            }
        }
        drop(results);
        assert_eq!((came.len() as u64, poison), (ITEMS, 20));
        assert!(killed > 0 && pool.progress().restarted >= 20, "{:?}", pool.progress());
        Ok(())
    })
    .await
    .unwrap();
    expect_nothing_left();
}

async fn set_up() {
    let tmp = dir().join("tmp").canonicalize().unwrap();
    in_nursery(Config::default(), async |n| {
        let start = n.start_actor("far").on(node()).enable(module_path!());
        let far = start.cwd(&tmp).args(["--size", "7"]).nice(3).limit(Resource::OpenFiles, 200).await?;
        let (cwd, args, nice, files) = far.run(found()).retry(Retry::times(1)).await?;
        assert_eq!((cwd, args, nice), (tmp.display().to_string(), vec!["--size".into(), "7".into()], 3));
        assert!(files.split_whitespace().any(|word| word == "200"), "{files}");
        far.cancel_actor().await
    })
    .await
    .unwrap();
}

/// Reads two files, and starts a program.
#[cfg(feature = "sandbox")]
#[pleach::rpc]
async fn tries(allowed: String) -> Result<[bool; 3]> {
    let reads = |file: &str| std::fs::read(file).is_ok();
    Ok([reads(&allowed), reads("/etc/passwd"), process::Command::new("/bin/true").status().is_ok()])
}

#[cfg(feature = "sandbox")]
async fn in_sandbox() {
    let allowed = dir().join("allowed").display().to_string();
    std::fs::write(&allowed, "text").unwrap();
    for transport in ["quic", "tls+tcp"] {
        in_nursery(Config::default(), async |n| {
            let start = n.start_actor("far").on(node()).transport(transport).enable(module_path!());
            let far = start.sandbox(pleach::Sandbox::new().read(&allowed)).await?;
            assert_eq!(far.run(tries(allowed.clone())).await?, [true, false, false]);
            far.cancel_actor().await?;
            let missing = pleach::Sandbox::new().read("/nowhere/at/all");
            let refused = n.start_actor("far").on(node()).sandbox(missing).await.unwrap_err();
            assert!(format!("{refused:?}").contains("/nowhere/at/all"), "{refused:?}");
            Ok(())
        })
        .await
        .unwrap();
    }
    expect_nothing_left();
}
