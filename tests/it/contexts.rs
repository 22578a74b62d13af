//! Contexts: first value, stream, result; who cancels, who fails, who waits.

use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::__private::{Export, Invoked, Request, context_call};
use pleach::ContextCall;
use pleach::prelude::*;

use crate::support::{
    self, NoteOnDrop, Notes, PROCESSES, WITHIN_TLS, Watched, assert_says, in_root, matrix, matrix_fn, matrix_over,
};

#[derive(Debug, thiserror::Error)]
#[error("{0} is too big")]
struct TooBig(u64);

#[pleach::context]
async fn doubler(ctx: &mut Context<String, u64, u64>, limit: u64) -> anyhow::Result<u64> {
    ctx.started("ready".into()).await?;
    let mut stream = ctx.open_stream().await?;
    let mut seen = 0;
    while let Some(n) = stream.recv().await? {
        anyhow::ensure!(n <= limit, TooBig(n));
        stream.send(n * 2).await?;
        seen += 1;
    }
    Ok(seen)
}

/// Does one thing wrong, or nothing at all.
#[pleach::context]
async fn misbehaves(ctx: &mut Context<u8, u8, u8>, how: String) -> Result<u8> {
    match how.as_str() {
        "fails early" => return Err(Error::Usage("too early".into())),
        "never starts" => return Ok(7),
        "streams early" => {
            ctx.open_stream().await?;
        }
        _ => ctx.started(1).await?,
    }
    match how.as_str() {
        "starts twice" => ctx.started(2).await?,
        "opens twice" => {
            let first = ctx.open_stream().await?;
            drop(first);
            ctx.open_stream().await?;
        }
        "fails later" => return Err(Error::Usage("after a while".into())),
        _ => {}
    }
    Ok(0)
}

/// Starts, notes its process id, and stays until it is dropped.
#[pleach::context]
async fn stays(ctx: &mut Context<u32, u64, u64>, notes: String) -> Result<()> {
    let _dropped = NoteOnDrop(notes, "dropped");
    ctx.started(std::process::id()).await?;
    std::future::pending().await
}

/// Takes everything with a small buffer, and returns how much it was and whether it was in order.
#[pleach::context]
async fn takes_all(ctx: &mut Context<(), u64, ()>, buffer: u32) -> Result<(u64, bool)> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().buffer(buffer).await?;
    let (mut count, mut in_order) = (0, true);
    while let Some(n) = stream.recv().await? {
        in_order &= n == count;
        count += 1;
        if count % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok((count, in_order))
}

/// Opens its stream as told, and takes nothing.
#[pleach::context]
async fn takes_nothing(ctx: &mut Context<(), u64, u64>, backpressure: bool) -> Result<()> {
    let stream = ctx.started(()).await.map(|()| ctx.open_stream().backpressure(backpressure))?.await?;
    stream.send(0).await?;
    std::future::pending().await
}

/// Sends many messages once it was told to, and returns.
#[pleach::context]
async fn talks(ctx: &mut Context<(), (), u64>, count: u64) -> Result<u64> {
    ctx.started(()).await?;
    let stream = ctx.open_stream().await?; // the caller's may not be open yet: this side waits for it
    for n in 0..count {
        stream.send(n).await?;
    }
    Ok(count)
}

#[pleach::rpc]
async fn add(a: u64, b: u64) -> Result<u64> {
    Ok(a + b)
}

/// A function that is not a context, called as one; one that does not exist; one of a module that is not enabled.
static CALLED_ADD: Export = Export::context("it::contexts::add", "add", "a: u64, b: u64", "u64", "(), (), ()", never);
static CALLED_NOTHING: Export = Export::context("it::contexts::no_one", "no_one", "", "u64", "(), (), ()", never);
static CALLED_ELSEWHERE: Export = Export::context("it::schemas::counts", "counts", "", "u64", "(), (), ()", never);

fn never<D>(_: Request<D>) -> Invoked {
    unreachable!("these declarations are not in the table of exposed functions")
}

pub(crate) fn tests() -> Vec<Trial> {
    [
        matrix("contexts::a_dialog_of_json", |config| a_dialog(Config { codec: "json".into(), ..config })),
        matrix("contexts::a_dialog_of_msgpack", a_dialog),
        matrix_fn(a_remote_failure_interrupts_the_body),
        matrix_fn(a_cancelled_context_is_over_on_both_sides),
        matrix_fn(a_slow_consumer_holds_its_sender_up),
        matrix_fn(calls_and_cancels_pass_a_flooded_stream),
        matrix_over(&PROCESSES, "contexts::a_peer_that_dies_wakes_its_stream", a_peer_that_dies_wakes_its_stream),
        matrix_over(&WITHIN_TLS, "contexts::a_dialog_of_msgpack", a_dialog),
        matrix_over(&WITHIN_TLS, "contexts::a_slow_consumer_holds_its_sender_up", a_slow_consumer_holds_its_sender_up),
        matrix_over(
            &WITHIN_TLS,
            "contexts::calls_and_cancels_pass_a_flooded_stream",
            calls_and_cancels_pass_a_flooded_stream,
        ),
        matrix_over(&WITHIN_TLS, "contexts::a_peer_that_dies_wakes_its_stream", a_peer_that_dies_wakes_its_stream),
        matrix_fn(leaving_the_block_drains_untaken_messages),
        matrix_fn(misuse_is_an_error_that_says_so),
        matrix_fn(an_overrun_says_whose_buffer_is_full),
        matrix_fn(a_context_is_no_call_and_a_call_no_context),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs `body` with a daemon that exposes this module.
async fn with_peer<F, Fut>(config: Config, body: F)
where
    F: FnOnce(Portal) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    support::with_peer(config, module_path!(), body).await;
}

async fn a_dialog(config: Config) {
    // S17, S18, S75, S82.
    with_peer(config, async |portal| {
        let seen = portal
            .open_context(doubler(100), async |ctx, first| {
                assert_eq!(first, "ready");
                let mut stream = ctx.open_stream().await?;
                stream.send(21).await?;
                assert_eq!(stream.recv().await?, Some(42));
                for n in 0..100 {
                    stream.send(n).await?;
                    assert_eq!(stream.recv().await?, Some(2 * n));
                }
                stream.close().await?;
                assert_eq!(ctx.result().await?, 101);
                ctx.result().await
            })
            .await?;
        assert_eq!(seen, 101);
        Ok(())
    })
    .await;
}

async fn a_remote_failure_interrupts_the_body(config: Config) {
    // S10, S12.
    with_peer(config, async |portal| {
        let ended: Result<()> = portal
            .open_context(doubler(10), async |ctx, _| {
                ctx.open_stream().await?.send(11).await?;
                std::future::pending().await // it never looks at the stream again
            })
            .await;
        assert_says(&ended, &["11 is too big"]);
        // One that looks meets the same error, or what precedes it: the end of the failing task's stream.
        let ended: Result<()> = portal
            .open_context(doubler(10), async |ctx, _| {
                let mut stream = ctx.open_stream().await?;
                stream.send(11).await?;
                shield(async {
                    match stream.recv().await {
                        Ok(ended) => assert_eq!(ended, None),
                        failed => assert_says(&failed, &["11 is too big"]),
                    }
                })
                .await;
                Ok(())
            })
            .await;
        assert_says(&ended, &["11 is too big"]);
        Ok(())
    })
    .await;
}

async fn a_cancelled_context_is_over_on_both_sides(config: Config) {
    let notes = Arc::new(Notes::new());
    with_peer(config, async |portal| {
        // By the context itself: no error.
        let value = portal
            .open_context(stays(notes.address()), async |ctx, _| {
                ctx.cancel().await?;
                assert!(ctx.result().await.is_err());
                Ok::<_, Error>(5)
            })
            .await?;
        assert_eq!(value, 5);
        notes.expect_async("dropped").await;
        // By the body's own error, which comes out.
        let failed: anyhow::Result<()> =
            portal.open_context(stays(notes.address()), async |_, _| anyhow::bail!("the body's own")).await;
        assert_eq!(failed.unwrap_err().to_string(), "the body's own");
        notes.expect_async("dropped").await;
        // By the scope around.
        let scope = CancelScope::new();
        let open = portal.open_context(stays(notes.address()), async |_, _| {
            scope.cancel();
            std::future::pending::<Result<()>>().await
        });
        assert!(matches!(scope.run(open).await, Err(Error::Cancelled(_)) | Ok(Err(Error::Cancelled(_)))));
        notes.expect_async("dropped").await;
        // By being dropped.
        let (enter, entered) = tokio::sync::oneshot::channel();
        let dropped = portal.open_context(stays(notes.address()), async move |_, _| {
            let _ = enter.send(()); // the test goes on without this block
            std::future::pending::<Result<()>>().await
        });
        tokio::select! {
            ended = dropped => panic!("{ended:?}"),
            told = entered => told.unwrap(),
        }
        notes.expect_async("dropped").await;
        Ok(())
    })
    .await;
}

async fn a_slow_consumer_holds_its_sender_up(config: Config) {
    with_peer(config, async |portal| {
        // A buffer of one message costs a round trip for each.
        for (buffer, count) in [(1, 300), (64, 5000), (1000, 5000)] {
            let taken = portal
                .open_context(takes_all(buffer), async |ctx, ()| {
                    let stream = ctx.open_stream().await?;
                    for n in 0..count {
                        match stream.send(n).await {
                            // The callee may not have opened its stream yet: until then, the sender does not wait.
                            Err(Error::StreamOverrun(_)) => panic!("overrun at {n}"),
                            other => other?,
                        }
                    }
                    stream.close().await?;
                    ctx.result().await
                })
                .await?;
            assert_eq!(taken, (count, true));
        }
        Ok(())
    })
    .await;
}

async fn calls_and_cancels_pass_a_flooded_stream(config: Config) {
    with_peer(config, async |portal| {
        portal
            .open_context(takes_nothing(true), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                assert_eq!(stream.recv().await?, Some(0)); // its stream is open: from here on, senders wait
                let flood = async {
                    while stream.send(1).await.is_ok() {}
                    std::future::pending::<()>().await // the context was cancelled
                };
                let passes = async {
                    for n in 0..100 {
                        assert_eq!(portal.run(add(n, 1)).await?, n + 1);
                    }
                    ctx.cancel().await
                };
                tokio::select! {
                    () = flood => unreachable!("it is pending"),
                    passed = passes => passed,
                }
            })
            .await
    })
    .await;
}

async fn a_peer_that_dies_wakes_its_stream(config: Config) {
    let notes = Notes::new();
    in_root(config, async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("victim").enable(module_path!()).await?;
            // The nursery learns of the death too; a shield keeps this body to look first.
            shield(async {
                let ended: Result<()> = portal
                    .open_context(stays(notes.address()), async |ctx, pid| {
                        let mut stream = ctx.open_stream().await?;
                        Watched::new(pid).kill();
                        stream.recv().await?;
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

async fn leaving_the_block_drains_untaken_messages(config: Config) {
    // S76.
    with_peer(config, async |portal| {
        let kept = portal
            .open_context(talks(1000), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                assert_eq!(stream.recv().await?, Some(0));
                Ok::<_, Error>(ctx)
            })
            .await?;
        assert_eq!(kept.result().await?, 1000);
        // A dropped stream does not block its sender either, while its block goes on.
        let value = portal
            .open_context(talks(1000), async |ctx, ()| {
                drop(ctx.open_stream().await?);
                ctx.result().await
            })
            .await?;
        assert_eq!(value, 1000);
        Ok(())
    })
    .await;
}

async fn misuse_is_an_error_that_says_so(config: Config) {
    // S20, S21, S83.
    with_peer(config, async |portal| {
        for (how, says) in [
            ("fails early", "too early"),
            ("never starts", "returned without calling `ctx.started()`"),
            ("streams early", "`open_stream()` was called before `started()`"),
        ] {
            let opened: Result<()> =
                portal.open_context(misbehaves(how.into()), async |_, _| panic!("it opened")).await;
            assert_says(&opened, &[says]);
        }
        for (how, says) in [
            ("starts twice", "`started()` was called twice"),
            ("opens twice", "opened before"),
            ("fails later", "after a while"),
        ] {
            let ended: Result<u8> =
                portal.open_context(misbehaves(how.into()), async |ctx, _| ctx.result().await).await;
            assert_says(&ended, &[says]);
        }
        Ok(())
    })
    .await;
}

async fn an_overrun_says_whose_buffer_is_full(config: Config) {
    let notes = Notes::new();
    with_peer(config, async |portal| {
        let overrun: Result<()> = portal
            .open_context(stays(notes.address()), async |ctx, _| {
                let stream = ctx.open_stream().await?;
                for _ in 0..64 {
                    stream.send(1).await?;
                }
                stream.send(1).await
            })
            .await;
        assert_says(&overrun, &["stream overrun", "`peer`", "no stream is open on the `peer` side", "`root`"]);
        let overrun: Result<()> = portal
            .open_context(takes_nothing(false), async |ctx, ()| {
                let mut stream = ctx.open_stream().await?;
                assert_eq!(stream.recv().await?, Some(0));
                loop {
                    stream.send(1).await?;
                }
            })
            .await;
        assert_says(&overrun, &["stream overrun", "`peer`"]);
        assert!(!format!("{overrun:?}").contains("no stream is open"));
        Ok(())
    })
    .await;
}

async fn a_context_is_no_call_and_a_call_no_context(config: Config) {
    // S15, S16: what the peer refuses is the error of the call or of the opening itself.
    with_peer(config, async |portal| {
        let called: Result<u64> = portal.run_from_ns("it::contexts::doubler", &(1,)).await;
        assert_says(&called, &["it is a context: use `portal.open_context`"]);
        for (call, says) in [
            (context_call(&CALLED_ADD, (1u64, 2u64)), "it is a plain function: use `portal.run`"),
            (context_call(&CALLED_NOTHING, ()), "there is no such function"),
            (context_call(&CALLED_ELSEWHERE, ()), "module `it::schemas` is not exposed there"),
        ] {
            let call: ContextCall<(), (), (), u64> = call;
            let opened: Result<()> = portal.open_context(call, async |_, ()| panic!("it opened")).await;
            assert_says(&opened, &["refuses to run", says]);
        }
        Ok(())
    })
    .await;
}
