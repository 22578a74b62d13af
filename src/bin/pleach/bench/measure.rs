//! One transport: a tree with one actor, and what is measured with it.
//!
//! Both sides have an async runtime of one thread, as actors do by default. Each measurement goes on for as long as it
//! was told, and for one step at least.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{Stream, stream};
use pleach::{Config, Portal, Result, StreamReceiver};
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// The results for one transport.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Measured {
    pub(super) call_p50_us: f64,
    pub(super) call_p99_us: f64,
    pub(super) calls_per_second: f64,
    pub(super) items_per_second: f64,
    pub(super) blob_bytes_per_second: f64,
}

impl Measured {
    pub(super) fn mebibytes_per_second(&self) -> f64 {
        self.blob_bytes_per_second / f64::from(1 << 20)
    }
}

/// Returns what it was given.
#[pleach::rpc]
async fn echo(bytes: Bytes) -> Result<Bytes> {
    Ok(bytes)
}

/// Takes a blob, and returns little.
#[pleach::rpc]
async fn size(bytes: Bytes) -> Result<u64> {
    Ok(bytes.len() as u64)
}

/// Sends for as long as its caller takes.
#[pleach::stream]
fn items() -> impl Stream<Item = Result<Bytes>> {
    stream::repeat_with(|| Ok(message()))
}

/// Makes all measurements over one transport, for `each` as long. Nothing is left of the tree.
///
/// # Errors
/// When the actor can't be started or does not answer, and when all of it takes far too long.
pub(super) fn all(config: &Config, transport: &str, each: Duration) -> anyhow::Result<Measured> {
    // A tree of its own, whatever the settings join.
    let (registry, listen) = (Vec::new(), Vec::new());
    let config = Config { transport: transport.into(), registry, listen, ..config.clone() };
    let tokio = Builder::new_current_thread().enable_all().build()?;
    let bound = each * 4 + PATIENCE;
    tokio.block_on(pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let actor = n.start_actor("measured").enable(module_path!()).await?;
            // Not a deadline of the library's: that would travel with each call.
            let measured = timeout(bound, measure(&actor, each)).await;
            let measured = measured.with_context(|| format!("it took longer than {bound:?}"))??;
            actor.cancel_actor().await?;
            anyhow::Ok(measured)
        })
        .await
    }))
}

async fn measure(actor: &Portal, each: Duration) -> Result<Measured> {
    actor.run(echo(message())).await?; // the connection is there, and its buffers
    let [call_p50_us, call_p99_us] = round_trips(actor, each).await?;
    Ok(Measured {
        call_p50_us,
        call_p99_us,
        calls_per_second: in_flight(actor, each).await?,
        items_per_second: actor.open_stream_from(items(), async |items| taken(items, each).await).await?,
        blob_bytes_per_second: blobs(actor, each).await?,
    })
}

/// The median and the 99th percentile, in microseconds.
async fn round_trips(actor: &Portal, each: Duration) -> Result<[f64; 2]> {
    let (begun, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || begun.elapsed() < each {
        let sent = Instant::now();
        actor.run(echo(message())).await?;
        times.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    times.sort_unstable();
    Ok([50, 99].map(|percent| f64::from(times[(times.len() - 1) * percent / 100]) / 1000.0))
}

/// Calls per second of many callers on one connection.
async fn in_flight(actor: &Portal, each: Duration) -> Result<f64> {
    let begun = Instant::now();
    let caller = async || {
        let mut calls = 0_u32;
        while calls == 0 || begun.elapsed() < each {
            actor.run(echo(message())).await?;
            calls += 1;
        }
        pleach::Ok(f64::from(calls))
    };
    let calls = try_join_all((0..CALLERS).map(|_| caller())).await?;
    Ok(calls.into_iter().sum::<f64>() / begun.elapsed().as_secs_f64())
}

/// Items per second.
async fn taken(mut items: StreamReceiver<Bytes>, each: Duration) -> Result<f64> {
    let (begun, mut taken) = (Instant::now(), 0_u32);
    while taken == 0 || begun.elapsed() < each {
        for _ in 0..BATCH {
            items.recv().await?;
        }
        taken += BATCH;
    }
    Ok(f64::from(taken) / begun.elapsed().as_secs_f64())
}

/// Bytes per second, one blob after the other.
async fn blobs(actor: &Portal, each: Duration) -> Result<f64> {
    let blob = Bytes::from(vec![7; BLOB]);
    let (begun, mut sent) = (Instant::now(), 0.0);
    while sent == 0.0 || begun.elapsed() < each {
        sent += actor.run(size(blob.clone())).await? as f64;
    }
    Ok(sent / begun.elapsed().as_secs_f64())
}

fn message() -> Bytes {
    Bytes::from_static(&[7; 64])
}

/// Callers on one connection.
const CALLERS: usize = 64;

/// The size of a blob.
const BLOB: usize = 1 << 20;

/// How many items are taken between two looks at the clock.
const BATCH: u32 = 64;

/// How much longer than asked for all measurements over one transport may take.
const PATIENCE: Duration = Duration::from_secs(20);
