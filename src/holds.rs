//! Branches of the tree that a debugger holds: nothing there counts as late, and nothing there is ended by force.
//!
//! An actor that stands still under the debugger holds the branch between it and each of its ancestors, in each
//! ancestor's process. The code that has patience with a child asks here when its patience has ended: if the branch is
//! held, it waits until that has ended, and begins again with all the patience that it had. So it does if something was
//! released meanwhile: what goes on has had none of that time.
//!
//! # Invariants
//! 1. While nothing is held, a question costs two loads.
//! 2. A release is counted before it shows: a patience that finds nothing held has seen each release.

use std::mem;
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
        RELEASES.fetch_add(1, Ordering::AcqRel); // invariant 2
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
        RELEASES.fetch_add(1, Ordering::AcqRel); // the timers of this process have run on
        STAND_STILL.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns whether a thread of this process stands still: an interrupt does not ask it to end then.
pub(crate) fn stands_still() -> bool {
    STAND_STILL.load(Ordering::Acquire) > 0
}

/// Returns whether an actor is in a branch that is held.
pub(crate) fn is_held(actor: Uuid) -> bool {
    COUNT.load(Ordering::Acquire) > 0 && HOLDS.borrow().iter().any(|branch| branch.contains(&actor))
}

/// A stretch of patience with actors: it counts only if nothing was held meanwhile.
#[derive(Debug)]
pub(crate) struct Patience {
    /// The releases that it has seen.
    releases: usize,
}

impl Patience {
    pub(crate) fn begin() -> Self {
        Self { releases: RELEASES.load(Ordering::Acquire) }
    }

    /// Returns whether an actor's branch is held, or anything was released since it began: it begins again then.
    pub(crate) fn was_interrupted(&mut self, actor: Uuid) -> bool {
        let is_held = is_held(actor);
        self.note_releases() || is_held
    }

    /// Waits while an actor's branch is held; returns whether this patience was interrupted, and has begun again.
    ///
    /// # Cancel safety
    /// If dropped, it has begun again or not.
    pub(crate) async fn resumed(&mut self, actor: Uuid) -> bool {
        let was_interrupted = self.was_interrupted(actor);
        if was_interrupted {
            let mut holds = HOLDS.subscribe();
            let _ = holds.wait_for(|holds| !holds.iter().any(|branch| branch.contains(&actor))).await; // never closed
            self.note_releases();
        }
        was_interrupted
    }

    /// Returns whether anything was released since it began, or since this was last asked.
    fn note_releases(&mut self) -> bool {
        let releases = RELEASES.load(Ordering::Acquire);
        mem::replace(&mut self.releases, releases) != releases
    }
}

/// Has patience with an actor: waits that long, and as long again after each time that its branch was held.
///
/// # Cancel safety
/// It changes nothing; the patience begins again.
pub(crate) async fn patience(actor: Uuid, patience: Duration) {
    let mut counts = Patience::begin();
    loop {
        tokio::time::sleep(patience).await;
        if !counts.resumed(actor).await {
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
    let mut counts = Patience::begin();
    loop {
        tokio::select! {
            biased;
            done = work.as_mut() => return Some(done),
            () = tokio::time::sleep(bound) => {}
        }
        let is_any_held = COUNT.load(Ordering::Acquire) > 0;
        if !counts.note_releases() && !is_any_held {
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
static RELEASES: AtomicUsize = AtomicUsize::new(0);
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
        // No upper bound: other tests hold others, which begins every patience again.
        assert!(begun.elapsed() >= Duration::from_secs(63), "{:?}", begun.elapsed());
        assert!(!is_held(middle));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_before_a_release_does_not_count() {
        let (leaf, limit) = (Uuid::new_v4(), Duration::from_secs(3));
        let begun = Instant::now();
        tokio::join!(patience(leaf, limit), short_hold_of(leaf));
        assert!(begun.elapsed() >= limit * 2, "{:?}", begun.elapsed());
        let (begun, work) = (Instant::now(), tokio::time::sleep(limit + Duration::from_secs(1)));
        let (done, ()) = tokio::join!(bounded(limit, work), short_hold_of(leaf));
        assert!(done.is_some(), "given up after {:?}", begun.elapsed());
    }

    async fn short_hold_of(actor: Uuid) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let hold = Hold::branch([actor]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(hold);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_holds_the_last_one_releases() {
        let leaf = Uuid::new_v4();
        let (first, second) = (Hold::branch([leaf]), Hold::branch([leaf]));
        drop(first);
        assert!(is_held(leaf));
        advance(Duration::from_secs(1)).await;
        drop(second);
        assert!(!is_held(leaf));
    }
}
