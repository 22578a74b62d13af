//! Streams: one way and both ways, which side waits, and how a loss is reported.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use futures_util::{FutureExt as _, SinkExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use pleach::__private::{Export, Invoked, Request, context_call, stream_call};
use pleach::error::Refusal;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use pleach::wire::msg::FunctionKind;
use pleach::{ContextCall, Lag, StreamCall, Subscription};
use tracing::instrument::WithSubscriber as _;

use crate::support::{self, Log, Notes, PROCESSES, Watched, assert_says, in_root, matrix, matrix_over, note, patience};

/// Sends the numbers below `to`, with its sender.
#[pleach::stream]
async fn counts(out: &mut StreamSender<u64>, to: u64) -> Result<()> {
    for number in 0..to {
        out.send(number).await?;
    }
    Ok(())
}

/// Sends the numbers below `to`, as a stream; fails there if it is told to.
#[pleach::stream]
fn counted(to: u64, fails: bool) -> impl Stream<Item = anyhow::Result<u64>> {
    let end = fails.then(|| Err(anyhow::anyhow!("no number after {to}")));
    stream::iter(0..to).map(Ok).chain(stream::iter(end))
}

/// Forwards a stream to its sender, which is a sink, and then notes how that went.
#[pleach::stream]
async fn forwards(out: &mut StreamSender<u64>, to: u64, notes: String) -> Result<()> {
    let forwarded = stream::iter(0..to).map(Ok).forward(out).await;
    note(&notes, if forwarded.is_ok() { "sent" } else { "failed" });
    forwarded
}

/// Sends for ever; once it is cancelled, takes its time to clean up.
#[pleach::stream]
async fn cleans_up(out: &mut StreamSender<u32>, notes: String) -> Result<()> {
    let _shield = Shield::enter();
    let forever = async {
        loop {
            out.send(std::process::id()).await?;
        }
    };
    let ended: Result<()> = tokio::select! {
        ended = forever => ended,
        () = scope::cancelled() => scope::checkpoint(),
    };
    shield(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        note(&notes, "cleaned up");
    })
    .await;
    ended
}

/// Sends one number; once it is cancelled, its clean-up fails.
#[pleach::stream]
async fn fails_to_clean_up(out: &mut StreamSender<u64>) -> anyhow::Result<()> {
    let _shield = Shield::enter();
    out.send(1).await?;
    scope::cancelled().await;
    anyhow::bail!("the disk is full")
}

/// Sends back what it gets, doubled, until the caller's stream ends.
#[pleach::context]
async fn doubler(ctx: &mut Context<(), u64, u64>) -> Result<u64> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut seen = 0;
    while let Some(number) = stream.try_next().await? {
        stream.send(number * 2).await?;
        seen += 1;
    }
    Ok(seen)
}

/// Sends 65 messages at once.
#[pleach::context]
async fn floods(ctx: &mut Context<(), (), u64>) -> Result<()> {
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?;
    for number in 0..=64 {
        stream.send(number).await?;
    }
    Ok(())
}

/// Fails after its caller has said something.
#[pleach::context]
async fn fails_later(ctx: &mut Context<(), u64, u64>) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    stream.recv().await?;
    Err(Error::Usage("the callee's own".into()))
}

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

pub(crate) fn tests() -> Vec<Trial> {
    [
        matrix("streams::a_one_way_stream_ends_with_its_function", ends),
        matrix("streams::an_error_comes_after_what_was_sent_before_it", fails),
        matrix("streams::leaving_the_block_cancels_the_function_and_waits_for_its_clean_up", leaving),
        matrix("streams::a_clean_up_that_fails_unheard_is_logged", clean_up_fails),
        matrix("streams::a_cancelled_block_has_cancelled_the_function", cancelled),
        matrix("streams::exactly_the_buffer_fits", overrun),
        matrix("streams::an_overrun_says_whether_a_stream_is_open", overrun_by_callee),
        matrix("streams::a_receiver_that_keeps_the_newest_is_told_what_it_lost", keeps_newest),
        matrix("streams::a_stream_is_a_stream_and_a_sink", splits),
        matrix("streams::consumers_that_are_cancelled_lose_nothing", cancelled_consumers),
        matrix("streams::subscribers_get_what_the_stream_gets", subscribers),
        matrix("streams::a_closed_stream_leaves_the_result", closed),
        matrix("streams::a_sender_to_a_peer_that_failed_gets_its_error", sends_to_failed),
        matrix("streams::a_function_of_another_kind_is_refused", wrong_kind),
        matrix_over(&PROCESSES, "streams::the_death_of_the_function_is_the_blocks_error", dies),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn with_peer<F, Fut>(config: Config, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    support::with_peer(config, module_path!(), body).await;
}

async fn ends(config: Config) {
    with_peer(config, async |portal| {
        // S90, S91: both ways to write it; S05: the consumer is there from the start, so no overrun happens.
        for call in [counts(1000), counted(1000, false), counts(1000).buffer(1), counted(1000, false).buffer(500)] {
            let taken = portal
                .open_stream_from(call, async |mut stream| {
                    let mut taken = Vec::new();
                    while let Some(number) = stream.recv().await? {
                        taken.push(number);
                    }
                    // S72, S78, S79: the end is a value, and stays.
                    assert_eq!(stream.recv().await?, None);
                    assert!(stream.next().await.is_none());
                    Ok::<_, Error>(taken)
                })
                .await?;
            assert!(taken.into_iter().eq(0..1000));
        }
        // None at all; and two over one connection at once.
        let none = portal.open_stream_from(counts(0), async |mut stream| stream.recv().await).await?;
        assert_eq!(none, None);
        let sum = || portal.open_stream_from(counts(300), async |stream| stream.try_fold(0, add_up).await);
        assert_eq!(tokio::try_join!(sum(), sum())?, (44850, 44850));
        Ok(())
    })
    .await;
}

async fn add_up(sum: u64, number: u64) -> Result<u64> {
    Ok(sum + number)
}

async fn fails(config: Config) {
    with_peer(config, async |portal| {
        let mut taken = Vec::new();
        let failed: Result<()> = portal
            .open_stream_from(counted(100, true), async |mut stream| {
                let mut copy = stream.subscribe_with(200);
                while let Ok(Some(number)) = stream.recv().await {
                    taken.push(number);
                }
                // S78: it stays, for this consumer and for every other.
                assert_says(&stream.recv().await, &["no number after 100"]);
                assert_eq!(
                    copy.by_ref().try_fold(0, add_up).await.unwrap_err().to_string(),
                    message(&stream.recv().await)
                );
                assert_says(&copy.recv().await, &["no number after 100"]);
                assert_says(&stream.subscribe().recv().await, &["no number after 100"]);
                Ok(())
            })
            .await;
        assert!(taken.into_iter().eq(0..100));
        assert_says(&failed, &["`peer`", "no number after 100", "anyhow::Error"]);
        Ok(())
    })
    .await;
}

fn message<T>(failed: &Result<T>) -> String {
    failed.as_ref().err().unwrap().to_string()
}

async fn leaving(config: Config) {
    let notes = Arc::new(Notes::new());
    with_peer(config, async |portal| {
        // S90: with a value; with an error, which comes out.
        let pid = portal
            .open_stream_from(cleans_up(notes.address()), async |mut stream| {
                stream.recv().await.transpose().expect("it sends for ever")
            })
            .await?;
        assert_eq!(pid, portal.id().pid());
        note(&notes.address(), "left");
        notes.expect_async("cleaned up").await;
        notes.expect_async("left").await;
        let failed: anyhow::Result<()> = portal
            .open_stream_from(cleans_up(notes.address()), async |mut stream| {
                stream.recv().await?;
                anyhow::bail!("the body's own")
            })
            .await;
        assert_eq!(failed.unwrap_err().to_string(), "the body's own");
        note(&notes.address(), "left");
        notes.expect_async("cleaned up").await;
        notes.expect_async("left").await;
        assert_eq!(portal.run(add(1, 2)).await?, 3);
        Ok(())
    })
    .await;
}

async fn clean_up_fails(config: Config) {
    with_peer(config, async |portal| {
        let (log, lines) = sync_channel(100);
        let logging = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Log(log.clone())).finish();
        let block = portal.open_stream_from(fails_to_clean_up(), async |mut stream| stream.recv().await);
        assert_eq!(block.with_subscriber(logging).await?, Some(1));
        // A record comes a moment later, from a thread of its own.
        let mut lines = std::iter::from_fn(|| lines.recv_timeout(patience()).ok());
        assert!(lines.any(|line| line.contains("the disk is full")));
        Ok(())
    })
    .await;
}

async fn cancelled(config: Config) {
    let notes = Arc::new(Notes::new());
    with_peer(config, async |portal| {
        let started = tokio::sync::Notify::new();
        let forever = || {
            portal.open_stream_from(cleans_up(notes.address()), async |mut stream| {
                stream.recv().await?;
                started.notify_one();
                std::future::pending::<Result<()>>().await
            })
        };
        // S90: by the scope around, in order.
        let scope = CancelScope::new();
        let (ended, ()) = tokio::join!(scope.run(forever()), async {
            started.notified().await;
            scope.cancel();
        });
        assert!(ended.is_err_and(|error| error.is_cancelled()));
        note(&notes.address(), "left");
        notes.expect_async("cleaned up").await;
        notes.expect_async("left").await;
        // By being dropped: without a wait, but it is cancelled.
        tokio::select! {
            _ = forever() => panic!("it has no end"),
            () = started.notified() => {}
        }
        notes.expect_async("cleaned up").await;
        Ok(())
    })
    .await;
}

async fn overrun(config: Config) {
    // S08, S11: the buffer is 64 unless the configuration or the call says otherwise.
    with_peer(config.clone(), async |portal| {
        overrun_at(&portal, None, 64).await;
        overrun_at(&portal, Some(5), 5).await;
        overrun_at(&portal, Some(200), 200).await;
        Ok(())
    })
    .await;
    with_peer(Config { stream_buffer: 7, ..config }, async |portal| {
        overrun_at(&portal, None, 7).await;
        Ok(())
    })
    .await;
}

/// S07, S13: so many fit; one more is an error of the function, and so of its caller.
async fn overrun_at(portal: &Portal, buffer: Option<u32>, fit: u64) {
    let notes = Arc::new(Notes::new());
    let call = forwards(fit + 1, notes.address()).lag(Lag::Error);
    let call = if let Some(buffer) = buffer { call.buffer(buffer) } else { call };
    let mut taken = 0;
    let overrun: Result<()> = portal
        .open_stream_from(call, async |mut stream| {
            notes.expect_async("failed").await; // though none was taken
            while stream.recv().await?.is_some() {
                taken += 1;
            }
            Ok(())
        })
        .await;
    assert_eq!(taken, fit);
    let Err(Error::Remote(overrun)) = overrun else { panic!("{overrun:?}") };
    assert_eq!(overrun.type_name, "pleach::Error::StreamOverrun");
    assert!(overrun.message.contains("in actor `root`"), "{}", overrun.message);
    assert!(!overrun.message.contains("no stream is open"), "{}", overrun.message);
}

async fn overrun_by_callee(config: Config) {
    with_peer(config, async |portal| {
        // S02, S13, S19: the caller never opened its stream, or does not let senders wait.
        for opens in [false, true] {
            let overrun: Result<()> = portal
                .open_context(floods(), async |ctx, ()| {
                    let _stream = if opens { Some(ctx.open_stream().backpressure(false).await?) } else { None };
                    std::future::pending().await
                })
                .await;
            let Err(Error::Remote(overrun)) = overrun else { panic!("{overrun:?}") };
            assert_eq!(overrun.type_name, "pleach::Error::StreamOverrun");
            let lines: Vec<_> = overrun.message.lines().collect();
            assert!(lines[0].contains("stream overrun") && lines[0].contains("`root`"), "{lines:?}");
            assert_eq!(lines[1] == "no stream is open on the `root` side", !opens, "{lines:?}");
            assert!(lines.last().unwrap().contains("`peer`"), "{lines:?}");
        }
        // S09, S01: with back-pressure the same function waits, and all of it comes.
        portal
            .open_context(floods(), async |ctx, ()| {
                let stream = ctx.open_stream().backpressure(true).await?;
                assert_eq!(stream.count().await, 65);
                Ok(())
            })
            .await
    })
    .await;
}

async fn keeps_newest(config: Config) {
    const COUNT: u64 = 1000;
    let notes = Arc::new(Notes::new());
    with_peer(config, async |portal| {
        let call = forwards(COUNT, notes.address()).buffer(10).lag(Lag::DropOldest);
        portal
            .open_stream_from(call, async |mut stream| {
                notes.expect_async("sent").await; // though none was taken
                let (mut next, mut most, mut taken) = (0, 0, 0);
                while next < COUNT {
                    match stream.recv().await {
                        Err(Error::Lagged { lost }) => {
                            next += lost;
                            most = most.max(lost);
                        }
                        found => {
                            assert_eq!(found?, Some(next));
                            (next, taken) = (next + 1, taken + 1);
                        }
                    }
                }
                // What was on its way when the first was taken may have come later.
                assert!(most >= COUNT - 30 && taken <= 30, "lost {most}, took {taken}");
                Ok(())
            })
            .await
    })
    .await;
}

async fn splits(config: Config) {
    with_peer(config, async |portal| {
        let seen = portal
            .open_context(doubler(), async |ctx, ()| {
                let (mut tx, rx) = ctx.open_stream().await?.split();
                let send = async {
                    tx.send_all(&mut stream::iter(0..500).map(Ok)).await?;
                    tx.close().await?; // this direction only
                    assert!(matches!(tx.send(1).await, Err(Error::Closed(_)))); // S81
                    Ok(())
                };
                let ((), doubled) = tokio::try_join!(send, rx.try_collect::<Vec<_>>())?;
                assert!(doubled.into_iter().eq((0..500).map(|number| number * 2))); // S85
                ctx.result().await
            })
            .await?;
        assert_eq!(seen, 500);
        Ok(())
    })
    .await;
}

async fn cancelled_consumers(config: Config) {
    // S49, S66, S103: no shield is needed: a consumer comes and goes, the stream stays.
    with_peer(config, async |portal| {
        portal
            .open_stream_from(counts(500), async |mut stream| {
                let (mut next, mut polled) = (0, 0);
                while next < 500 {
                    polled += 1;
                    let round = polled % 5;
                    let consumer = async {
                        loop {
                            assert_eq!(stream.recv().await?, Some(next));
                            next += 1;
                            if next % 7 == round {
                                std::future::pending::<()>().await; // until it is cancelled
                            }
                        }
                    };
                    let ended: Option<Result<()>> = consumer.now_or_never();
                    assert!(ended.is_none());
                    tokio::task::yield_now().await;
                }
                assert_eq!(stream.recv().await?, None);
                Ok(())
            })
            .await
    })
    .await;
}

async fn subscribers(config: Config) {
    with_peer(config, async |portal| {
        portal
            .open_stream_from(counts(200), async |mut stream| {
                // S55, S57: the stream is one of them, and subscribing again is nothing special.
                let consumers = [stream.subscribe_with(200), stream.subscribe(), stream.subscribe()];
                assert!(consumers.iter().all(|consumer| consumer.statistics().window == 200));
                let mut leaves = stream.subscribe();
                let consumers = consumers.map(|consumer| tokio::spawn(take_all(consumer))); // S59
                assert_eq!(leaves.recv().await?, Some(0));
                leaves.close();
                assert!(matches!(leaves.recv().await, Err(Error::Closed(_)))); // S54
                let here: Vec<u64> = stream.try_collect().await?;
                assert!(here.into_iter().eq(0..200));
                for consumer in consumers {
                    assert!(consumer.await.unwrap()?.into_iter().eq(0..200));
                }
                Ok::<_, Error>(())
            })
            .await?;
        // S52, S57, S61: the window is the stream's buffer.
        portal
            .open_stream_from(counts(200).buffer(10), async |mut stream| {
                let mut slow = stream.subscribe();
                assert_eq!(stream.count().await, 200);
                assert!(matches!(slow.recv().await, Err(Error::Lagged { lost: 190 })));
                assert!(take_all(slow).await?.into_iter().eq(190..200));
                Ok::<_, Error>(())
            })
            .await?;
        // A stream both ways: what is closed ends for all who take from it.
        portal
            .open_context(doubler(), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                let mut copy = stream.subscribe();
                stream.send(4).await?;
                assert_eq!(copy.recv().await?, Some(8));
                assert_eq!(stream.recv().await?, Some(8));
                let waits = tokio::spawn(async move { copy.recv().await });
                tokio::task::yield_now().await;
                stream.close().await?;
                assert_eq!(waits.await.unwrap()?, None);
                ctx.result().await.map(drop)
            })
            .await
    })
    .await;
}

async fn take_all(mut consumer: Subscription<u64>) -> Result<Vec<u64>> {
    let mut taken = Vec::new();
    while let Some(number) = consumer.recv().await? {
        taken.push(number);
        tokio::task::yield_now().await;
    }
    Ok(taken)
}

async fn closed(config: Config) {
    with_peer(config, async |portal| {
        portal
            .open_context(doubler(), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                stream.send(1).await?;
                assert_eq!(stream.recv().await?, Some(2));
                stream.close().await?;
                // S73, S84: the function goes on to its end, and its result comes.
                assert_eq!(ctx.result().await?, 1);
                Ok(())
            })
            .await
    })
    .await;
}

async fn sends_to_failed(config: Config) {
    with_peer(config, async |portal| {
        let failed: Result<()> = portal
            .open_context(fails_later(), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                stream.send(1).await?;
                // S81: the failure interrupts this block, so it is shielded to look.
                shield(async {
                    assert_says(&ctx.result().await, &["the callee's own"]);
                    assert_says(&stream.recv().await, &["the callee's own"]);
                    assert_says(&stream.send(2).await, &["the callee's own"]);
                    assert_says(&stream.feed(2).await, &["the callee's own"]);
                    assert!(stream.next().await.is_none(), "as a stream it tells its failure once");
                })
                .await;
                Ok(())
            })
            .await;
        assert_says(&failed, &["the callee's own"]);
        Ok(())
    })
    .await;
}

/// Descriptions of functions as a program of another version may have them.
const fn mistaken_stream(path: &'static str, name: &'static str) -> Export {
    Export::stream(path, name, "", "u64", never)
}

fn never(_: Request) -> Invoked {
    panic!("it is called in the peer, by its own description")
}

static ADD_AS_STREAM: Export = mistaken_stream("it::streams::add", "add");
static DOUBLER_AS_STREAM: Export = mistaken_stream("it::streams::doubler", "doubler");
static COUNTS_AS_CONTEXT: Export = Export::context("it::streams::counts", "counts", "", "()", "(), (), ()", never);

async fn wrong_kind(config: Config) {
    // S16, S91, S92: each kind of function is opened in its own way only.
    with_peer(config, async |portal| {
        let called: Result<u64> = portal.run_from_ns("it::streams::counts", &(3,)).await;
        assert_refused(called, FunctionKind::Stream);
        let call: StreamCall<u64> = stream_call(&ADD_AS_STREAM, (1, 2));
        assert_refused(portal.open_stream_from(call, async |mut stream| stream.recv().await).await, FunctionKind::Rpc);
        let call: StreamCall<u64> = stream_call(&DOUBLER_AS_STREAM, ());
        assert_refused(
            portal.open_stream_from(call, async |mut stream| stream.recv().await).await,
            FunctionKind::Context,
        );
        let call: ContextCall<(), (), (), ()> = context_call(&COUNTS_AS_CONTEXT, (3,));
        assert_refused(portal.open_context(call, async |_, ()| Ok(())).await, FunctionKind::Stream);
        Ok(())
    })
    .await;
}

fn assert_refused<T: std::fmt::Debug>(opened: Result<T>, kind: FunctionKind) {
    match opened {
        Err(Error::Refused { why: Refusal::WrongKind { is }, .. }) => assert_eq!(is, kind),
        other => panic!("{other:?}"),
    }
}

async fn dies(config: Config) {
    let notes = Notes::new();
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("victim").enable(module_path!()).await?;
            // The nursery learns of the death too; a shield keeps this body to look first.
            shield(async {
                let ended: Result<()> = portal
                    .open_stream_from(cleans_up(notes.address()), async |mut stream| {
                        let pid = stream.recv().await?.expect("it sends for ever");
                        Watched::new(pid).kill();
                        while stream.recv().await?.is_some() {}
                        Ok(())
                    })
                    .await;
                assert_says(&ended, &["`victim`", "died while it was running", "signal 9 (SIGKILL)"]);
            })
            .await;
            Ok(())
        })
        .await;
        assert_says(&ended, &["`victim`", "signal 9"]);
        Ok(())
    })
    .await
    .unwrap();
}
