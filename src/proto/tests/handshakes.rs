//! The handshake: which peers are accepted, which are refused, and why.

use super::*;
use crate::actor::ActorId;
use crate::proto::handshake::{Handshake, Hello, Introduction, MAGIC, Next, PROBE, Step, VERSION};
use crate::proto::membership::TreeKey;

pub(super) fn key(byte: u8) -> TreeKey {
    TreeKey::new([byte; 32])
}

pub(super) fn member(name: &str) -> Introduction {
    Introduction { who: ActorId::new(name), incarnation: 1, features: 0, listening: Vec::new(), exports: vec![7] }
}

fn hello(member: Option<Introduction>) -> Hello {
    let (magic, codec) = (MAGIC.to_owned(), "msgpack".to_owned());
    Hello { magic, versions: (VERSION, VERSION), codec, member, nonce: [1; 32] }
}

fn dialer(key: TreeKey) -> (Handshake, Step) {
    dialer_as(member("dialer"), key)
}

pub(super) fn dialer_as(own: Introduction, key: TreeKey) -> (Handshake, Step) {
    Handshake::dial(key, own, "msgpack", [1; 32], secs(10))
}

pub(super) fn listener(key: TreeKey, nonce: u8) -> Handshake {
    Handshake::listen(key, "msgpack", [nonce; 32], member("listener"), secs(10))
}

/// Lets both sides talk until one is done; returns the results of listener and dialer.
pub(super) fn shake(mut dialer: Handshake, first: Step, mut listener: Handshake) -> (Next, Option<Next>) {
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

pub(super) fn refusal(next: &Next) -> &str {
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

// SEC-2
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

// SEC-2
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

// SEC-2
#[test]
fn a_proof_is_good_for_its_encrypted_connection_only() {
    let meet = |dials: Option<[u8; 32]>, listens| {
        let (dialer, first) = dialer(key(1));
        shake(dialer.bound_to(dials), first, listener(key(1), 2).bound_to(listens))
    };
    assert!(matches!(meet(Some([5; 32]), Some([5; 32])), (Next::Accept(_), Some(Next::Accept(_)))));
    for (dials, listens) in [(Some([5; 32]), Some([6; 32])), (Some([5; 32]), None), (None, Some([5; 32]))] {
        let (listened, dialled) = meet(dials, listens);
        assert!(refusal(&listened).contains("does not know this tree's key"));
        assert!(refusal(&dialled.unwrap()).contains("the listener refuses"));
    }
    // Nor is the listener's.
    let (dialer, first) = dialer(key(1));
    let (mut dialer, mut listening) = (dialer.bound_to(Some([5; 32])), listener(key(1), 2).bound_to(Some([5; 32])));
    let Next::Send(challenge) = listening.handle_step(first) else { panic!("no challenge") };
    let Next::Send(proof) = dialer.handle_step(challenge) else { panic!("no proof") };
    let Next::SendAndAccept(welcome, _) = listening.handle_step(proof) else { panic!("no welcome") };
    let moved = dialer.bound_to(Some([6; 32])).handle_step(welcome);
    assert!(refusal(&moved).contains("the listener does not know this tree's key"));
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
fn a_strangers_words_are_short_and_harmless_in_a_log() {
    let said = format!("\u{1b}[2J no\r\n{}", "x".repeat(60_000));
    let (mut dialer, _) = dialer(key(1));
    let refused = dialer.handle_step(Step::Refusal { why: said.clone() });
    let mut listening = listener(key(1), 2);
    let turned_away = listening.handle_step(Step::Hello(Hello { codec: said, ..hello(Some(member("dialer"))) }));
    for end in [refused, turned_away] {
        let why = refusal(&end);
        assert!(why.contains("[2J no") && why.len() < 500 && !why.contains(char::is_control), "{why}");
    }
}

#[test]
fn a_probe_is_answered_without_proof_and_forgotten() {
    let next = listener(key(1), 2).handle_step(Step::Hello(hello(None)));
    assert!(matches!(next, Next::SendAndEnd(Step::Welcome { member: None, .. })));
}

#[test]
fn a_members_probe_is_told_who_listens_and_forgotten() {
    let probe =
        |by| Handshake::dial(by, Introduction { features: PROBE, ..member("prober") }, "msgpack", [1; 32], secs(10));
    let (mut prober, first) = probe(key(1));
    let mut listening = listener(key(1), 2);
    let Next::Send(challenge) = listening.handle_step(first) else { panic!("no challenge") };
    let Next::Send(proof) = prober.handle_step(challenge) else { panic!("no proof") };
    let Next::SendAndEnd(welcome) = listening.handle_step(proof) else { panic!("it was let in") };
    assert!(matches!(prober.handle_step(welcome), Next::Accept(member) if member.who.name() == "listener"));
    // A stranger learns nothing that way.
    let (stranger, first) = probe(key(9));
    let (listened, told) = shake(stranger, first, listener(key(1), 2));
    assert!(refusal(&listened).contains("does not know this tree's key"));
    assert!(refusal(&told.unwrap()).contains("the listener refuses"));
}

#[test]
fn a_silent_peer_is_given_up_at_the_deadline() {
    let mut listening = listener(key(1), 2);
    assert_eq!(listening.poll_timeout(), secs(10));
    assert!(listening.handle_timeout(secs(9)).is_none());
    assert!(refusal(&listening.handle_timeout(secs(10)).unwrap()).contains("a hello did not come in time"));
}

// SEC-13
#[test]
fn the_key_is_never_printed() {
    let (handshake, _) = dialer(key(77));
    let printed = format!("{:?} {handshake:?}", key(77));
    assert!(printed.contains("TreeKey(secret)") && !printed.contains(&"77, ".repeat(8)), "{printed}");
}
