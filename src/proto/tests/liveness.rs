//! Heartbeats, suspicion and the lease, on a clock that is a number.

use std::collections::VecDeque;

use pleach_wire::SilenceLimit;
use proptest::prelude::*;

use super::*;
use crate::proto::failure_detector::{Action, DetectorConfig, FailureDetector, PeerHealth, Relation};

const PATIENCE: DetectorConfig = DetectorConfig {
    heartbeat: Duration::from_secs(1),
    lease: Duration::from_secs(10),
    suspect_after: 8,
    dead_after: 60,
};

fn watch(relation: Relation) -> FailureDetector {
    FailureDetector::new(relation, PATIENCE, secs(0), secs(0))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Polls a detector, and checks that its actions are due exactly when it says.
fn due(watch: &mut FailureDetector, now: Duration) -> Vec<Action> {
    let mut verdicts = Vec::new();
    loop {
        let announced = watch.poll_timeout().is_some_and(|at| at <= now);
        let action = watch.handle_timeout(now);
        assert_eq!(action.is_some(), announced, "at {now:?}: {action:?} {watch:?}");
        match action {
            Some(action) => verdicts.push(action),
            None => return verdicts,
        }
    }
}

/// As [`due`], for every 10 ms up to `until`, with the time of each; heartbeats are left out.
fn due_until(watch: &mut FailureDetector, from: Duration, until: Duration) -> Vec<(Duration, Action)> {
    let times = (from.as_millis() as u64..=until.as_millis() as u64).step_by(10).map(millis);
    let all = times.flat_map(|now| due(watch, now).into_iter().map(move |action| (now, action)));
    all.filter(|(_, action)| !matches!(action, Action::Ping { .. })).collect()
}

/// A heartbeat of the peer comes.
fn beat(watch: &mut FailureDetector, now: Duration) {
    watch.handle_heard(now);
    watch.handle_ping(now);
}

/// All heartbeats that are due are answered at once; returns what else was due.
fn answered(watch: &mut FailureDetector, now: Duration) -> Vec<Action> {
    let (pings, other): (Vec<_>, Vec<_>) =
        due(watch, now).into_iter().partition(|action| matches!(action, Action::Ping { .. }));
    for ping in pings {
        let Action::Ping { n } = ping else { unreachable!() };
        watch.handle_pong(n, now);
    }
    other
}

#[test]
fn a_peer_that_is_regular_is_never_suspected() {
    for relation in [Relation::Parent, Relation::Child, Relation::Other] {
        let mut watch = watch(relation);
        for second in 0..3600 {
            beat(&mut watch, secs(second));
            assert_eq!(answered(&mut watch, secs(second)), []);
            // However regular it has been: one late heartbeat is nothing.
            assert_eq!(answered(&mut watch, secs(second) + millis(900)), []);
        }
        assert_eq!(due_until(&mut watch, secs(3599), secs(3602)), []);
    }
}

#[test]
fn a_silence_is_suspicious_and_then_deadly() {
    let last = secs(20);
    for (relation, dead_at, limit) in [
        (Relation::Child, millis(10_000), SilenceLimit::Lease(secs(10))),
        (Relation::Other, millis(9200), SilenceLimit::Phi(60)),
    ] {
        let mut watch = watch(relation);
        for second in 0..=20 {
            beat(&mut watch, secs(second));
            answered(&mut watch, secs(second));
        }
        assert_eq!(watch.health(last), PeerHealth::Alive { rtt: Some(secs(0)) });
        let told = due_until(&mut watch, last, secs(100));
        let [(suspected, Action::Suspect { silent, phi }), (given_up, Action::Dead { silent: all, limit: found })] =
            told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!((suspected - last, silent), (millis(3810), millis(3810)));
        assert!((8.0..8.1).contains(&phi), "{phi}");
        assert_eq!((given_up - last, all, found), (dead_at, dead_at, limit));
        assert_eq!((watch.health(secs(100)), watch.poll_timeout()), (PeerHealth::Dead, None));
    }
}

#[test]
fn who_is_heard_again_is_suspected_no_more() {
    let mut watch = watch(Relation::Child);
    assert!(matches!(due_until(&mut watch, secs(0), secs(8))[..], [(_, Action::Suspect { .. })]));
    assert!(matches!(watch.health(secs(8)), PeerHealth::Suspect { silent, phi } if silent == secs(8) && phi > 40.0));
    watch.handle_heard(secs(8));
    assert_eq!(watch.health(secs(8)), PeerHealth::Alive { rtt: None });
    assert_eq!(due_until(&mut watch, secs(8), secs(8)), [(secs(8), Action::Recovered { silent: secs(8) })]);
    // From then on it has all its time again.
    let told = due_until(&mut watch, secs(8), secs(100));
    let [(suspected, Action::Suspect { .. }), (given_up, Action::Dead { .. })] = told[..] else { panic!("{told:?}") };
    assert!(suspected > secs(11) && given_up == secs(18), "{told:?}");
}

#[test]
fn a_parent_that_is_heard_but_does_not_answer_does_not_renew_the_lease() {
    let mut watch = watch(Relation::Parent);
    let mut told = Vec::new();
    for second in 0..30 {
        beat(&mut watch, secs(second));
        if second < 5 {
            assert_eq!(answered(&mut watch, secs(second)), []);
        }
        told.extend(due_until(&mut watch, secs(second), millis(second * 1000 + 990)));
    }
    // The heartbeat of the fourth second was the last one to be answered.
    let dead = Action::Dead { silent: secs(10), limit: SilenceLimit::OwnLease(secs(10)) };
    assert_eq!(told, [(secs(14), dead)]);
    assert_eq!(watch.leased_until(), Some(secs(14)));
}

#[test]
fn a_lease_counts_from_the_sending_and_only_from_what_was_sent() {
    let mut watch = FailureDetector::new(Relation::Parent, PATIENCE, secs(0), secs(2));
    assert_eq!(watch.leased_until(), Some(secs(10))); // from when the child began to dial
    watch.handle_pong(1, secs(2));
    watch.handle_pong(7, secs(2));
    assert_eq!(watch.leased_until(), Some(secs(10)));
    assert_eq!(due(&mut watch, secs(2)), [Action::Ping { n: 1 }]);
    assert_eq!(due(&mut watch, secs(3)), [Action::Ping { n: 2 }]);
    watch.handle_pong(2, secs(7));
    assert_eq!(watch.leased_until(), Some(secs(13)));
    assert_eq!(watch.health(secs(7)), PeerHealth::Alive { rtt: Some(secs(4)) });
    watch.handle_pong(1, secs(8)); // overtaken
    assert_eq!(
        (watch.leased_until(), watch.health(secs(7))),
        (Some(secs(13)), PeerHealth::Alive { rtt: Some(secs(4)) })
    );
}

#[test]
fn a_slow_peer_is_no_dead_peer() {
    let mut watch = watch(Relation::Parent);
    let mut on_the_way = VecDeque::new();
    for tick in 0..6000 {
        let now = millis(tick * 10);
        for action in due(&mut watch, now) {
            let Action::Ping { n } = action else { panic!("at {now:?}: {action:?}") };
            on_the_way.push_back((now + secs(6), n)); // longer than a suspicion takes
        }
        while on_the_way.front().is_some_and(|(at, _)| *at <= now) {
            let (_, n) = on_the_way.pop_front().unwrap();
            beat(&mut watch, now);
            watch.handle_pong(n, now);
        }
        if now < secs(6) {
            watch.handle_heard(now); // an earlier message
        }
    }
    assert_eq!(watch.health(secs(60)), PeerHealth::Alive { rtt: Some(secs(6)) });
}

#[test]
fn an_uneven_line_gets_more_patience() {
    let told_after = |intervals: [u64; 2]| {
        let (mut watch, mut now) = (watch(Relation::Other), secs(0));
        for interval in intervals.iter().cycle().take(200) {
            beat(&mut watch, now);
            assert_eq!(answered(&mut watch, now), []);
            now += millis(*interval);
        }
        beat(&mut watch, now);
        let told = due_until(&mut watch, now, now + secs(100));
        told.iter().map(|(at, _)| (*at - now).as_millis() as u64).collect::<Vec<_>>()
    };
    let [even, uneven] = [[1000, 1000], [100, 2900]].map(told_after);
    assert!(uneven[0] > even[0] + 3000 && uneven[1] > even[1] + 10_000, "{even:?} {uneven:?}");
}

/// What happens to a line while a parent and its child talk over it, in steps of 5 ms.
#[derive(Clone, Debug)]
struct Line {
    /// Of each message there and back: how many steps it takes, and whether it gets lost.
    fates: [Vec<(u64, bool)>; 2],
    /// From and to which step nothing gets through, for each direction.
    cuts: [(u64, u64); 2],
    /// When each side's handshake completes.
    connected: (u64, u64),
    /// From and to which step the parent does not run.
    pause: (u64, u64),
}

fn lines() -> impl Strategy<Value = Line> {
    let fates = || prop::collection::vec((0..120u64, prop::bool::weighted(0.3)), 1..40);
    let cut = || prop_oneof![Just((0, 0)), (0..600u64, 1..600u64).prop_map(|(from, long)| (from, from + long))];
    let connected = (0..60u64, 0..60u64).prop_map(|(parent, more)| (parent, parent + more));
    let parts = (fates(), fates(), cut(), cut(), connected, cut());
    parts.prop_map(|(there, back, cut, uncut, connected, pause)| Line {
        fates: [there, back],
        cuts: [cut, uncut],
        connected,
        pause,
    })
}

const STEPS: u64 = 1200;

/// Returns at which step the child and the parent give up.
fn run(line: &Line) -> (Option<u64>, Option<u64>) {
    let at = |step: u64| millis(step * 5);
    let patience = DetectorConfig { heartbeat: millis(50), lease: millis(500), ..PATIENCE };
    let mut parent = FailureDetector::new(Relation::Child, patience, at(0), at(line.connected.0));
    let mut child = FailureDetector::new(Relation::Parent, patience, at(0), at(line.connected.1));
    let (mut to_parent, mut to_child) = (Vec::new(), Vec::new());
    let (mut sent, mut ends) = ([0, 0], (None, None));
    let mut send = |direction: usize, step: u64, msg: Msg, queue: &mut Vec<(u64, Msg)>| {
        let (long, lost) = line.fates[direction][sent[direction] % line.fates[direction].len()];
        sent[direction] += 1;
        let (from, to) = line.cuts[direction];
        if !lost && !(from..to).contains(&step) {
            queue.push((step + long, msg));
        }
    };
    for step in line.connected.0..STEPS {
        if ends.0.is_none() && step >= line.connected.1 {
            for (_, msg) in to_child.extract_if(.., |(at, _)| *at <= step) {
                child.handle_heard(at(step));
                match msg {
                    Msg::Ping { n } => {
                        child.handle_ping(at(step));
                        send(0, step, Msg::Pong { n }, &mut to_parent);
                    }
                    Msg::Pong { n } => drop(child.handle_pong(n, at(step))),
                    other => panic!("{other:?}"),
                }
            }
            for action in due(&mut child, at(step)) {
                match action {
                    Action::Ping { n } => send(0, step, Msg::Ping { n }, &mut to_parent),
                    Action::Dead { .. } => ends.0 = Some(step),
                    _ => {}
                }
            }
        }
        if ends.1.is_none() && !(line.pause.0..line.pause.1).contains(&step) {
            for (_, msg) in to_parent.extract_if(.., |(at, _)| *at <= step) {
                parent.handle_heard(at(step));
                match msg {
                    Msg::Ping { n } => {
                        parent.handle_ping(at(step));
                        send(1, step, Msg::Pong { n }, &mut to_child);
                    }
                    Msg::Pong { n } => drop(parent.handle_pong(n, at(step))),
                    other => panic!("{other:?}"),
                }
            }
            for action in due(&mut parent, at(step)) {
                match action {
                    Action::Ping { n } => send(1, step, Msg::Ping { n }, &mut to_child),
                    Action::Dead { .. } => ends.1 = Some(step),
                    _ => {}
                }
            }
        }
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Whatever is lost or late, in whichever direction.
    // SEC-20
    #[test]
    fn a_childs_lease_has_expired_when_its_parent_declares_it_dead(line in lines()) {
        if let (child, Some(given_up)) = run(&line) {
            prop_assert!(child.is_some_and(|over| over <= given_up), "{child:?} {given_up}");
        }
    }
}

#[test]
fn the_lines_of_the_property_end_in_every_way() {
    let quiet =
        Line { fates: [vec![(1, false)], vec![(1, false)]], cuts: [(0, 0); 2], connected: (1, 2), pause: (0, 0) };
    assert_eq!(run(&quiet), (None, None));
    let cut = |there, back| run(&Line { cuts: [there, back], ..quiet.clone() });
    assert!(matches!(cut((0, 0), (200, STEPS)), (Some(290..=302), Some(_))));
    assert!(matches!(cut((200, STEPS), (0, 0)), (Some(290..=302), Some(_))));
    assert!(matches!(cut((200, 280), (200, 280)), (None, None)));
}
