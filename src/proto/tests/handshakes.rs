//! The handshake: which peers are accepted, which are refused, and why.

use super::*;
use crate::actor::ActorId;
use crate::proto::handshake::{Handshake, Hello, Introduction, MAGIC, Output, PROBE, Step, Then, VERSION};
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
    let (handshake, output) = Handshake::dial(key, own, "msgpack", [1; 32], secs(10));
    (handshake, next(output))
}

/// The step that goes to the peer, and whose answer is awaited.
fn next(output: Output) -> Step {
    match output {
        Output { send: Some(step), then: Then::Continue } => step,
        ended => panic!("{ended:?}"),
    }
}

pub(super) fn listener(key: TreeKey, nonce: u8) -> Handshake {
    Handshake::listen(key, "msgpack", [nonce; 32], member("listener"), secs(10))
}

/// Lets both sides talk until one is done; returns the results of listener and dialer.
pub(super) fn shake(mut dialer: Handshake, first: Step, mut listener: Handshake) -> (Then, Option<Then>) {
    let mut to_listener = first;
    loop {
        let Output { send, then } = listener.handle_step(to_listener);
        let heard = send.map(|step| dialer.handle_step(step));
        match (then, heard) {
            (Then::Continue, Some(Output { send: Some(step), then: Then::Continue })) => to_listener = step,
            (Then::Continue, heard) => {
                return (Then::Fail("the dialer has gone".into()), heard.map(|output| output.then));
            }
            (ended, heard) => return (ended, heard.map(|output| output.then)),
        }
    }
}

pub(super) fn refusal(then: &Then) -> &str {
    match then {
        Then::Fail(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_learn_who_the_other_is() {
    let (dialer, first) = dialer(key(1));
    let (listened, dialled) = shake(dialer, first, listener(key(1), 2));
    assert!(matches!(listened, Then::Accept(member) if member.who.name() == "dialer" && member.exports == [7]));
    assert!(matches!(dialled, Some(Then::Accept(member)) if member.who.name() == "listener"));
}

#[test]
fn a_wrong_key_is_refused_by_either_side() {
    let (stranger, first) = dialer(key(9));
    let (listened, dialled) = shake(stranger, first, listener(key(1), 2));
    assert!(refusal(&listened).contains("does not know this tree's key"));
    assert!(refusal(&dialled.unwrap()).contains("the listener refuses"));
    // A listener without the key can't make up a welcome.
    let (mut dialer, _) = dialer(key(1));
    assert!(matches!(next(dialer.handle_step(Step::Challenge { nonce: [3; 32] })), Step::Proof { .. }));
    let welcome = Step::Welcome { member: Some(member("impostor")), proof: [0; 32] };
    assert!(refusal(&dialer.handle_step(welcome).then).contains("the listener does not know this tree's key"));
}

// SEC-2
#[test]
fn a_recorded_handshake_fits_no_other_connection() {
    let (mut member, first) = dialer(key(1));
    let mut listening = listener(key(1), 2);
    let challenge = next(listening.handle_step(first.clone()));
    let proof = next(member.handle_step(challenge));
    assert!(matches!(listening.handle_step(proof.clone()).then, Then::Accept(_)));
    // The same words again, to a listener with another nonce.
    let mut later = listener(key(1), 3);
    assert!(matches!(next(later.handle_step(first)), Step::Challenge { .. }));
    assert!(refusal(&later.handle_step(proof).then).contains("does not know"));
}

// SEC-2
#[test]
fn a_proof_cannot_be_reflected() {
    // An attacker gives the listener's own challenge to another member to answer, as a listener.
    let (mut member, _) = dialer(key(1));
    let (attacker, first) = dialer(key(9));
    drop(attacker);
    let mut listening = listener(key(1), 2);
    let challenge = next(listening.handle_step(first));
    let proof = next(member.handle_step(challenge));
    assert!(refusal(&listening.handle_step(proof).then).contains("does not know"));
}

// SEC-2
#[test]
fn a_proof_is_good_for_its_encrypted_connection_only() {
    let meet = |dials: Option<[u8; 32]>, listens| {
        let (dialer, first) = dialer(key(1));
        shake(dialer.bound_to(dials), first, listener(key(1), 2).bound_to(listens))
    };
    assert!(matches!(meet(Some([5; 32]), Some([5; 32])), (Then::Accept(_), Some(Then::Accept(_)))));
    for (dials, listens) in [(Some([5; 32]), Some([6; 32])), (Some([5; 32]), None), (None, Some([5; 32]))] {
        let (listened, dialled) = meet(dials, listens);
        assert!(refusal(&listened).contains("does not know this tree's key"));
        assert!(refusal(&dialled.unwrap()).contains("the listener refuses"));
    }
    // Nor is the listener's.
    let (dialer, first) = dialer(key(1));
    let (mut dialer, mut listening) = (dialer.bound_to(Some([5; 32])), listener(key(1), 2).bound_to(Some([5; 32])));
    let challenge = next(listening.handle_step(first));
    let proof = next(dialer.handle_step(challenge));
    let welcome = listening.handle_step(proof).send.expect("a welcome");
    let moved = dialer.bound_to(Some([6; 32])).handle_step(welcome);
    assert!(refusal(&moved.then).contains("the listener does not know this tree's key"));
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
        assert!(refusal(&listening.handle_step(step).then).contains("where a hello was due"));
        // It stays over.
        let (_, first) = dialer(key(1));
        assert!(refusal(&listening.handle_step(first).then).contains("where nothing was due"));
    }
}

#[test]
fn other_protocols_versions_and_codecs_are_refused() {
    let refuse = |change: fn(&mut Hello)| {
        let mut hello = hello(Some(member("dialer")));
        change(&mut hello);
        refusal(&listener(key(1), 2).handle_step(Step::Hello(hello)).then).to_owned()
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
        let why = refusal(&end.then);
        assert!(why.contains("[2J no") && why.len() < 500 && !why.contains(char::is_control), "{why}");
    }
}

#[test]
fn a_probe_is_answered_without_proof_and_forgotten() {
    let next = listener(key(1), 2).handle_step(Step::Hello(hello(None)));
    assert!(matches!(next, Output { send: Some(Step::Welcome { member: None, .. }), then: Then::Close }));
}

#[test]
fn a_members_probe_is_told_who_listens_and_forgotten() {
    let probe =
        |by| Handshake::dial(by, Introduction { features: PROBE, ..member("prober") }, "msgpack", [1; 32], secs(10));
    let (mut prober, hello) = probe(key(1));
    let first = next(hello);
    let mut listening = listener(key(1), 2);
    let challenge = next(listening.handle_step(first));
    let proof = next(prober.handle_step(challenge));
    let Output { send: Some(welcome), then: Then::Close } = listening.handle_step(proof) else {
        panic!("it was let in")
    };
    assert!(matches!(prober.handle_step(welcome).then, Then::Accept(member) if member.who.name() == "listener"));
    // A stranger learns nothing that way.
    let (stranger, hello) = probe(key(9));
    let first = next(hello);
    let (listened, told) = shake(stranger, first, listener(key(1), 2));
    assert!(refusal(&listened).contains("does not know this tree's key"));
    assert!(refusal(&told.unwrap()).contains("the listener refuses"));
}

#[test]
fn a_silent_peer_is_given_up_at_the_deadline() {
    let mut listening = listener(key(1), 2);
    assert_eq!(listening.poll_timeout(), secs(10));
    assert!(matches!(listening.handle_timeout(secs(9)), Output { send: None, then: Then::Continue }));
    assert!(refusal(&listening.handle_timeout(secs(10)).then).contains("a hello did not come in time"));
}

// SEC-13
#[test]
fn the_key_is_never_printed() {
    let (handshake, _) = dialer(key(77));
    let printed = format!("{:?} {handshake:?}", key(77));
    assert!(printed.contains("TreeKey(secret)") && !printed.contains(&"77, ".repeat(8)), "{printed}");
}
