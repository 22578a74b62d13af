//! The same computation here and in a child process, at the same time.
//!
//! ```text
//! cargo run --example single_func
//! ```
//!
//! On two cores it takes as long as one of them alone: the child is a process, not a task.

use std::time::Instant;

use pleach::prelude::*;

/// Keeps a core busy for a while, and tells which process it did that in.
#[pleach::rpc]
async fn burn(rounds: u64) -> Result<u32> {
    // A linear congruential generator: each round needs the one before, so that nothing can be skipped.
    let last = (0..rounds).fold(1u64, |x, _| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    std::hint::black_box(last);
    Ok(std::process::id())
}

#[pleach::main(flavor = "multi_thread")] // so that messages still move while this process computes
async fn main() -> Result<()> {
    const ROUNDS: u64 = 50_000_000;
    pleach::open_nursery(async |n| {
        let started = Instant::now();
        let there = n.run_in_actor(burn(ROUNDS)).await?;
        let here = burn(ROUNDS).await?;
        println!("computed in the parent, pid {here}");
        println!("computed in the child, pid {}", there.result().await?);
        println!("both took {:.2} s", started.elapsed().as_secs_f64());
        Ok(())
    })
    .await
}
