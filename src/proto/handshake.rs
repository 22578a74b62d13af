//! The handshake: identity and proof of membership, in four messages, the dialer first.
//!
//! ```text
//! dialer                                       listener
//!   Hello {version, codec, member, nonce} ──►    checks magic, version and codec
//!   checks nothing yet                    ◄──  Challenge {nonce}
//!   Proof {HMAC over both}                ──►    checks the proof: from here on a member
//!   checks the proof                      ◄──  Welcome {member, HMAC over all}  or  Refusal {why}
//! ```
//! A probe says so in its `Hello`, gets `Welcome` without a proof, and both sides close: it leaves no trace. A member
//! that only asks for the listener's identity proves itself and sets [`PROBE`]: it gets the answer, and both sides
//! close too.
//!
//! Over TLS the proofs also cover a secret of that TLS connection. So a man in the middle with a certificate but
//! without the key can't relay between two members.
//!
//! # Invariants
//! 1. Nothing of a peer is believed or used before its proof was checked; the listener names itself only then.
//! 2. Every step has one legal successor; anything else ends the handshake.
//! 3. It ends by itself at its deadline.

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::Key;
use serde::{Deserialize, Serialize};

use super::fencing::Fenced;
use super::membership::{Nonce, Proof, TreeKey};
use crate::actor::ActorId;

/// One message of the handshake.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The dialer introduces itself.
    Hello(Hello),
    /// The listener asks for proof.
    Challenge { nonce: Nonce },
    /// The dialer's proof.
    Proof { proof: Proof },
    /// The listener's identity and proof. To a probe: both are empty.
    Welcome { member: Option<Introduction>, proof: Proof },
    /// The listener will not talk to this dialer.
    Refusal { why: String },
}

/// The dialer's first message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// [`MAGIC`].
    pub(crate) magic: String,
    /// Lowest and highest protocol version that the dialer speaks.
    pub(crate) versions: (u16, u16),
    /// The codec of this connection, by name.
    pub(crate) codec: String,
    /// The dialer; `None` for a probe.
    pub(crate) member: Option<Introduction>,
    /// The dialer's challenge.
    pub(crate) nonce: Nonce,
}

/// An actor's identity and features; trusted once it has proved that it belongs to the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Introduction {
    /// Its identity.
    pub(crate) who: ActorId,
    /// When it began, in milliseconds since 1970: tells an actor from its restarted successor.
    pub(crate) incarnation: u64,
    /// Optional behaviour that it knows, such as [`REGISTRAR`]; unknown bits are ignored.
    pub(crate) features: u64,
    /// Where it listens, for other peers.
    pub(crate) listening: Vec<Endpoint>,
    /// The fingerprint of each exposed function of its program, in order: path, arguments, result.
    pub(crate) exports: Vec<u64>,
}

/// Where an actor can be reached over one transport.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// How it is spoken to there.
    pub transport: Key,
    /// The address, as text: one of a protocol that this program does not know is kept as it is.
    pub address: String,
}

/// What a step requires of its receiver.
#[derive(Debug)]
pub(crate) struct Output {
    /// Send this, if there is something to say.
    pub(crate) send: Option<Step>,
    /// And do this afterwards.
    pub(crate) then: Then,
}

/// How a handshake goes on.
#[derive(Debug)]
pub(crate) enum Then {
    /// Wait for the peer's next step.
    Continue,
    /// It is complete: the peer is a member.
    Accept(Introduction),
    /// Close: it was a probe.
    Close,
    /// Close, for this reason.
    Fail(String),
}

impl Output {
    /// Nothing to say: waits for the peer's next step.
    pub(crate) fn wait() -> Self {
        Self { send: None, then: Then::Continue }
    }

    fn send(step: Step) -> Self {
        Self { send: Some(step), then: Then::Continue }
    }

    fn fail(why: String) -> Self {
        Self { send: None, then: Then::Fail(why) }
    }

    /// As [`fail`](Self::fail), and the peer is told why.
    pub(crate) fn refuse(why: &str) -> Self {
        Self { send: Some(Step::Refusal { why: why.to_owned() }), ..Self::fail(why.to_owned()) }
    }
}

/// One side of a handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    key: TreeKey,
    own: Introduction,
    state: State,
    deadline: Duration,
    /// Actors that may not rejoin.
    lost: Arc<Fenced>,
    /// The secret of this TLS connection; empty if it is not encrypted.
    binding: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// Dialer: `Hello` is out.
    AwaitChallenge { hello: Vec<u8> },
    /// Dialer: `Proof` is out.
    AwaitWelcome { hello: Vec<u8>, nonce: Nonce },
    /// Listener: nothing has come yet.
    AwaitHello { codec: &'static str, nonce: Nonce },
    /// Listener: `Challenge` is out.
    AwaitProof { hello: Vec<u8>, member: Introduction, nonce: Nonce },
    /// It has ended, one way or the other.
    Over,
}

impl Handshake {
    /// Starts as the dialer; returns the first message to send.
    pub(crate) fn dial(
        key: TreeKey,
        own: Introduction,
        codec: &str,
        nonce: Nonce,
        deadline: Duration,
    ) -> (Self, Output) {
        let (magic, codec) = (MAGIC.to_owned(), codec.to_owned());
        let hello = Hello { magic, versions: (VERSION, VERSION), codec, member: Some(own.clone()), nonce };
        let state = State::AwaitChallenge { hello: transcript(&hello) };
        (
            Self { key, own, state, deadline, lost: Arc::default(), binding: Vec::new() },
            Output::send(Step::Hello(hello)),
        )
    }

    /// Starts as the listener on a connection of this codec, with a fresh nonce.
    pub(crate) fn listen(
        key: TreeKey,
        codec: &'static str,
        nonce: Nonce,
        own: Introduction,
        deadline: Duration,
    ) -> Self {
        let state = State::AwaitHello { codec, nonce };
        Self { key, own, state, deadline, lost: Arc::default(), binding: Vec::new() }
    }

    /// Refuses actors that were declared dead, unless they are newer incarnations.
    pub(crate) fn without(self, lost: Arc<Fenced>) -> Self {
        Self { lost, ..self }
    }

    /// Ties the proofs to this encrypted connection: they are good for no other one.
    pub(crate) fn bound_to(self, binding: Option<[u8; 32]>) -> Self {
        Self { binding: binding.map_or_else(Vec::new, Vec::from), ..self }
    }

    /// Takes a message of the peer.
    pub(crate) fn handle_step(&mut self, step: Step) -> Output {
        match (std::mem::replace(&mut self.state, State::Over), step) {
            (State::AwaitHello { codec, nonce }, Step::Hello(hello)) => self.handle_hello(codec, nonce, hello),
            (State::AwaitChallenge { hello }, Step::Challenge { nonce }) => {
                let proof = self.key.prove(DIALER, &[&hello, &nonce, &self.binding]);
                self.state = State::AwaitWelcome { hello, nonce };
                Output::send(Step::Proof { proof })
            }
            (State::AwaitProof { hello, member, nonce }, Step::Proof { proof }) => {
                if !self.key.verify(DIALER, &[&hello, &nonce, &self.binding], &proof) {
                    return Output::refuse(match self.binding[..] {
                        [] => STRANGER,
                        _ => STRANGER_OR_BETWEEN,
                    });
                }
                if let Some(why) = self.lost.refusal(&member) {
                    return Output::refuse(&why);
                }
                let own = Some(self.own.clone());
                let proof = self.key.prove(LISTENER, &[&hello, &nonce, &transcript(&own), &self.binding]);
                let then = if member.features & PROBE != 0 { Then::Close } else { Then::Accept(member) };
                Output { send: Some(Step::Welcome { member: own, proof }), then }
            }
            (State::AwaitWelcome { hello, nonce }, Step::Welcome { member, proof }) => {
                let said: [&[u8]; 4] = [&hello, &nonce, &transcript(&member), &self.binding];
                let valid = self.key.verify(LISTENER, &said, &proof);
                match member.filter(|_| valid) {
                    Some(member) => Output { send: None, then: Then::Accept(member) },
                    None => Output::fail("the listener does not know this tree's key".into()),
                }
            }
            (State::AwaitChallenge { .. } | State::AwaitWelcome { .. }, Step::Refusal { why }) => {
                Output::fail(format!("the listener refuses: {}", in_a_line(&why)))
            }
            (state, step) => {
                let wanted = state.awaits();
                Output::fail(format!("the peer sent {} where {wanted} was due", step.name()))
            }
        }
    }

    fn handle_hello(&mut self, codec: &'static str, nonce: Nonce, hello: Hello) -> Output {
        if hello.magic != MAGIC {
            return Output::fail("the peer speaks another protocol".into());
        }
        let (lowest, highest) = hello.versions;
        if !(lowest..=highest).contains(&VERSION) {
            return Output::refuse(&format!(
                "this side speaks version {VERSION} of the protocol, the peer {lowest} to {highest}"
            ));
        }
        if hello.codec != codec {
            return Output::refuse(&format!("this address speaks {codec}, the peer {}", in_a_line(&hello.codec)));
        }
        let hello_bytes = transcript(&hello);
        let Some(member) = hello.member else {
            let welcome = Step::Welcome { member: None, proof: Proof::default() };
            return Output { send: Some(welcome), then: Then::Close };
        };
        self.state = State::AwaitProof { hello: hello_bytes, member, nonce };
        Output::send(Step::Challenge { nonce })
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn poll_timeout(&self) -> Duration {
        self.deadline
    }

    /// Ends the handshake if its deadline has passed.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Output {
        if now < self.deadline {
            return Output::wait();
        }
        let state = std::mem::replace(&mut self.state, State::Over);
        Output::fail(format!("{} did not come in time", state.awaits()))
    }
}

impl State {
    fn awaits(&self) -> &'static str {
        match self {
            Self::AwaitChallenge { .. } => "a challenge",
            Self::AwaitWelcome { .. } => "a welcome",
            Self::AwaitHello { .. } => "a hello",
            Self::AwaitProof { .. } => "a proof",
            Self::Over => "nothing",
        }
    }
}

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "a hello",
            Self::Challenge { .. } => "a challenge",
            Self::Proof { .. } => "a proof",
            Self::Welcome { .. } => "a welcome",
            Self::Refusal { .. } => "a refusal",
        }
    }
}

/// A stranger's words, made safe for an error that ends up in a log or on a terminal.
fn in_a_line(said: &str) -> String {
    said.chars().take(MAX_SAID).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The bytes of a value as both sides compute them, whatever the connection's codec.
fn transcript<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("plain structures of numbers and texts can be encoded")
}

/// It is a registrar: actors that connect to it are registered.
pub(crate) const REGISTRAR: u64 = 1 << 0;

/// The dialer holds this connection until it or the peer ends.
pub(crate) const LASTS: u64 = 1 << 1;

/// The dialer only asks for the listener's identity.
pub(crate) const PROBE: u64 = 1 << 2;

/// The first word of every connection.
pub(crate) const MAGIC: &str = "pleach";

/// The version of the protocol that this crate speaks.
pub(crate) const VERSION: u16 = 1;

/// How much of a stranger's words is passed on, in characters; a refusal of ours is shorter.
const MAX_SAID: usize = 400;

const STRANGER: &str = "the peer does not know this tree's key; it is a stranger, or belongs to another tree";

const STRANGER_OR_BETWEEN: &str = "the peer does not know this tree's key; it is a stranger, or belongs to another \
    tree, or a man in the middle with a certificate relays between the two";

const DIALER: &str = "dialer";
const LISTENER: &str = "listener";
