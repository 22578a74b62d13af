//! The stream of a dialog: credit, order, the end of either direction.

use super::*;
use crate::proto::dialog::{Arrival, Dialog, End, NoPermit, Side, Take};
use crate::proto::inbox::{Intake, Lag};
use crate::proto::transmit::Answer;

#[test]
fn a_sender_waits_for_credit_and_goes_on() {
    // S08: 64 messages fit; the next waits (S01), and goes on once the peer has taken some.
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::Wait)));
    pair.deliver();
    (0..31).for_each(|_| drop(pair.listener.take(cid)));
    pair.deliver();
    assert_eq!(pair.dialer.send_item(cid, 64), Err(NoPermit::Wait), "credit comes back half a buffer at a time");
    pair.listener.take(cid);
    pair.deliver();
    assert_eq!(pair.dialer.send_items(cid, 64, 1000), (32, Err(NoPermit::Wait)));
    // A permit that was not used is good for another message.
    pair.deliver();
    pair.listener.take_all(cid);
    pair.deliver();
    pair.dialer.session.take_permit(cid).unwrap();
    pair.dialer.session.return_permit(cid);
    assert_eq!(pair.dialer.send_items(cid, 96, 1000).0, 64);
}

#[test]
fn what_may_be_sent_and_what_waits_is_seen() {
    let seen = |pair: &Pair| [&pair.dialer, &pair.listener].map(|half| half.session.counts());
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    assert_eq!(seen(&pair).map(|side| side.unread), [0, 0]);
    pair.dialer.send_items(cid, 0, 40).1.unwrap();
    pair.deliver();
    pair.listener.take(cid);
    let [sender, taker] = seen(&pair);
    assert_eq!((sender.credit, sender.unread, taker.unread), (24, 0, 39));
    pair.listener.take_all(cid);
    pair.deliver();
    let [sender, taker] = seen(&pair);
    assert_eq!((sender.credit, taker.unread), (56, 0), "credit comes back half a buffer at a time");
}

#[test]
fn a_buffer_may_be_larger_or_smaller() {
    // S11.
    let (mut pair, cid) = Pair::streaming(200, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (200, Err(NoPermit::Wait)));
    let (mut pair, cid) = Pair::streaming(4, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (4, Err(NoPermit::Wait)));
    pair.deliver();
    assert_eq!(pair.listener.take_all(cid).len(), 4);
    pair.deliver();
    assert_eq!(pair.dialer.send_items(cid, 64, 1000), (4, Err(NoPermit::Wait)));
    // Those that were sent before the peer told of its smaller buffer are kept.
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.dialer.open_stream(cid, 64, Lag::Wait).unwrap();
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::NotOpened)));
    pair.listener.start(cid, 0).unwrap();
    pair.listener.open_stream(cid, 4, Lag::Wait).unwrap();
    pair.deliver();
    assert_eq!(pair.dialer.send_item(cid, 64), Err(NoPermit::Wait));
    assert_eq!(pair.listener.take_all(cid).len(), 64);
    pair.deliver();
    assert_eq!(pair.dialer.send_items(cid, 64, 1000), (4, Err(NoPermit::Wait)));
}

#[test]
fn all_credit_comes_back() {
    // However the messages are taken: one by one, all at once, or not at all.
    for buffer in [1, 3, 64, 200] {
        let (mut pair, cid) = Pair::streaming(buffer, Lag::Wait);
        let mut from = 0;
        for round in 0..20 {
            let (sent, why) = pair.dialer.send_items(cid, from, 1000);
            assert_eq!(why, Err(NoPermit::Wait));
            assert!(sent >= buffer.div_ceil(2), "round {round}: {sent} of {buffer}");
            pair.deliver();
            match round % 2 {
                0 => assert!(pair.listener.take_all(cid).into_iter().eq((from..from + sent).map(Ok))),
                _ => pair.listener.discard(cid),
            }
            pair.deliver();
            from += sent;
        }
    }
}

#[test]
fn without_back_pressure_a_full_buffer_is_an_overrun() {
    // S05, S07.
    let (mut pair, cid) = Pair::streaming(64, Lag::Error);
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::Overrun)));
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.dialer.open_stream(cid, 64, Lag::Wait).unwrap();
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::NotOpened)));
}

#[test]
fn messages_of_one_stream_are_taken_in_one_go() {
    let (mut pair, first) = Pair::streaming(64, Lag::Wait);
    let second = pair.open();
    pair.listener.start(second, 0).unwrap();
    pair.listener.open_stream(second, 3, Lag::Wait).unwrap();
    pair.deliver();
    let item = |cid| Msg::Yield { cid, value: Payload::of(Format::Msgpack, &7u32).unwrap() };
    let [many, few] = [first, second].map(item);
    let stop = Msg::Stop { cid: first };
    let beyond = Window::INITIAL.messages as usize;
    let mut batch = vec![many.clone(); 10];
    batch.extend([few.clone(), few.clone(), many, stop]);
    batch.extend(vec![few; beyond]);
    let (mut messages, mut steps) = (batch.drain(..), Vec::new());
    let mut left = messages.len();
    while let Some(event) = pair.listener.session.handle_next(&mut messages) {
        steps.push((left - messages.len(), matches!(event, Event::Changed { .. })));
        left = messages.len();
    }
    // Of the last ones, two have no room: each is an event of its own.
    assert_eq!(steps, [(10, true), (2, true), (1, true), (1, true), (beyond - 2, true), (1, false), (1, false)]);
    assert_eq!(pair.listener.take_all(first).len(), 11);
}

#[test]
fn credit_for_messages_in_one_go_is_added_up() {
    let (mut pair, cid) = Pair::streaming(4, Lag::DropOldest);
    let mut batch = vec![Msg::Yield { cid, value: unit() }; 9];
    let event = pair.listener.session.handle_next(&mut batch.drain(..));
    let Some(Event::Changed { credit: Some(credit), .. }) = event else { panic!("no credit") };
    assert!(matches!(credit.transmit().msg, Msg::Credit { count: 8, .. }), "{credit:?}");
}

/// Both sides of a one-way stream whose receiver buffers so many bytes.
fn in_bytes(bytes: u32, lag: Lag) -> (Pair, Cid) {
    let mut pair = Pair::new(10);
    let cid = pair.open_one_way_with(Intake { window: Window::of_bytes(bytes), lag });
    (pair, cid)
}

#[test]
fn a_buffer_may_be_counted_in_bytes() {
    // A number takes up to five bytes, and 64 for the message itself.
    let (mut pair, cid) = in_bytes(100 * 65, Lag::Wait);
    let (sent, why) = pair.listener.send_items(cid, 0, 1000);
    assert_eq!((sent, why), (100, Err(NoPermit::Wait)), "far more than 64, and no more than the bytes");
    pair.deliver();
    // All are handed out in order, singly or several at once, and what is taken may be sent again.
    let mut from = 0;
    for _ in 0..20 {
        let taken = pair.dialer.take_all(cid);
        assert!(taken.iter().copied().eq((from..).take(taken.len()).map(Ok)), "{taken:?}");
        from += taken.len() as u32;
        pair.deliver();
        let (sent, _) = pair.listener.send_items(cid, from, 1000);
        assert!((50..=100).contains(&sent), "half of it comes back at a time: {sent}");
        pair.deliver();
    }
}

#[test]
fn one_message_of_any_size_fits() {
    let (mut pair, cid) = in_bytes(1, Lag::Wait);
    for _ in 0..3 {
        assert_eq!(pair.listener.send_items(cid, 7, 10), (1, Err(NoPermit::Wait)));
        pair.deliver();
        assert_eq!(pair.dialer.take_all(cid), [Ok(7)]);
        pair.deliver();
    }
}

#[test]
fn the_first_messages_are_bounded_in_bytes_too() {
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.dialer.open_stream(cid, 64, Lag::Wait).unwrap();
    let text = "x".repeat(100_000);
    let send = |pair: &mut Pair| pair.dialer.send_value(cid, &text);
    (0..3).for_each(|_| send(&mut pair).unwrap());
    assert_eq!(send(&mut pair), Err(NoPermit::NotOpened));
}

#[test]
fn a_few_large_messages_are_not_taken_at_once() {
    let (mut pair, cid) = in_bytes(1 << 20, Lag::Wait);
    let text = "x".repeat(100_000);
    while pair.listener.send_value(cid, &text).is_ok() {}
    pair.deliver();
    let mut behind = VecDeque::new();
    let (first, _) = pair.dialer.session.take_items(cid, &mut behind);
    assert!(matches!(first, Take::Item(_)));
    assert_eq!(behind.len(), 2, "an eighth of the window");
}

#[test]
fn the_newest_bytes_are_kept() {
    let (mut pair, cid) = in_bytes(10 * 65, Lag::DropOldest);
    for number in 0..100 {
        pair.listener.send_item(cid, number).unwrap();
        pair.deliver();
    }
    let taken = pair.dialer.take_all(cid);
    assert_eq!(taken[0], Err(90));
    assert!(taken[1..].iter().copied().eq((90..100).map(Ok)));
}

#[test]
fn a_peer_that_sends_more_bytes_than_fit_fills_no_memory() {
    let (mut pair, cid) = in_bytes(1000, Lag::Wait);
    let large = || Payload::of(Format::Msgpack, &"x".repeat(5000)).unwrap();
    let mut taken = 0;
    while !matches!(pair.dialer.handle(Msg::Yield { cid, value: large() }), Event::Misplaced { .. }) {
        taken += 1;
    }
    assert_eq!(taken, 2, "the one that goes beyond the limit, and one that was promised");
}

#[test]
fn a_peer_that_sends_without_credit_fills_no_memory() {
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 64), (64, Ok(())));
    pair.deliver();
    let unallowed = pair.listener.handle(Msg::Yield { cid, value: unit() });
    assert!(matches!(unallowed, Event::Misplaced { kind: "yield", .. }));
    assert_eq!(pair.listener.take_all(cid).len(), 64);
}

#[test]
fn what_came_before_the_end_is_handed_out_before_it() {
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    pair.dialer.send_item(cid, 1).unwrap();
    pair.dialer.finish_stream(cid);
    pair.deliver();
    assert_eq!(pair.listener.take_all(cid), [Ok(1)]);
    assert!(matches!(pair.listener.take(cid), Take::Stopped));
    // S72: the result is not a stream message. S73: a stopped stream does not end the dialog.
    pair.listener.send_item(cid, 2).unwrap();
    pair.listener.finish(cid, Answer::Value(&()));
    pair.deliver();
    assert_eq!(pair.dialer.take_all(cid), [Ok(2)]);
    assert!(matches!(pair.dialer.take(cid), Take::Stopped));
    assert_eq!(pair.dialer.send_item(cid, 3), Err(NoPermit::Closed));
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    pair.listener.send_item(cid, 1).unwrap();
    pair.deliver();
    pair.listener.finish(cid, Answer::Error(&()));
    pair.deliver();
    assert_eq!(pair.dialer.take_all(cid), [Ok(1)]);
    assert!(matches!(pair.dialer.take(cid), Take::Failed(End::Error(_))));
}

#[test]
fn a_peer_that_sends_no_more_gets_no_credit() {
    let (mut pair, cid) = Pair::streaming(2, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 2), (2, Ok(())));
    pair.dialer.finish_stream(cid);
    pair.deliver();
    assert_eq!(pair.listener.take_all(cid).len(), 2);
    assert!(pair.listener.log.iter().all(|(_, kind)| *kind != "credit"));
}

#[test]
fn a_closed_stream_holds_no_sender_up() {
    // S84: closing a stream does not end the peer's task, so the task must be able to go on.
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::Wait)));
    pair.deliver();
    pair.listener.stop_stream(cid);
    for _ in 0..3 {
        pair.deliver();
        assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::Wait)));
    }
    assert!(matches!(pair.listener.take(cid), Take::Stopped));
    // Messages of such a stream count as discarded, one by one.
    let mut callee = Dialog::new(Side::Callee);
    callee.start().unwrap();
    callee.open_stream(Window::INITIAL).unwrap();
    callee.stop_receiving();
    assert_eq!(callee.handle_yield(unit()), Arrival::Discarded(Some(1)));
}
