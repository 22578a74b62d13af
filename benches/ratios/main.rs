//! The gates: what a call, a blob and a child cost, as a ratio to bare tokio in the same run.
//!
//! Everything runs pinned to one core, where medians repeat within a few per cent; ours and raw take
//! turns, and the ratio is the median over the rounds. Nothing is written but the table, and the
//! program fails when a gate does.
//!
//! `cargo bench --bench ratios -- uds` restricts it to lines with that word; `taskset` chooses
//! another core.

#[path = "../common/mod.rs"]
mod common;
mod floor;
mod measure;
mod raw;
mod report;
mod tick;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pleach::{Config, Nursery, Portal, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use common::{MODULE, blob, echo, in_flight, keys, message, size};
use floor::Floor;
use measure::{BLOB, CALLERS, CALLS_EACH, MEASURES, Measure, What};
use raw::{Host, Peer};
use report::Row;

fn main() -> ExitCode {
    if raw::serve_if_asked() || floor::receive_if_asked() {
        return ExitCode::SUCCESS;
    }
    pleach::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Without it cargo only wants to know whether the program works, as in `cargo test --benches`.
    let in_earnest = arguments.iter().any(|argument| argument == "--bench");
    let only = arguments.into_iter().find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let (rounds, turn) = if in_earnest { (5, Duration::from_millis(250)) } else { (0, Duration::ZERO) };
    pin_to_one_core();
    let plan = Plan { rounds, turn, only };
    let measured = common::runtime().block_on(pleach::open_root(Config::default(), async |_| measure_all(&plan).await));
    let rows = measured.expect("nothing fails while it is measured");
    if rows.iter().all(Row::holds) || !in_earnest { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How often the two sides take turns, how long a turn is, and a word that chooses lines.
struct Plan {
    rounds: usize,
    turn: Duration,
    only: String,
}

async fn measure_all(plan: &Plan) -> Result<Vec<Row>> {
    let host = Host::new().await.expect("sockets for the raw peers");
    let known = keys();
    let mut rows = Vec::new();
    Row::print_head();
    for measure in MEASURES {
        let line = format!("{} {}", measure.what.name(), measure.protocol);
        if line.contains(&plan.only) && known.iter().any(|key| key.protocol == measure.protocol) {
            let rounds = match measure.what {
                What::Stream => compare_streams(measure, plan).await?,
                _ => compare(measure, &host, plan).await?,
            };
            let row = Row { measure, rounds };
            row.print();
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Lets both sides take turns; returns the median time of a call, ours and raw, for each round.
async fn compare(measure: Measure, host: &Host, plan: &Plan) -> Result<Vec<(Duration, Duration)>> {
    let Measure { what, protocol, .. } = measure;
    let blob = blob(BLOB);
    pleach::open_nursery(async |nursery| {
        let child = start_child(&nursery, protocol).await?;
        let mut peer = start_raw(host, measure).await;
        let mut rounds = Vec::new();
        for round in 0..=plan.rounds {
            let ours = median(plan.turn, async || step(what, protocol, &child, &blob).await).await?;
            let raw = median(plan.turn, async || Ok(raw_step(measure, host, &mut peer).await)).await?;
            // The first round warms up, unless it is the only one.
            if round > 0 || plan.rounds == 0 {
                rounds.push((ours / what.calls() as u32, raw / what.calls() as u32));
            }
        }
        peer.end().await;
        child.cancel_actor().await?;
        Ok(rounds)
    })
    .await
}

/// As [`compare`], for a stream, which stays open over all rounds.
async fn compare_streams(measure: Measure, plan: &Plan) -> Result<Vec<(Duration, Duration)>> {
    let mut floor = Floor::start(measure.protocol).expect("a process with a socket");
    pleach::open_nursery(async |nursery| {
        let child = nursery.start_actor("ours").enable(tick::MODULE).transport(measure.protocol).await?;
        let rounds = tick::with_stream(&child, async |stream| {
            let mut rounds = Vec::new();
            for round in 0..=plan.rounds {
                let ours = median(plan.turn, async || timed(async || tick::send(stream).await).await).await?;
                let raw = median(plan.turn, async || {
                    timed(async || {
                        floor.send().expect("the receiver takes all");
                        Ok(())
                    })
                    .await
                })
                .await?;
                if round > 0 || plan.rounds == 0 {
                    rounds.push((ours / measure.what.calls() as u32, raw / measure.what.calls() as u32));
                }
            }
            Ok(rounds)
        })
        .await?;
        child.cancel_actor().await?;
        Ok(rounds)
    })
    .await
}

async fn timed(mut step: impl AsyncFnMut() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    step().await?;
    Ok(started.elapsed())
}

/// Repeats a step for a while and returns its median time.
async fn median(turn: Duration, mut step: impl AsyncFnMut() -> Result<Duration>) -> Result<Duration> {
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || started.elapsed() < turn {
        times.push(step().await?);
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

async fn step(what: What, protocol: &str, child: &Portal, blob: &Bytes) -> Result<Duration> {
    let started = Instant::now();
    match what {
        What::Call => drop(child.run(echo(message())).await?),
        What::Blob => drop(child.run(size(blob.clone())).await?),
        What::Echo => drop(child.run(echo(blob.clone())).await?),
        What::Flight => drop(in_flight(std::slice::from_ref(child), CALLERS, CALLS_EACH as u64, &message()).await?),
        What::Child => return spawn_one(protocol).await,
        What::Stream => unreachable!("streams are compared on their own"),
    }
    Ok(started.elapsed())
}

async fn raw_step(measure: Measure, host: &Host, peer: &mut Peer) -> Duration {
    let started = Instant::now();
    match measure.what {
        What::Call | What::Blob | What::Echo => peer.call().await,
        What::Flight => {
            for _ in 0..CALLS_EACH {
                peer.call().await;
            }
        }
        What::Child => {
            let peer = start_raw(host, measure).await;
            let spent = started.elapsed();
            peer.end().await; // before the next one is started, and not counted
            return spent;
        }
        What::Stream => unreachable!("streams are compared on their own"),
    }
    started.elapsed()
}

/// Starts a child in a nursery of its own, so that it is gone before the next one is started.
async fn spawn_one(protocol: &str) -> Result<Duration> {
    pleach::open_nursery(async |nursery| {
        let started = Instant::now();
        let child = start_child(&nursery, protocol).await?;
        let spent = started.elapsed();
        child.cancel_actor().await?;
        Ok(spent)
    })
    .await
}

async fn start_child(nursery: &Nursery, protocol: &str) -> Result<Portal> {
    let child = nursery.start_actor("ours").enable(MODULE).transport(protocol).await?;
    child.run(echo(message())).await?;
    Ok(child)
}

async fn start_raw(host: &Host, measure: Measure) -> Peer {
    let (request, reply) = measure.what.raw_sizes();
    let mut peer = host.start(measure.protocol, request, reply).await.expect("a raw peer");
    peer.call().await;
    peer
}

/// Keeps this process and all that it starts on the first core that it may use.
fn pin_to_one_core() {
    let allowed = sched_getaffinity(None).expect("a process may ask where it runs");
    let mut one = CpuSet::new();
    (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core)).into_iter().for_each(|core| one.set(core));
    sched_setaffinity(None, &one).expect("a process may choose among the cores it has");
}
