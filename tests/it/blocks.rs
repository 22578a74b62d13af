//! Blocks of contexts and one-way streams at odd moments: left early, cancelled late, beside a peer that is gone.

use std::sync::Arc;

use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{NoteOnDrop, Notes, PROCESSES, assert_says, in_root, matrix_fn, matrix_over, note, with_peer};

/// Opens its stream, and returns how many messages came before the end of it.
#[pleach::context]
async fn listens(ctx: &mut Context<u32, u64, u64>) -> Result<u64> {
    ctx.started(std::process::id()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut seen = 0;
    while stream.recv().await?.is_some() {
        seen += 1;
    }
    Ok(seen)
}

/// As [`listens`], and once its caller has stopped, fails.
#[pleach::context]
async fn fails_at_the_end(ctx: &mut Context<u32, u64, u64>) -> Result<u64> {
    ctx.started(std::process::id()).await?;
    let mut stream = ctx.open_stream().await?;
    while stream.recv().await?.is_some() {}
    Err(Error::Usage("it wanted more".into()))
}

#[pleach::context]
async fn returns(ctx: &mut Context<(), u64, u64>) -> Result<u64> {
    ctx.started(()).await?;
    Ok(7)
}

#[pleach::stream]
async fn sends(out: &mut StreamSender<u32>, forever: bool) -> Result<()> {
    out.send(std::process::id()).await?;
    match forever {
        true => std::future::pending().await,
        false => Ok(()),
    }
}

#[pleach::rpc]
async fn plus(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

pub(crate) fn tests() -> Vec<Trial> {
    [
        matrix_fn(leaving_a_block_that_opened_no_stream_ends_that_of_the_function),
        matrix_fn(a_context_whose_block_was_left_opens_no_stream),
        matrix_fn(a_cancel_after_the_end_was_called_all_the_same),
        matrix_fn(another_task_of_a_cancelled_block_gets_the_end_of_the_stream),
        matrix_fn(an_error_that_a_body_meets_its_cancellation_with_is_kept),
        matrix_fn(a_failure_ends_the_siblings_although_the_body_holds_a_shield),
        matrix_over(
            &PROCESSES,
            "blocks::whatever_is_opened_to_an_actor_that_just_died_says_so",
            whatever_is_opened_to_an_actor_that_just_died_says_so,
        ),
        matrix_over(
            &PROCESSES,
            "blocks::a_block_that_has_cancelled_is_not_failed_by_a_lost_peer",
            a_block_that_has_cancelled_is_not_failed_by_a_lost_peer,
        ),
        matrix_over(
            &PROCESSES,
            "blocks::a_stream_block_with_a_value_is_not_failed_by_a_lost_peer",
            a_stream_block_with_a_value_is_not_failed_by_a_lost_peer,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn leaving_a_block_that_opened_no_stream_ends_that_of_the_function(config: Config) {
    with_peer(config, module_path!(), async |portal| {
        let value = portal.open_context(listens(), async |_, _| pleach::Ok(5)).await?;
        assert_eq!(value, 5);
        // Kept handles make no difference, and the result can be had.
        let kept = portal.open_context(listens(), async |ctx, _| pleach::Ok(ctx)).await?;
        assert_eq!(kept.result().await?, 0);
        // What the function makes of it counts.
        let failed = portal.open_context(fails_at_the_end(), async |_, _| pleach::Ok(5)).await;
        assert_says(&failed, &["it wanted more"]);
        // One that is open ends when it is dropped, by whichever task.
        let (ctx, stream) = portal
            .open_context(listens(), async |ctx, _| pleach::Ok((ctx.clone(), ctx.open_stream().await?.close().await?)))
            .await?;
        assert_eq!((ctx.result().await?, stream), (0, ()));
        Ok(())
    })
    .await;
}

async fn a_context_whose_block_was_left_opens_no_stream(config: Config) {
    with_peer(config, module_path!(), async |portal| {
        let returned = portal.open_context(listens(), async |ctx, _| pleach::Ok(ctx)).await?;
        assert_says(&returned.open_stream().await, &["the context has ended"]);
        let mut kept = None;
        let failed: Result<()> = portal
            .open_context(listens(), async |ctx, _| {
                kept = Some(ctx);
                Err(Error::Usage("the body's own".into()))
            })
            .await;
        assert_says(&failed, &["the body's own"]);
        assert!(kept.unwrap().open_stream().await.is_err());
        // Dropped instead of left.
        let (tell, told) = tokio::sync::oneshot::channel();
        let block = portal.open_context(listens(), async |ctx, _| {
            tell.send(ctx).unwrap();
            std::future::pending::<Result<()>>().await
        });
        let dropped = tokio::select! {
            _ = block => panic!("it has no end"),
            ctx = told => ctx.unwrap(),
        };
        assert!(dropped.open_stream().await.is_err());
        Ok(())
    })
    .await;
}

async fn a_cancel_after_the_end_was_called_all_the_same(config: Config) {
    with_peer(config, module_path!(), async |portal| {
        let value = portal
            .open_context(returns(), async |ctx, ()| {
                assert_eq!(ctx.result().await?, 7);
                assert!(!ctx.cancel_called() && !ctx.cancel_acked());
                ctx.cancel().await?;
                assert!(ctx.cancel_called() && ctx.cancel_acked());
                assert!(matches!(ctx.open_stream().await, Err(Error::ContextCancelled(_))));
                ctx.result().await
            })
            .await?;
        assert_eq!(value, 7);
        // Also when the block was left.
        let ctx = portal.open_context(returns(), async |ctx, ()| pleach::Ok(ctx)).await?;
        ctx.cancel().await?;
        assert!(ctx.cancel_called());
        assert_eq!(ctx.result().await?, 7);
        Ok(())
    })
    .await;
}

async fn another_task_of_a_cancelled_block_gets_the_end_of_the_stream(config: Config) {
    with_peer(config, module_path!(), async |portal| {
        for polled in [false, true] {
            let seen = portal
                .open_context(listens(), async |ctx, _| {
                    let mut stream = ctx.open_stream().await?;
                    let mut copy = stream.subscribe();
                    pleach::open_task_nursery(async |t| {
                        let one = t.spawn(async move {
                            match polled {
                                true => stream.next().await.transpose(),
                                false => stream.recv().await,
                            }
                        })?;
                        let other = t.spawn(async move { copy.recv().await })?;
                        ctx.cancel().await?;
                        pleach::Ok((one.join().await?, other.join().await?))
                    })
                    .await
                })
                .await?;
            assert_eq!(seen, (None, None));
        }
        // That of a one-way stream is cancelled by leaving its block.
        let mut copy = portal
            .open_stream_from(sends(true), async |mut stream| {
                assert_eq!(stream.recv().await?, Some(portal.id().pid()));
                pleach::Ok(stream.subscribe())
            })
            .await?;
        assert_eq!(copy.recv().await?, None);
        Ok(())
    })
    .await;
}

async fn an_error_that_a_body_meets_its_cancellation_with_is_kept(config: Config) {
    with_peer(config, module_path!(), async |portal| {
        let scope = CancelScope::new();
        // Told by a primitive, the body still has something worse to say.
        let told = async || {
            scope.cancel();
            let echo = scope::checkpoint();
            assert!(echo.as_ref().is_err_and(Error::is_cancelled));
            echo
        };
        for worse in [true, false] {
            let in_context = scope.child().run(portal.open_context(listens(), async |_, _| match worse {
                true => told().await.or(Err(Error::Usage("the disk is full".into()))),
                false => told().await,
            }));
            check(in_context.await, worse);
            let scope = CancelScope::new();
            let in_stream = scope.clone().run(portal.open_stream_from(sends(true), async |_| {
                scope.cancel();
                match (scope::checkpoint(), worse) {
                    (Err(_), true) => Err(Error::Usage("the disk is full".into())),
                    (echo, _) => echo,
                }
            }));
            check(in_stream.await, worse);
        }
        Ok(())
    })
    .await;
}

/// The error of a body that was told of its cancellation, and whether it had something worse to say.
fn check(ended: Result<Result<()>>, worse: bool) {
    let ended = ended.and_then(|inner| inner);
    match worse {
        true => assert_says(&ended, &["the disk is full"]),
        false => assert!(ended.is_err_and(|error| error.is_cancelled())),
    }
}

/// Notes when it is dropped.
#[pleach::rpc]
async fn stays(notes: String) -> Result<()> {
    let _dropped = NoteOnDrop(notes.clone(), "dropped");
    note(&notes, "begun");
    std::future::pending().await
}

async fn a_failure_ends_the_siblings_although_the_body_holds_a_shield(config: Config) {
    let notes = Arc::new(Notes::new());
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let _shield = Shield::enter();
            n.run_in_actor(stays(notes.address())).await?;
            notes.expect_async("begun").await;
            n.run_in_actor(fails()).await?;
            // The body does not end before its sibling has.
            notes.expect_async("dropped").await;
            Ok(())
        })
        .await;
        assert_says(&ended, &["as planned"]);
        Ok(())
    })
    .await
    .unwrap();
}

#[pleach::rpc]
async fn fails() -> Result<()> {
    Err(Error::Usage("as planned".into()))
}

/// Runs `body` with a daemon, in a shield: the nursery learns of that actor's death too.
async fn with_victim<F, Fut>(config: Config, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("victim").enable(module_path!()).await?;
            shield(body(portal)).await
        })
        .await;
        assert_says(&ended, &["`victim`", "signal 9"]);
        Ok(())
    })
    .await
    .unwrap();
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

async fn whatever_is_opened_to_an_actor_that_just_died_says_so(config: Config) {
    with_victim(config, async |portal| {
        kill(portal.id().pid());
        // Whether the loss is known yet or not.
        for _ in 0..3 {
            let context: Result<()> = portal.open_context(listens(), async |ctx, _| ctx.result().await.map(drop)).await;
            let stream: Result<()> = portal
                .open_stream_from(sends(true), async |mut stream| {
                    while stream.recv().await?.is_some() {}
                    Ok(())
                })
                .await;
            let named: Result<u64> = portal.run_from_ns("it::blocks::plus", &(1, 2)).await;
            for ended in [portal.run(plus(1, 2)).await.map(drop), named.map(drop), context, stream] {
                assert!(matches!(ended, Err(Error::ActorDied(_))), "{ended:?}");
            }
        }
        Ok(())
    })
    .await;
}

async fn a_block_that_has_cancelled_is_not_failed_by_a_lost_peer(config: Config) {
    for known in [false, true] {
        with_victim(config.clone(), async |portal| {
            let value = portal
                .open_context(listens(), async |ctx, pid| {
                    let _shield = Shield::enter(); // once the loss is known, it interrupts the body
                    kill(pid);
                    if known {
                        scope::cancelled().await;
                    }
                    ctx.cancel().await?;
                    pleach::Ok(5)
                })
                .await?;
            assert_eq!(value, 5);
            Ok(())
        })
        .await;
    }
}

async fn a_stream_block_with_a_value_is_not_failed_by_a_lost_peer(config: Config) {
    for known in [false, true] {
        with_victim(config.clone(), async |portal| {
            let value = portal
                .open_stream_from(sends(true), async |mut stream| {
                    kill(stream.recv().await?.expect("it sends one"));
                    if known {
                        assert!(stream.recv().await.is_err());
                    }
                    pleach::Ok(5)
                })
                .await?;
            assert_eq!(value, 5);
            Ok(())
        })
        .await;
    }
}
