//! Calls and the tasks they start: opened, answered, limited, ended with the connection.

use super::pair::value;
use super::*;
use crate::proto::session::Outcome;

#[test]
fn a_call_is_answered_once() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    assert!(matches!(pair.at_listener(), Event::Invoke { cid: invoked, .. } if invoked == cid));
    pair.listener.finish(cid, value(&()));
    let answer = pair.at_dialer();
    assert!(
        matches!(answer, Event::Resolved { reply: Some(1), acks, outcome: Outcome::Value(_), end_acknowledged: false } if acks.is_empty())
    );
    pair.assert_empty();
    let again = Msg::Return { cid, value: unit() };
    assert!(matches!(pair.dialer.handle(again), Event::Late { kind: "return", .. }));
}

#[test]
fn both_sides_open_dialogs_of_their_own() {
    let mut pair = Pair::new(10);
    let ours = pair.call(1);
    let (theirs, _) = pair.listener.session.call(2, target(), &(), CallOptions::default()).unwrap();
    assert_ne!(ours, theirs);
    let begin = start(theirs);
    assert!(matches!(pair.dialer.handle(begin), Event::Invoke { .. }));
    // A peer can't open a dialog with a number of ours, nor open one twice.
    let stolen = start(ours);
    assert!(matches!(pair.dialer.handle(stolen.clone()), Event::Ignored { .. }));
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.listener.handle(stolen), Event::Ignored { .. }));
}

#[test]
fn a_value_of_a_connection_without_actors_is_ignored() {
    let mut pair = Pair::new(10);
    for side in [&mut pair.dialer, &mut pair.listener] {
        let event = side.handle(Msg::Value { value: unit() });
        assert!(matches!(event, Event::Ignored { kind: "value", cid: None }));
    }
    pair.assert_empty();
}

#[test]
fn the_end_of_the_connection_wakes_all_waiters() {
    let mut pair = Pair::new(10);
    let context = pair.open();
    pair.listener.session.attach(context, 77);
    let first = pair.call(1);
    pair.call(2);
    pair.dialer.cancel(first, 5, 1);
    let left = pair.dialer.session.close();
    assert_eq!((left.replies, left.acks), (vec![2], vec![5]));
    assert_eq!(left.dialogs.iter().map(|dialog| dialog.failed).collect::<Vec<_>>(), [true]);
    assert!(pair.dialer.session.call(3, target(), &(), CallOptions::default()).is_none());
    let left = pair.listener.session.close();
    assert_eq!((left.tasks, left.dialogs.len()), (vec![77], 1));
    assert!(pair.dialer.end(context).is_some() && pair.listener.end(context).is_some());
}

#[test]
fn a_call_that_was_never_sent_leaves_nothing() {
    let mut pair = Pair::new(10);
    let call = pair.call(1);
    let context = pair.dialer.session.open_context(target(), &(), CallOptions::default()).unwrap().cid;
    assert!(pair.dialer.session.forget(call).is_none());
    assert!(pair.dialer.session.forget(context).is_some_and(|dialog| dialog.failed));
    pair.dialer.abandon(context);
    assert_eq!(pair.dialer.log, [(0, "start")]);
    assert_eq!(pair.dialer.session.open_calls(), 0);
}

#[test]
fn a_peer_runs_only_so_many_tasks_at_once() {
    let mut pair = Pair::new(2);
    let cids = [pair.call(1), pair.call(2), pair.call(3)];
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.at_listener(), Event::Overloaded { limit: 2, .. }));
    pair.listener.finish(cids[0], value(&()));
    pair.call(4);
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
}
