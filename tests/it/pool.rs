//! Pools: results, deaths and their causes, time-outs, keys, replacement, ends.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Backoff, Pool, PoolStart, Retry};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    NoteOnDrop, Notes, PROCESSES, assert_says, in_nursery, is_there, matrix_fn, matrix_over, note, over, patience,
    soon, test_fn,
};

#[pleach::rpc]
async fn double(n: u64) -> Result<u64> {
    Ok(2 * n)
}

#[pleach::rpc]
async fn refuse(n: u64) -> Result<u64> {
    Err(Error::Usage(format!("{n} is not welcome")))
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(process::id())
}

/// Ends its process if it is one of the bad ones; returns the process that it is in.
#[pleach::rpc]
async fn kills_some(n: u64) -> Result<u32> {
    tokio::task::yield_now().await;
    if is_poison(n) {
        process::abort();
    }
    Ok(process::id())
}

const fn is_poison(n: u64) -> bool {
    n % 40 == 7
}

/// Never returns by itself, and notes when it is dropped.
#[pleach::rpc]
async fn lingers(notes: String) -> Result<u32> {
    let _dropped = NoteOnDrop(notes.clone(), "dropped");
    note(&notes, "begun");
    std::future::pending().await
}

/// Blocks the thread of its worker for ever, if told.
#[pleach::rpc]
async fn may_block(blocks: bool) -> Result<u32> {
    if blocks {
        loop {
            std::thread::park();
        }
    }
    Ok(process::id())
}

/// Never returns when it is called for the first time.
#[pleach::rpc]
async fn slow_once(marker: PathBuf, notes: String) -> Result<u32> {
    if std::fs::File::create_new(marker).is_ok() {
        return lingers(notes).await;
    }
    Ok(process::id())
}

/// Keeps so many bytes for ever.
#[pleach::rpc]
async fn leaks(bytes: usize) -> Result<u32> {
    std::mem::forget(vec![1_u8; bytes]);
    Ok(process::id())
}

/// Waits until the file is there.
#[pleach::rpc]
async fn waits_for(file: PathBuf) -> Result<u32> {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(process::id())
}

pub(crate) fn tests() -> Vec<Trial> {
    let everywhere = [
        matrix_fn(results_come_in_order_or_as_they_come),
        matrix_fn(dropped_results_cancel_what_is_under_way),
        matrix_fn(a_drained_pool_ends_what_it_has),
    ];
    let of_processes = [
        matrix_over(&PROCESSES, "pool::only_the_cause_of_a_death_is_poison", only_the_cause_of_a_death_is_poison),
        matrix_over(&PROCESSES, "pool::a_worker_that_is_blocked_is_replaced", a_worker_that_is_blocked_is_replaced),
    ];
    let once = [
        test_fn(no_more_items_are_taken_than_workers_have_room_for),
        test_fn(a_late_call_ends_and_its_worker_goes_on),
        test_fn(a_second_worker_helps_out),
        test_fn(calls_of_a_key_meet_in_one_worker),
        test_fn(workers_are_replaced_in_time),
        test_fn(a_pool_ends_with_the_body_of_its_nursery),
        test_fn(a_pool_that_can_not_be_started_leaves_nothing),
        test_fn(without_retries_a_death_is_told_at_once),
    ];
    everywhere.into_iter().chain(of_processes).flatten().chain(once).collect()
}

fn pool(n: &Nursery, workers: usize) -> PoolStart {
    n.start_actor("worker").enable(module_path!()).pool(workers)
}

async fn pids(pool: &Pool, calls: usize) -> Result<BTreeSet<u32>> {
    let mut pids = BTreeSet::new();
    for _ in 0..calls {
        pids.insert(pool.run(pid()).await?);
    }
    Ok(pids)
}

async fn results_come_in_order_or_as_they_come(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let pool = pool(&n, 3).in_flight(4).await?;
        let mut unordered = pool.map_unordered(0..200, double);
        let mut numbers = BTreeSet::new();
        while let Some((number, result)) = unordered.next().await {
            assert_eq!(result?, 2 * number as u64);
            assert!(numbers.insert(number), "{number} came twice");
        }
        assert_eq!(numbers.len(), 200);
        let mut ordered = pool.map(0..200, double);
        for number in 0..200 {
            assert_eq!(ordered.next().await.unwrap()?, 2 * number);
        }
        assert!(ordered.next().await.is_none());
        // A call has options of its own.
        let late = pool.run(lingers(notes.address())).timeout(Duration::from_millis(5)).await;
        assert_says(&late, &["`lingers` in a pool", "5ms"]);
        let thrice = Retry::times(2).backoff(Backoff::none()).when(|error| matches!(error, Error::Remote(_)));
        assert_says(&pool.run(refuse(8)).retry(thrice).await, &["8 is not welcome"]);
        // A function's error is the result of its item.
        assert_says(&pool.map([7], refuse).next().await.unwrap(), &["7 is not welcome"]);
        let progress = pool.progress();
        assert_eq!((progress.done, progress.failed, progress.restarted), (400, 3, 0));
        Ok(())
    })
    .await
    .unwrap();
}

async fn only_the_cause_of_a_death_is_poison(config: Config) {
    in_nursery(config, async |n| {
        let pool = pool(&n, 3).in_flight(16).retries(2).await?;
        let (mut results, mut came, mut killed) = (pool.map_unordered(0..400, kills_some), BTreeSet::new(), 0);
        while let Some((number, result)) = results.next().await {
            assert!(came.insert(number), "{number} came twice");
            match result {
                Err(Error::Poison(poison)) => {
                    assert!(is_poison(number as u64), "{number} is innocent: {poison}");
                    assert!(poison.function == "kills_some" && poison.attempts >= 3, "{poison:?}");
                    assert!(Error::Poison(poison).actor_died().is_some());
                }
                Err(other) => panic!("{number}: {other}"),
                Ok(pid) => {
                    assert!(!is_poison(number as u64));
                    // And workers that are killed from outside, while they have calls that are innocent.
                    if came.len() % 50 == 0 {
                        let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL); // it may be gone
                        killed += 1;
                    }
                }
            }
        }
        assert_eq!(came.len(), 400);
        let progress = pool.progress();
        assert_eq!((progress.done, progress.failed, progress.poisoned), (390, 0, 10));
        assert!(killed > 0 && progress.restarted >= 10, "{progress:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn dropped_results_cancel_what_is_under_way(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let pool = pool(&n, 1).in_flight(2).await?;
        let mut results = pool.map_unordered(0..9, |_| lingers(notes.address()));
        tokio::select! {
            biased;
            result = results.next() => panic!("{result:?}"),
            () = async { for _ in 0..2 { notes.expect_async("begun").await; } } => {}
        }
        drop(results);
        notes.expect_async("dropped").await;
        notes.expect_async("dropped").await;
        assert_eq!(pool.run(double(4)).await?, 8, "the worker has room again");
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_drained_pool_ends_what_it_has(config: Config) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("go on");
    in_nursery(config, async |n| {
        let pool = pool(&n, 1).in_flight(2).await?;
        let taken = AtomicUsize::new(0);
        let items = (0..100).inspect(|_| _ = taken.fetch_add(1, Ordering::SeqCst));
        let mut results = pool.map_unordered(items, |_| waits_for(file.clone()));
        let mut take = pin!(async {
            let mut ended = 0;
            while let Some((_, result)) = results.next().await {
                result.unwrap();
                ended += 1;
            }
            ended
        });
        let mut drain = pin!(pool.drain());
        let begun = poll_fn(|cx| {
            let nothing_came = take.as_mut().poll(cx).is_pending() && taken.load(Ordering::SeqCst) == 2;
            Poll::Ready(nothing_came && drain.as_mut().poll(cx).is_pending())
        });
        assert!(begun.await);
        assert!(matches!(pool.run(double(1)).await, Err(Error::Closed(_))), "it takes no more");
        std::fs::write(&file, "").unwrap();
        let (ended, ()) = tokio::join!(take, drain);
        assert_eq!((ended, taken.load(Ordering::SeqCst)), (2, 2));
        assert!(matches!(pool.run(double(1)).await, Err(Error::Closed(_))));
        assert_eq!(n.children().len(), 0);
        Ok(())
    })
    .await
    .unwrap();
}

async fn no_more_items_are_taken_than_workers_have_room_for() {
    in_nursery(over("uds"), async |n| {
        let pool = pool(&n, 2).in_flight(3).await?;
        let taken = AtomicUsize::new(0);
        let items = || (0..).inspect(|_| _ = taken.fetch_add(1, Ordering::SeqCst));
        let mut unordered = pool.map_unordered(items(), double);
        for came in 1..10 {
            unordered.next().await.unwrap().1?;
            assert!(taken.load(Ordering::SeqCst) <= came + 6);
        }
        drop(unordered);
        taken.store(0, Ordering::SeqCst);
        let mut ordered = pool.map(items(), double);
        for came in 1..10 {
            ordered.next().await.unwrap()?;
            assert!(taken.load(Ordering::SeqCst) <= came + 12);
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_late_call_ends_and_its_worker_goes_on() {
    let notes = Arc::new(Notes::new());
    in_nursery(over("uds"), async |n| {
        let pool = pool(&n, 1).timeout(soon()).await?;
        let before = pool.run(pid()).await?;
        let late = pool.run(lingers(notes.address())).await;
        assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
        assert_says(&late, &["`lingers` in", "`worker-1`"]);
        notes.expect_async("begun").await;
        notes.expect_async("dropped").await;
        assert_eq!(pool.run(pid()).await?, before);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_worker_that_is_blocked_is_replaced(config: Config) {
    // Its only thread is the one that can be blocked.
    let config = Config { multi_thread: false, cancel_ack: soon(), kill_after: soon(), ..config };
    in_nursery(config, async |n| {
        let pool = pool(&n, 1).in_flight(2).timeout(soon()).await?;
        let before = pool.run(pid()).await?;
        let (blocks, innocent) = tokio::join!(pool.run(may_block(true)), pool.run(may_block(false)));
        assert!(matches!(blocks, Err(Error::Timeout { .. })), "{blocks:?}");
        assert_ne!(innocent?, 0);
        assert_ne!(pool.run(pid()).await?, before);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_second_worker_helps_out() {
    let dir = tempfile::tempdir().unwrap();
    let notes = Arc::new(Notes::new());
    in_nursery(over("uds"), async |n| {
        let pool = pool(&n, 2).hedge(Duration::from_millis(5)).await?;
        assert!(pool.run(slow_once(dir.path().join("called"), notes.address())).await? > 0);
        notes.expect_async("begun").await;
        notes.expect_async("dropped").await;
        assert_eq!(pool.progress().done, 1);
        Ok(())
    })
    .await
    .unwrap();
}

async fn calls_of_a_key_meet_in_one_worker() {
    in_nursery(over("uds"), async |n| {
        let pool = pool(&n, 3).await?;
        let mut seen = BTreeSet::new();
        for key in 0..30 {
            let first = pool.run_keyed(&key, pid()).await?;
            assert_eq!(pool.run_keyed(&key, pid()).await?, first);
            seen.insert(first);
        }
        assert_eq!(seen.len(), 3, "each worker has keys");
        let poison = pool.run_keyed("seven", kills_some(7)).await;
        assert!(matches!(poison, Err(Error::Poison(_))), "{poison:?}");
        assert!(!seen.contains(&pool.run_keyed("seven", pid()).await?));
        Ok(())
    })
    .await
    .unwrap();
}

async fn workers_are_replaced_in_time() {
    in_nursery(over("uds"), async |n| {
        let few = pool(&n, 1).recycle_after(3).await?;
        let mut last = 0;
        let mut changes = Vec::new();
        for call in 0..9 {
            let now = few.run(pid()).await?;
            if std::mem::replace(&mut last, now) != now {
                changes.push(call);
            }
        }
        assert_eq!(changes, [0, 3, 6]);
        assert_eq!(few.progress().restarted, 0, "they have not died");
        let lean = pool(&n, 1).recycle_above(200 << 20).await?;
        let before = lean.run(leaks(300 << 20)).await?;
        while lean.run(pid()).await? == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!is_there(before));
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_pool_ends_with_the_body_of_its_nursery() {
    let (mut running, mut kept) = (BTreeSet::new(), None);
    in_nursery(over("uds"), async |n| {
        let pool = pool(&n, 2).await?;
        running = pids(&pool, 8).await?;
        kept = Some(pool);
        Ok(())
    })
    .await
    .unwrap();
    assert!(!running.is_empty() && !running.iter().any(|pid| is_there(*pid)), "{running:?}");
    assert!(matches!(kept.unwrap().run(pid()).await, Err(Error::Closed(_))));
}

async fn a_pool_that_can_not_be_started_leaves_nothing() {
    in_nursery(over("uds"), async |n| {
        assert_says(&pool(&n, 0).await, &["a pool needs a worker"]);
        assert_says(&pool(&n, 1).in_flight(0).await, &["`in_flight`"]);
        let unknown = n.start_actor("worker").transport("pigeon").pool(3).await;
        assert_says(&unknown, &["pigeon"]);
        assert_eq!(n.children().len(), 0);
        Ok(())
    })
    .await
    .unwrap();
}

async fn without_retries_a_death_is_told_at_once() {
    in_nursery(over("uds"), async |n| {
        let pool = pool(&n, 1).retries(0).await?;
        let poison = pool.run(kills_some(7)).await;
        assert!(matches!(&poison, Err(Error::Poison(poison)) if poison.attempts == 1), "{poison:?}");
        assert_says(&poison, &["`kills_some`", "1 attempts", "SIGABRT"]);
        let bound = tokio::time::timeout(patience(), pool.run(pid())).await;
        assert!(bound.unwrap().is_ok());
        Ok(())
    })
    .await
    .unwrap();
}
