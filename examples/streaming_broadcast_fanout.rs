//! One stream from another process, three consumers in this one.
//!
//! ```text
//! cargo run --example streaming_broadcast_fanout
//!
//! ticker ── 0 1 2 3 4 ──►  root ──► subscriber 1
//!                               ──► subscriber 2
//!                               ──► subscriber 3
//! ```
//! The ticks cross the connection once. A subscriber that falls behind by more than the stream's
//! buffer learns how many it has lost; here none does.

use pleach::prelude::*;
use pleach::{Subscription, open_task_nursery};

/// Sends a few ticks.
#[pleach::stream]
async fn ticks(out: &mut StreamSender<u32>, count: u32) -> Result<()> {
    for tick in 0..count {
        out.send(tick).await?;
    }
    Ok(())
}

/// Takes all ticks, in a task of its own.
async fn subscriber(number: u32, mut ticks: Subscription<u32>) -> Result<()> {
    let mut seen = Vec::new();
    while let Some(tick) = ticks.recv().await? {
        seen.push(tick);
    }
    println!("subscriber {number}: {seen:?}");
    Ok(())
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("ticker").enable(module_path!()).await?;
        portal
            .open_stream_from(ticks(5), async |mut stream| {
                open_task_nursery(async |tasks| {
                    for number in 1..=3 {
                        tasks.spawn(subscriber(number, stream.subscribe()))?;
                    }
                    pleach::Ok(())
                })
                .await
            })
            .await?;
        portal.cancel_actor().await
    })
    .await
}
