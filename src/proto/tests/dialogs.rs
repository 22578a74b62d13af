//! A dialog from its first value to its end: what is allowed when, and its state.

use super::*;
use crate::proto::dialog::{Arrival, Canceller, ContextState, Dialog, End, Misuse, NoPermit, Side, Take, TakeFirst};

#[test]
fn misuse_of_a_dialog_is_told() {
    // S20, S21.
    let mut callee = Dialog::new(Side::Callee);
    assert_eq!(callee.open_stream(Window::INITIAL), Err(Misuse::NotStarted));
    callee.start().unwrap();
    assert_eq!(callee.start(), Err(Misuse::StartedTwice));
    callee.open_stream(Window::INITIAL).unwrap();
    assert_eq!(callee.open_stream(Window::INITIAL), Err(Misuse::OpenedBefore));
    assert!(callee.finish());
    assert!(!callee.finish(), "it is sent once");
    assert_eq!(callee.open_stream(Window::INITIAL), Err(Misuse::OpenedBefore));
    assert!(!callee.handle_started(unit()), "a caller says no first value");
}

#[test]
fn what_comes_early_is_kept() {
    // S18: the function has not opened its stream, and finds earlier messages.
    let mut callee = Dialog::new(Side::Callee);
    assert_eq!(callee.handle_yield(unit()), Arrival::Kept);
    callee.start().unwrap();
    callee.open_stream(Window::INITIAL).unwrap();
    assert!(matches!(callee.take_items(&mut VecDeque::new()), (Take::Item(_), None)));
}

#[test]
fn an_end_before_the_first_value_is_what_the_opener_finds() {
    // S83: the caller tells a function that returned too early from one that failed.
    for end in [End::Value(unit()), End::Error(unit()), End::Cancelled(unit(), Canceller::Peer), End::Lost] {
        let mut caller = Dialog::new(Side::Caller);
        assert!(matches!(caller.take_first(), TakeFirst::Wait));
        caller.handle_end(end);
        assert!(matches!(caller.take_first(), TakeFirst::Ended(_)));
    }
    // A first value that has come before is handed out first.
    let mut caller = Dialog::new(Side::Caller);
    assert!(caller.handle_started(unit()));
    caller.handle_end(End::Error(unit()));
    assert!(matches!(caller.take_first(), TakeFirst::Value(_)));
}

#[test]
fn what_a_function_leaves_behind_can_do_nothing() {
    let mut callee = Dialog::new(Side::Callee);
    callee.start().unwrap();
    callee.open_stream(Window::INITIAL).unwrap();
    callee.handle_end(End::Left);
    assert_eq!(callee.take_permit(), Err(NoPermit::Closed));
    assert_eq!(callee.start(), Err(Misuse::Over));
    assert!(!callee.finish(), "its end has been sent");
    assert!(matches!(callee.take_items(&mut VecDeque::new()), (Take::Failed(End::Left), None)));
}

#[test]
fn a_context_shows_how_far_it_has_come() {
    let mut caller = Dialog::new(Side::Caller);
    assert_eq!(caller.state(), ContextState::Opening);
    caller.handle_started(unit());
    assert_eq!(caller.state(), ContextState::Open);
    caller.open_stream(Window::INITIAL).unwrap();
    assert_eq!(caller.state(), ContextState::Streaming);
    caller.finish();
    assert_eq!(caller.state(), ContextState::StreamFinished);
    caller.request_cancel();
    assert_eq!(caller.state(), ContextState::Cancelling);
    let ends = [
        (End::Value(unit()), ContextState::Returned),
        (End::Error(unit()), ContextState::Failed),
        (End::Lost, ContextState::Failed),
        (End::Cancelled(unit(), Canceller::Us), ContextState::CancelledBySelf),
        (End::Cancelled(unit(), Canceller::Peer), ContextState::CancelledByPeer),
        (End::Cancelled(unit(), Canceller::Other), ContextState::CancelledByOther),
    ];
    for (end, shown) in ends {
        let mut caller = Dialog::new(Side::Caller);
        caller.handle_end(end);
        assert_eq!(caller.state(), shown);
    }
}
