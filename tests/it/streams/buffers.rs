//! What fits into a stream's buffer, which side waits when it is full, and how a loss is reported.

use std::sync::Arc;

use futures_util::StreamExt as _;
use pleach::Lag;
use pleach::prelude::*;

use super::{floods, forwards, forwards_blobs, with_peer};
use crate::support::Notes;

pub(super) async fn exactly_the_buffer_fits(config: Config) {
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

pub(super) async fn large_messages_fill_a_buffer_by_their_bytes(config: Config) {
    // A message counts for its payload, a little above 100,000 bytes, and for 64.
    let window = |bytes| Config { stream_bytes: bytes, ..config.clone() };
    for (config, said, fit) in [(config.clone(), None, 3), (window(1 << 20), None, 11), (config, Some(500_000), 5)] {
        with_peer(config, async |portal| {
            let notes = Arc::new(Notes::new());
            let call = forwards_blobs(fit + 1, 100_000, notes.address()).lag(Lag::Error);
            let call = if let Some(bytes) = said { call.buffer_bytes(bytes) } else { call };
            let mut taken = 0;
            let overrun: Result<()> = portal
                .open_stream_from(call, async |mut stream| {
                    notes.expect_async("failed").await; // though none was taken
                    while let Some(blob) = stream.recv().await? {
                        assert_eq!(blob.len(), 100_000);
                        taken += 1;
                    }
                    Ok(())
                })
                .await;
            assert_eq!(taken, fit);
            assert!(matches!(overrun, Err(Error::Remote(_))), "{overrun:?}");
            Ok(())
        })
        .await;
    }
}

pub(super) async fn an_overrun_says_whether_a_stream_is_open(config: Config) {
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

pub(super) async fn a_receiver_that_keeps_the_newest_is_told_what_it_lost(config: Config) {
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
