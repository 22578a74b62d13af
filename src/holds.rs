//! Branches of the tree that a debugger holds: nothing there counts as late, and nothing there is ended by force.
//!
//! An actor that stands still under the debugger holds the branch between it and each of its ancestors, in each
//! ancestor's process. The code that has patience with a child asks here when its patience has ended: if the branch is
//! held, it waits until that has ended, and begins again with all the patience that it had.
//!
//! # Invariants
//! 1. While nothing is held, a question costs one relaxed load.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

/// A branch that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<[Uuid]>);

impl Hold {
    /// Holds the branch of these actors, from the one that stands still up to the child of the ancestor that is asked.
    pub(crate) fn branch(actors: impl Into<Arc<[Uuid]>>) -> Self {
        let hold = Self(actors.into());
        HOLDS.send_modify(|holds| holds.push(hold.0.clone()));
        COUNT.fetch_add(1, Ordering::AcqRel);
        hold
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.send_modify(|holds| {
            if let Some(at) = holds.iter().position(|held| Arc::ptr_eq(held, &self.0)) {
                holds.swap_remove(at);
            }
        });
        COUNT.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A thread of this process that stands still under the debugger until this is dropped.
#[derive(Debug)]
pub(crate) struct StandsStill(());

impl StandsStill {
    pub(crate) fn begin() -> Self {
        STAND_STILL.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for StandsStill {
    fn drop(&mut self) {
        STAND_STILL.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns whether a thread of this process stands still: an interrupt does not ask it to end then.
pub(crate) fn stands_still() -> bool {
    STAND_STILL.load(Ordering::Acquire) > 0
}

/// Returns whether an actor is in a branch that is held.
pub(crate) fn is_held(actor: Uuid) -> bool {
    COUNT.load(Ordering::Relaxed) > 0 && HOLDS.borrow().iter().any(|branch| branch.contains(&actor))
}

/// Returns whether anything is held below the actors of this process.
pub(crate) fn is_any_held() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Waits while an actor is in a branch that is held; returns whether it was.
///
/// # Cancel safety
/// It changes nothing.
pub(crate) async fn released(actor: Uuid) -> bool {
    let was_held = is_held(actor);
    if was_held {
        let mut holds = HOLDS.subscribe();
        let _ = holds.wait_for(|holds| !holds.iter().any(|branch| branch.contains(&actor))).await; // never closed
    }
    was_held
}

/// Has patience with an actor: waits that long, and as long again after each time that its branch was held.
///
/// # Cancel safety
/// It changes nothing; the patience begins again.
pub(crate) async fn patience(actor: Uuid, patience: Duration) {
    loop {
        tokio::time::sleep(patience).await;
        if !released(actor).await {
            return;
        }
    }
}

/// Has patience with some work, which may wait for any actor below this process; `None` when it took too long.
///
/// # Cancel safety
/// As that of the work.
pub(crate) async fn bounded<T>(bound: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return Some(done),
            () = tokio::time::sleep(bound) => {}
        }
        if !is_any_held() {
            return None;
        }
        let mut holds = HOLDS.subscribe();
        tokio::select! {
            biased;
            done = work.as_mut() => return Some(done),
            _ = holds.wait_for(Vec::is_empty) => {}
        }
    }
}

static HOLDS: LazyLock<watch::Sender<Vec<Arc<[Uuid]>>>> = LazyLock::new(|| watch::Sender::new(Vec::new()));
static COUNT: AtomicUsize = AtomicUsize::new(0);
static STAND_STILL: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_begins_again_when_the_branch_is_released() {
        let (leaf, middle, other) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
        let hold = Hold::branch([leaf, middle]);
        assert!(is_held(leaf) && is_held(middle) && !is_held(other));
        let begun = Instant::now();
        let mut waiting = std::pin::pin!(patience(middle, Duration::from_secs(3)));
        tokio::select! {
            () = &mut waiting => panic!("it is held"),
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        drop(hold);
        waiting.await;
        assert_eq!(begun.elapsed(), Duration::from_secs(63));
        patience(middle, Duration::from_secs(3)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(66), "held no more");
        assert!(!is_held(middle));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_holds_the_last_one_releases() {
        let leaf = Uuid::new_v4();
        let (first, second) = (Hold::branch([leaf]), Hold::branch([leaf]));
        drop(first);
        assert!(is_held(leaf));
        advance(Duration::from_secs(1)).await;
        drop(second);
        assert!(!released(leaf).await);
    }
}
