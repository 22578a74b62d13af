//! A typed value of 64 bytes, and what is done with it: called with it, and sent as items of a stream.
//!
//! Four fields: by position they take 64 bytes of msgpack. Values travel with the names of their fields, which
//! makes it 84 bytes; `costs` checks both numbers.

#![allow(dead_code, reason = "each bench uses a part of it")]

use pleach::{Blob, Context, MsgStream, Portal, Result};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

/// Such a value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) time: u64,
    pub(crate) size: u64,
    pub(crate) text: String,
    pub(crate) rate: f64,
}

impl Item {
    pub(crate) fn new(number: u64) -> Self {
        // So that the size takes five bytes.
        Self { time: EARLIEST + number, size: 1 << 20, text: TEXT.to_owned(), rate: 1.75 }
    }

    /// Returns its bytes of msgpack without and with the names of the fields.
    pub(crate) fn sizes() -> (usize, usize) {
        let item = Self::new(0);
        let (bare, named) = (rmp_serde::to_vec(&item), rmp_serde::to_vec_named(&item));
        (bare.expect("it can be written").len(), named.expect("it can be written").len())
    }
}

/// Returns what it was given.
#[pleach::rpc]
pub(crate) async fn reflect(item: Item) -> Result<Item> {
    Ok(item)
}

/// Has so many callers make so many calls each, all over one connection.
pub(crate) async fn call_all(child: &Portal, callers: usize, each: u64) -> Result<()> {
    let mut tasks = JoinSet::<Result<()>>::new();
    for _ in 0..callers {
        let child = child.clone();
        tasks.spawn(async move {
            for number in 0..each {
                child.run(reflect(Item::new(number))).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no caller panics")?;
    }
    Ok(())
}

/// Takes items, and answers each batch with the sum of their numbers.
#[pleach::context]
pub(crate) async fn takes(ctx: &mut Context<(), Item, u64>, batch: u64) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    let (mut taken, mut sum) = (0, 0_u64);
    while let Some(item) = stream.recv().await? {
        (taken, sum) = (taken + 1, sum.wrapping_add(item.time));
        if taken == batch {
            stream.send(sum).await?;
            (taken, sum) = (0, 0);
        }
    }
    Ok(())
}

/// Takes blobs, and answers each batch with their size.
#[pleach::context]
pub(crate) async fn takes_blobs(ctx: &mut Context<(), Blob, u64>, batch: u64) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    let (mut taken, mut size) = (0, 0_u64);
    while let Some(blob) = stream.recv().await? {
        (taken, size) = (taken + 1, size + blob.len() as u64);
        if taken == batch {
            stream.send(size).await?;
            (taken, size) = (0, 0);
        }
    }
    Ok(())
}

/// Sends so many blobs, and waits for their size.
pub(crate) async fn send_blobs(stream: &mut MsgStream<u64, Blob>, blob: &Blob, batch: usize) -> Result<()> {
    for _ in 0..batch {
        stream.send(blob.clone()).await?;
    }
    stream.recv().await?;
    Ok(())
}

/// Sends each item back.
#[pleach::context]
pub(crate) async fn sends_back(ctx: &mut Context<(), Item, Item>) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    while let Some(item) = stream.recv().await? {
        stream.send(item).await?;
    }
    Ok(())
}

/// Opens a stream to the child and lets `measure` send batches of so many items.
pub(crate) async fn with_stream<T>(
    child: &Portal,
    batch: u64,
    measure: impl AsyncFnOnce(&mut MsgStream<u64, Item>) -> Result<T>,
) -> Result<T> {
    child
        .open_context(takes(batch), async |ctx, ()| {
            let mut stream = ctx.open_stream().await?;
            send(&mut stream, batch).await?; // its stream is open, its buffer known
            let measured = measure(&mut stream).await?;
            stream.close().await?;
            Ok(measured)
        })
        .await
}

/// Sends one batch and waits until it has been taken.
pub(crate) async fn send(stream: &mut MsgStream<u64, Item>, batch: u64) -> Result<()> {
    for number in 0..batch {
        stream.send(Item::new(number)).await?;
    }
    stream.recv().await?;
    Ok(())
}

/// The time of the first one: so large that each takes nine bytes.
pub(crate) const EARLIEST: u64 = u64::MAX / 2;

const TEXT: &str = "a text of thirty-eight bytes, no more.";

/// The module that children have to enable.
pub(crate) const MODULE: &str = module_path!();
