//! Calls and cancels beside a flooded stream of the same connection take little longer than without it.
//!
//! Times are compared within one run: medians beside a flood with medians beside as much work at both ends that sends
//! nothing. Without that work, a busy machine would run the few calls at once, and two processes that flood in turn with
//! all others. It may still be busy with something else in just one of both, which says nothing of the connection; so
//! a few rounds are measured, and the best of them counts. Whatever queues behind the flood does so in each.
//!
//! Over QUIC nothing overtakes what is under way already: a window full, whose datagrams are taken in one
//! after the other, and a debug build needs milliseconds for that. So there, beside large messages, a call
//! may take the time of so many bytes on the idle connection too, and half as much again for the other
//! things that both ends do meanwhile; behind a message more it would take nearly twice that time.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{FOREVER, in_root, matrix};

/// How the stream is flooded.
#[derive(Clone, Copy, Debug)]
struct Flood {
    /// Whether the root sends; otherwise its child does.
    from_root: bool,
    /// The bytes of a message.
    size: usize,
}

#[pleach::context]
async fn pours(ctx: &mut Context<(), (), Blob>, size: usize) -> Result<()> {
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?;
    loop {
        stream.send(message(size)).await?;
    }
}

#[pleach::context]
async fn sips(ctx: &mut Context<(), Blob, ()>) -> Result<()> {
    ctx.started(()).await?;
    sip(&mut ctx.open_stream().await?).await
}

#[pleach::context]
async fn burns(ctx: &mut Context<(), (), ()>, size: usize) -> Result<()> {
    ctx.started(()).await?;
    burn(size).await
}

#[pleach::context]
async fn stays(ctx: &mut Context<(), (), ()>) -> Result<()> {
    ctx.started(()).await?;
    std::future::pending().await
}

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

#[pleach::rpc]
async fn weigh(blob: Blob) -> Result<usize> {
    Ok(blob.0.len())
}

fn message(size: usize) -> Blob {
    Blob::from(vec![7; size])
}

/// Makes messages as a flood does, and sends none.
async fn burn(size: usize) -> Result<()> {
    loop {
        std::hint::black_box(message(size));
        tokio::task::yield_now().await;
    }
}

/// Takes a message now and then: the sender, which does nothing else, always has the next one ready.
async fn sip<T>(stream: &mut MsgStream<Blob, T>) -> Result<()> {
    while stream.recv().await?.is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    let floods = [
        ("from_the_root", Flood { from_root: true, size: 16 }),
        ("from_a_child", Flood { from_root: false, size: 16 }),
        ("of_large_messages_from_the_root", Flood { from_root: true, size: 1 << 20 }),
        ("of_large_messages_from_a_child", Flood { from_root: false, size: 1 << 20 }),
    ];
    let make = |(name, flood)| {
        matrix(&format!("floods::calls_and_cancels_overtake_a_flood_{name}"), move |config| overtake(config, flood))
    };
    let passed = matrix("floods::a_small_call_passes_large_arguments", pass_large_arguments);
    floods.into_iter().flat_map(make).chain(passed).collect()
}

/// The small call is the last one made and the first one answered: it waits neither behind the large ones in the send
/// queue, nor for room in it.
async fn pass_large_arguments(config: Config) {
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let blob = message(4 << 20);
            let mut large = std::pin::pin!(join_all((0..8).map(|_| portal.run(weigh(blob.clone())))));
            tokio::select! {
                biased; // the large ones are made first
                weights = &mut large => panic!("the small call was still under way: {weights:?}"),
                sum = portal.run(add(1, 2)) => assert_eq!(sum?, 3),
            }
            for weight in large.await {
                assert_eq!(weight?, 4 << 20);
            }
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn overtake(config: Config, flood: Flood) {
    // On a busy machine one of many cancels may take long; what counts are the medians.
    let config = Config { cancel_ack: FOREVER, ..config };
    let is_large = flood.size > WINDOW / 2;
    let under_way = if config.transport == "quic" && is_large { WINDOW } else { 0 };
    let least = if is_large { SLICE } else { Duration::ZERO };
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                let dry = beside_work(&portal, flood.size).await?;
                let taken = taking(&portal, under_way).await?;
                let flooded = beside(&portal, flood).await?;
                let limit = |dry: Duration| least.max(LIMIT * dry) + 3 * taken / 2;
                if flooded.call < limit(dry.call) && flooded.cancel < limit(dry.cancel) {
                    return portal.cancel_actor().await;
                }
                rounds.push((dry, taken, flooded));
            }
            panic!("more than {LIMIT} times slower beside a flood, in each of {ROUNDS} rounds: {rounds:?}");
        })
        .await
    })
    .await
    .unwrap();
}

/// How long so many bytes take to arrive.
async fn taking(portal: &Portal, bytes: usize) -> Result<Duration> {
    if bytes == 0 {
        return Ok(Duration::ZERO);
    }
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(portal.run(weigh(message(bytes))).await?, bytes);
        times.push(begun.elapsed());
    }
    Ok(median(times))
}

/// Measures while both ends work as much as they do in a flood.
async fn beside_work(portal: &Portal, size: usize) -> Result<Medians> {
    let body = async |ctx: OpenContext<(), (), (), ()>, ()| until_measured(portal, &ctx, burn(size)).await;
    portal.open_context(burns(size), body).await
}

/// Measures while the stream is flooded.
async fn beside(portal: &Portal, flood: Flood) -> Result<Medians> {
    if flood.from_root {
        let body = async |ctx: OpenContext<(), Blob, (), ()>, ()| {
            let stream = ctx.open_stream().await?;
            let pour = async {
                loop {
                    stream.send(message(flood.size)).await?;
                }
            };
            until_measured(portal, &ctx, pour).await
        };
        portal.open_context(sips(), body).await
    } else {
        let body = async |ctx: OpenContext<(), (), Blob, ()>, ()| {
            let mut stream = ctx.open_stream().await?;
            stream.recv().await?.expect("it pours");
            until_measured(portal, &ctx, sip(&mut stream)).await
        };
        portal.open_context(pours(flood.size), body).await
    }
}

/// Measures beside `flooding`, or as much work, then cancels its context.
async fn until_measured<R, T>(
    portal: &Portal,
    ctx: &OpenContext<(), R, T, ()>,
    flooding: impl Future<Output = Result<()>>,
) -> Result<Medians> {
    let measured = tokio::select! {
        ended = flooding => panic!("the flood has ended: {ended:?}"),
        measured = Medians::measure(portal) => measured?,
    };
    ctx.cancel().await?;
    Ok(measured)
}

/// How long a call and a cancel take, mostly.
#[derive(Debug)]
struct Medians {
    call: Duration,
    cancel: Duration,
}

impl Medians {
    async fn measure(portal: &Portal) -> Result<Self> {
        let (mut calls, mut cancels) = (Vec::new(), Vec::new());
        for n in 0..SAMPLES {
            let begun = Instant::now();
            assert_eq!(portal.run(add(n, 1)).await?, n + 1);
            calls.push(begun.elapsed());
            let cancel = portal.open_context(stays(), async |ctx, ()| {
                let begun = Instant::now();
                ctx.cancel().await?;
                Ok::<_, Error>(begun.elapsed())
            });
            cancels.push(cancel.await?);
        }
        Ok(Self { call: median(calls), cancel: median(cancels) })
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Of each kind, in each half of a round.
const SAMPLES: u64 = 21;

/// How often it is tried: enough that one of them is not disturbed.
const ROUNDS: usize = 16;

/// How many times as long a call or a cancel may take.
const LIMIT: u32 = 5;

/// How long each may take at least beside large messages: both ends copy most of the time, so that a woken task may
/// have to wait until the system preempts another, a few milliseconds.
const SLICE: Duration = Duration::from_millis(5);

/// What a stream over QUIC may have under way (`STREAM_WINDOW` of that transport), in bytes.
const WINDOW: usize = 1_250_000;
