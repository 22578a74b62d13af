//! Contexts of several actors, entered at once by `gather_contexts`.

use std::collections::BTreeSet;
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::trionics::{Gate, gather_contexts};

use crate::support::{NoteOnDrop, Notes, assert_says, in_root, matrix_fn, over, test_fn};

const ACTORS: usize = 3;

/// Says its number, doubles what comes, and notes how it ends.
#[pleach::context]
async fn doubles(ctx: &mut Context<u64, u64, u64>, number: u64, notes: String) -> Result<()> {
    let _gone = NoteOnDrop(notes, "gone");
    ctx.started(number).await?;
    let mut stream = ctx.open_stream().await?;
    while let Some(n) = stream.recv().await? {
        if n == 13 {
            return Err(Error::Usage(format!("{number} is superstitious")));
        }
        stream.send(n * 2).await?;
    }
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_fn(contexts_of_several_actors);
    tests.push(test_fn(one_that_fails_ends_them_all));
    tests
}

/// Runs `body` with the streams of a context in each of several actors, in order.
async fn with_streams<F, Fut>(notes: &Notes, body: F) -> Result<()>
where
    F: FnOnce(Vec<(u64, MsgStream<u64, u64>)>) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    pleach::open_nursery(async |n| {
        let mut portals = Vec::new();
        for number in 0..ACTORS {
            portals.push(n.start_actor(format!("actor-{number}")).enable(module_path!()).await?);
        }
        let openers = portals.iter().cloned().zip(0..).map(|(portal, number)| {
            let call = doubles(number, notes.address());
            async move |gate: Gate<_>| {
                let enter = portal.open_context(call, async |ctx, first| {
                    let stream = ctx.open_stream().await?;
                    gate.enter((first, stream)).await
                });
                enter.await
            }
        });
        gather_contexts(openers, body).await?;
        for portal in portals {
            portal.cancel_actor().await?;
        }
        Ok(())
    })
    .await
}

// S32, S33
async fn contexts_of_several_actors(config: Config) {
    let notes = Arc::new(Notes::new());
    in_root(config, async |_| {
        with_streams(&notes, async |mut streams| {
            let mut doubled = BTreeSet::new();
            for (number, stream) in &mut streams {
                stream.send(*number).await?;
                doubled.extend(stream.recv().await?);
            }
            assert_eq!(streams.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!(doubled, BTreeSet::from([0, 2, 4]));
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
    for _ in 0..ACTORS {
        notes.expect_async("gone").await;
    }
}

// S32
async fn one_that_fails_ends_them_all() {
    let notes = Arc::new(Notes::new());
    let outcome = in_root(over("uds"), async |_| {
        with_streams(&notes, async |streams| {
            streams[1].1.send(13).await?;
            std::future::pending().await
        })
        .await
    });
    assert_says(&outcome.await, &["1 is superstitious"]);
    for _ in 0..ACTORS {
        notes.expect_async("gone").await;
    }
}
