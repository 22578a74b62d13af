//! The stream of a dialog: credit, order, the end of either direction.

use super::*;
use crate::proto::dialog::{Arrival, Dialog, End, Permit, Side, Take, TakeFirst};

/// Both sides of a dialog after `started`, each with its stream open.
pub(super) fn streaming(buffer: u32, waits: bool) -> (Dialog, Dialog) {
    let (mut caller, mut callee) = (Dialog::new(Side::Caller), Dialog::new(Side::Callee));
    callee.start().unwrap();
    assert!(caller.handle_started(unit()));
    assert!(matches!(caller.take_first(), TakeFirst::Value(_)));
    caller.open_stream(64).unwrap();
    callee.open_stream(buffer).unwrap();
    callee.handle_stream(64, true);
    caller.handle_stream(buffer, waits);
    (caller, callee)
}

/// Sends as long as it may; returns how many went.
fn send_all(from: &mut Dialog, to: &mut Dialog) -> (usize, Permit) {
    let mut sent = 0;
    loop {
        match from.take_permit() {
            Permit::Granted => assert_eq!(to.handle_yield(unit()), Arrival::Kept),
            end => return (sent, end),
        }
        sent += 1;
    }
}

/// Takes one message and gives the credit that is due back.
fn take_one(at: &mut Dialog, from: &mut Dialog) {
    match at.take_item() {
        Take::Item(_, Some(credit)) => from.handle_credit(credit),
        Take::Item(_, None) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sender_waits_for_credit_and_goes_on() {
    // S08: 64 messages fit; the next waits (S01), and goes on once the peer has taken some.
    let (mut caller, mut callee) = streaming(64, true);
    assert_eq!(send_all(&mut caller, &mut callee), (64, Permit::Wait));
    (0..31).for_each(|_| take_one(&mut callee, &mut caller));
    assert_eq!(caller.take_permit(), Permit::Wait, "credit comes back half a buffer at a time");
    take_one(&mut callee, &mut caller);
    assert_eq!(send_all(&mut caller, &mut callee), (32, Permit::Wait));
}

#[test]
fn a_buffer_may_be_larger_or_smaller() {
    // S11.
    let (mut caller, mut callee) = streaming(200, true);
    assert_eq!(send_all(&mut caller, &mut callee), (200, Permit::Wait));
    let (mut caller, mut callee) = streaming(4, true);
    assert_eq!(send_all(&mut caller, &mut callee).0, 64, "the initial credit was given before");
    (0..64).for_each(|_| take_one(&mut callee, &mut caller));
    assert_eq!(send_all(&mut caller, &mut callee), (4, Permit::Wait));
}

#[test]
fn without_back_pressure_a_full_buffer_is_an_overrun() {
    // S05, S07.
    let (mut caller, mut callee) = streaming(64, false);
    assert_eq!(send_all(&mut caller, &mut callee), (64, Permit::Overrun));
    let mut caller = Dialog::new(Side::Caller);
    caller.open_stream(64).unwrap();
    (0..64).for_each(|_| assert_eq!(caller.take_permit(), Permit::Granted));
    assert_eq!(caller.take_permit(), Permit::NotOpened);
}

#[test]
fn a_peer_that_sends_without_credit_fills_no_memory() {
    let (_, mut callee) = streaming(64, true);
    (0..64).for_each(|_| assert_eq!(callee.handle_yield(unit()), Arrival::Kept));
    assert_eq!(callee.handle_yield(unit()), Arrival::Unallowed);
}

#[test]
fn what_came_before_the_end_is_handed_out_before_it() {
    let (mut caller, mut callee) = streaming(64, true);
    assert_eq!(callee.handle_yield(unit()), Arrival::Kept);
    callee.handle_stop();
    assert!(matches!(callee.take_item(), Take::Item(..)));
    assert!(matches!(callee.take_item(), Take::Stopped));
    // S72: the result is not a stream message. S73: a stopped stream does not end the dialog.
    assert_eq!(caller.handle_yield(unit()), Arrival::Kept);
    caller.handle_end(End::Value(unit()));
    assert!(matches!(caller.take_item(), Take::Item(..)));
    assert!(matches!(caller.take_item(), Take::Stopped));
    assert_eq!(caller.take_permit(), Permit::Closed);
    let (mut caller, _) = streaming(64, true);
    assert_eq!(caller.handle_yield(unit()), Arrival::Kept);
    caller.handle_end(End::Error(unit()));
    assert!(matches!(caller.take_item(), Take::Item(..)));
    assert!(matches!(caller.take_item(), Take::Failed(End::Error(_))));
}

#[test]
fn a_closed_stream_holds_no_sender_up() {
    // S84: closing a stream does not end the peer's task, so the task must be able to go on.
    let (mut caller, mut callee) = streaming(64, true);
    assert_eq!(send_all(&mut caller, &mut callee), (64, Permit::Wait));
    let (tell, credit) = callee.stop();
    assert_eq!((tell, credit), (true, Some(64)));
    caller.handle_credit(64);
    assert_eq!(caller.take_permit(), Permit::Granted);
    assert_eq!(callee.handle_yield(unit()), Arrival::Discarded(Some(1)));
}
