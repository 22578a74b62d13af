//! How a dialog ends for the side that opened it, by whether and when that side asked to cancel.

use super::*;
use crate::proto::dialog::{Arrival, Canceller, Dialog, End, Misuse, Side, Take};

/// A dialog of the caller with its stream open.
fn streaming() -> Dialog {
    let mut caller = Dialog::new(Side::Caller);
    caller.open_stream(Window::INITIAL).unwrap();
    caller
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
    assert_eq!(caller.open_stream(Window::INITIAL), Err(Misuse::Cancelled));
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
        assert_eq!(caller.open_stream(Window::INITIAL), Err(Misuse::Cancelled));
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
        let mut caller = streaming();
        assert_eq!(caller.handle_yield(unit()), Arrival::Kept);
        if asked {
            caller.request_cancel();
        }
        caller.handle_end(end);
        assert!(
            matches!(caller.take_items(&mut VecDeque::new()).0, Take::Item(_)),
            "messages before the end come first"
        );
        assert_eq!(matches!(caller.take_items(&mut VecDeque::new()).0, Take::Failed(_)), fails);
        assert_eq!(matches!(caller.take_items(&mut VecDeque::new()).0, Take::Stopped), !fails);
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
        assert_eq!(caller.open_stream(Window::INITIAL), Err(Misuse::Over));
    }
    // One whose stream is open tells it when that is closed, which may be later.
    let mut caller = streaming();
    assert!(!caller.leave());
    assert!(caller.finish());
    // A function that has returned opens none either.
    let mut callee = Dialog::new(Side::Callee);
    callee.start().unwrap();
    callee.handle_end(End::Left);
    assert_eq!(callee.open_stream(Window::INITIAL), Err(Misuse::Over));
}
