//! A stream without an end: its consumer stops after 51 items, and that stops the producer.
//!
//! ```text
//! cargo run --example asynchronous_generators
//! ```
//! The producer is never far ahead: it waits when 64 items are on their way and not taken. When the
//! block is left, the producer has been cancelled and has ended.

use std::time::Duration;

use futures_util::{Stream, stream};
use pleach::prelude::*;

/// Counts, for as long as its caller listens. Any `Stream` will do.
#[pleach::stream]
fn count(from: u64) -> impl Stream<Item = Result<u64>> {
    let until_dropped = Farewell;
    stream::unfold((from, until_dropped), async |(number, until_dropped)| {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok(number), (number + 1, until_dropped)))
    })
}

/// Says so when it is dropped.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        println!("there: the stream was cancelled");
    }
}

#[pleach::main]
async fn main() -> Result<()> {
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("counter").enable(module_path!()).await?;
        portal
            .open_stream_from(count(0), async |mut numbers| {
                while let Some(number) = numbers.recv().await? {
                    println!("{number}");
                    if number == 50 {
                        break;
                    }
                }
                pleach::Ok(())
            })
            .await?;
        println!("here: stream terminated");
        portal.cancel_actor().await
    })
    .await
}
