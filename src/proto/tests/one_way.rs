//! One-way streams, receivers that lose the oldest, and streams that are closed one direction at a time.

use pleach_wire::{ByteStr, CallOptions, Cid, Msg, Payload};

use super::streams::streaming;
use super::{Numbers, unit};
use crate::proto::dialog::{Arrival, Dialog, End, Misuse, Permit, Side, Take, TakeFirst};
use crate::proto::inbox::{Intake, Lag};
use crate::proto::session::{Event, Role, Session};

/// Both sides of a one-way stream: the receiver and the sender.
fn one_way(buffer: u32, lag: Lag) -> (Dialog, Dialog) {
    let intake = Intake { buffer, lag };
    (Dialog::one_way_receiver(intake), Dialog::one_way_sender(buffer, intake.lets_senders_wait()))
}

fn number(value: u32) -> Payload {
    Payload::of(pleach_wire::Format::Msgpack, &value).unwrap()
}

/// Sends numbers from `from` on as long as it may, at most `limit`; returns why it stopped.
fn send_numbers(sender: &mut Dialog, receiver: &mut Dialog, from: u32, limit: u32) -> (u32, Permit) {
    for sent in 0..limit {
        match sender.take_permit() {
            Permit::Granted => match receiver.handle_yield(number(from + sent)) {
                Arrival::Kept => {}
                Arrival::Credited(credit) => sender.handle_credit(credit),
                other => panic!("{other:?}"),
            },
            end => return (sent, end),
        }
    }
    (limit, Permit::Granted)
}

/// The messages that can be taken; lost ones show as `Err`.
fn take_numbers(receiver: &mut Dialog, sender: &mut Dialog) -> Vec<Result<u32, u64>> {
    let mut taken = Vec::new();
    loop {
        match receiver.take_item() {
            Take::Item(item, credit) => {
                taken.push(Ok(item.decode().unwrap()));
                credit.into_iter().for_each(|credit| sender.handle_credit(credit));
            }
            Take::Lost(lost) => taken.push(Err(lost)),
            Take::Wait | Take::Stopped | Take::Failed(_) => return taken,
        }
    }
}

#[test]
fn exactly_the_buffer_fits() {
    // S05, S08, S19: the consumer is there from the start; its buffer is the credit, whatever its size.
    for buffer in [1, 3, 64, 200] {
        let (mut receiver, mut sender) = one_way(buffer, Lag::Wait);
        assert_eq!(send_numbers(&mut sender, &mut receiver, 0, 1000), (buffer, Permit::Wait));
        assert_eq!(receiver.handle_yield(unit()), Arrival::Unallowed);
        let taken = take_numbers(&mut receiver, &mut sender);
        assert!(taken.into_iter().eq((0..buffer).map(Ok)));
        assert!(send_numbers(&mut sender, &mut receiver, buffer, 1000).0 > buffer / 2);
        // S07.
        let (mut receiver, mut sender) = one_way(buffer, Lag::Error);
        assert_eq!(send_numbers(&mut sender, &mut receiver, 0, 1000), (buffer, Permit::Overrun));
    }
}

#[test]
fn a_one_way_stream_goes_one_way() {
    // S86: the receiver sends nothing; the sender has no buffer for it.
    let (mut receiver, mut sender) = one_way(64, Lag::Wait);
    assert_eq!(sender.handle_yield(unit()), Arrival::Unallowed);
    assert_eq!(sender.open_stream(64), Err(Misuse::OpenedBefore));
    assert_eq!(receiver.open_stream(64), Err(Misuse::OpenedBefore));
    assert_eq!(sender.start(), Err(Misuse::StartedTwice));
    assert!(!receiver.handle_started(unit()));
    assert!(matches!(receiver.take_first(), TakeFirst::Wait));
    // S72, S78: it ends with its function, after its messages, and for good.
    send_numbers(&mut sender, &mut receiver, 0, 2);
    receiver.handle_end(End::Value(unit()));
    assert_eq!(take_numbers(&mut receiver, &mut sender), [Ok(0), Ok(1)]);
    assert!(matches!(receiver.take_item(), Take::Stopped));
    assert!(matches!(receiver.take_item(), Take::Stopped));
}

#[test]
fn the_message_that_opens_a_stream_says_how_it_is_taken() {
    // S91.
    let mut session = Session::<Numbers>::new(Role::Listener, 10);
    let target = ByteStr::from_static("a::b");
    let pull = Msg::Pull {
        cid: Cid(1),
        target: target.clone(),
        buffer: 2,
        waits: false,
        args: unit(),
        terms: CallOptions::default(),
    };
    let Event::Invoke { dialog: Some(mut sender), .. } = session.handle_msg(pull) else { panic!("nothing is run") };
    assert!(sender.is_one_way());
    let permits = [sender.take_permit(), sender.take_permit(), sender.take_permit()];
    assert_eq!(permits, [Permit::Granted, Permit::Granted, Permit::Overrun]);
    let open = Msg::Open { cid: Cid(3), target: target.clone(), args: unit(), terms: CallOptions::default() };
    assert!(matches!(session.handle_msg(open), Event::Invoke { dialog: Some(dialog), .. } if !dialog.is_one_way()));
    let start = Msg::Start { cid: Cid(5), target, args: unit(), terms: CallOptions::default() };
    assert!(matches!(session.handle_msg(start), Event::Invoke { dialog: None, .. }));
}

#[test]
fn a_reader_that_keeps_the_newest_blocks_no_sender_and_reports_losses() {
    let (mut receiver, mut sender) = one_way(10, Lag::DropOldest);
    assert_eq!(send_numbers(&mut sender, &mut receiver, 0, 1000), (1000, Permit::Granted));
    let taken = take_numbers(&mut receiver, &mut sender);
    assert_eq!(taken[0], Err(990), "it is reported once, where the gap is");
    assert!(taken[1..].iter().copied().eq((990..1000).map(Ok)));
    // A fast reader loses nothing.
    for from in 0..100 {
        assert_eq!(send_numbers(&mut sender, &mut receiver, from * 10, 10), (10, Permit::Granted));
        assert!(take_numbers(&mut receiver, &mut sender).into_iter().eq((from * 10..).take(10).map(Ok)));
    }
    // A loss is reported before the end is.
    send_numbers(&mut sender, &mut receiver, 0, 11);
    receiver.handle_end(End::Lost);
    assert_eq!(take_numbers(&mut receiver, &mut sender).len(), 11);
    assert!(matches!(receiver.take_item(), Take::Failed(End::Lost)));
}

#[test]
fn who_begins_to_keep_the_newest_makes_room_at_once() {
    // The first messages come before the peer knows how they are taken.
    for buffer in [4, 200] {
        let (mut caller, mut callee) = (Dialog::new(Side::Caller), Dialog::new(Side::Callee));
        callee.start().unwrap();
        caller.open_stream(64).unwrap();
        assert_eq!(send_numbers(&mut caller, &mut callee, 0, 64), (64, Permit::Granted));
        assert_eq!(caller.take_permit(), Permit::NotOpened);
        callee.open_stream(buffer).unwrap();
        let credit = callee.keep_newest();
        caller.handle_stream(buffer, true);
        credit.into_iter().for_each(|credit| caller.handle_credit(credit));
        assert_eq!(send_numbers(&mut caller, &mut callee, 64, 1000), (1000, Permit::Granted));
        let taken = take_numbers(&mut callee, &mut caller);
        let lost = 1064 - buffer;
        assert_eq!(taken[0], Err(lost.into()));
        assert!(taken[1..].iter().copied().eq((lost..1064).map(Ok)));
    }
}

#[test]
fn a_closed_stream_that_kept_the_newest_blocks_no_sender_either() {
    // S84.
    let (mut caller, mut callee) = streaming(8, true);
    callee.keep_newest();
    send_numbers(&mut caller, &mut callee, 0, 100);
    let (tell, credit) = callee.stop();
    assert!(tell);
    credit.into_iter().for_each(|credit| caller.handle_credit(credit));
    for _ in 0..1000 {
        assert_eq!(caller.take_permit(), Permit::Granted);
        match callee.handle_yield(unit()) {
            Arrival::Discarded(credit) => credit.into_iter().for_each(|credit| caller.handle_credit(credit)),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(callee.take_item(), Take::Stopped));
}

#[test]
fn one_direction_can_be_closed_by_itself() {
    // S73, S81, S85: the peer's messages are still taken, and the dialog goes on.
    let (mut caller, mut callee) = streaming(64, true);
    assert!(caller.finish());
    assert!(!caller.finish(), "it is sent once");
    assert_eq!(caller.take_permit(), Permit::Closed);
    assert_eq!(caller.open_stream(64), Err(Misuse::OpenedBefore));
    callee.handle_stop();
    assert!(matches!(callee.take_item(), Take::Stopped));
    assert_eq!(send_numbers(&mut callee, &mut caller, 0, 3), (3, Permit::Granted));
    assert_eq!(take_numbers(&mut caller, &mut callee), [Ok(0), Ok(1), Ok(2)]);
    assert!(matches!(caller.take_item(), Take::Wait));
    // The rest of it is closed without another word, and gives back the credit of unread messages.
    assert_eq!(send_numbers(&mut callee, &mut caller, 3, 2), (2, Permit::Granted));
    assert_eq!(caller.stop(), (false, Some(5)));
}
