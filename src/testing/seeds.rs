//! Schedules: one interleaving of a tree's messages for each seed.
//!
//! In a tree with one clock, all that happens follows from what was there before. So another time for each message makes
//! another interleaving, and the same times make the same again. They are drawn where a connection
//! opens, in `runtime/server.rs`; this file has the seeds.

use std::env::{self, VarError};
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::runtime::handle::current_actor;
use crate::spawn::one_clock;

/// Has each message of this tree take a few milliseconds, drawn from `seed`, on each connection that opens from now on.
///
/// Messages of one connection keep their order; those of different ones come in another order with another seed, and in
/// the same with the same. `#[pleach::test(seeds = 20)]` does this for each of so many seeds, and says which one has
/// failed. See [the manual](crate::manual::testing#schedules) for what is not repeated.
///
/// # Errors
/// [`Error::Usage`] outside of the root of a tree, when its time is not paused, and when it has a schedule already.
///
/// # Examples
/// ```
/// # fn main() {}
/// # use pleach::prelude::*;
/// #[tokio::test(start_paused = true)]
/// async fn found_by_seed_7() -> Result<()> {
///     let config = Config { transport: "mem".into(), ..Config::default() };
///     pleach::open_root(config, async |_| {
///         pleach::testing::schedule(7)?;
///         pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await
///     })
///     .await
/// }
/// ```
pub fn schedule(seed: u64) -> Result<()> {
    let Some(root) = current_actor().map(|actor| actor.runtime()).filter(|actor| actor.identity.is_root()) else {
        return Err(Error::Usage(
            "a schedule is that of a whole tree: set it in the root, before it starts actors".into(),
        ));
    };
    if !one_clock::is_paused() {
        return Err(Error::Usage("a schedule needs a paused clock: `start_paused = true`, over `mem`".into()));
    }
    match root.tasks.tree().set_seed(seed) {
        true => Ok(()),
        false => Err(Error::Usage("this tree has a schedule already".into())),
    }
}

/// Returns the seeds with which a test is run: so many, or the one in [`VARIABLE`].
///
/// # Errors
/// Says what is wrong with the variable.
pub(crate) fn to_run(number: u64) -> Result<RangeInclusive<u64>, String> {
    let wrong = |value: &dyn std::fmt::Display| format!("{VARIABLE}={value}: it has to be a number, the seed to run");
    match env::var(VARIABLE) {
        Ok(seed) => seed.trim().parse().map(|seed| seed..=seed).map_err(|_| wrong(&seed)),
        Err(VarError::NotPresent) => Ok(1..=number),
        Err(VarError::NotUnicode(seed)) => Err(wrong(&seed.display())),
    }
}

/// The variable with the seed of a run that is to be repeated.
pub(crate) const VARIABLE: &str = "PLEACH_TEST_SEED";
