//! What fuzzing needs of the inside; only there in a build for fuzzing.

use std::time::Duration;

use pleach_wire::{Format, Payload};

use crate::actor::ActorId;
use crate::error::{Error, ErrorGroup, Packed, Refusal};
use crate::proto::handshake::{Handshake, Member, Next, Step};
use crate::proto::membership::TreeKey;

/// Reads a payload as an error that crossed a connection, and prints what it says.
pub fn error_record(payload: &Payload) {
    let peer = ActorId::new("peer");
    if let Ok(packed) = payload.decode::<Packed>() {
        let _ = packed.is_failure();
        let error = packed.unpack(&peer);
        // Printing, and finding out what it is, must not panic.
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

/// Several members and strangers talk at once, and whoever made `script` decides who hears what.
///
/// Everything that was ever said can be told to anybody, as it was, with a byte changed, or made up. Only who
/// was told the proof of a member, made for this very conversation, may take the other for that member.
///
/// # Panics
/// When somebody is taken for a member who is none, or for another one.
pub fn handshake(script: &[u8]) {
    let mut said: Vec<Step> = Vec::new();
    let mut parties: Vec<Party> = (0..6).map(|number| Party::new(number, &mut said)).collect();
    let mut script = script.iter().copied();
    while let (Some(to), Some(what)) = (script.next(), script.next()) {
        let to = usize::from(to) % parties.len();
        let step = match what {
            0..=127 => said.get(usize::from(what)).cloned(),
            128..=191 => said.get(usize::from(what - 128)).and_then(|step| {
                let mut bytes = rmp_serde::to_vec(step).expect("plain structures can be encoded");
                let (at, with) = (u16::from_le_bytes([script.next()?, script.next()?]), script.next()?);
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= with;
                rmp_serde::from_slice(&bytes).ok()
            }),
            _ => {
                let bytes: Vec<u8> = script.by_ref().take(usize::from(what - 192) * 4).collect();
                rmp_serde::from_slice(&bytes).ok()
            }
        };
        let Some(step) = step else { continue };
        let accepted = parties[to].hear(step.clone(), &mut said);
        if let Some(member) = accepted {
            let hearer = &parties[to];
            if hearer.knows_key {
                let other = parties.iter().find(|other| other.own == member && other.knows_key);
                let other = other.expect("only a member is taken for one, and for nobody else");
                assert_ne!(other.dials, hearer.dials, "a proof was reflected");
                let proof = proof_of(&step).expect("the last step before a peer is accepted has its proof");
                assert!(other.proofs.contains(&proof), "the proof is not of the one who is taken for its maker");
            }
        }
    }
}

/// One side of a conversation: two members of the tree that dial, two that listen, and two strangers.
struct Party {
    own: Member,
    dials: bool,
    knows_key: bool,
    handshake: Handshake,
    proofs: Vec<[u8; 32]>,
}

impl Party {
    fn new(number: u8, said: &mut Vec<Step>) -> Self {
        let (dials, knows_key) = (number % 2 == 0, number < 4);
        let key = TreeKey::new([if knows_key { 1 } else { 2 }; 32]);
        let who = ActorId::with_uuid("party", uuid::Uuid::from_bytes([number; 16]));
        let own = Member {
            who,
            incarnation: number.into(),
            features: 0,
            listening: Vec::new(),
            exports: vec![number.into()],
        };
        let (nonce, deadline) = ([100 + number; 32], Duration::from_secs(1));
        let handshake = if dials {
            let (handshake, hello) = Handshake::dial(key, own.clone(), "msgpack", nonce, deadline);
            said.push(hello);
            handshake
        } else {
            Handshake::listen(key, "msgpack", nonce, own.clone(), deadline)
        };
        Self { own, dials, knows_key, handshake, proofs: Vec::new() }
    }

    /// Takes a step, says what there is to say, and returns who the other is taken for.
    fn hear(&mut self, step: Step, said: &mut Vec<Step>) -> Option<Member> {
        let (answer, accepted) = match self.handshake.handle_step(step) {
            Next::Send(step) | Next::SendAndEnd(step) => (Some(step), None),
            Next::SendAndAccept(step, member) => (Some(step), Some(member)),
            Next::Accept(member) => (None, Some(member)),
            Next::Refuse(step, _) => (step, None),
        };
        self.proofs.extend(answer.as_ref().and_then(proof_of));
        said.extend(answer);
        accepted
    }
}

fn proof_of(step: &Step) -> Option<[u8; 32]> {
    match step {
        Step::Proof { proof } | Step::Welcome { proof, .. } => Some(*proof),
        Step::Hello(_) | Step::Challenge { .. } | Step::Refusal { .. } => None,
    }
}
