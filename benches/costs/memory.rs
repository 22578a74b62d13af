//! What is held and what it costs to start: contexts, connections, children.

use std::sync::Arc;
use std::time::Duration;

use pleach::{Context, ContextCall, Nursery, Portal, Result};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::common::allocations::held;
use crate::common::process::{anonymous_memory, cpu_time};
use crate::common::{in_tree, key};
use crate::work::start;

/// Returns how many bytes this actor's process holds.
#[pleach::rpc]
async fn holds() -> Result<u64> {
    Ok(held() as u64)
}

/// Starts, and then does nothing until it is cancelled.
#[pleach::context]
async fn idles(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

/// Connects to the server, calls it once, and stays connected until it is cancelled.
#[pleach::context]
async fn connects(ctx: &mut Context<(), (), ()>) -> Result<()> {
    let portal = pleach::find_actor(SERVER).required().await?;
    portal.run(holds()).await?;
    ctx.started(()).await?;
    std::future::pending().await
}

/// Returns the bytes of the heap that an open context takes, at its caller and at its callee.
pub(crate) fn of_a_context() -> (f64, f64) {
    in_tree(&key("uds"), async |nursery| {
        let child = start(&nursery, "ours").await?;
        contexts(&child, 1).await?; // with room in the tables of both sides
        let taken = contexts(&child, CONTEXTS).await?;
        child.cancel_actor().await?;
        Ok(taken)
    })
}

async fn contexts(child: &Portal, number: usize) -> Result<(f64, f64)> {
    let (here, there) = (held(), child.run(holds()).await?);
    let calls = (0..number).map(|_| (child.clone(), idles())).collect();
    let (here_now, there_now) = while_open(calls, async || Ok((held(), child.run(holds()).await?))).await?;
    Ok(((here_now - here) as f64 / number as f64, (there_now - there) as f64 / number as f64))
}

/// Returns the bytes of the heap that a connection takes on the side that has accepted it, after one call over it.
pub(crate) fn of_a_connection() -> f64 {
    in_tree(&key("uds"), async |nursery| {
        let server = start(&nursery, SERVER).await?;
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(start(&nursery, "client").await?);
        }
        let one = connections(&server, &clients[..1]).await?; // with room in the tables
        let all = connections(&server, &clients).await?;
        nursery.cancel().await;
        Ok((all - one) / (CONNECTIONS - 1) as f64)
    })
}

async fn connections(server: &Portal, clients: &[Portal]) -> Result<f64> {
    let before = server.run(holds()).await?;
    let calls = clients.iter().map(|client| (client.clone(), connects())).collect();
    let after = while_open(calls, async || server.run(holds()).await).await?;
    Ok(after as f64 - before as f64)
}

/// Opens all contexts, has `measure` look while they are open, and cancels them.
async fn while_open<T>(calls: Vec<(Portal, Idle)>, measure: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let (close, closed) = watch::channel(false);
    let (opened, number) = (Arc::new(Semaphore::new(0)), calls.len() as u32);
    let mut tasks = JoinSet::<Result<()>>::new();
    for (portal, call) in calls {
        let (opened, mut closed) = (opened.clone(), closed.clone());
        tasks.spawn(async move {
            portal
                .open_context(call, async |ctx, ()| {
                    opened.add_permits(1);
                    let _ = closed.wait_for(|closed| *closed).await; // an error is its end, too
                    ctx.cancel().await
                })
                .await
        });
    }
    let all = opened.acquire_many(number).await.expect("it stays open");
    let measured = measure().await?;
    drop(all);
    close.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no caller panics")?;
    }
    Ok(measured)
}

/// A context that only stays open.
type Idle = ContextCall<(), (), (), ()>;

/// Returns the anonymous memory of a child that has answered one call, in bytes.
pub(crate) fn of_an_idle_child() -> f64 {
    in_tree(&key("uds"), async |nursery| {
        let child = start(&nursery, "ours").await?;
        let taken = anonymous_memory(child.id().pid());
        child.cancel_actor().await?;
        Ok(taken as f64)
    })
}

/// Returns how many times the processor time of starting a child, up to its first answer, grows when the parent
/// holds one GiB.
pub(crate) fn growth_of_a_start() -> f64 {
    in_tree(&key("uds"), async |nursery| {
        let (mut light, mut heavy) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            start_several(&nursery, &mut light).await?;
            let held = vec![1_u8; 1 << 30]; // written to, so that it has pages
            start_several(&nursery, &mut heavy).await?;
            drop(std::hint::black_box(held));
        }
        Ok(median(heavy) / median(light))
    })
}

/// Starts children one after the other. The first one does not count: filling the memory has emptied the caches.
async fn start_several(nursery: &Nursery, spent: &mut Vec<Duration>) -> Result<()> {
    start_and_end(nursery).await?;
    for _ in 0..CHILDREN {
        spent.push(start_and_end(nursery).await?);
    }
    Ok(())
}

/// Starts a child and returns the processor time of both sides up to its first answer; waits for its end.
async fn start_and_end(nursery: &Nursery) -> Result<Duration> {
    let before = cpu_time(std::process::id());
    let child = start(nursery, "ours").await?;
    let spent = cpu_time(std::process::id()) - before + cpu_time(child.id().pid());
    child.cancel_actor().await?;
    Ok(spent)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

/// Contexts that are open at the same time.
const CONTEXTS: usize = 1000;

/// The name of the actor that others connect to.
const SERVER: &str = "server";

/// Connections to one actor.
const CONNECTIONS: usize = 16;

/// How often children of a light and of a heavy parent take turns.
const ROUNDS: usize = 4;

/// Children in each turn.
const CHILDREN: usize = 5;

/// The module that children have to enable.
pub(crate) const MODULE: &str = module_path!();
