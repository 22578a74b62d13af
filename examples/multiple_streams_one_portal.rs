//! Two streams of one actor at once, over one connection.
//!
//! ```text
//! cargo run --example multiple_streams_one_portal
//! ```
//! Each has its own buffer, so neither waits for the other. All items come out twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use pleach::prelude::*;

/// Sends the numbers below `to`.
#[pleach::stream]
async fn count(out: &mut StreamSender<u64>, to: u64) -> Result<()> {
    for number in 0..to {
        out.send(number).await?;
    }
    Ok(())
}

#[pleach::main]
async fn main() -> Result<()> {
    let seen = Mutex::new(BTreeMap::<u64, u32>::new());
    let tally = |number| *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default() += 1;
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("counter").enable(module_path!()).await?;
        let consume = async |name| {
            portal
                .open_stream_from(count(10), async |mut numbers| {
                    while let Some(number) = numbers.recv().await? {
                        println!("{name}: {number}");
                        tally(number);
                    }
                    pleach::Ok(())
                })
                .await
        };
        tokio::try_join!(consume("one"), consume("two"))?;
        portal.cancel_actor().await
    })
    .await?;
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !seen.into_iter().eq((0..10).map(|number| (number, 2))) {
        return Err(Error::Usage("some numbers are missing, or came too often".into()));
    }
    println!("0 to 9, each twice");
    Ok(())
}
