//! The launcher for tests whose time is paused: an actor as a task of its parent's async runtime, so that one clock counts
//! for all of the tree.
//!
//! It takes the place of [`thread`](super::thread) wherever the clock of the async runtime stands still at a start. With
//! clocks of their own, the one side would be idle, and at once be at its next timer, while the other works.
//!
//! Such an actor is what its [`TaskGroup`](crate::task_group::TaskGroup) holds. What it starts past this library, as with
//! `tokio::spawn`, is not in it, and ends with the async runtime.
//!
//! # Invariants
//! 1. An actor's end is told when all of its tasks have been dropped.
//! 2. An actor that has lost its parent ends in order; the root waits for it, and kills it if that takes too long.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::entry::run_in_group;
use super::thread::until_ended;
use super::{Exit, Launched, Launcher, Process};
use crate::error::Result;
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;

/// Starts actors as tasks of this async runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneClock;

#[async_trait::async_trait]
impl Launcher for OneClock {
    async fn launch(
        &self,
        runtime: &Arc<Runtime>,
        spec: &ActorSpec,
        _env: &[(String, String)],
        _given_up: &CancellationToken,
    ) -> Result<Launched> {
        let (process, exited, orders) = Process::new(Some(std::process::id()));
        let (group, parent_gone) = (runtime.tasks.tree().add(&spec.name), CancellationToken::new());
        let (killed, liveness) = (group.clone(), parent_gone.clone());
        let (spec, registry) = (spec.clone(), runtime.registry().clone());
        let (done, ended) = tokio::sync::oneshot::channel();
        // Invariant 2.
        runtime.tasks.tree().start(async move {
            let served = AssertUnwindSafe(run_in_group(spec, registry, group.clone(), liveness)).catch_unwind().await;
            group.kill();
            group.ended().await;
            if let Ok(code) = served {
                let _ = done.send(code); // the keeper waits for it unless it was dropped with its own actor
            }
        });
        let parent = parent_gone.drop_guard();
        let keeper = Box::pin(async move {
            let _parent = parent;
            let status = until_ended(ended, orders, || killed.kill()).await;
            exited.send_replace(Some(Exit::with(status)));
        });
        Ok(Launched { process, keeper })
    }
}

/// Returns whether the clock of this async runtime stands still.
///
/// Two looks at it tell, between which the clock of the system has moved on.
pub(crate) fn is_paused() -> bool {
    let first = tokio::time::Instant::now();
    let real = std::time::Instant::now();
    while std::time::Instant::now() <= real {
        std::hint::spin_loop(); // for a tick, which takes nanoseconds
    }
    tokio::time::Instant::now() == first
}

/// Why other actors can't be started while the time is paused.
pub(crate) const PAUSED: &str = "the time of this tokio runtime is paused, and a process has a clock of its own: start the \
     actor over `mem`, which shares this one, or leave the time as it is";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_stands_still_from_pause_to_resume() {
        assert!(!is_paused());
        tokio::time::pause();
        assert!(is_paused());
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert!(is_paused());
        tokio::time::resume();
        assert!(!is_paused());
    }
}
