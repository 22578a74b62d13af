//! How far a nursery has come: a stage that only goes forward, and that its members wait for.
//!
//! It does not say whether the nursery is closed: that is decided under the lock of its members.
//!
//! # Invariants
//! 1. A stage is reached together with all before it, and the later ones first: a waiter that one of them wakes,
//!    perhaps on another thread, finds how far it really goes.

use tokio_util::sync::CancellationToken;

/// What happens to the members of a nursery; before the first stage, nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The body has returned: actors whose function has ended may exit.
    Joining,
    /// All are asked to end; those that are supervised by their supervisors, in order.
    Ending,
    /// None is asked any more: they get signals.
    Killing,
}

/// The stages of one nursery.
#[derive(Default)]
pub(super) struct Stages {
    joining: CancellationToken,
    ending: CancellationToken,
    killing: CancellationToken,
}

impl Stages {
    /// Goes forward to this stage, unless it has come further.
    pub(super) fn reach(&self, stage: Stage) {
        let latest_first = [Stage::Killing, Stage::Ending, Stage::Joining];
        latest_first.into_iter().filter(|before| *before <= stage).for_each(|reached| self.token(reached).cancel());
    }

    pub(super) fn has_reached(&self, stage: Stage) -> bool {
        self.token(stage).is_cancelled()
    }

    /// Returns the token that is cancelled when this stage is reached.
    pub(super) fn token(&self, stage: Stage) -> &CancellationToken {
        match stage {
            Stage::Joining => &self.joining,
            Stage::Ending => &self.ending,
            Stage::Killing => &self.killing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    use super::*;

    /// Looks at the stages whenever it is woken, as a member on another thread may.
    struct Looks(Stages);

    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            assert!(self.0.has_reached(Stage::Killing), "woken before the furthest stage was reached");
        }
    }

    #[test]
    fn a_waiter_for_an_early_stage_finds_the_furthest_one() {
        let looks = Arc::new(Looks(Stages::default()));
        let waker = Waker::from(looks.clone());
        let mut waiting = [Stage::Joining, Stage::Ending].map(|stage| Box::pin(looks.0.token(stage).cancelled()));
        for waiting in &mut waiting {
            assert_eq!(waiting.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
        }
        looks.0.reach(Stage::Killing);
    }

    #[test]
    fn no_stage_is_left_for_an_earlier_one() {
        let stages = Stages::default();
        stages.reach(Stage::Ending);
        stages.reach(Stage::Joining);
        assert!(stages.has_reached(Stage::Joining) && stages.has_reached(Stage::Ending));
        assert!(!stages.has_reached(Stage::Killing));
    }
}
