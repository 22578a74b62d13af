//! Internals for fuzzing; only in a build for fuzzing.

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::{Format, Payload};

use crate::actor::ActorId;
use crate::error::{Error, ErrorGroup, Packed, Refusal};
use crate::proto::fencing::Fenced;
use crate::proto::handshake::{Handshake, Hello, Introduction, Output, PROBE, REGISTRAR, Step, Then};
use crate::proto::membership::{Nonce, Proof, TreeKey};

/// Reads a payload as an error that crossed a connection, and prints its text.
pub fn error_record(payload: &Payload) {
    let peer = ActorId::new("peer");
    if let Ok(packed) = payload.decode::<Packed>() {
        let _ = packed.is_failure();
        let error = packed.unpack(&peer);
        // Printing and downcasting must not panic.
        let _ = (error.to_string(), format!("{error:?}"), error.is_cancelled(), error.origin().to_string());
        let _ = Packed::of(error, &peer);
    }
}

/// Errors as they cross, in this format.
pub fn error_records(format: Format) -> Vec<Payload> {
    let here = ActorId::with_uuid("here", uuid::Uuid::nil());
    let group = Error::Group(ErrorGroup::new(vec![Error::Usage("one".into()), Error::Lagged { lost: 2 }], 3));
    let refused = Packed::Refused { function: "a::b".into(), why: Refusal::UnknownFunction { like: None } };
    let panic = Packed::of(Error::Panicked("at the bottom".into()), &here);
    let packed = [Packed::of(group, &here), refused, panic];
    packed.iter().map(|packed| Payload::of(format, packed).expect("errors are plain data")).collect()
}

/// Several members and strangers talk at once, and `script` decides which message reaches which peer.
///
/// A move is five bytes: the change to a step, its receiver, its number (0 is the newest), and two more for the change.
/// Every step ever sent can reach any peer, unchanged or changed. Only a peer that got a member's proof, made for this
/// very conversation, may accept the other as that member, or answer it.
///
/// # Panics
/// When a stranger is accepted as a member, a member as another one, or one that was declared dead.
pub fn handshake(script: &[u8]) {
    let mut said: Vec<Step> = Vec::new();
    let mut parties: Vec<Party> = (0..8).map(|number| Party::new(number, &mut said)).collect();
    for &[change, to, which, at, with] in script.as_chunks().0.iter().take(MOVES) {
        let said_before = |back: u8| said[said.len() - 1 - usize::from(back) % said.len()].clone();
        let Some(step) = changed(change, said_before(which), said_before(at), at, with) else { continue };
        let to = usize::from(to) % parties.len();
        let (answer, accepted) = parties[to].hear(step.clone());
        if parties[to].knows_key {
            parties[to].check(&step, answer.as_ref(), accepted, &parties);
        }
        said.extend(answer);
    }
}

/// A step as a receiver gets it; `other` is another step that was sent.
fn changed(change: u8, mut step: Step, mut other: Step, at: u8, with: u8) -> Option<Step> {
    match change % 8 {
        0 => {}
        1 => parts(&mut step).proof?[usize::from(at) % 32] = with,
        2 => parts(&mut step).nonce?[usize::from(at) % 32] = with,
        3 => parts(&mut step).member?.features ^= 1 << (with % 4),
        4 => parts(&mut step).member?.incarnation = with.into(),
        // In another's name.
        5 => parts(&mut step).member?.clone_from(parts(&mut other).member?),
        // The one side's words, as the other's.
        6 => {
            let proof = *parts(&mut step).proof?;
            step = match parts(&mut other).member {
                Some(member) if with % 2 == 0 => Step::Welcome { member: Some(member.clone()), proof },
                _ => Step::Proof { proof },
            };
        }
        _ => {
            let mut bytes = rmp_serde::to_vec(&step).expect("plain structures can be encoded");
            let at = usize::from(at) % bytes.len();
            bytes[at] = with;
            step = rmp_serde::from_slice(&bytes).ok()?;
        }
    }
    Some(step)
}

/// Moves in one script: enough to lead each of the parties through all steps more than once.
const MOVES: usize = 100;

/// One side of a conversation.
struct Party {
    own: Introduction,
    dials: bool,
    knows_key: bool,
    handshake: Handshake,
    nonce: Nonce,
    /// The other's claimed identity, and the nonce that its proof must answer.
    heard: Option<(Option<Introduction>, Nonce)>,
    /// The proofs that were given, each with the nonce that it answers.
    proofs: Vec<(Proof, Nonce)>,
}

impl Party {
    /// Even numbers dial and odd ones listen: members are 0 to 3, strangers 4 and 5; 6 is a member that only asks for
    /// the listener's identity, and 7 a registrar. All listeners have declared [`DEAD`] dead.
    fn new(number: u8, said: &mut Vec<Step>) -> Self {
        let (dials, knows_key) = (number % 2 == 0, !matches!(number, 4 | 5));
        let key = TreeKey::new([if knows_key { 1 } else { 2 }; 32]);
        let who = |number| ActorId::with_uuid("party", uuid::Uuid::from_bytes([number; 16]));
        let features = match number {
            6 => PROBE,
            7 => REGISTRAR,
            _ => 0,
        };
        let (incarnation, exports) = (number.into(), vec![number.into()]);
        let own = Introduction { who: who(number), incarnation, features, listening: Vec::new(), exports };
        let (nonce, deadline) = ([100 + number; 32], Duration::from_secs(1));
        let handshake = if dials {
            let (handshake, hello) = Handshake::dial(key, own.clone(), "msgpack", nonce, deadline);
            said.extend(hello.send);
            handshake
        } else {
            let mut lost = Fenced::default();
            lost.note(who(DEAD).uuid(), DEAD.into());
            Handshake::listen(key, "msgpack", nonce, own.clone(), deadline).without(Arc::new(lost))
        };
        Self { own, dials, knows_key, handshake, nonce, heard: None, proofs: Vec::new() }
    }

    /// Takes a step. Returns the answer, and the accepted identity of the other.
    fn hear(&mut self, mut step: Step) -> (Option<Step>, Option<Introduction>) {
        let Output { send: mut answer, then } = self.handshake.handle_step(step.clone());
        let accepted = match then {
            Then::Accept(member) => Some(member),
            Then::Continue | Then::Close | Then::Fail(_) => None,
        };
        // A hello or a challenge that was taken; later ones only end the handshake.
        if let (Parts { member, nonce: Some(nonce), .. }, Some(_)) = (parts(&mut step), &answer) {
            self.heard = Some((member.cloned(), *nonce));
        }
        if let Some((proof, (_, nonce))) = answer.as_mut().and_then(|said| parts(said).proof).zip(self.heard.as_ref()) {
            self.proofs.push((*proof, *nonce));
        }
        (answer, accepted)
    }

    /// Fails unless `step` allows this party, which knows the key, to answer and to accept as it did.
    fn check(&self, step: &Step, answer: Option<&Step>, accepted: Option<Introduction>, parties: &[Self]) {
        let tells = matches!(answer, Some(Step::Welcome { member: Some(_), .. }));
        if !tells && accepted.is_none() {
            return;
        }
        let claimed = match self.dials {
            true => accepted.clone(),
            false => self.heard.clone().and_then(|(member, _)| member),
        };
        let claimed = claimed.expect("a peer that is accepted or answered has claimed an identity");
        let other = parties.iter().find(|other| other.own == claimed && other.knows_key);
        let other = other.expect("only a member is accepted, and only as itself");
        assert_ne!(other.dials, self.dials, "a proof was reflected");
        let proof = *parts(&mut step.clone()).proof.expect("the step before has a proof");
        assert!(other.proofs.contains(&(proof, self.nonce)), "the proof was not given for this conversation");
        if !self.dials {
            assert_eq!(
                accepted.is_some(),
                claimed.features & PROBE == 0,
                "a probe is answered, and not accepted as a peer"
            );
            assert_ne!(claimed.incarnation, u64::from(DEAD), "an actor that was declared dead is accepted");
        }
    }
}

/// The number of the member that was declared dead.
const DEAD: u8 = 2;

/// The contents of a step.
struct Parts<'a> {
    member: Option<&'a mut Introduction>,
    nonce: Option<&'a mut Nonce>,
    proof: Option<&'a mut Proof>,
}

fn parts(step: &mut Step) -> Parts<'_> {
    match step {
        Step::Hello(Hello { member, nonce, .. }) => Parts { member: member.as_mut(), nonce: Some(nonce), proof: None },
        Step::Challenge { nonce } => Parts { member: None, nonce: Some(nonce), proof: None },
        Step::Proof { proof } => Parts { member: None, nonce: None, proof: Some(proof) },
        Step::Welcome { member, proof } => Parts { member: member.as_mut(), nonce: None, proof: Some(proof) },
        Step::Refusal { .. } => Parts { member: None, nonce: None, proof: None },
    }
}
