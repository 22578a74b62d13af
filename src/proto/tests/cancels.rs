//! Cancel requests, their acknowledgements, and late messages.

use super::*;
use crate::proto::dialog::{Arrival, Canceller, Dialog, End, Misuse, Side, Take};
use crate::proto::session::Outcome;

#[test]
fn a_cancelled_call_is_answered_and_acknowledged() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.at_listener();
    pair.listener.attach(cid, 77);
    pair.cancel(cid, 5, 1);
    assert!(matches!(pair.at_listener(), Event::CancelTask { .. }));
    assert_eq!(pair.listener.task(cid), Some(&77));
    pair.finish(cid);
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: None, ack: Some(5), .. }));
    assert!(matches!(pair.at_dialer(), Event::Acked { ack: None }));
    pair.assert_empty();
}

#[test]
fn a_cancel_that_crosses_the_answer_is_acknowledged_too() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.at_listener();
    pair.finish(cid);
    pair.cancel(cid, 5, 1);
    assert!(matches!(pair.at_listener(), Event::NothingToCancel { .. }));
    pair.to_dialer.push_back(Msg::CancelAck { cid, found: false });
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: None, ack: Some(5), .. }));
    assert!(matches!(pair.at_dialer(), Event::Acked { ack: None }));
    pair.assert_empty();
}

#[test]
fn a_cancel_after_the_answer_is_over_at_once() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.at_listener();
    pair.finish(cid);
    pair.at_dialer();
    assert_eq!(pair.dialer.cancel(cid, Some(5), secs(1)), Err(Some(5)));
    pair.assert_empty();
}

#[test]
fn an_acknowledgement_that_is_overdue_wakes_its_waiter() {
    let mut pair = Pair::new(10);
    let (early, late) = (pair.call(1), pair.call(2));
    pair.cancel(late, 8, 9);
    pair.cancel(early, 5, 3);
    assert_eq!(pair.dialer.poll_timeout(), Some(secs(3)));
    assert!(pair.dialer.handle_timeout(secs(2)).is_empty());
    assert_eq!(pair.dialer.handle_timeout(secs(3)), [5]);
    assert_eq!(pair.dialer.poll_timeout(), Some(secs(9)));
    // The answer comes after all: it ends the dialog and wakes no waiter.
    let answer = Msg::Return { cid: early, value: unit() };
    assert!(matches!(pair.dialer.handle_msg(answer), Event::Resolved { reply: None, ack: None, .. }));
}

#[test]
fn an_acknowledgement_that_overtakes_the_answer_does_not_hide_it() {
    // S03. On a link with lanes the result of a context comes on another stream than "nothing to cancel".
    let mut pair = Pair::new(10);
    let cid = pair.open(9);
    let finished = pair.listener.finish(cid);
    assert_eq!((finished.ack_due, finished.dialog), (false, Some(9)));
    pair.cancel(cid, 5, 1);
    assert!(matches!(pair.at_listener(), Event::NothingToCancel { .. }));
    let early = pair.dialer.handle_msg(Msg::CancelAck { cid, found: false });
    assert!(matches!(early, Event::Acked { ack: None }));
    let answer = pair.dialer.handle_msg(Msg::Return { cid, value: unit() });
    assert!(matches!(answer, Event::Resolved { reply: Some(9), ack: Some(5), outcome: Outcome::Value(_) }));
    pair.assert_empty();
}

#[test]
fn a_cancelled_context_is_over_once_it_is_answered_and_acknowledged() {
    // S03: with a value or an error, and whatever is late then, nothing is left on either side.
    for answer in [|cid| Msg::Return { cid, value: unit() }, |cid| Msg::Error { cid: Some(cid), error: unit() }] {
        let mut pair = Pair::new(10);
        let cid = pair.open(9);
        pair.cancel(cid, 5, 1);
        assert!(matches!(pair.at_listener(), Event::CancelTask { .. }));
        assert!(pair.listener.finish(cid).ack_due);
        let resolved = pair.dialer.handle_msg(answer(cid));
        assert!(matches!(resolved, Event::Resolved { reply: Some(9), ack: Some(5), .. }));
        assert!(matches!(pair.dialer.handle_msg(Msg::Yield { cid, value: unit() }), Event::Late { .. }));
        assert!(matches!(pair.dialer.handle_msg(Msg::CancelAck { cid, found: true }), Event::Acked { ack: None }));
        pair.assert_empty();
    }
}

#[test]
fn what_fits_no_dialog_is_ignored_and_what_is_late_is_told_apart() {
    // S03, S04: for every kind of message, on both sides, before the dialog, in one that has ended, and for ids that
    // were never assigned.
    let mut pair = Pair::new(10);
    let over = pair.open(9);
    assert!(pair.listener.finish(over).dialog.is_some());
    let resolved = pair.dialer.handle_msg(Msg::Return { cid: over, value: unit() });
    assert!(matches!(resolved, Event::Resolved { reply: Some(9), .. }));
    pair.assert_empty();
    let kinds: [fn(Cid) -> Msg; 8] = [
        |cid| Msg::Started { cid, value: unit() },
        |cid| Msg::Stream { cid, buffer: 1, waits: true },
        |cid| Msg::Yield { cid, value: unit() },
        |cid| Msg::Credit { cid, count: 1 },
        |cid| Msg::Stop { cid },
        |cid| Msg::Return { cid, value: unit() },
        |cid| Msg::Error { cid: Some(cid), error: unit() },
        |cid| Msg::CancelAck { cid, found: true },
    ];
    for msg in kinds {
        for side in [&mut pair.dialer, &mut pair.listener] {
            assert!(matches!(side.handle_msg(msg(over)), Event::Late { cid, .. } if cid == over));
            for unknown in [0, 2, over.0 + 2, u64::MAX] {
                assert!(matches!(side.handle_msg(msg(Cid(unknown))), Event::Ignored { .. }), "{unknown}");
            }
        }
    }
    pair.assert_empty();
}

/// A dialog of the caller that has ended so, after or without a request to cancel it.
fn ended(cancel_called: bool, end: End) -> Dialog {
    let mut caller = Dialog::new(Side::Caller);
    if cancel_called {
        caller.request_cancel();
    }
    caller.handle_end(end);
    caller
}

#[test]
fn only_who_asked_absorbs_a_cancellation() {
    // S14, S74, S77: only whether this context has asked makes a difference.
    for by in [Canceller::Us, Canceller::Peer, Canceller::Other] {
        assert!(ended(false, End::Cancelled(unit(), by)).failure().is_some(), "{by:?}");
        assert!(ended(true, End::Cancelled(unit(), by)).failure().is_none(), "{by:?}");
    }
    assert!(ended(false, End::Lost).failure().is_some());
    for asked in [false, true] {
        assert!(ended(asked, End::Error(unit())).failure().is_some(), "a failure is never swallowed");
        assert!(ended(asked, End::Value(unit())).failure().is_none());
    }
}

#[test]
fn a_value_that_was_returned_before_wins() {
    let mut caller = ended(true, End::Value(unit()));
    caller.handle_end(End::Cancelled(unit(), Canceller::Us));
    caller.handle_end(End::Lost);
    assert!(matches!(caller.end(), Some(End::Value(_))));
}

#[test]
fn a_request_is_acknowledged_by_the_end_only() {
    let mut caller = Dialog::new(Side::Caller);
    assert!(!caller.cancel_called() && !caller.cancel_acked());
    caller.request_cancel();
    assert!(caller.cancel_called() && !caller.cancel_acked());
    caller.handle_end(End::Cancelled(unit(), Canceller::Us));
    assert!(caller.cancel_acked());
    assert!(!ended(true, End::Lost).cancel_acked(), "the peer has not acknowledged");
    assert!(!ended(false, End::Value(unit())).cancel_acked(), "this side has not asked");
}

#[test]
fn a_cancelled_context_opens_no_stream() {
    // S50.
    let mut caller = Dialog::new(Side::Caller);
    caller.request_cancel();
    assert_eq!(caller.open_stream(64), Err(Misuse::Cancelled));
}

#[test]
fn a_lost_connection_is_absorbed_whether_it_is_noticed_before_the_request_or_after() {
    let mut late = ended(false, End::Lost);
    late.request_cancel();
    for caller in [ended(true, End::Lost), late] {
        assert!(caller.failure().is_none());
    }
}

#[test]
fn a_request_after_the_end_is_noted_and_changes_nothing_else() {
    for (end, fails) in [
        (End::Value(unit()), false),
        (End::Error(unit()), true),
        (End::Cancelled(unit(), Canceller::Peer), true),
        (End::Cancelled(unit(), Canceller::Other), true),
    ] {
        let mut caller = ended(false, end);
        let state = caller.state();
        caller.request_cancel();
        assert!(caller.cancel_called() && caller.cancel_acked());
        assert_eq!((caller.failure().is_some(), caller.state()), (fails, state));
        assert_eq!(caller.open_stream(64), Err(Misuse::Cancelled));
    }
}

#[test]
fn a_reader_of_a_stream_whose_context_absorbs_the_end_gets_an_end() {
    for (asked, end, fails) in [
        (true, End::Cancelled(unit(), Canceller::Us), false),
        (true, End::Lost, false),
        (true, End::Error(unit()), true),
        (false, End::Cancelled(unit(), Canceller::Peer), true),
        (false, End::Lost, true),
    ] {
        let (mut caller, _) = streams::streaming(64, true);
        assert_eq!(caller.handle_yield(unit()), Arrival::Kept);
        if asked {
            caller.request_cancel();
        }
        caller.handle_end(end);
        assert!(matches!(caller.take_item(), Take::Item(..)), "messages before the end come first");
        assert_eq!(matches!(caller.take_item(), Take::Failed(_)), fails);
        assert_eq!(matches!(caller.take_item(), Take::Stopped), !fails);
    }
}

#[test]
fn a_context_whose_block_was_left_opens_no_stream_and_says_that_none_will_come() {
    for end in [None, Some(End::Value(unit())), Some(End::Lost)] {
        let mut caller = Dialog::new(Side::Caller);
        let ended = end.is_some();
        if let Some(end) = end {
            caller.handle_end(end);
        }
        assert_eq!(caller.leave(), !ended);
        assert_eq!(caller.open_stream(64), Err(Misuse::Over));
    }
    // One whose stream is open tells it when that is closed, which may be later.
    let (mut caller, _) = streams::streaming(64, true);
    assert!(!caller.leave());
    assert!(caller.finish());
    // A function that has returned opens none either.
    let mut callee = Dialog::new(Side::Callee);
    callee.start().unwrap();
    callee.handle_end(End::Left);
    assert_eq!(callee.open_stream(64), Err(Misuse::Over));
}
