//! The protocol on two queues and a number for a clock.

use std::collections::VecDeque;
use std::time::Duration;

use pleach_wire::{ByteStr, Cid, Format, Msg, Payload};

use super::dialog::{Arrival, Dialog, End, Misuse, Permit, Side, Take, TakeFirst};
use super::handshake::{Handshake, Hello, MAGIC, Member, Next, Step, VERSION};
use super::membership::TreeKey;
use super::session::{Event, Handles, Outcome, Role, Session};
use crate::actor::ActorId;

mod one_way;

/// Waiters and tasks are numbers.
struct Numbers;

impl Handles for Numbers {
    type Reply = u32;
    type Ack = u32;
    type Task = u32;
    type Dialog = u32;
}

/// Two sessions and what is on its way between them.
struct Pair {
    dialer: Session<Numbers>,
    listener: Session<Numbers>,
    to_listener: VecDeque<Msg>,
    to_dialer: VecDeque<Msg>,
}

impl Pair {
    fn new(limit: usize) -> Self {
        Self {
            dialer: Session::new(Role::Dialer, limit),
            listener: Session::new(Role::Listener, limit),
            to_listener: VecDeque::new(),
            to_dialer: VecDeque::new(),
        }
    }

    /// The dialer calls; the request is on its way.
    fn call(&mut self, waiter: u32) -> Cid {
        let cid = self.dialer.open(waiter).unwrap();
        self.to_listener.push_back(Msg::Start { cid, target: ByteStr::from_static("a::b"), args: unit() });
        cid
    }

    /// The dialer cancels a call of its own.
    fn cancel(&mut self, cid: Cid, ack: u32, overdue_at: u64) {
        if self.dialer.cancel(cid, Some(ack), secs(overdue_at)).unwrap() {
            self.to_listener.push_back(Msg::Cancel { cid });
        }
    }

    /// The listener's task ends; its answer is on its way.
    fn finish(&mut self, cid: Cid) {
        let ack_due = self.listener.finish(cid);
        self.to_dialer.push_back(Msg::Return { cid, value: unit() });
        if ack_due {
            self.to_dialer.push_back(Msg::CancelAck { cid, found: true });
        }
    }

    fn at_listener(&mut self) -> Event<Numbers> {
        let msg = self.to_listener.pop_front().expect("a message is on its way");
        self.listener.handle_msg(msg)
    }

    fn at_dialer(&mut self) -> Event<Numbers> {
        let msg = self.to_dialer.pop_front().expect("a message is on its way");
        self.dialer.handle_msg(msg)
    }

    fn assert_empty(&self) {
        assert_eq!((self.dialer.open_calls(), self.listener.running_tasks()), (0, 0));
        assert!(self.to_dialer.is_empty() && self.to_listener.is_empty());
    }
}

fn unit() -> Payload {
    Payload::of(Format::Msgpack, &()).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_call_is_answered_once() {
    let mut pair = Pair::new(10);
    let cid = pair.call(1);
    assert!(matches!(pair.at_listener(), Event::Invoke { cid: invoked, .. } if invoked == cid));
    pair.finish(cid);
    assert!(matches!(pair.at_dialer(), Event::Resolved { reply: Some(1), ack: None, outcome: Outcome::Value(_) }));
    pair.assert_empty();
    let again = Msg::Return { cid, value: unit() };
    assert!(matches!(pair.dialer.handle_msg(again), Event::Ignored { kind: "return", .. }));
}

#[test]
fn both_sides_open_dialogs_of_their_own() {
    let mut pair = Pair::new(10);
    let (ours, theirs) = (pair.call(1), pair.listener.open(2).unwrap());
    assert_ne!(ours, theirs);
    let start = Msg::Start { cid: theirs, target: ByteStr::from_static("a::b"), args: unit() };
    assert!(matches!(pair.dialer.handle_msg(start), Event::Invoke { .. }));
    // A peer can't open a dialog with a number of ours, nor open one twice.
    let stolen = Msg::Start { cid: ours, target: ByteStr::from_static("a::b"), args: unit() };
    assert!(matches!(pair.dialer.handle_msg(stolen.clone()), Event::Ignored { .. }));
    assert!(matches!(pair.at_listener(), Event::Invoke { .. }));
    assert!(matches!(pair.listener.handle_msg(stolen), Event::Ignored { .. }));
}

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
    // The answer comes after all: it ends the dialog and wakes nobody.
    let answer = Msg::Return { cid: early, value: unit() };
    assert!(matches!(pair.dialer.handle_msg(answer), Event::Resolved { reply: None, ack: None, .. }));
}

#[test]
fn the_end_of_the_connection_wakes_everybody() {
    let mut pair = Pair::new(10);
    let first = pair.call(1);
    pair.call(2);
    pair.cancel(first, 5, 1);
    let left = pair.dialer.close();
    assert_eq!((left.replies, left.acks), (vec![2], vec![5]));
    assert_eq!(pair.dialer.open(3), None);
    pair.at_listener();
    pair.listener.attach(first, 77);
    assert_eq!(pair.listener.close().tasks, [77]);
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

fn key(byte: u8) -> TreeKey {
    TreeKey::new([byte; 32])
}

fn member(name: &str) -> Member {
    Member { who: ActorId::new(name), incarnation: 1, features: 0, exports: vec![7] }
}

fn hello(member: Option<Member>) -> Hello {
    let (magic, codec) = (MAGIC.to_owned(), "msgpack".to_owned());
    Hello { magic, versions: (VERSION, VERSION), codec, member, nonce: [1; 32] }
}

fn dialer(key: TreeKey) -> (Handshake, Step) {
    Handshake::dial(key, member("dialer"), "msgpack", [1; 32], secs(10))
}

fn listener(key: TreeKey, nonce: u8) -> Handshake {
    Handshake::listen(key, "msgpack", [nonce; 32], member("listener"), secs(10))
}

/// Lets both sides talk until one is done; returns what the listener and the dialer end with.
fn shake(mut dialer: Handshake, first: Step, mut listener: Handshake) -> (Next, Option<Next>) {
    let mut to_listener = first;
    loop {
        let answer = match listener.handle_step(to_listener) {
            Next::Send(step) => step,
            Next::SendAndAccept(step, member) => return (Next::Accept(member), Some(dialer.handle_step(step))),
            Next::Refuse(Some(step), why) => return (Next::Refuse(None, why), Some(dialer.handle_step(step))),
            end => return (end, None),
        };
        match dialer.handle_step(answer) {
            Next::Send(step) => to_listener = step,
            end => return (Next::Refuse(None, "the dialer has gone".into()), Some(end)),
        }
    }
}

fn refusal(next: &Next) -> &str {
    match next {
        Next::Refuse(_, why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_learn_who_the_other_is() {
    let (dialer, first) = dialer(key(1));
    let (listened, dialled) = shake(dialer, first, listener(key(1), 2));
    assert!(matches!(listened, Next::Accept(member) if member.who.name() == "dialer" && member.exports == [7]));
    assert!(matches!(dialled, Some(Next::Accept(member)) if member.who.name() == "listener"));
}

#[test]
fn a_wrong_key_is_refused_by_either_side() {
    let (stranger, first) = dialer(key(9));
    let (listened, dialled) = shake(stranger, first, listener(key(1), 2));
    assert!(refusal(&listened).contains("does not know this tree's key"));
    assert!(refusal(&dialled.unwrap()).contains("the listener refuses"));
    // A listener without the key can't make up a welcome.
    let (mut dialer, _) = dialer(key(1));
    assert!(matches!(dialer.handle_step(Step::Challenge { nonce: [3; 32] }), Next::Send(Step::Proof { .. })));
    let welcome = Step::Welcome { member: Some(member("impostor")), proof: [0; 32] };
    assert!(refusal(&dialer.handle_step(welcome)).contains("the listener does not know this tree's key"));
}

#[test]
fn a_recorded_handshake_fits_no_other_connection() {
    let (mut member, first) = dialer(key(1));
    let mut listening = listener(key(1), 2);
    let Next::Send(challenge) = listening.handle_step(first.clone()) else { panic!("no challenge") };
    let Next::Send(proof) = member.handle_step(challenge) else { panic!("no proof") };
    assert!(matches!(listening.handle_step(proof.clone()), Next::SendAndAccept(..)));
    // The same words again, to a listener with another nonce.
    let mut later = listener(key(1), 3);
    assert!(matches!(later.handle_step(first), Next::Send(Step::Challenge { .. })));
    assert!(refusal(&later.handle_step(proof)).contains("does not know"));
}

#[test]
fn a_proof_cannot_be_reflected() {
    // An attacker gives the listener's own challenge to another member to answer, as a listener.
    let (mut member, _) = dialer(key(1));
    let (attacker, first) = dialer(key(9));
    drop(attacker);
    let mut listening = listener(key(1), 2);
    let Next::Send(challenge) = listening.handle_step(first) else { panic!("no challenge") };
    let Next::Send(proof) = member.handle_step(challenge) else { panic!("no proof") };
    assert!(refusal(&listening.handle_step(proof)).contains("does not know"));
}

#[test]
fn a_step_out_of_order_ends_the_handshake() {
    let steps = [
        Step::Challenge { nonce: [0; 32] },
        Step::Proof { proof: [0; 32] },
        Step::Welcome { member: None, proof: [0; 32] },
        Step::Refusal { why: "no".into() },
    ];
    for step in steps {
        let mut listening = listener(key(1), 2);
        assert!(refusal(&listening.handle_step(step)).contains("where a hello was due"));
        // It stays over.
        let (_, first) = dialer(key(1));
        assert!(refusal(&listening.handle_step(first)).contains("where nothing was due"));
    }
}

#[test]
fn other_protocols_versions_and_codecs_are_refused() {
    let refuse = |change: fn(&mut Hello)| {
        let mut hello = hello(Some(member("dialer")));
        change(&mut hello);
        refusal(&listener(key(1), 2).handle_step(Step::Hello(hello))).to_owned()
    };
    assert!(refuse(|hello| hello.magic = "other".into()).contains("another protocol"));
    assert!(refuse(|hello| hello.versions = (2, 9)).contains("version 1 of the protocol, the peer 2 to 9"));
    assert!(refuse(|hello| hello.codec = "json".into()).contains("this address speaks msgpack, the peer json"));
}

#[test]
fn a_probe_is_answered_without_proof_and_forgotten() {
    let next = listener(key(1), 2).handle_step(Step::Hello(hello(None)));
    assert!(matches!(next, Next::SendAndEnd(Step::Welcome { member: None, .. })));
}

#[test]
fn a_silent_peer_is_given_up_at_the_deadline() {
    let mut listening = listener(key(1), 2);
    assert_eq!(listening.poll_timeout(), secs(10));
    assert!(listening.handle_timeout(secs(9)).is_none());
    assert!(refusal(&listening.handle_timeout(secs(10)).unwrap()).contains("a hello did not come in time"));
}

/// Both sides of a dialog after `started`, each with its stream open.
fn streaming(buffer: u32, waits: bool) -> (Dialog, Dialog) {
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
fn misuse_of_a_dialog_is_told() {
    // S20, S21.
    let mut callee = Dialog::new(Side::Callee);
    assert_eq!(callee.open_stream(64), Err(Misuse::NotStarted));
    callee.start().unwrap();
    assert_eq!(callee.start(), Err(Misuse::StartedTwice));
    callee.open_stream(64).unwrap();
    assert_eq!(callee.open_stream(64), Err(Misuse::OpenedBefore));
    assert_eq!(callee.stop(), (true, None));
    assert_eq!(callee.stop(), (false, None), "it is said once");
    assert_eq!(callee.open_stream(64), Err(Misuse::OpenedBefore));
    assert!(!callee.handle_started(unit()), "a caller says no first value");
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
