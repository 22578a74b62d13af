//! Two programs that declare a function differently: the callee refuses, and the caller says what differs.

use libtest_mimic::Trial;
use pleach::__private::{Export, Invoked, Request, call, context_call};
use pleach::prelude::*;

use crate::support::{assert_says, in_root, matrix_fn};

#[pleach::rpc]
async fn scale(value: f64, by: f64) -> Result<f64> {
    Ok(value * by)
}

#[pleach::context]
async fn counts(ctx: &mut Context<(), u64, u64>, limit: u64) -> Result<u64> {
    ctx.started(()).await?;
    Ok(limit)
}

/// What a program with other sources would take `scale` for.
static OTHER_SCALE: Export = Export::new("it::schemas::scale", "scale", "value: f32, by: f64", "f64", never);

/// What a program with other sources would take `counts` for.
static OTHER_COUNTS: Export =
    Export::context("it::schemas::counts", "counts", "limit: u64, step: u64", "u64", "(), u64, String", never);

fn never<D>(_: Request<D>) -> Invoked {
    unreachable!("this declaration is not in the table of exposed functions")
}

pub(crate) fn tests() -> Vec<Trial> {
    matrix_fn(functions_that_are_declared_differently_are_not_run)
}

async fn functions_that_are_declared_differently_are_not_run(config: Config) {
    in_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let other: Call<f64> = call(&OTHER_SCALE, (1f32, 2f64), |_| std::future::ready(Ok::<_, Error>(0.0)));
            let refused = portal.run(other).await;
            assert_says(&refused, &["`peer`", "refuses to run `it::schemas::scale`", "declare it differently"]);
            assert_says(&refused, &["here:  scale(value: f32, by: f64) -> f64", "there: scale(value: f64, by: f64)"]);
            assert_says(&refused, &["argument 1: `value: f32` here, `value: f64` there"]);
            let other = context_call::<(), u64, String, u64, _>(&OTHER_COUNTS, (1u64, 2u64));
            let refused: Result<()> = portal.open_context(other, async |_, ()| panic!("it opened")).await;
            assert_says(&refused, &["what it sends: `String` here, `u64` there"]);
            assert_says(&refused, &["argument 2: `step: u64` here, missing there"]);
            // Those that agree run, and so does one whose caller knows no declaration.
            assert_eq!(portal.run(scale(2.0, 3.0)).await?, 6.0);
            assert_eq!(portal.run_from_ns::<f64>("it::schemas::scale", &(2.0, 4.0)).await?, 8.0);
            assert_eq!(portal.open_context(counts(9), async |ctx, ()| ctx.result().await).await?, 9);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}
