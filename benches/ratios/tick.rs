//! The message of the stream measures: seven numbers, 64 bytes of msgpack.

use pleach::{Context, Portal, Result};
use serde::{Deserialize, Serialize};

use crate::measure::MESSAGES;

/// One message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tick {
    pub(crate) sequence: u64,
    at: u64,
    venue: u64,
    bid: f64,
    bid_size: f64,
    ask: f64,
    ask_size: f64,
}

impl Tick {
    pub(crate) fn new(number: u64) -> Self {
        let sequence = u64::MAX / 2 + number; // so that it takes nine bytes
        Self { sequence, at: u64::MAX - number, venue: u64::MAX, bid: 1.5, bid_size: 1e3, ask: 1.75, ask_size: 2e3 }
    }
}

/// Takes batches of ticks, and answers each with the sum of their numbers.
#[pleach::context]
async fn takes(ctx: &mut Context<(), Tick, u64>) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    let (mut taken, mut sum) = (0, 0_u64);
    while let Some(tick) = stream.recv().await? {
        (taken, sum) = (taken + 1, sum.wrapping_add(tick.sequence));
        if taken == MESSAGES {
            stream.send(sum).await?;
            (taken, sum) = (0, 0);
        }
    }
    Ok(())
}

/// Opens a stream to the child and lets `measure` send batches.
pub(crate) async fn with_stream<T>(
    child: &Portal,
    measure: impl AsyncFnOnce(&mut pleach::MsgStream<u64, Tick>) -> Result<T>,
) -> Result<T> {
    child
        .open_context(takes(), async |ctx, ()| {
            let mut stream = ctx.open_stream().await?;
            send(&mut stream).await?; // its stream is open, its buffer known
            let measured = measure(&mut stream).await?;
            stream.close().await?;
            Ok(measured)
        })
        .await
}

/// Sends one batch and waits until it has been taken.
pub(crate) async fn send(stream: &mut pleach::MsgStream<u64, Tick>) -> Result<()> {
    for number in 0..MESSAGES as u64 {
        stream.send(Tick::new(number)).await?;
    }
    stream.recv().await?;
    Ok(())
}

/// The module that children have to enable.
pub(crate) const MODULE: &str = module_path!();
