//! Which children are stopped and started again when one has ended, how soon, and when to give up.
//!
//! Decisions only: no process, no task, no clock, no chance; a time is how long the supervisor has been running, and
//! random numbers are handed in.
//!
//! # Invariants
//! 1. Children to stop are listed from the last to the first, children to start from the first to the last: a child may
//!    use those before it.
//! 2. A child that has ended for good, or was removed, appears in no later plan.
//! 3. With independent children a decision takes no longer the more of them there are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::backoff::Backoff;

/// Which other children are started again together with one that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
}

/// When a child that has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// Always.
    Permanent,
    /// When it failed.
    Transient,
    /// Never.
    Temporary,
}

/// The settings of a supervisor.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) strategy: Strategy,
    /// As many restarts as it allows…
    pub(super) restarts: u32,
    /// …within this time.
    pub(super) within: Duration,
    pub(super) backoff: Backoff,
    /// Whether the supervisor goes on without children.
    pub(super) stays: bool,
    /// Whether children come and go: those that have ended are forgotten, and the order of the last stops is free.
    pub(super) dynamic: bool,
}

/// The decision about a child that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It stays ended.
    Leave,
    /// Stop some, wait, start some.
    Restart(Plan),
    /// Too many restarts: the supervisor fails.
    GiveUp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) stop: Vec<usize>,
    /// How often the child has been started again lately, this one included.
    pub(super) attempt: u32,
    pub(super) after: Duration,
    pub(super) start: Vec<usize>,
}

/// The children of one supervisor, by number, and their latest restarts.
#[derive(Debug)]
pub(super) struct Policy {
    rules: Rules,
    /// Those that have not ended for good, in the order in which they were added.
    children: BTreeMap<usize, Child>,
    /// When each restart of the period began, and for whose sake.
    restarts: VecDeque<(Duration, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    restart: Restart,
    up: bool,
    /// How many of the restarts of the period were for its sake.
    lately: u32,
}

impl Policy {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, children: BTreeMap::new(), restarts: VecDeque::new() }
    }

    /// A child was added, and is down; its number is higher than all before.
    pub(super) fn handle_add(&mut self, child: usize, restart: Restart) {
        self.children.insert(child, Child { restart, up: false, lately: 0 });
    }

    /// A child was removed. Restarts for its sake still count for all children together.
    pub(super) fn handle_remove(&mut self, child: usize) {
        self.children.remove(&child);
    }

    /// A child has been started.
    pub(super) fn handle_start(&mut self, child: usize) {
        if let Some(child) = self.children.get_mut(&child) {
            child.up = true;
        }
    }

    /// A child has ended, or could not be started. `random` decides on jitter.
    pub(super) fn handle_end(&mut self, child: usize, failed: bool, now: Duration, random: u32) -> Decision {
        let Some(ended) = self.children.get_mut(&child) else { return Decision::Leave };
        ended.up = false;
        let again = match ended.restart {
            Restart::Permanent => true,
            Restart::Transient => failed,
            Restart::Temporary => false,
        };
        match again {
            true if self.may_restart(child, now) => Decision::Restart(self.plan(child, random)),
            true => Decision::GiveUp,
            false => {
                self.children.remove(&child);
                Decision::Leave
            }
        }
    }

    /// Counts a restart, unless that would be one too many.
    fn may_restart(&mut self, child: usize, now: Duration) -> bool {
        let Rules { restarts, within, .. } = self.rules;
        while let Some((at, of)) = self.restarts.front().copied()
            && now.saturating_sub(at) >= within
        {
            self.restarts.pop_front();
            self.count(of, |lately| lately.saturating_sub(1));
        }
        let allowed = self.restarts.len() < restarts as usize;
        if allowed {
            self.restarts.push_back((now, child));
            self.count(child, |lately| lately.saturating_add(1));
        }
        allowed
    }

    fn count(&mut self, child: usize, change: impl FnOnce(u32) -> u32) {
        if let Some(child) = self.children.get_mut(&child) {
            child.lately = change(child.lately);
        }
    }

    fn plan(&mut self, child: usize, random: u32) -> Plan {
        let attempt = self.children.get(&child).map_or(1, |child| child.lately);
        let (first, last) = match self.rules.strategy {
            Strategy::OneForOne => (child, child),
            Strategy::OneForAll => (0, usize::MAX),
            Strategy::RestForOne => (child, usize::MAX),
        };
        let (mut stop, mut start) = (Vec::new(), Vec::new());
        for (number, other) in self.children.range_mut(first..=last) {
            let was_up = std::mem::take(&mut other.up);
            if was_up {
                stop.push(*number);
            }
            if !(was_up && other.restart == Restart::Temporary) {
                start.push(*number);
            }
        }
        stop.reverse();
        for stopped in stop.iter().filter(|stopped| start.binary_search(stopped).is_err()) {
            self.children.remove(stopped);
        }
        Plan { stop, attempt, after: self.rules.backoff.wait(attempt, random), start }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Just, any, prop_assert, prop_oneof, proptest};

    use super::Restart::{Permanent, Temporary, Transient};
    use super::Strategy::{OneForAll, OneForOne, RestForOne};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules(strategy: Strategy) -> Rules {
        let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_millis(50));
        Rules { strategy, restarts: 3, within: 5 * SECOND, backoff, stays: false, dynamic: false }
    }

    /// A policy whose children are all up.
    fn up(strategy: Strategy, children: &[Restart]) -> Policy {
        let mut policy = Policy::new(rules(strategy));
        for (child, restart) in children.iter().enumerate() {
            policy.handle_add(child, *restart);
            policy.handle_start(child);
        }
        policy
    }

    fn plan(decision: Decision) -> Plan {
        match decision {
            Decision::Restart(plan) => plan,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_strategy_has_its_children() {
        for (strategy, stop, start) in [
            (OneForOne, vec![], vec![1]),
            (OneForAll, vec![3, 2, 0], vec![0, 1, 2, 3]),
            (RestForOne, vec![3, 2], vec![1, 2, 3]),
        ] {
            let plan = plan(up(strategy, &[Permanent; 4]).handle_end(1, true, SECOND, 0));
            assert_eq!((plan.stop, plan.start), (stop, start), "{strategy:?}");
        }
    }

    #[test]
    fn each_kind_has_its_reasons() {
        let ends = |restart, failed| up(OneForOne, &[restart]).handle_end(0, failed, SECOND, 0) != Decision::Leave;
        assert_eq!([ends(Permanent, false), ends(Transient, false), ends(Temporary, false)], [true, false, false]);
        assert_eq!([ends(Permanent, true), ends(Transient, true), ends(Temporary, true)], [true, true, false]);
    }

    #[test]
    fn what_is_over_stays_so_and_a_stopped_temporary_is_over() {
        let mut policy = up(OneForAll, &[Transient, Temporary, Permanent]);
        assert_eq!(policy.handle_end(0, false, SECOND, 0), Decision::Leave);
        let plan = plan(policy.handle_end(2, true, SECOND, 0));
        assert_eq!((plan.stop, plan.start), (vec![1], vec![2]));
    }

    #[test]
    fn a_failed_start_takes_those_along_that_were_to_come_after_it() {
        let mut policy = up(RestForOne, &[Permanent; 3]);
        plan(policy.handle_end(0, true, SECOND, 0));
        policy.handle_start(0);
        let again = plan(policy.handle_end(1, true, SECOND, 0));
        assert_eq!((again.stop, again.start), (vec![], vec![1, 2]));
    }

    #[test]
    fn it_gives_up_only_within_its_period() {
        let mut policy = up(OneForOne, &[Permanent; 2]);
        for child in [0, 1, 0] {
            plan(policy.handle_end(child, true, SECOND, 0));
        }
        assert_eq!(policy.handle_end(1, true, 5 * SECOND, 0), Decision::GiveUp);
        let late = plan(policy.handle_end(1, true, 6 * SECOND, 0));
        assert_eq!(late.attempt, 1, "the period has passed, and with it the count");
    }

    #[test]
    fn no_restart_can_be_allowed() {
        let mut policy = Policy::new(Rules { restarts: 0, ..rules(OneForOne) });
        policy.handle_add(0, Permanent);
        assert_eq!(policy.handle_end(0, true, SECOND, 0), Decision::GiveUp);
    }

    #[test]
    fn the_wait_grows_for_each_child_by_itself() {
        let mut policy = up(OneForOne, &[Permanent; 2]);
        let mut wait = |child| plan(policy.handle_end(child, true, SECOND, 0)).after.as_millis();
        assert_eq!([wait(0), wait(0), wait(1)], [10, 20, 10]);
    }

    #[test]
    fn children_come_and_go() {
        let mut policy = up(RestForOne, &[Permanent; 3]);
        policy.handle_remove(1);
        policy.handle_add(7, Permanent);
        policy.handle_start(7);
        let first = plan(policy.handle_end(0, true, SECOND, 0));
        assert_eq!((first.stop, first.start), (vec![7, 2], vec![0, 2, 7]));
        assert_eq!(policy.handle_end(1, true, SECOND, 0), Decision::Leave, "it was removed");
        // Down, and not yet started again: the next plan has it, too.
        policy.handle_start(0);
        let second = plan(policy.handle_end(0, true, SECOND, 0));
        assert_eq!((second.stop, second.start), (vec![], vec![0, 2, 7]));
    }

    #[test]
    fn restarts_of_a_removed_child_still_count() {
        let mut policy = up(OneForOne, &[Permanent; 2]);
        for _ in 0..3 {
            plan(policy.handle_end(0, true, SECOND, 0));
        }
        policy.handle_remove(0);
        assert_eq!(policy.handle_end(1, true, SECOND, 0), Decision::GiveUp);
    }

    /// With the look at all others that a restart of a group takes, this would take hours.
    #[test]
    fn a_hundred_thousand_independent_children_are_no_burden() {
        const CHILDREN: usize = 100_000;
        let many = Rules { restarts: u32::MAX, within: Duration::MAX, ..rules(OneForOne) };
        let mut policy = Policy::new(many);
        for child in 0..CHILDREN {
            policy.handle_add(child, Transient);
            policy.handle_start(child);
        }
        for round in 1..=2 {
            for child in 0..CHILDREN {
                let plan = plan(policy.handle_end(child, true, SECOND, 0));
                assert_eq!((plan.start, plan.attempt), (vec![child], round));
            }
        }
        for child in 0..CHILDREN {
            assert_eq!(policy.handle_end(child, false, SECOND, 0), Decision::Leave);
        }
        assert!(policy.children.is_empty());
    }

    proptest! {
        #[test]
        fn plans_keep_their_order_and_their_bounds(
            strategy in prop_oneof![Just(OneForOne), Just(OneForAll), Just(RestForOne)],
            children in vec(prop_oneof![Just(Permanent), Just(Transient), Just(Temporary)], 1..6),
            ends in vec((0..6_usize, any::<bool>(), 0..3000_u64), 1..60),
        ) {
            let mut policy = up(strategy, &children);
            let mut up: Vec<bool> = vec![true; children.len()];
            let mut over = vec![false; children.len()];
            let (mut now, mut restarts) = (Duration::ZERO, Vec::new());
            for (child, failed, later) in ends {
                now += Duration::from_millis(later);
                let Some(child) = (0..children.len()).cycle().skip(child).take(children.len()).find(|one| up[*one]) else { break };
                up[child] = false;
                match policy.handle_end(child, failed, now, 0) {
                    Decision::Leave => over[child] = true,
                    Decision::GiveUp => break,
                    Decision::Restart(plan) => {
                        restarts.push(now);
                        prop_assert!(plan.stop.is_sorted_by(|a, b| a > b), "{plan:?}");
                        prop_assert!(plan.start.is_sorted_by(|a, b| a < b), "{plan:?}");
                        prop_assert!(plan.start.contains(&child), "{plan:?}");
                        for one in &plan.stop {
                            prop_assert!(std::mem::take(&mut up[*one]), "{one} is not up");
                            over[*one] = children[*one] == Temporary;
                        }
                        for one in &plan.start {
                            prop_assert!(!up[*one] && !over[*one], "{one} can't be started");
                            up[*one] = true;
                            policy.handle_start(*one);
                        }
                        prop_assert!(plan.after <= Duration::from_millis(50));
                    }
                }
                let lately = restarts.iter().filter(|at| now - **at < 5 * SECOND).count();
                prop_assert!(lately <= 3, "{lately} restarts within the period");
            }
        }
    }
}
