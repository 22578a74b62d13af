//! The two ends of a stream: split, closed, with several consumers.

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use pleach::Subscription;
use pleach::prelude::*;

use super::{Picked, counts, counts_at_once, doubler, fails_later, picked, shares_its_context, with_peer};
use crate::support::assert_says;

pub(super) async fn a_stream_is_a_stream_and_a_sink(config: Config) {
    with_peer(config, async |portal| {
        let seen = portal
            .open_context(doubler(), async |ctx, ()| {
                let (mut tx, rx) = futures_util::StreamExt::split(ctx.open_stream().await?);
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

pub(super) async fn two_tasks_have_the_halves_of_a_stream(config: Config) {
    with_peer(config, async |portal| {
        let seen = portal
            .open_context(doubler(), async |ctx, ()| {
                let (sender, mut receiver) = ctx.open_stream().await?.split();
                let doubled = pleach::open_task_nursery(async |t| {
                    let sends = t.spawn(async move {
                        sender.send_all(0..500).await?;
                        sender.close().await?; // this direction only
                        assert!(matches!(sender.send(1).await, Err(Error::Closed(_))));
                        Ok::<_, Error>(())
                    })?;
                    let takes = t.spawn(async move {
                        let mut doubled = Vec::new();
                        while receiver.recv_many(&mut doubled, 64).await? > 0 {}
                        Ok::<_, Error>(doubled)
                    })?;
                    sends.join().await?;
                    takes.join().await
                })
                .await?;
                assert!(doubled.into_iter().eq((0..500).map(|number| number * 2)));
                ctx.result().await
            })
            .await?;
        assert_eq!(seen, 500);
        Ok(())
    })
    .await;
}

pub(super) async fn a_half_that_is_dropped_ends_its_direction_only(config: Config) {
    with_peer(config, async |portal| {
        let seen = portal
            .open_context(doubler(), async |ctx, ()| {
                let (sender, receiver) = ctx.open_stream().buffer(4).await?.split();
                drop(receiver);
                // The peer's answers are discarded, and never block it.
                sender.send_all(0..500).await?;
                drop(sender);
                ctx.result().await
            })
            .await?;
        assert_eq!(seen, 500);
        let seen = portal
            .open_context(doubler(), async |ctx, ()| {
                let (sender, mut receiver) = ctx.open_stream().await?.split();
                sender.send(7).await?;
                drop(sender);
                assert_eq!((receiver.recv().await?, receiver.recv().await?), (Some(14), None));
                ctx.result().await
            })
            .await?;
        assert_eq!(seen, 1);
        Ok(())
    })
    .await;
}

pub(super) async fn several_tasks_of_a_function_have_its_context(config: Config) {
    with_peer(config, async |portal| {
        let ended = portal.open_context(shares_its_context(), async |ctx, first| {
            let mut stream = ctx.open_stream().await?;
            let mut sum = first;
            while let Some(number) = stream.recv().await? {
                sum += number;
            }
            Ok::<_, Error>((sum, ctx.result().await?))
        });
        assert_eq!(ended.await?, (52, 10));
        Ok(())
    })
    .await;
}

pub(super) async fn consumers_that_are_cancelled_lose_nothing(config: Config) {
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

pub(super) async fn subscribers_get_what_the_stream_gets(config: Config) {
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

pub(super) async fn messages_go_and_come_in_batches(config: Config) {
    with_peer(config, async |portal| {
        let call = counts_at_once(10_000);
        portal
            .open_stream_from(call, async |mut stream| {
                let (mut taken, mut calls) = (Vec::new(), 0);
                assert_eq!(stream.recv_many(&mut taken, 0).await?, 0);
                while let 1.. = stream.recv_many(&mut taken, 100).await? {
                    calls += 1;
                }
                assert!(taken.iter().copied().eq(0..10_000));
                assert!((100..10_000).contains(&calls), "several came at once, and no more than asked for: {calls}");
                Ok::<_, Error>(())
            })
            .await?;
        // One that can't be read is the error of the call that would begin with it.
        portal
            .open_stream_from(picked(5), async |mut stream| {
                let mut taken = Vec::new();
                while taken.len() < 3 {
                    stream.recv_many(&mut taken, 10).await?;
                }
                assert_eq!(taken, [0, 1, 2].map(Picked));
                assert_says(&stream.recv_many(&mut taken, 10).await, &["three is not read"]);
                while stream.recv_many(&mut taken, 10).await? > 0 {}
                assert_eq!(taken, [0, 1, 2, 4].map(Picked));
                Ok(())
            })
            .await
    })
    .await;
}

pub(super) async fn a_closed_stream_leaves_the_result(config: Config) {
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

pub(super) async fn a_sender_to_a_peer_that_failed_gets_its_error(config: Config) {
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
