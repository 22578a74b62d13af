//! Streams: one way and both ways, and how they end.

mod buffers;
mod consumers;
mod kinds;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use futures_util::{SinkExt as _, Stream, StreamExt as _, TryStreamExt as _, stream};
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use serde::{Deserialize, Serialize};
use tracing::instrument::WithSubscriber as _;

use crate::support::{
    self, Log, Notes, PROCESSES, Watched, assert_says, in_root, matrix_fn, matrix_over, note, patience,
};

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

/// As [`forwards`], with byte strings of this size.
#[pleach::stream]
async fn forwards_blobs(out: &mut StreamSender<Blob>, to: u64, size: usize, notes: String) -> Result<()> {
    let forwarded = stream::iter(0..to).map(|_| Ok(Blob::from(vec![7; size]))).forward(out).await;
    note(&notes, if forwarded.is_ok() { "sent" } else { "failed" });
    forwarded
}

/// Sends the numbers below `to` in one go.
#[pleach::stream]
async fn counts_at_once(out: &mut StreamSender<u64>, to: u64) -> Result<()> {
    StreamSender::send_all(out, 0..to).await
}

/// A number that can be sent, and read unless it is three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Picked(u64);

impl TryFrom<u64> for Picked {
    type Error = &'static str;

    fn try_from(number: u64) -> std::result::Result<Self, &'static str> {
        if number == 3 { Err("three is not read") } else { Ok(Self(number)) }
    }
}

/// Sends such numbers below `to`.
#[pleach::stream]
async fn picked(out: &mut StreamSender<Picked>, to: u64) -> Result<()> {
    StreamSender::send_all(out, (0..to).map(Picked)).await
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

/// Two of its tasks have the context: one says the first value, the other one opens the stream, and waits.
#[pleach::context]
async fn shares_its_context(ctx: &mut Context<u64, (), u64>) -> Result<u64> {
    let (first, second) = (ctx.clone(), ctx.clone());
    let (said, heard) = tokio::sync::oneshot::channel::<()>();
    pleach::open_task_nursery(async |t| {
        let streams = t.spawn(async move {
            drop(heard.await);
            let stream = second.open_stream().await?;
            stream.send_all(0..10).await?;
            Ok::<_, Error>(10)
        })?;
        first.started(7).await?;
        drop(said);
        streams.join().await
    })
    .await
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
        matrix_fn(a_one_way_stream_ends_with_its_function),
        matrix_fn(an_error_comes_after_what_was_sent_before_it),
        matrix_fn(leaving_the_block_cancels_the_function_and_waits_for_its_clean_up),
        matrix_fn(a_clean_up_that_fails_unheard_is_logged),
        matrix_fn(a_cancelled_block_has_cancelled_the_function),
        matrix_fn(buffers::exactly_the_buffer_fits),
        matrix_fn(buffers::large_messages_fill_a_buffer_by_their_bytes),
        matrix_fn(buffers::an_overrun_says_whether_a_stream_is_open),
        matrix_fn(buffers::a_receiver_that_keeps_the_newest_is_told_what_it_lost),
        matrix_fn(consumers::a_stream_is_a_stream_and_a_sink),
        matrix_fn(consumers::two_tasks_have_the_halves_of_a_stream),
        matrix_fn(consumers::a_half_that_is_dropped_ends_its_direction_only),
        matrix_fn(consumers::several_tasks_of_a_function_have_its_context),
        matrix_fn(consumers::consumers_that_are_cancelled_lose_nothing),
        matrix_fn(consumers::subscribers_get_what_the_stream_gets),
        matrix_fn(consumers::messages_go_and_come_in_batches),
        matrix_fn(consumers::a_closed_stream_leaves_the_result),
        matrix_fn(consumers::a_sender_to_a_peer_that_failed_gets_its_error),
        matrix_fn(kinds::a_function_of_another_kind_is_refused),
        matrix_over(
            &PROCESSES,
            "streams::the_death_of_the_function_is_the_blocks_error",
            the_death_of_the_function_is_the_blocks_error,
        ),
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

async fn a_one_way_stream_ends_with_its_function(config: Config) {
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

async fn an_error_comes_after_what_was_sent_before_it(config: Config) {
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

async fn leaving_the_block_cancels_the_function_and_waits_for_its_clean_up(config: Config) {
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

async fn a_clean_up_that_fails_unheard_is_logged(config: Config) {
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

async fn a_cancelled_block_has_cancelled_the_function(config: Config) {
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

async fn the_death_of_the_function_is_the_blocks_error(config: Config) {
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
                assert_says(&ended, &["`victim`", "was killed by signal 9 (SIGKILL)"]);
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
