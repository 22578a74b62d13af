//! Starting and ending actors over every transport of this build.
//!
//! | group | one iteration |
//! |---|---|
//! | `spawn_one` | a child, from the order to its first answered call; its end is not counted |
//! | `up_and_down` | 10 children at once, one call each, until the last one has been reaped |
//!
//! Over `mem` an actor is a thread of this process.

mod common;

use std::future::IntoFuture as _;
use std::time::{Duration, Instant};

use criterion::Criterion;
use pleach::wire::Key;
use pleach::{Nursery, Result};
use tokio::task::JoinSet;

use common::{MODULE, echo, in_tree, keys, message, start};

fn main() {
    pleach::init();
    let mut criterion = Criterion::default().configure_from_args();
    compare(&mut criterion, "spawn_one", spawn_one);
    compare(&mut criterion, "up_and_down", up_and_down);
    criterion.final_summary();
}

fn compare(criterion: &mut Criterion, name: &str, measure: fn(&Key, u64) -> Duration) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for key in keys() {
        group.bench_function(format!("{}-{}", key.codec, key.protocol), |bencher| {
            bencher.iter_custom(|iterations| measure(&key, iterations));
        });
    }
}

fn spawn_one(key: &Key, iterations: u64) -> Duration {
    in_tree(key, async |_| {
        let mut spent = Duration::ZERO;
        for _ in 0..iterations {
            // A nursery for each, so that one child is gone before the next one is started.
            spent += pleach::open_nursery(async |nursery| {
                let started = Instant::now();
                let portal = start(&nursery).await?;
                let spent = started.elapsed();
                portal.cancel_actor().await?;
                Ok::<_, pleach::Error>(spent)
            })
            .await?;
        }
        Ok(spent)
    })
}

fn up_and_down(key: &Key, iterations: u64) -> Duration {
    in_tree(key, async |_| {
        let started = Instant::now();
        for _ in 0..iterations {
            pleach::open_nursery(start_all).await?;
        }
        Ok(started.elapsed())
    })
}

async fn start_all(nursery: Nursery) -> Result<()> {
    let mut starting = JoinSet::new();
    for _ in 0..CHILDREN {
        starting.spawn(nursery.start_actor("bench").enable(MODULE).into_future());
    }
    let mut portals = Vec::new();
    while let Some(started) = starting.join_next().await {
        let portal = started.expect("starting does not panic")?;
        portal.run(echo(message())).await?;
        portals.push(portal);
    }
    for portal in portals {
        portal.cancel_actor().await?;
    }
    Ok(())
}

/// Children of one nursery.
const CHILDREN: usize = 10;
