//! Which lane each message takes, and that every order of the lanes leads to the same.

use super::pair::{BY_CALLER, Order, fits, in_each_order};
use super::*;
use crate::proto::dialog::{Canceller, End, Take, TakeFirst};
use crate::proto::inbox::Lag;
use crate::proto::transmit::Answer;

/// Delivers everything in this order; returns the kinds of the dialer's events that end something.
fn ends(pair: &mut Pair, order: &mut Order) -> Vec<(&'static str, Vec<u32>)> {
    let mut ends = Vec::new();
    pair.deliver_in(order, |at_dialer, event| {
        assert!(fits(&event));
        match event {
            Event::Ended { acks, .. } if at_dialer => ends.push(("ended", acks)),
            Event::Resolved { acks, .. } if at_dialer => ends.push(("resolved", acks)),
            Event::Acked { acks } if at_dialer => ends.push(("acked", acks)),
            _ => {}
        }
    });
    ends
}

#[test]
fn a_context_keeps_its_order_whatever_overtakes_it() {
    let orders = in_each_order(|order| {
        let mut pair = Pair::new(10);
        let (cid, behind) = (pair.open(), pair.call(1));
        pair.listener.start(cid, 7).unwrap();
        pair.listener.open_stream(cid, 2, Lag::Wait).unwrap();
        for number in [1, 2, 3] {
            pair.listener.send_item(cid, number).unwrap();
        }
        pair.listener.finish_stream(cid);
        pair.listener.finish(cid, Answer::Value(&8));
        pair.deliver_in(order, |_, event| assert!(fits(&event)));
        pair.listener.finish(behind, Answer::Value(&()));
        pair.deliver();
        let TakeFirst::Value(first) = pair.dialer.session.dialog(cid).take_first() else { panic!("no first value") };
        assert_eq!(first.decode::<u32>().unwrap(), 7);
        assert_eq!(pair.dialer.take_all(cid), [Ok(1), Ok(2), Ok(3)]);
        assert!(matches!(pair.dialer.take(cid), Take::Stopped));
        assert!(matches!(pair.dialer.end(cid), Some(End::Value(value)) if value.decode::<u32>().unwrap() == 8));
        pair.assert_empty();
    });
    assert!(orders > 5, "{orders} orders");
}

#[test]
fn each_message_has_its_lane() {
    // S03.
    let (mut pair, cid) = Pair::streaming(2, Lag::Wait);
    assert_eq!(pair.dialer.send_items(cid, 0, 2), (2, Ok(())));
    assert_eq!(pair.listener.send_items(cid, 0, 1), (1, Ok(())));
    pair.deliver();
    assert_eq!(pair.dialer.take_all(cid), [Ok(0)]);
    pair.listener.stop_stream(cid);
    pair.deliver();
    pair.dialer.leave(cid);
    pair.listener.finish(cid, Answer::Value(&()));
    pair.deliver();
    let lane = cid.0;
    assert_eq!(pair.dialer.log, [(0, "open"), (lane, "stream"), (lane, "yield"), (lane, "yield")]);
    let sent = [(lane, "started"), (lane, "stream"), (lane, "yield"), (0, "credit"), (lane, "stop"), (lane, "return")];
    assert_eq!(pair.listener.log, sent);
    assert!(pair.listener.closed.is_empty() && pair.dialer.closed.is_empty(), "their handles are still there");
    pair.dialer.release(cid);
    pair.listener.release(cid);
    assert_eq!((pair.dialer.closed, pair.listener.closed), (vec![lane], vec![lane]));
}

#[test]
fn a_call_uses_the_control_lane_alone() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    pair.deliver();
    pair.dialer.cancel(cid, 5, 1);
    pair.dialer.cancel(Cid(77), 6, 1);
    pair.deliver();
    pair.listener.finish(cid, Answer::Value(&()));
    pair.deliver();
    assert_eq!(pair.dialer.log, [(0, "start"), (0, "cancel")]);
    assert_eq!(pair.listener.log, [(0, "return"), (0, "cancel_ack")]);
    pair.assert_empty();
}

#[test]
fn an_acknowledgement_never_overtakes_the_answer() {
    // S24. Whatever kind of function it is, however it ends, and wherever its messages are.
    let answers = [Answer::Value(&()), Answer::Error(&BY_CALLER), Answer::Error(&())];
    for (kind, answer) in ["call", "context", "one_way"].into_iter().flat_map(|kind| answers.map(|a| (kind, a))) {
        in_each_order(|order| {
            let mut pair = Pair::new(10);
            let cid = match kind {
                "call" => pair.call(1),
                "context" => pair.open(),
                _ => pair.open_one_way(4, Lag::Wait),
            };
            pair.deliver();
            if kind == "context" {
                pair.listener.start(cid, 0).unwrap();
                pair.deliver();
            }
            pair.dialer.cancel(cid, 5, 1);
            pair.deliver();
            pair.listener.finish(cid, answer);
            let end = if kind == "call" { "resolved" } else { "ended" };
            assert_eq!(ends(&mut pair, order), [(end, vec![5]), ("acked", vec![])], "{kind}");
            pair.assert_empty();
        });
    }
}

#[test]
fn a_request_that_comes_too_late_is_acknowledged_without_hiding_the_answer() {
    // S03. On a link with lanes the result of a context comes on another stream than "nothing to cancel".
    let orders = in_each_order(|order| {
        let mut pair = Pair::new(10);
        let cid = pair.open();
        pair.listener.finish(cid, Answer::Value(&4));
        pair.dialer.cancel(cid, 5, 1);
        let acked: Vec<u32> = ends(&mut pair, order).into_iter().flat_map(|(_, acks)| acks).collect();
        assert_eq!(acked, [5], "by the answer, once");
        assert!(matches!(pair.dialer.end(cid), Some(End::Value(_))));
        pair.assert_empty();
    });
    assert!(orders > 2, "{orders} orders");
}

#[test]
fn an_error_waits_for_no_message_but_that_of_a_one_way_stream_does() {
    let fails = |pair: &mut Pair, cid| {
        pair.listener.send_item(cid, 1).unwrap();
        pair.listener.finish(cid, Answer::Error(&()));
        *pair.listener.log.last().unwrap()
    };
    let (mut pair, cid) = Pair::streaming(64, Lag::Wait);
    assert_eq!(fails(&mut pair, cid), (0, "error"));
    in_each_order(|order| {
        let mut pair = Pair::new(10);
        let cid = pair.open_one_way(4, Lag::Wait);
        assert_eq!(fails(&mut pair, cid), (cid.0, "error"));
        pair.deliver_in(order, |_, event| assert!(fits(&event)));
        assert_eq!(pair.dialer.take_all(cid), [Ok(1)]);
    });
    // A caller that has cancelled it reads no more.
    let mut pair = Pair::new(10);
    let cid = pair.open_one_way(4, Lag::Wait);
    pair.dialer.cancel(cid, 5, 1);
    pair.deliver();
    assert_eq!(fails(&mut pair, cid), (0, "cancel_ack"));
    assert_eq!(pair.listener.log[1], (0, "error"));
}

#[test]
fn a_dialog_without_a_lane_to_spare_does_with_the_control_lane() {
    let mut pair = Pair::new(10);
    pair.listener.has_lanes_to_spare = false;
    let cid = pair.open();
    pair.listener.start(cid, 0).unwrap();
    // It stays there, so that its messages stay in order.
    pair.listener.has_lanes_to_spare = true;
    pair.listener.finish(cid, Answer::Value(&()));
    pair.listener.release(cid);
    pair.deliver();
    assert_eq!(pair.listener.log, [(0, "started"), (0, "return")]);
    assert!(pair.listener.closed.is_empty());
}

#[test]
fn the_peer_learns_of_an_opened_stream_before_it_gets_the_credit_of_that() {
    // The messages that came before the stream was opened make room for the newest.
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.listener.start(cid, 0).unwrap();
    pair.deliver();
    pair.dialer.open_stream(cid, 64, Lag::Wait).unwrap();
    assert_eq!(pair.dialer.send_items(cid, 0, 64), (64, Ok(())));
    pair.deliver();
    pair.listener.open_stream(cid, 4, Lag::DropOldest).unwrap();
    assert_eq!(pair.listener.log[1..], [(cid.0, "stream"), (0, "credit")]);
}

#[test]
fn an_answer_that_cannot_be_sent_is_replaced_by_an_error_and_acknowledged_behind_that() {
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.listener.start(cid, 0).unwrap();
    pair.deliver();
    pair.dialer.cancel(cid, 5, 1);
    pair.deliver();
    let finished = pair.listener.session.finish(cid, Answer::Value(&()));
    pair.listener.send(finished.after.unsendable(&9));
    let ack = finished.after.acknowledge(None).expect("it is due");
    pair.listener.send(ack);
    assert_eq!(pair.listener.log[1..], [(0, "error"), (0, "cancel_ack")]);
    let all = ends(&mut pair, &mut Order::default());
    assert_eq!(all, [("ended", vec![5]), ("acked", vec![])]);
    pair.assert_empty();
}

#[test]
fn an_abandoned_context_is_cancelled_unless_it_has_ended() {
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.dialer.abandon(cid);
    pair.dialer.release(cid);
    pair.deliver();
    pair.listener.finish(cid, Answer::Error(&BY_CALLER));
    assert_eq!(ends(&mut pair, &mut Order::default()), [("ended", vec![]), ("acked", vec![])]);
    let cid = pair.open();
    pair.listener.finish(cid, Answer::Value(&()));
    pair.deliver();
    pair.dialer.abandon(cid);
    assert_eq!(pair.dialer.log.iter().filter(|(_, kind)| *kind == "cancel").count(), 1);
    pair.assert_empty();
}

#[test]
fn a_cancellation_is_told_by_its_canceller() {
    let mut pair = Pair::new(10);
    let cid = pair.open();
    pair.listener.finish(cid, Answer::Error(&BY_CALLER));
    pair.deliver();
    assert!(matches!(pair.dialer.end(cid), Some(End::Cancelled(_, Canceller::Us))));
}
