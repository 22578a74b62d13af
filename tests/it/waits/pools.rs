//! The waits of pools, waiting for what does not come.

use std::future::{IntoFuture as _, pending};

use futures_util::StreamExt as _;
use pleach::prelude::*;

use super::cases::only_returns;
use super::{When, back, told};

#[pleach::rpc]
async fn stays() -> Result<()> {
    pending().await
}

/// Runs a case; returns what the function failed with, if it did.
pub(super) async fn run(name: &str, when: When, n: &Nursery) -> Result<Option<Option<Error>>> {
    let is_of_pools = ["Pool", "Results"].iter().any(|of| name.contains(of));
    if !is_of_pools {
        return Ok(None);
    }
    let start = || n.start_actor("worker").enable(module_path!()).pool(1);
    let pool = start().await?;
    let mut results = pool.map_unordered([()], |()| stays());
    Ok(Some(match name {
        "IntoFuture for PoolStart" => told(when, start().into_future()).await,
        "Pool::drain" => {
            let has_call = pool.run(stays());
            tokio::select! {
                biased;
                ended = has_call => ended.err(),
                told_of = async { only_returns(back(when, pool.drain())).await } => told_of,
            }
        }
        "Future for PoolCall" => told(when, pool.run(stays())).await,
        "Pool::shutdown" => only_returns(back(when, pool.shutdown())).await,
        "Results::next" => told(when, async { results.next().await.map_or(Ok(()), |(_, result)| result) }).await,
        "Stream for Results" => {
            let mut results = results.map(|(_, result)| result);
            told(when, async { results.next().await.unwrap_or(Ok(())) }).await
        }
        _ => return Ok(None),
    }))
}
