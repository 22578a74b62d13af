//! What a pool costs: many small items through two workers, beside the bare calls of two actors.
//!
//! ```text
//! cargo bench --bench pool [-- ITEMS]
//! ```
//! Both have as many calls in flight, and take turns. The ratio of each round is printed, and the median of all. A pool must not take more than 1.3 times as long.

use std::process::ExitCode;
use std::time::Instant;

use futures_util::stream::{self, StreamExt as _};
use pleach::prelude::*;

/// How many calls each worker has.
const IN_FLIGHT: usize = 16;

const MOST: f64 = 1.3;

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

#[pleach::main]
async fn main() -> Result<ExitCode> {
    // Without it cargo only wants to know whether the program works, as in `cargo test --benches`.
    let in_earnest = std::env::args().any(|argument| argument == "--bench");
    let (items, rounds) = if in_earnest { (100_000, 7) } else { (100, 1) };
    let items = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(items);
    let mut ratios = pleach::open_nursery(async |n| {
        let portals = [
            n.start_actor("bare-1").enable(module_path!()).await?,
            n.start_actor("bare-2").enable(module_path!()).await?,
        ];
        let pool = n.start_actor("worker").enable(module_path!()).pool(2).in_flight(IN_FLIGHT).await?;
        let mut ratios = Vec::new();
        for round in 0..=rounds {
            let started = Instant::now();
            let calls = (0..items).map(|item| portals[item as usize % 2].run(add(item, 1)));
            let mut results = stream::iter(calls).buffer_unordered(2 * IN_FLIGHT);
            while let Some(sum) = results.next().await {
                sum?;
            }
            let bare = started.elapsed();
            let started = Instant::now();
            let mut results = pool.map_unordered(0..items, |item| add(item, 1));
            while let Some((item, sum)) = results.next().await {
                assert_eq!(sum?, item as u64 + 1);
            }
            let pooled = started.elapsed();
            let ratio = pooled.as_secs_f64() / bare.as_secs_f64();
            // The first round warms up.
            if round > 0 {
                println!("{items} items: bare {bare:.2?}, pool {pooled:.2?}, {ratio:.2} x");
                ratios.push(ratio);
            }
        }
        n.cancel().await;
        pleach::Ok(ratios)
    })
    .await?;
    ratios.sort_by(f64::total_cmp);
    let median = ratios[rounds / 2];
    println!("median {median:.2} x, at most {MOST} x");
    Ok(if median <= MOST || !in_earnest { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
