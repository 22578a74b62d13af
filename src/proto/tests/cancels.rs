//! Cancel requests, their acknowledgements, and late messages.

use super::pair::{BY_CALLER, value};
use super::*;
use crate::proto::transmit::Answer;

#[test]
fn a_cancelled_call_is_answered_and_acknowledged() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.at_listener();
    pair.listener.session.attach(cid, 77);
    assert!(pair.dialer.cancel(cid, 5, 1));
    assert!(matches!(pair.at_listener(), Event::CancelTask { task: 77 }));
    assert_eq!(pair.listener.session.task(cid), Some(&77));
    pair.listener.finish(cid, value(&()));
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: None, acks, .. } if acks == [5]));
    assert!(matches!(pair.at_dialer(), Event::Acked { acks } if acks.is_empty()));
    pair.assert_empty();
}

#[test]
fn a_cancel_that_crosses_the_answer_is_acknowledged_too() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.at_listener();
    pair.listener.finish(cid, value(&()));
    pair.dialer.cancel(cid, 5, 1);
    pair.at_listener();
    assert_eq!(pair.listener.log, [(0, "return"), (0, "cancel_ack")]);
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: None, acks, .. } if acks == [5]));
    assert!(matches!(pair.at_dialer(), Event::Acked { acks } if acks.is_empty()));
    pair.assert_empty();
}

#[test]
fn a_cancel_after_the_answer_is_over_at_once() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.at_listener();
    pair.listener.finish(cid, value(&()));
    pair.at_dialer();
    assert!(matches!(pair.dialer.session.cancel(cid, Some((5, secs(1)))), Err(Some(5))));
    pair.assert_empty();
}

#[test]
fn an_acknowledgement_that_is_overdue_wakes_its_waiter() {
    // Of a call and of a context.
    let mut pair = Pair::new(10);
    let context = pair.open();
    let (early, late) = (pair.call(1), pair.call(2));
    pair.dialer.cancel(late, 8, 9);
    pair.dialer.cancel(early, 5, 3);
    pair.dialer.cancel(context, 6, 3);
    let session = &mut pair.dialer.session;
    assert_eq!(session.poll_timeout(), Some(secs(3)));
    assert!(session.handle_timeout(secs(2)).acks.is_empty());
    let overdue = session.handle_timeout(secs(3));
    assert_eq!((overdue.acks, overdue.replies), (vec![6, 5], vec![]));
    assert_eq!(session.poll_timeout(), Some(secs(9)));
    // The answer comes after all: it ends the dialog and wakes no waiter.
    let answer = Msg::Return { cid: early, value: unit() };
    assert!(matches!(pair.dialer.handle(answer), Event::Resolved { reply: None, acks, .. } if acks.is_empty()));
    let answer = Msg::Return { cid: context, value: unit() };
    assert!(matches!(pair.dialer.handle(answer), Event::Ended { acks, .. } if acks.is_empty()));
}

#[test]
fn what_is_put_off_is_overdue_later() {
    let mut pair = Pair::new(10);
    let (early, late) = (pair.call(1), pair.call(2));
    pair.dialer.cancel(late, 8, 9);
    pair.dialer.cancel(early, 5, 3);
    let session = &mut pair.dialer.session;
    session.put_off(secs(6));
    assert_eq!(session.poll_timeout(), Some(secs(6)));
    assert!(session.handle_timeout(secs(5)).acks.is_empty());
    assert_eq!(session.handle_timeout(secs(6)).acks, [5]);
    assert_eq!(session.handle_timeout(secs(9)).acks, [8], "nothing is overdue sooner");
}

#[test]
fn each_waiter_for_an_acknowledgement_has_its_own_time() {
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.dialer.cancel(cid, 5, 1);
    pair.dialer.cancel(cid, 6, 2);
    pair.dialer.cancel(cid, 7, 3);
    assert_eq!(pair.dialer.log, [(0, "open"), (0, "cancel")], "one request is enough");
    assert_eq!(pair.dialer.session.handle_timeout(secs(1)).acks, [5]);
    assert_eq!(pair.dialer.session.handle_timeout(secs(2)).acks, [6]);
    pair.at_listener();
    pair.listener.finish(cid, Answer::Error(&BY_CALLER));
    assert!(matches!(pair.at_dialer(), Event::Ended { acks, .. } if acks == [7]));
}

#[test]
fn a_request_to_an_actor_is_acknowledged_by_its_answer() {
    let mut pair = Pair::new(0);
    let (cid, request) = pair.dialer.session.cancel_actor(4, secs(5)).unwrap();
    pair.dialer.send(request);
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }), "however busy the peer is");
    pair.listener.finish(cid, value(&()));
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: Some(4), end_acknowledged: true, .. }));
    // Or it is overdue.
    let (cid, request) = pair.dialer.session.cancel_actor(5, secs(7)).unwrap();
    pair.dialer.send(request);
    assert!(pair.dialer.session.handle_timeout(secs(6)).replies.is_empty());
    assert_eq!(pair.dialer.session.handle_timeout(secs(7)).replies, [5]);
    pair.at_listener();
    pair.listener.finish(cid, value(&()));
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: None, end_acknowledged: true, .. }));
    pair.assert_empty();
}

#[test]
fn an_acknowledgement_without_the_answer_of_a_context_ends_nothing() {
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.dialer.cancel(cid, 5, 1);
    let early = pair.dialer.handle(Msg::CancelAck { cid, found: true });
    assert!(matches!(early, Event::Ignored { kind: "cancel_ack", .. }));
    let answer = pair.dialer.handle(Msg::Return { cid, value: unit() });
    assert!(matches!(answer, Event::Ended { acks, .. } if acks == [5]));
}

#[test]
fn a_cancelled_context_is_over_once_it_is_answered_and_acknowledged() {
    // S03: with a value or an error, and whatever is late then, nothing is left on either side.
    for answer in [value(&()), Answer::Error(&())] {
        let mut pair = Pair::new(10);
        let cid = pair.open();
        pair.dialer.cancel(cid, 5, 1);
        pair.at_listener();
        pair.listener.finish(cid, answer);
        assert!(matches!(pair.at_dialer(), Event::Ended { acks, .. } if acks == [5]));
        assert!(matches!(pair.dialer.handle(Msg::Yield { cid, value: unit() }), Event::Late { .. }));
        assert!(matches!(pair.at_dialer(), Event::Acked { acks } if acks.is_empty()));
        pair.assert_empty();
    }
}

#[test]
fn what_fits_no_dialog_is_ignored_and_what_is_late_is_told_apart() {
    // S03, S04: for every kind of message, on both sides, before the dialog, in one that has ended, and for ids that
    // were never assigned; whether its handles are still used or not.
    for released in [false, true] {
        let mut pair = Pair::new(10);
        let over = pair.open();
        pair.listener.finish(over, value(&()));
        assert!(matches!(pair.at_dialer(), Event::Ended { .. }));
        pair.assert_empty();
        if released {
            pair.dialer.release(over);
            pair.listener.release(over);
        }
        let kinds: [fn(Cid) -> Msg; 8] = [
            |cid| Msg::Started { cid, value: unit() },
            |cid| Msg::Stream { cid, window: Window::of_messages(1), waits: true },
            |cid| Msg::Yield { cid, value: unit() },
            |cid| Msg::Credit { cid, count: 1 },
            |cid| Msg::Stop { cid },
            |cid| Msg::Return { cid, value: unit() },
            |cid| Msg::Error { cid: Some(cid), error: unit() },
            |cid| Msg::CancelAck { cid, found: true },
        ];
        for msg in kinds {
            for side in [&mut pair.dialer, &mut pair.listener] {
                assert!(matches!(side.handle(msg(over)), Event::Late { cid, .. } if cid == over));
                for unknown in [0, 2, over.0 + 2, u64::MAX] {
                    assert!(matches!(side.handle(msg(Cid(unknown))), Event::Ignored { .. }), "{unknown}");
                }
            }
        }
        pair.assert_empty();
    }
}
