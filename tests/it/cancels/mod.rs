//! Cancelled contexts: who has asked, who absorbs it, who is told, and what still arrives.

mod processes;

use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use pleach::{ActorId, ContextCancelled, ContextState};

use crate::support::{NoteOnDrop, Notes, assert_says, in_root, matrix_fn, note};

/// The module of the functions below.
const MODULE: &str = module_path!();

/// What the function does once it has come as far as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Then {
    Stays,
    CancelsItself,
    CancelsAScopeOfItsOwn,
    /// Once it is cancelled.
    Returns,
    /// Once it is cancelled.
    Fails,
    /// Once it is cancelled it sends 7 and returns 8.
    SendsAndReturns,
}

/// How far a context has come when it is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Stage {
    Open,
    Streaming,
    StreamFinished,
}

const STAGES: [Stage; 3] = [Stage::Open, Stage::Streaming, Stage::StreamFinished];

#[pleach::context]
async fn does(ctx: &mut Context<u32, u64, u64>, stage: Stage, then: Then) -> Result<u64> {
    // One that answers a cancellation by itself is not to be dropped before it does.
    let _shield = matches!(then, Then::Returns | Then::Fails | Then::SendsAndReturns).then(Shield::enter);
    ctx.started(std::process::id()).await?;
    let mut stream = match stage {
        Stage::Open => None,
        Stage::Streaming | Stage::StreamFinished => Some(ctx.open_stream().await?),
    };
    if let Some(stream) = &mut stream {
        // The caller is in its block. It may cancel this function before that is known here.
        shield(stream.recv()).await?;
    }
    if stage == Stage::StreamFinished
        && let Some(stream) = &mut stream
    {
        while shield(stream.recv()).await?.is_some() {}
    }
    match then {
        Then::Stays => std::future::pending().await,
        Then::CancelsItself => {
            ctx.cancel();
            std::future::pending().await
        }
        Then::CancelsAScopeOfItsOwn => {
            let scope = CancelScope::new();
            scope.cancel();
            scope.run(std::future::pending()).await?
        }
        Then::Returns | Then::Fails | Then::SendsAndReturns => {
            scope::cancelled().await;
            match stream {
                _ if then == Then::Fails => return Err(Error::Usage("the clean-up failed".into())),
                Some(stream) if then == Then::SendsAndReturns => stream.send(7).await?,
                _ => {}
            }
            Ok(8)
        }
    }
}

/// Comes to `stage` on this side too.
async fn reach(ctx: &OpenContext<u32, u64, u64, u64>, stage: Stage) -> Result<Option<MsgStream<u64, u64>>> {
    if stage == Stage::Open {
        return Ok(None);
    }
    let stream = ctx.open_stream().await?;
    stream.send(1).await?;
    if stage == Stage::StreamFinished {
        stream.close().await?;
        return Ok(None);
    }
    Ok(Some(stream))
}

/// Opens a context with `below`, ends that actor, and passes on what its block fails with.
#[pleach::rpc]
async fn passes_on() -> Result<u64> {
    pleach::open_nursery(async |n| {
        let below = n.start_actor("below").enable(MODULE).await?;
        let call = does(Stage::Open, Then::Stays);
        below.open_context(call, async |_, _| below.cancel_actor().await.map(|()| 0)).await
    })
    .await
}

/// Fills the caller's buffer with large messages, for ever.
#[pleach::context]
async fn floods(ctx: &mut Context<(), (), String>) -> Result<()> {
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?;
    loop {
        stream.send("x".repeat(100_000)).await?;
    }
}

#[pleach::context]
async fn echoes(ctx: &mut Context<(), u64, u64>) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    while let Some(n) = stream.recv().await? {
        stream.send(n).await?;
    }
    Ok(())
}

/// Takes a while to start, and notes when it is dropped.
#[pleach::context]
async fn never_starts(ctx: &mut Context<(), (), ()>, notes: String) -> Result<()> {
    let _dropped = NoteOnDrop(notes.clone(), "dropped");
    note(&notes, "begun");
    let _ctx = ctx;
    std::future::pending().await
}

pub(crate) fn tests() -> Vec<Trial> {
    [
        matrix_fn(a_context_that_asked_absorbs_it),
        matrix_fn(an_actor_that_was_cancelled_fails_each_context_to_it),
        matrix_fn(a_function_that_cancels_itself_fails_the_block),
        matrix_fn(the_bodys_own_error_comes_out),
        matrix_fn(a_cancelled_opener_gets_no_block),
        matrix_fn(what_a_cancelled_function_still_says_is_heard),
        matrix_fn(a_cancellation_climbs_the_tree_with_its_canceller),
        matrix_fn(a_flooded_context_holds_up_no_other),
        processes::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs `body` with a daemon that exposes this module; it may end the daemon itself.
async fn with_peer<F, Fut>(config: Config, body: F)
where
    F: FnOnce(ActorId, Portal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    in_root(config, async |root| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(MODULE).await?;
            body(root.id().clone(), portal.clone()).await?;
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// Asserts that a context was cancelled by `canceller` in the actor behind `portal`.
fn assert_cancelled<T: std::fmt::Debug>(ended: Result<T>, portal: &Portal, canceller: Option<&ActorId>) {
    let cancelled = told(ended);
    assert_eq!((cancelled.canceller.as_ref(), &cancelled.actor), (canceller, portal.id()));
    assert!(cancelled.relay_path.is_empty());
}

fn told<T: std::fmt::Debug>(ended: Result<T>) -> ContextCancelled {
    match ended {
        Err(Error::ContextCancelled(cancelled)) => *cancelled,
        other => panic!("{other:?}"),
    }
}

async fn a_context_that_asked_absorbs_it(config: Config) {
    // S14, S50, S74, S75, S77: absorbed, in whatever state, and however the function takes it.
    with_peer(config, async |root, portal| {
        for stage in STAGES {
            let value = portal
                .open_context(does(stage, Then::Stays), async |ctx, _| {
                    let _stream = reach(&ctx, stage).await?;
                    assert!(!ctx.cancel_called() && ctx.outcome().is_none() && ctx.maybe_error().is_none());
                    ctx.cancel().await?;
                    assert!(ctx.cancel_called() && ctx.cancel_acked());
                    for _ in 0..2 {
                        assert_cancelled(ctx.result().await, &portal, Some(&root));
                    }
                    assert_cancelled(ctx.outcome().unwrap(), &portal, Some(&root));
                    assert_eq!((ctx.canceller().as_ref(), ctx.state()), (Some(&root), ContextState::CancelledBySelf));
                    assert_cancelled(ctx.open_stream().await, &portal, Some(&root));
                    ctx.cancel().await?; // it has ended: nothing happens
                    Ok::<_, Error>(5)
                })
                .await?;
            assert_eq!(value, 5);
            // One that returns a value after all: the value counts, and the block is none the worse.
            let value = portal.open_context(does(stage, Then::Returns), async |ctx, _| {
                let _stream = reach(&ctx, stage).await?;
                ctx.cancel().await?;
                assert!(matches!(ctx.outcome(), Some(Ok(8))) && ctx.canceller().is_none());
                assert_eq!(ctx.state(), ContextState::Returned);
                ctx.result().await
            });
            assert_eq!(value.await?, 8);
            // One that fails while it cleans up: that is not a cancellation, and is not hidden.
            let failed: Result<()> = portal
                .open_context(does(stage, Then::Fails), async |ctx, _| {
                    let _stream = reach(&ctx, stage).await?;
                    ctx.cancel().await
                })
                .await;
            assert_says(&failed, &["the clean-up failed"]);
        }
        Ok(())
    })
    .await;
}

async fn an_actor_that_was_cancelled_fails_each_context_to_it(config: Config) {
    // S10, S12, S28: raised in each context, also in those of the canceller of the actor.
    in_root(config, async |root| {
        pleach::open_nursery(async |n| {
            for stage in STAGES {
                let portal = n.start_actor("peer").enable(MODULE).await?;
                let bystander = portal.open_context(does(stage, Then::Stays), async |ctx, _| {
                    let _stream = reach(&ctx, stage).await?;
                    std::future::pending::<Result<()>>().await // it looks at nothing, and is interrupted
                });
                let ender = portal.open_context(does(stage, Then::Stays), async |ctx, _| {
                    let _stream = reach(&ctx, stage).await?;
                    portal.cancel_actor().await?;
                    ctx.result().await
                });
                let (bystander, ender) = tokio::join!(bystander, ender);
                assert_cancelled(bystander, &portal, Some(root.id()));
                assert_cancelled(ender, &portal, Some(root.id()));
            }
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_function_that_cancels_itself_fails_the_block(config: Config) {
    with_peer(config, async |_, portal| {
        for (stage, then) in STAGES
            .into_iter()
            .flat_map(|stage| [Then::CancelsItself, Then::CancelsAScopeOfItsOwn].map(|then| (stage, then)))
        {
            let mut kept = None;
            let ended: Result<()> = portal
                .open_context(does(stage, then), async |ctx, _| {
                    kept = Some(ctx.clone());
                    let _stream = reach(&ctx, stage).await?;
                    std::future::pending().await
                })
                .await;
            assert_cancelled(ended, &portal, Some(portal.id()));
            // S06: what is known of it stays, also after the block.
            let Some(kept) = kept else {
                assert_eq!(stage, Stage::Open, "it was over before its body began");
                continue;
            };
            assert_eq!((kept.canceller().as_ref(), kept.state()), (Some(portal.id()), ContextState::CancelledByPeer));
            assert_cancelled(kept.result().await, &portal, Some(portal.id()));
        }
        Ok(())
    })
    .await;
}

async fn the_bodys_own_error_comes_out(config: Config) {
    // S74, S76: the remote task is cancelled, and its end replaces no error that is here already.
    with_peer(config, async |_, portal| {
        for (stage, then) in
            STAGES.into_iter().flat_map(|stage| [Then::Stays, Then::Returns, Then::Fails].map(|then| (stage, then)))
        {
            let mut kept = None;
            let ended: Result<()> = portal
                .open_context(does(stage, then), async |outer, _| {
                    kept = Some(outer.clone());
                    let _stream = reach(&outer, stage).await?;
                    // A second context that goes with the first.
                    let inner = does(Stage::Open, then);
                    portal.open_context(inner, async |_, _| Err(Error::Usage("the body's own".into()))).await
                })
                .await;
            assert!(matches!(&ended, Err(Error::Usage(text)) if text == "the body's own"), "{ended:?}");
            let kept = kept.unwrap();
            assert!(kept.cancel_called() && kept.cancel_acked() && kept.outcome().is_some());
            // The scope around it: the same. By hand, because a deadline passes on both sides at once.
            let scope = CancelScope::new();
            let around = scope.run(portal.open_context(does(Stage::Open, then), async |_, _| {
                scope.cancel();
                std::future::pending::<Result<()>>().await
            }));
            assert!(around.await.is_err_and(|error| error.is_cancelled()));
        }
        Ok(())
    })
    .await;
}

async fn a_cancelled_opener_gets_no_block(config: Config) {
    let notes = Arc::new(Notes::new());
    with_peer(config, async |root, portal| {
        let scope = CancelScope::new();
        let opening =
            portal.open_context(never_starts(notes.address()), async |_, ()| -> Result<()> { panic!("it opened") });
        let cancels = async {
            notes.expect_async("begun").await;
            scope.cancel();
        };
        let (opened, ()) = tokio::join!(scope.run(opening), cancels);
        assert!(opened.is_err_and(|error| error.is_cancelled()));
        notes.expect_async("dropped").await;
        // The actor ends before the function has started: the opening itself fails.
        let opening =
            portal.open_context(never_starts(notes.address()), async |_, ()| -> Result<()> { panic!("it opened") });
        let cancels = async {
            notes.expect_async("begun").await;
            portal.cancel_actor().await
        };
        let (opened, ended) = tokio::join!(opening, cancels);
        assert_cancelled(opened, &portal, Some(&root));
        ended
    })
    .await;
}

async fn what_a_cancelled_function_still_says_is_heard(config: Config) {
    // S22, S23, S27: the stream stays open, and everything up to the result is delivered.
    with_peer(config, async |_, portal| {
        let value = portal
            .open_context(does(Stage::Streaming, Then::SendsAndReturns), async |ctx, _| {
                let mut stream = reach(&ctx, Stage::Streaming).await?.expect("it streams");
                portal.cancel_actor().await?;
                assert_eq!(stream.recv().await?, Some(7));
                assert_eq!(stream.recv().await?, None);
                ctx.result().await
            })
            .await?;
        assert_eq!(value, 8);
        Ok(())
    })
    .await;
}

async fn a_cancellation_climbs_the_tree_with_its_canceller(config: Config) {
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let top = n.start_actor("top").enable(MODULE).await?;
            let cancelled = told(top.run(passes_on()).await);
            assert_eq!((cancelled.canceller.as_ref(), cancelled.actor.name()), (Some(top.id()), "below"));
            assert_eq!(cancelled.relay_path, [top.id().clone()]);
            top.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_flooded_context_holds_up_no_other(config: Config) {
    with_peer(config, async |_, portal| {
        portal
            .open_context(floods(), async |flooded, ()| {
                let mut unread = flooded.open_stream().await?;
                assert!(unread.recv().await?.is_some());
                portal
                    .open_context(echoes(), async |ctx, ()| {
                        let mut stream = ctx.open_stream().await?;
                        for n in 0..200 {
                            stream.send(n).await?;
                            assert_eq!(stream.recv().await?, Some(n));
                        }
                        stream.close().await
                    })
                    .await?;
                flooded.cancel().await
            })
            .await
    })
    .await;
}
