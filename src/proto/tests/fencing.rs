//! An actor that was declared dead does not rejoin as the same incarnation.

use std::sync::Arc;

use super::handshakes::{dialer_as, key, listener, member, refusal, shake};
use crate::actor::ActorId;
use crate::proto::fencing::Fenced;
use crate::proto::handshake::{Introduction, Then};

fn incarnation(who: &ActorId, incarnation: u64) -> Introduction {
    Introduction { who: who.clone(), incarnation, ..member("again") }
}

// SEC-20
#[test]
fn only_a_newer_incarnation_gets_in_again() {
    let who = ActorId::new("again");
    let mut lost = Fenced::default();
    lost.note(who.uuid(), 7);
    lost.note(who.uuid(), 5); // an older connection ends later
    let lost = Arc::new(lost);
    let comes_back = |incarnation_: u64| {
        let (dialer, first) = dialer_as(incarnation(&who, incarnation_), key(1));
        shake(dialer, first, listener(key(1), 2).without(lost.clone()))
    };
    for old in [1, 7] {
        let (listened, dialled) = comes_back(old);
        for said in [refusal(&listened), refusal(&dialled.unwrap())] {
            assert!(said.contains("was declared dead") && said.contains("must dial again with a higher one"), "{said}");
        }
    }
    assert!(matches!(comes_back(8).0, Then::Accept(member) if member.who == who));
    // A stranger learns nothing of that.
    let (stranger, first) = dialer_as(incarnation(&who, 1), key(9));
    let (listened, _) = shake(stranger, first, listener(key(1), 2).without(lost));
    assert!(refusal(&listened).contains("does not know this tree's key"));
}

#[test]
fn the_oldest_losses_are_forgotten() {
    let actors: Vec<_> = (0..5000).map(|_| ActorId::new("lost")).collect();
    let mut lost = Fenced::default();
    actors.iter().for_each(|who| lost.note(who.uuid(), 1));
    let refused = actors.iter().map(|who| lost.refusal(&incarnation(who, 1)).is_some());
    let refused: Vec<_> = refused.collect();
    assert_eq!(refused.iter().filter(|refused| **refused).count(), 4096);
    assert!(!refused[0] && refused[4999]);
}
