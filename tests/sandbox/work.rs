//! What goes on working in a sandbox: calls, streams, large messages, panics, ends.

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{EndedBy, Sandbox};
use pleach_patience::patience;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::{PROCESSES, assert_says, in_nursery, test};

pub(crate) fn tests() -> Vec<Trial> {
    let each = PROCESSES
        .map(|transport| test(format!("work::an_actor_in_it_works_and_ends_{transport}"), move || works(transport)));
    let others = [
        test("work::a_pool_of_them_is_called", pool),
        test("work::a_crash_waits_for_no_debugger", debugged),
        #[cfg(feature = "crashes")]
        test("work::code_that_crashes_says_where", crashed),
        test("work::its_parent_ends_it", killed),
        test("work::it_does_not_outlive_its_parent", orphaned),
    ];
    each.into_iter().chain(others).collect()
}

#[pleach::rpc]
async fn sum(numbers: Vec<u64>) -> Result<u64> {
    Ok(numbers.iter().sum())
}

#[pleach::stream]
async fn count(out: &mut StreamSender<u64>, to: u64) -> Result<()> {
    for number in 0..to {
        out.send(number).await?;
    }
    Ok(())
}

#[pleach::rpc]
async fn panics() -> Result<()> {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    panic!("as it does")
}

#[pleach::rpc]
async fn stays() -> Result<()> {
    std::future::pending().await
}

/// Has a thread for blocking work, random numbers, the time, and its own size.
#[pleach::rpc]
async fn has_what_it_needs() -> anyhow::Result<usize> {
    let computed = tokio::task::spawn_blocking(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1));
    computed.await?;
    let _when = std::time::SystemTime::now();
    let (_random, _null) = (std::fs::File::open("/dev/urandom")?, std::fs::read("/dev/null")?);
    Ok(std::fs::read_to_string("/proc/self/statm")?.len() + std::fs::read_to_string("/proc/self/maps")?.len())
}

async fn works(transport: &'static str) {
    in_nursery(transport, async |n| {
        let there = n.start_actor("worker").enable(module_path!()).sandbox(Sandbox::new()).await?;
        let numbers: Vec<u64> = (0..200_000).collect();
        assert_eq!(there.run(sum(numbers)).await?, 19_999_900_000);
        let counted = there.open_stream_from(count(1000), async |mut numbers| {
            let mut came = 0;
            while let Some(number) = numbers.recv().await? {
                assert_eq!(number, came);
                came += 1;
            }
            pleach::Ok(came)
        });
        assert_eq!(counted.await?, 1000);
        assert!(there.run(has_what_it_needs()).await? > 0);
        let panicked = there.run(panics()).await.unwrap_err();
        assert!(panicked.to_string().contains("as it does"), "{panicked}");
        assert_eq!(there.run(sum(vec![1, 2])).await?, 3);
        there.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn pool() {
    in_nursery("uds", async |n| {
        let workers = n.start_actor("worker").enable(module_path!()).sandbox(Sandbox::new());
        let pool = workers.pool(3).await?;
        let mut results = pool.map_unordered(0..100, |item| sum(vec![item, 1]));
        let mut came = 0;
        while let Some((number, result)) = results.next().await {
            assert_eq!(result?, number as u64 + 1);
            came += 1;
        }
        assert_eq!(came, 100);
        drop(results);
        Ok(())
    })
    .await
    .unwrap();
}

/// The terminal is the root's, and out of reach.
async fn debugged() {
    let ended = in_nursery("uds", async |n| {
        let start = n.start_actor("worker").enable(module_path!()).debug_mode(true);
        let there = start.sandbox(Sandbox::new()).await?;
        there.run(panics()).await
    });
    assert_says(&ended.await, &["as it does"]);
}

#[cfg(feature = "crashes")]
#[pleach::rpc]
async fn crashes() -> Result<()> {
    std::process::abort()
}

#[cfg(feature = "crashes")]
async fn crashed() {
    let ended = in_nursery("uds", async |n| {
        let there = n.start_actor("worker").enable(module_path!()).sandbox(Sandbox::new()).await?;
        there.run(crashes()).await
    });
    assert_says(&ended.await, &["was killed by signal 6", "it was here:", "work::crashes", "work.rs:"]);
}

async fn killed() {
    in_nursery("uds", async |n| {
        let there = n.start_actor("worker").enable(module_path!()).sandbox(Sandbox::new()).await?;
        let (called, ending) = tokio::join!(there.run(stays()), there.kill());
        assert!(called.is_err());
        assert!(ending?.by >= EndedBy::Sigterm);
        Ok(())
    })
    .await
    .unwrap();
}

/// Starts one in a sandbox, and tells its process.
#[pleach::context]
async fn starts_one(ctx: &mut Context<u32, (), ()>) -> Result<()> {
    pleach::open_nursery(async |n| {
        let inner = n.start_actor("inner").sandbox(Sandbox::new()).await?;
        ctx.started(inner.id().pid()).await?;
        stays().await
    })
    .await
}

async fn orphaned() {
    let ended = in_nursery("uds", async |n| {
        let outer = n.start_actor("outer").enable(module_path!()).await?;
        let killed = outer.open_context(starts_one(), async |_ctx, inner: u32| {
            let process = |pid: u32| Pid::from_raw(pid.cast_signed()).unwrap();
            let inner = pidfd_open(process(inner), PidfdFlags::empty()).unwrap();
            kill_process(process(outer.id().pid()), Signal::KILL).unwrap();
            let bound = Timespec::try_from(patience()).unwrap();
            assert_eq!(
                poll(&mut [PollFd::new(&inner, PollFlags::IN)], Some(&bound)),
                Ok(1),
                "it has outlived its parent"
            );
            pleach::Ok(())
        });
        killed.await.map(drop)
    });
    assert_says(&ended.await, &["outer", "SIGKILL"]);
}
