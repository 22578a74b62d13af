//! Which children are stopped and started again when one has ended, how soon, and when to give up.
//!
//! Decisions only: no process, no task, no clock; a time is how long the supervisor has been running.
//!
//! # Invariants
//! 1. Children to stop are listed from the last to the first, children to start from the first to the last: a child may
//!    use those before it.
//! 2. A child that has ended for good appears in no later plan.

use std::collections::VecDeque;
use std::ops::Range;
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
    children: Vec<Child>,
    /// When each restart of the period began, and for whose sake.
    restarts: VecDeque<(Duration, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    restart: Restart,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Up,
    Over,
}

impl Policy {
    pub(super) fn new(rules: Rules, children: impl IntoIterator<Item = Restart>) -> Self {
        let children = children.into_iter().map(|restart| Child { restart, state: State::Down }).collect();
        Self { rules, children, restarts: VecDeque::new() }
    }

    /// A child has been started.
    pub(super) fn handle_start(&mut self, child: usize) {
        self.children[child].state = State::Up;
    }

    /// A child has ended, or could not be started.
    pub(super) fn handle_end(&mut self, child: usize, failed: bool, now: Duration) -> Decision {
        let again = match self.children[child].restart {
            Restart::Permanent => true,
            Restart::Transient => failed,
            Restart::Temporary => false,
        };
        self.children[child].state = if again { State::Down } else { State::Over };
        match again {
            true if self.may_restart(child, now) => Decision::Restart(self.plan(child)),
            true => Decision::GiveUp,
            false => Decision::Leave,
        }
    }

    /// Counts a restart, unless that would be one too many.
    fn may_restart(&mut self, child: usize, now: Duration) -> bool {
        let Rules { restarts, within, .. } = self.rules;
        self.restarts.retain(|(at, _)| now.saturating_sub(*at) < within);
        let allowed = self.restarts.len() < restarts as usize;
        if allowed {
            self.restarts.push_back((now, child));
        }
        allowed
    }

    fn plan(&mut self, child: usize) -> Plan {
        let affected = self.affected(child);
        let stop: Vec<_> = affected.clone().rev().filter(|other| self.children[*other].state == State::Up).collect();
        for other in &stop {
            let stopped = &mut self.children[*other];
            stopped.state = if stopped.restart == Restart::Temporary { State::Over } else { State::Down };
        }
        let start = affected.filter(|other| self.children[*other].state == State::Down).collect();
        let attempt = self.restarts.iter().filter(|(_, of)| *of == child).count() as u32;
        Plan { stop, attempt, after: self.rules.backoff.wait(attempt), start }
    }

    fn affected(&self, child: usize) -> Range<usize> {
        match self.rules.strategy {
            Strategy::OneForOne => child..child + 1,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => child..self.children.len(),
        }
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
        Rules { strategy, restarts: 3, within: 5 * SECOND, backoff }
    }

    /// A policy whose children are all up.
    fn up(strategy: Strategy, children: &[Restart]) -> Policy {
        let mut policy = Policy::new(rules(strategy), children.iter().copied());
        (0..children.len()).for_each(|child| policy.handle_start(child));
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
            let plan = plan(up(strategy, &[Permanent; 4]).handle_end(1, true, SECOND));
            assert_eq!((plan.stop, plan.start), (stop, start), "{strategy:?}");
        }
    }

    #[test]
    fn each_kind_has_its_reasons() {
        let ends = |restart, failed| up(OneForOne, &[restart]).handle_end(0, failed, SECOND) != Decision::Leave;
        assert_eq!([ends(Permanent, false), ends(Transient, false), ends(Temporary, false)], [true, false, false]);
        assert_eq!([ends(Permanent, true), ends(Transient, true), ends(Temporary, true)], [true, true, false]);
    }

    #[test]
    fn what_is_over_stays_so_and_a_stopped_temporary_is_over() {
        let mut policy = up(OneForAll, &[Transient, Temporary, Permanent]);
        assert_eq!(policy.handle_end(0, false, SECOND), Decision::Leave);
        let plan = plan(policy.handle_end(2, true, SECOND));
        assert_eq!((plan.stop, plan.start), (vec![1], vec![2]));
    }

    #[test]
    fn a_failed_start_takes_those_along_that_were_to_come_after_it() {
        let mut policy = up(RestForOne, &[Permanent; 3]);
        plan(policy.handle_end(0, true, SECOND));
        policy.handle_start(0);
        let again = plan(policy.handle_end(1, true, SECOND));
        assert_eq!((again.stop, again.start), (vec![], vec![1, 2]));
    }

    #[test]
    fn it_gives_up_only_within_its_period() {
        let mut policy = up(OneForOne, &[Permanent; 2]);
        for child in [0, 1, 0] {
            plan(policy.handle_end(child, true, SECOND));
        }
        assert_eq!(policy.handle_end(1, true, 5 * SECOND), Decision::GiveUp);
        let late = plan(policy.handle_end(1, true, 6 * SECOND));
        assert_eq!(late.attempt, 1, "the period has passed, and with it the count");
    }

    #[test]
    fn no_restart_can_be_allowed() {
        let mut policy = Policy::new(Rules { restarts: 0, ..rules(OneForOne) }, [Permanent]);
        assert_eq!(policy.handle_end(0, true, SECOND), Decision::GiveUp);
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound_for_each_child_by_itself() {
        let mut policy = up(OneForOne, &[Permanent; 2]);
        let mut wait = |child| plan(policy.handle_end(child, true, SECOND)).after.as_millis();
        assert_eq!([wait(0), wait(0), wait(1)], [10, 20, 10]);
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
                match policy.handle_end(child, failed, now) {
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
