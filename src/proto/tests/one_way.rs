//! One-way streams, receivers that lose the oldest, and streams that are closed one direction at a time.

use pleach_wire::msg::FunctionKind;

use super::*;
use crate::proto::dialog::{End, Misuse, NoPermit, Take, TakeFirst};
use crate::proto::inbox::Lag;
use crate::proto::transmit::Answer;

/// Both sides of a one-way stream: the dialer takes, the listener sends.
fn one_way(buffer: u32, lag: Lag) -> (Pair, Cid) {
    let mut pair = Pair::new(10);
    let cid = pair.open_one_way(buffer, lag);
    (pair, cid)
}

#[test]
fn exactly_the_buffer_fits() {
    // S05, S08, S19: the consumer is there from the start; its buffer is the credit, whatever its size.
    for buffer in [1, 3, 64, 200] {
        let (mut pair, cid) = one_way(buffer, Lag::Wait);
        assert_eq!(pair.listener.send_items(cid, 0, 1000), (buffer, Err(NoPermit::Wait)));
        pair.deliver();
        let unallowed = pair.dialer.handle(Msg::Yield { cid, value: unit() });
        assert!(matches!(unallowed, Event::Misplaced { kind: "yield", .. }));
        assert!(pair.dialer.take_all(cid).into_iter().eq((0..buffer).map(Ok)));
        pair.deliver();
        assert!(pair.listener.send_items(cid, buffer, 1000).0 > buffer / 2);
        // S07.
        let (mut pair, cid) = one_way(buffer, Lag::Error);
        assert_eq!(pair.listener.send_items(cid, 0, 1000), (buffer, Err(NoPermit::Overrun)));
    }
}

#[test]
fn a_one_way_stream_goes_one_way() {
    // S86: the receiver sends nothing; the sender has no buffer for it.
    let (mut pair, cid) = one_way(64, Lag::Wait);
    let unallowed = pair.listener.handle(Msg::Yield { cid, value: unit() });
    assert!(matches!(unallowed, Event::Misplaced { kind: "yield", .. }));
    assert_eq!(pair.listener.open_stream(cid, 64, Lag::Wait), Err(Misuse::OpenedBefore));
    assert_eq!(pair.dialer.open_stream(cid, 64, Lag::Wait), Err(Misuse::OpenedBefore));
    assert_eq!(pair.listener.start(cid, 0), Err(Misuse::StartedTwice));
    let misplaced = pair.dialer.handle(Msg::Started { cid, value: unit() });
    assert!(matches!(misplaced, Event::Misplaced { kind: "started", .. }));
    assert!(matches!(pair.dialer.session.dialog(cid).take_first(), TakeFirst::Wait));
    // S72, S78: it ends with its function, after its messages, and for good.
    assert_eq!(pair.listener.send_items(cid, 0, 2), (2, Ok(())));
    pair.listener.finish(cid, Answer::Value(&()));
    pair.deliver();
    assert_eq!(pair.dialer.take_all(cid), [Ok(0), Ok(1)]);
    assert!(matches!(pair.dialer.take(cid), Take::Stopped));
    assert!(matches!(pair.dialer.take(cid), Take::Stopped));
    assert_eq!(pair.dialer.log, [(0, "pull")]);
}

#[test]
fn the_message_that_opens_a_stream_says_how_it_is_taken() {
    // S91.
    let (mut pair, cid) = one_way(2, Lag::Error);
    assert_eq!(pair.listener.send_items(cid, 0, 10), (2, Err(NoPermit::Overrun)));
    let mut session = Session::new(Numbers, Role::Listener, 10);
    let (target, terms) = (target(), CallOptions::default());
    let pull = Msg::Pull {
        cid: Cid(1),
        target: target.clone(),
        window: Window::of_messages(2),
        waits: false,
        args: unit(),
        terms: terms.clone(),
    };
    let open = Msg::Open { cid: Cid(3), target, args: unit(), terms };
    for (msg, asked) in [(pull, Some(FunctionKind::Stream)), (open, Some(FunctionKind::Context)), (start(Cid(5)), None)]
    {
        let Event::Invoke { dialog, .. } = session.handle_msg(msg) else { panic!("nothing is run") };
        assert_eq!(dialog.map(|(kind, ())| kind), asked);
    }
}

#[test]
fn a_reader_that_keeps_the_newest_blocks_no_sender_and_reports_losses() {
    let (mut pair, cid) = one_way(10, Lag::DropOldest);
    send_all(&mut pair, cid, 0..1000);
    let taken = pair.dialer.take_all(cid);
    assert_eq!(taken[0], Err(990), "it is reported once, where the gap is");
    assert!(taken[1..].iter().copied().eq((990..1000).map(Ok)));
    // A fast reader loses nothing.
    for from in 0..100 {
        send_all(&mut pair, cid, from * 10..from * 10 + 10);
        assert!(pair.dialer.take_all(cid).into_iter().eq((from * 10..).take(10).map(Ok)));
    }
    // A loss is reported before the end is.
    send_all(&mut pair, cid, 0..11);
    pair.dialer.session.close();
    assert_eq!(pair.dialer.take_all(cid).len(), 11);
    assert!(matches!(pair.dialer.take(cid), Take::Failed(End::Lost)));
}

/// The listener sends all of these, and never has to wait for the reader.
fn send_all(pair: &mut Pair, cid: Cid, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(pair.listener.send_item(cid, number), Ok(()));
        pair.deliver();
    }
}

#[test]
fn who_begins_to_keep_the_newest_makes_room_at_once() {
    // The first messages come before the peer knows how they are taken.
    for buffer in [4, 200] {
        let mut pair = Pair::new(10);
        let cid = pair.open();
        pair.dialer.open_stream(cid, 64, Lag::Wait).unwrap();
        pair.listener.start(cid, 0).unwrap();
        assert_eq!(pair.dialer.send_items(cid, 0, 1000), (64, Err(NoPermit::NotOpened)));
        pair.deliver();
        pair.listener.open_stream(cid, buffer, Lag::DropOldest).unwrap();
        pair.deliver();
        for number in 64..1064 {
            assert_eq!(pair.dialer.send_item(cid, number), Ok(()));
            pair.deliver();
        }
        let (taken, lost) = (pair.listener.take_all(cid), 1064 - buffer);
        assert_eq!(taken[0], Err(lost.into()));
        assert!(taken[1..].iter().copied().eq((lost..1064).map(Ok)));
    }
}

#[test]
fn a_closed_stream_that_kept_the_newest_blocks_no_sender_either() {
    // S84.
    let (mut pair, cid) = Pair::streaming(8, Lag::DropOldest);
    for number in 0..1000 {
        if number == 100 {
            pair.listener.stop_stream(cid);
            pair.deliver();
        }
        assert_eq!(pair.dialer.send_item(cid, number), Ok(()));
        pair.deliver();
    }
    assert!(matches!(pair.listener.take(cid), Take::Stopped));
}

#[test]
fn one_direction_can_be_closed_by_itself() {
    // S73, S81, S85: the peer's messages are still taken, and the dialog goes on.
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    pair.dialer.finish_stream(cid);
    pair.dialer.finish_stream(cid);
    assert_eq!(pair.dialer.log.iter().filter(|(_, kind)| *kind == "stop").count(), 1, "it is sent once");
    assert_eq!(pair.dialer.send_item(cid, 0), Err(NoPermit::Closed));
    assert_eq!(pair.dialer.open_stream(cid, 64, Lag::Wait), Err(Misuse::OpenedBefore));
    pair.deliver();
    assert!(matches!(pair.listener.take(cid), Take::Stopped));
    assert_eq!(pair.listener.send_items(cid, 0, 3), (3, Ok(())));
    pair.deliver();
    assert_eq!(pair.dialer.take_all(cid), [Ok(0), Ok(1), Ok(2)]);
    assert!(matches!(pair.dialer.take(cid), Take::Wait));
    // The rest of it is closed without another word, and gives back the credit of unread messages.
    assert_eq!(pair.listener.send_items(cid, 3, 2), (2, Ok(())));
    pair.deliver();
    let sent = pair.dialer.log.len();
    pair.dialer.stop_stream(cid);
    assert_eq!(pair.dialer.log[sent..], [(0, "credit")]);
    pair.deliver();
    assert_eq!(pair.listener.send_items(cid, 0, 1000).0, 64, "all of it is there again");
}
