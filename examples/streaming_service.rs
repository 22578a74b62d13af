//! Three levels of streams: two streamers feed an aggregator, which passes each number on once.
//!
//! ```text
//! cargo run --release --example streaming_service
//!
//! root ◄── each number once ── aggregator ◄── 0 to 999 ── streamer-1
//!                                         ◄── 0 to 999 ── streamer-2
//! ```
//! The aggregator starts the streamers itself, in a nursery of its own. Each stream holds its sender up
//! when the next one is slow, so a slow root slows the streamers down, and no queue grows on the way.
//!
//! Readers say `()` first: a sender waits for its peer only once the peer has opened its stream, and
//! until then it is an error to send more than a buffer holds.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use pleach::prelude::*;

/// Sends the numbers below `count`.
#[pleach::context]
async fn stream_numbers(ctx: &mut Context<(), (), u64>, count: u64) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    stream.recv().await?; // the reader is there
    for number in 0..count {
        stream.send(number).await?;
    }
    Ok(())
}

/// Has two streamers of its own, and sends on what they send, but each number once.
#[pleach::context]
async fn aggregate(ctx: &mut Context<(), (), u64>, count: u64) -> Result<()> {
    ctx.started(()).await?;
    let mut out = ctx.open_stream().await?;
    out.recv().await?; // the reader is there
    let seen = Mutex::new(HashSet::new());
    let is_new = |number| seen.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    pleach::open_nursery(async |n| {
        let follow = async |name| {
            let streamer = n.start_actor(name).enable(module_path!()).await?;
            streamer
                .open_context(stream_numbers(count), async |ctx, ()| {
                    let mut numbers = ctx.open_stream().await?;
                    numbers.send(()).await?;
                    while let Some(number) = numbers.recv().await? {
                        if is_new(number) {
                            out.send(number).await?;
                        }
                    }
                    pleach::Ok(())
                })
                .await?;
            streamer.cancel_actor().await
        };
        tokio::try_join!(follow("streamer-1"), follow("streamer-2"))
    })
    .await?;
    Ok(())
}

#[pleach::main]
async fn main() -> Result<()> {
    const COUNT: u64 = 1000;
    let began = Instant::now();
    let mut numbers = pleach::open_nursery(async |n| {
        let aggregator = n.start_actor("aggregator").enable(module_path!()).await?;
        let numbers = aggregator
            .open_context(aggregate(COUNT), async |ctx, ()| {
                let (mut stream, streaming) = (ctx.open_stream().await?, Instant::now());
                stream.send(()).await?;
                let mut numbers = Vec::new();
                while let Some(number) = stream.recv().await? {
                    numbers.push(number);
                }
                println!("streamed in {:.3} s", streaming.elapsed().as_secs_f64());
                pleach::Ok(numbers)
            })
            .await?;
        aggregator.cancel_actor().await?;
        pleach::Ok(numbers)
    })
    .await?;
    println!("all of it took {:.3} s", began.elapsed().as_secs_f64());
    numbers.sort_unstable();
    if !numbers.into_iter().eq(0..COUNT) {
        return Err(Error::Usage("some numbers are missing, or came twice".into()));
    }
    println!("0 to {}, each once", COUNT - 1);
    Ok(())
}
