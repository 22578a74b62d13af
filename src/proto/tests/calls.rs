//! Calls and the tasks they start: opened, answered, limited, ended with the connection.

use super::*;
use crate::proto::session::Outcome;

#[test]
fn a_call_is_answered_once() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    assert!(matches!(pair.at_listener(), Event::Invoke { cid: invoked, .. } if invoked == cid));
    pair.finish(cid);
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: Some(1), ack: None, outcome: Outcome::Value(_) }));
    pair.assert_empty();
    let again = Msg::Return { cid, value: unit() };
    assert!(matches!(pair.dialer.handle_msg(again), Event::Late { kind: "return", .. }));
}

#[test]
fn both_sides_open_dialogs_of_their_own() {
    let mut pair = Pair::new(10);
    let (ours, theirs) = (pair.call(1), pair.listener.open(2).unwrap());
    assert_ne!(ours, theirs);
    let begin = start(theirs);
    assert!(matches!(pair.dialer.handle_msg(begin), Event::Invoke { .. }));
    // A peer can't open a dialog with a number of ours, nor open one twice.
    let stolen = start(ours);
    assert!(matches!(pair.dialer.handle_msg(stolen.clone()), Event::Ignored { .. }));
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.listener.handle_msg(stolen), Event::Ignored { .. }));
}

#[test]
fn the_end_of_the_connection_wakes_all_waiters() {
    let mut pair = Pair::new(10);
    let first = pair.call(1);
    pair.call(2);
    pair.cancel(first, 5, 1);
    let left = pair.dialer.close();
    assert_eq!((left.replies, left.acks), (vec![2], vec![5]));
    assert_eq!(pair.dialer.open(3), None);
    pair.at_listener();
    pair.listener.attach(first, 77);
    pair.listener.attach_dialog(first, 9);
    let left = pair.listener.close();
    assert_eq!((left.tasks, left.dialogs), (vec![77], vec![9]));
}

#[test]
fn a_peer_runs_only_so_many_tasks_at_once() {
    let mut pair = Pair::new(2);
    let cids = [pair.call(1), pair.call(2), pair.call(3)];
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.at_listener(), Event::Overloaded { limit: 2, .. }));
    pair.finish(cids[0]);
    pair.call(4);
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
}
