//! Lines that are children: one, one of a large parent, many at once, and what one takes while it is idle.

use std::future::IntoFuture as _;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use pleach::{Portal, Result};

use crate::calls::start_child;
use crate::common::item::{self, Item, reflect};
use crate::common::process::anonymous_memory;
use crate::measure::{CHILDREN, Measure, What};
use crate::raw::{Exchange, Host};
use crate::turn::{Plan, Round, Turn, turn};

pub(crate) async fn compare(measure: Measure, host: &Host, plan: &Plan) -> Result<Vec<Round>> {
    let program = host.statically.as_deref().filter(|_| measure.is_static());
    let mut rounds = Vec::new();
    for counts in plan.rounds() {
        let ours = match measure.what {
            What::Memory => memory(measure).await?,
            What::HeavyChild(gib) => {
                let held = vec![1_u8; gib << 30]; // written to, so that it has pages
                let ours = turn(plan, &[], async || start_and_end(measure, None).await).await?;
                drop(std::hint::black_box(held));
                ours
            }
            What::Child | What::StaticChild | What::StaticBoth => {
                turn(plan, &[], async || start_and_end(measure, program).await).await?
            }
            _ => turn(plan, &[], async || many(measure).await).await?,
        };
        let raw = match measure.what {
            What::Memory => raw_memory(host, measure).await,
            What::HeavyChild(_) => turn(plan, &[], async || start_and_end(measure, None).await).await?,
            What::Child | What::StaticChild => {
                turn(plan, &[], async || Ok(raw_start_and_end(host, measure, None).await)).await?
            }
            What::StaticBoth => turn(plan, &[], async || Ok(raw_start_and_end(host, measure, program).await)).await?,
            _ => turn(plan, &[], async || Ok(raw_many(host, measure).await)).await?,
        };
        if counts {
            rounds.push((ours, Some(raw)));
        }
    }
    Ok(rounds)
}

/// Starts a child in a nursery of its own, so that it is gone before the next one is started. It may be another build of
/// this program.
async fn start_and_end(measure: Measure, program: Option<&Path>) -> Result<Duration> {
    pleach::open_nursery(async |nursery| {
        let started = Instant::now();
        let child = start_child(&nursery, measure, program).await?;
        let spent = started.elapsed();
        child.cancel_actor().await?;
        Ok(spent)
    })
    .await
}

async fn raw_start_and_end(host: &Host, measure: Measure, program: Option<&Path>) -> Duration {
    let started = Instant::now();
    let peer = host.start_program(program, measure.protocol, EXCHANGE).await.expect("a raw peer");
    let spent = started.elapsed();
    peer.end().await; // before the next one is started, and not counted
    spent
}

/// Starts children at once and ends them; returns how long the one or the other took.
async fn many(measure: Measure) -> Result<Duration> {
    let started = Instant::now();
    let (up, ending) = pleach::open_nursery(async |nursery| {
        let children: Vec<Portal> = try_join_all((0..CHILDREN).map(|_| {
            let child = nursery.start_actor("ours").transport(measure.protocol).enable(item::MODULE);
            async {
                let child = child.into_future().await?;
                child.run(reflect(Item::new(0))).await?;
                Ok::<_, pleach::Error>(child)
            }
        }))
        .await?;
        let (up, ending) = (started.elapsed(), Instant::now());
        drop(children);
        nursery.cancel().await;
        Ok::<_, pleach::Error>((up, ending))
    })
    .await?;
    Ok(if measure.what == What::Up { up } else { ending.elapsed() })
}

async fn raw_many(host: &Host, measure: Measure) -> Duration {
    let started = Instant::now();
    let peers = try_join_all((0..CHILDREN).map(|_| host.start(measure.protocol, EXCHANGE))).await;
    let peers = peers.expect("raw peers");
    let (up, ending) = (started.elapsed(), Instant::now());
    futures_util::future::join_all(peers.into_iter().map(|peer| peer.end())).await;
    if measure.what == What::Up { up } else { ending.elapsed() }
}

async fn memory(measure: Measure) -> Result<Turn> {
    pleach::open_nursery(async |nursery| {
        let child = start_child(&nursery, measure, None).await?;
        let taken = anonymous_memory(child.id().pid());
        child.cancel_actor().await?;
        Ok(Turn::new(vec![taken as f64], None))
    })
    .await
}

async fn raw_memory(host: &Host, measure: Measure) -> Turn {
    let peer = host.start(measure.protocol, EXCHANGE).await.expect("a raw peer");
    let taken = anonymous_memory(peer.pid());
    peer.end().await;
    Turn::new(vec![taken as f64], None)
}

const EXCHANGE: Exchange = Exchange { request: 64, every: 1, reply: 64 };
