//! What is counted: so many calls or items, in a tree of a root and one child.
//!
//! `costs work WHAT OVER COUNT` does it and nothing else, which is what the tools watch. Over `mem` both sides are
//! threads of one process.

use pleach::{Nursery, Portal, Result};

use crate::common::allocations::allocations;
use crate::common::item::{self, Item, call_all, reflect, send, with_stream};
use crate::common::{MODULE, in_tree, key};

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Calls with a value of 64 bytes, which comes back; one caller.
    Call,
    /// The same by 64 callers on one connection.
    Flight,
    /// Values of 64 bytes over a stream, and one answer after the last.
    Item,
}

impl Work {
    /// Returns the kind that has this name on the command line.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Call, Self::Flight, Self::Item].into_iter().find(|work| work.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Flight => "flight",
            Self::Item => "item",
        }
    }

    /// Allocations of the texts in the values themselves, which the program asks for: made by the sender, and read by
    /// each receiver.
    fn allocations_of_values(self) -> usize {
        match self {
            Self::Call | Self::Flight => 3,
            Self::Item => 2,
        }
    }
}

/// Does the work `count` times, after a few for warming up; returns the allocations for each, without those of the
/// values themselves. They are those of this process: over `mem`, of both sides.
pub(crate) fn run(work: Work, over: &str, count: u64) -> f64 {
    let allocated = in_tree(&key(over), async |nursery| {
        let child = start(&nursery, "ours").await?;
        let allocated = match work {
            Work::Item => {
                with_stream(&child, WARM, async |stream| {
                    let before = allocations();
                    for _ in 0..count.div_ceil(WARM) {
                        send(stream, WARM).await?;
                    }
                    Ok(allocations() - before)
                })
                .await?
            }
            Work::Call => calls(&child, 1, count).await?,
            Work::Flight => calls(&child, CALLERS, count).await?,
        };
        child.cancel_actor().await?;
        Ok(allocated)
    });
    let own = work.allocations_of_values() as f64;
    allocated as f64 / (count.div_ceil(WARM) * WARM) as f64 - own
}

/// Starts a child that has all modules of this bench, and makes its first call.
pub(crate) async fn start(nursery: &Nursery, name: &str) -> Result<Portal> {
    let child = nursery.start_actor(name).enable(MODULE).enable(item::MODULE).enable(crate::memory::MODULE).await?;
    child.run(reflect(Item::new(0))).await?;
    Ok(child)
}

async fn calls(child: &Portal, callers: usize, count: u64) -> Result<usize> {
    call_all(child, callers, WARM / callers as u64).await?;
    let before = allocations();
    call_all(child, callers, count.div_ceil(WARM) * WARM / callers as u64).await?;
    Ok(allocations() - before)
}

const CALLERS: usize = 64;

/// Calls or items before those that are counted; counts are rounded up to a multiple of it.
const WARM: u64 = 512;
