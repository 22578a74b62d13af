//! Backtraces are resolved beside the actor: its thread answers others meanwhile.

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{PROCESSES, in_root, over, test, test_fn};

#[pleach::rpc]
async fn fails() -> anyhow::Result<()> {
    anyhow::bail!("out of paper")
}

#[pleach::rpc]
async fn panics() -> Result<()> {
    panic!("out of ink")
}

#[pleach::context]
async fn fails_in_context(ctx: &mut Context<(), (), ()>) -> anyhow::Result<()> {
    ctx.started(()).await?;
    anyhow::bail!("out of paper")
}

#[pleach::rpc]
async fn ping() -> Result<()> {
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    type Function = fn() -> Call<()>;
    let ways: [(&str, Function); 2] = [("error", fails), ("panic", panics)];
    let mut tests = Vec::new();
    for protocol in PROCESSES {
        for (name, call) in ways {
            let name = format!("backtraces::a_first_{name}_delays_no_other_over_{protocol}");
            tests.push(test(name, move || is_overtaken(protocol, call)));
        }
        tests.push(test(format!("backtraces::a_cancelled_actor_keeps_its_error_over_{protocol}"), move || {
            a_cancelled_actor_keeps_its_error(protocol)
        }));
    }
    tests.push(test_fn(many_errors_at_once_have_theirs));
    tests.push(test_fn(a_context_has_its_own));
    tests
}

async fn traced(n: &Nursery) -> Result<Portal> {
    n.start_actor("printer").enable(module_path!()).env("RUST_BACKTRACE", "1").await
}

/// A process resolves its first backtrace for a tenth of a second and more. If its actor waits for that, it never
/// answers the second call first; if not, it does, unless its thread is kept from running for as long.
async fn is_overtaken(protocol: &'static str, call: fn() -> Call<()>) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            for _ in 0..ATTEMPTS {
                let printer = traced(&n).await?;
                let (mut failing, mut pinged) = (Box::pin(printer.run(call())), false);
                let failed = loop {
                    tokio::select! {
                        biased;
                        failed = &mut failing => break failed.unwrap_err(),
                        pong = printer.run(ping()), if !pinged => { pong?; pinged = true; }
                    }
                };
                assert_traced(&failed);
                printer.cancel_actor().await?;
                if pinged {
                    return Ok(());
                }
            }
            panic!("an actor always waited for its backtrace")
        })
        .await
    })
    .await
    .unwrap();
}

/// The error is older than the cancellation; only its backtrace may be missing.
async fn a_cancelled_actor_keeps_its_error(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let printer = traced(&n).await?;
            let (failed, cancelled) = tokio::join!(printer.run(fails()), printer.cancel_actor());
            cancelled?;
            assert!(format!("{failed:?}").contains("out of paper"), "{failed:?}");
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

async fn many_errors_at_once_have_theirs() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let printer = traced(&n).await?;
            let all = futures_util::future::join_all((0..30).map(|_| printer.run(fails()))).await;
            for failed in all {
                assert_traced(&failed.unwrap_err());
            }
            printer.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn a_context_has_its_own() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let printer = traced(&n).await?;
            let failed = printer.open_context(fails_in_context(), async |ctx, ()| ctx.result().await).await;
            assert_traced(&failed.unwrap_err());
            printer.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

/// Asserts that an error came with the place where it was raised.
fn assert_traced(error: &Error) {
    let Error::Remote(remote) = error else { panic!("{error:?}") };
    assert!(remote.backtrace.as_ref().is_some_and(|text| text.contains("it::backtraces::")), "{remote:?}");
}

/// Fresh actors that are tried.
const ATTEMPTS: usize = 5;
