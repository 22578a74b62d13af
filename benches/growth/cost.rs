//! What so many take: processor time of both sides where both live on, else time.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, try_join_all};
use pleach::{Blob, Config, Context, Nursery, Portal, Result};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::common::item::{self, Item, call_all, reflect, send_blobs, takes_blobs};
use crate::common::process::{cpu_time, place};
use crate::common::{MODULE as COMMON, blob, config, in_tree, in_tree_of, key, size};

/// Calls of so many callers at once, one each.
pub(crate) fn in_flight(over: &str, callers: usize) -> f64 {
    with_child(over, async |child| {
        let each = CALLS.div_ceil(callers);
        let cost = both(&child, async || call_all(&child, callers, each as u64).await).await?;
        Ok(cost / each as f64)
    })
}

/// A call with a blob of so many bytes.
pub(crate) fn argument(over: &str, bytes: usize) -> f64 {
    with_child(over, async |child| one_argument(&child, bytes, calls_with(bytes), processor_of(&child)).await)
}

/// A stream item that is a blob of so many bytes.
pub(crate) fn item(over: &str, bytes: usize) -> f64 {
    with_child(over, async |child| one_item(&child, bytes, calls_with(bytes), processor_of(&child)).await)
}

/// As many bytes as a ring of shared memory has, in arguments of 1 MiB: time, since both sides may be busy at once.
pub(crate) fn arguments_through_ring(over: &str, ring: usize) -> f64 {
    with_child_of(with_ring(over, ring), async |child| {
        Ok(one_argument(&child, LARGE, LARGE_ONES, clock()).await? / LARGE as f64 * ring as f64)
    })
}

/// The same in stream items of 1 MiB.
pub(crate) fn items_through_ring(over: &str, ring: usize) -> f64 {
    with_child_of(with_ring(over, ring), async |child| {
        Ok(one_item(&child, LARGE, LARGE_ONES, clock()).await? / LARGE as f64 * ring as f64)
    })
}

/// What one of so many calls with a blob of so many bytes costs.
async fn one_argument(child: &Portal, bytes: usize, calls: usize, spent: impl Fn() -> Duration) -> Result<f64> {
    let blob = blob(bytes);
    let cost = median_of(spent, async || {
        for _ in 0..calls {
            child.run(size(blob.clone())).await?;
        }
        Ok(())
    });
    Ok(cost.await? / calls as f64)
}

/// What one of so many stream items costs that are blobs of so many bytes.
async fn one_item(child: &Portal, bytes: usize, items: usize, spent: impl Fn() -> Duration) -> Result<f64> {
    let blob = Blob(blob(bytes));
    child
        .open_context(takes_blobs(items as u64), async |ctx, ()| {
            let mut stream = ctx.open_stream().await?;
            let cost = median_of(spent, async || send_blobs(&mut stream, &blob, items).await).await?;
            stream.close().await?;
            Ok(cost / items as f64)
        })
        .await
}

fn with_ring(over: &str, shm_ring: usize) -> Config {
    Config { transport: over.into(), shm_ring, ..config() }
}

/// Opening so many contexts, until all are open, and cancelling them.
pub(crate) fn contexts(over: &str, contexts: usize) -> f64 {
    with_child(over, async |child| {
        let rounds = CONTEXTS.div_ceil(contexts);
        let cost = both(&child, async || {
            for _ in 0..rounds {
                open_all(&child, contexts).await?;
            }
            Ok(())
        });
        Ok(cost.await? / rounds as f64)
    })
}

async fn open_all(child: &Portal, contexts: usize) -> Result<()> {
    let (close, closed) = watch::channel(false);
    let opened = Arc::new(Semaphore::new(0));
    let mut tasks = JoinSet::<Result<()>>::new();
    for _ in 0..contexts {
        let (child, opened, mut closed) = (child.clone(), opened.clone(), closed.clone());
        tasks.spawn(async move {
            child
                .open_context(idles(), async |ctx, ()| {
                    opened.add_permits(1);
                    let _ = closed.wait_for(|closed| *closed).await; // an error is its end, too
                    ctx.cancel().await
                })
                .await
        });
    }
    drop(opened.acquire_many(contexts as u32).await.expect("it stays open"));
    close.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no caller panics")?;
    }
    Ok(())
}

/// Starts, and then does nothing until it is cancelled.
#[pleach::context]
async fn idles(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

/// Starting so many children at once, up to all first answers, and ending them.
pub(crate) fn actors(over: &str, actors: usize) -> f64 {
    let key = key(over);
    shortest(|| {
        in_tree(&key, async |_| {
            let started = Instant::now();
            pleach::open_nursery(async |nursery| {
                let children = try_join_all((0..actors).map(|_| start(&nursery))).await?;
                drop(children);
                nursery.cancel().await;
                Ok::<_, pleach::Error>(())
            })
            .await?;
            Ok(started.elapsed())
        })
    })
}

/// A chain of so many children, each started by the one above it, up to the last one's answer, and its end.
pub(crate) fn depth(over: &str, levels: usize) -> f64 {
    let key = key(over);
    shortest(|| {
        in_tree(&key, async |_| {
            let started = Instant::now();
            descends_from_here(levels as u32).await?;
            Ok(started.elapsed())
        })
    })
}

/// Starts a child below this actor, and one below that, and so on.
#[pleach::rpc]
async fn descends(levels: u32) -> Result<u32> {
    descends_from_here(levels).await
}

fn descends_from_here(levels: u32) -> BoxFuture<'static, Result<u32>> {
    Box::pin(async move {
        if levels == 0 {
            return Ok(0);
        }
        pleach::open_nursery(async |nursery| {
            let child = start(&nursery).await?;
            let below = child.run(descends(levels - 1)).await?;
            child.cancel_actor().await?;
            Ok::<_, pleach::Error>(below + 1)
        })
        .await
    })
}

/// Starting a child, up to its first answer, while this process holds so many MiB.
pub(crate) fn child_of(over: &str, mebibytes: usize) -> f64 {
    let held = vec![1_u8; mebibytes << 20]; // written to, so that it has pages
    let spent = shortest(|| {
        in_tree(&key(over), async |nursery| {
            let started = Instant::now();
            let child = start(&nursery).await?;
            let spent = started.elapsed();
            child.cancel_actor().await?;
            Ok(spent)
        })
    });
    drop(std::hint::black_box(held));
    spent
}

fn with_child<T>(over: &str, body: impl AsyncFnOnce(Portal) -> Result<T>) -> T {
    with_child_of(Config { transport: over.into(), ..config() }, body)
}

fn with_child_of<T>(config: Config, body: impl AsyncFnOnce(Portal) -> Result<T>) -> T {
    in_tree_of(config, async |nursery| {
        let child = start(&nursery).await?;
        place(child.id().pid());
        let value = body(child.clone()).await?;
        child.cancel_actor().await?;
        Ok(value)
    })
}

async fn start(nursery: &Nursery) -> Result<Portal> {
    let child = nursery.start_actor("ours").enable(COMMON).enable(item::MODULE).enable(MODULE);
    let child = child.into_future().await?;
    child.run(reflect(Item::new(0))).await?;
    Ok(child)
}

/// Returns the processor time, in seconds, that this process and the child's spend on a step.
async fn both(child: &Portal, step: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    median_of(processor_of(child), step).await
}

/// The processor time of this process and the child's. Over `mem` the child is in this process.
fn processor_of(child: &Portal) -> impl Fn() -> Duration + use<> {
    let (this, other) = (std::process::id(), child.id().pid());
    move || cpu_time(this) + if other == this { Duration::ZERO } else { cpu_time(other) }
}

/// The time.
fn clock() -> impl Fn() -> Duration {
    let started = Instant::now();
    move || started.elapsed()
}

/// Returns how much is spent on a step, in seconds: the median of several, after one for warming up.
async fn median_of(spent: impl Fn() -> Duration, mut step: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    step().await?;
    let mut times = Vec::new();
    for _ in 0..STEPS {
        let before = spent();
        step().await?;
        times.push(spent() - before);
    }
    times.sort_unstable();
    Ok(times[STEPS / 2].as_secs_f64())
}

/// Returns the shortest of several times, in seconds: the one that other work has disturbed least.
fn shortest(mut step: impl FnMut() -> Duration) -> f64 {
    (0..STEPS).map(|_| step()).min().expect("several").as_secs_f64()
}

/// So many that a step takes a while.
fn calls_with(bytes: usize) -> usize {
    ((64 << 20) / bytes).clamp(2, 2_000)
}

const STEPS: usize = 5;

/// The size of the blobs that go through a ring, and how many do in a step.
const LARGE: usize = 1 << 20;
const LARGE_ONES: usize = 1_000;

/// Calls in a step, at least.
const CALLS: usize = 10_000;

/// Contexts in a step, at least.
const CONTEXTS: usize = 300;

/// The module that children have to enable.
const MODULE: &str = module_path!();
