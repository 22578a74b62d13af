//! Chains of calls that come back to an actor that waits in them.
//!
//! An actor serves such a call like any other, so a chain is not a fault by itself. But if the actor holds what the last
//! function needs, nothing in the chain can go on, and no actor sees more than its own part of it.

use std::collections::BTreeMap;
use std::fmt;

use pleach_wire::msg::FunctionKind;
use serde::Serialize;
use uuid::Uuid;

use super::report::now_ms;
use super::{ActorReport, Inside, PeerReport, ProcessReport, WaitingCall};
use crate::actor::ActorId;

/// A chain of calls, each made by the function that the one before it has called, that enters an actor a second time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallChain {
    /// The actor that has made the first call.
    pub from: ActorId,
    /// The calls: the first is the oldest.
    pub calls: Vec<ChainedCall>,
}

/// One call of a [`CallChain`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainedCall {
    /// The path of the function.
    pub function: String,
    /// The actor that it was called in.
    pub at: ActorId,
    /// When it was called, in milliseconds since 1970.
    pub began_ms: u64,
}

/// Finds the chains in which nothing has moved for a second, among the actors that have answered.
pub fn call_chains(processes: &[ProcessReport]) -> Vec<CallChain> {
    let actors = processes.iter().flat_map(|process| &process.actors);
    let actors: BTreeMap<Uuid, &ActorReport> = actors.map(|actor| (actor.who.uuid(), actor)).collect();
    let (now, mut found) = (now_ms(), Vec::new());
    for actor in actors.values() {
        for (peer, call) in resting_calls(actor, now).filter(|(_, call)| call.inside.is_none()) {
            follow(&actors, now, CallChain { from: actor.who.clone(), calls: Vec::new() }, peer, call, &mut found);
        }
    }
    found
}

/// Follows a call, and those that its function has made, to where each ends.
fn follow(
    actors: &BTreeMap<Uuid, &ActorReport>,
    now: u64,
    mut chain: CallChain,
    peer: &PeerReport,
    call: &WaitingCall,
    found: &mut Vec<CallChain>,
) {
    let caller = chain.calls.last().map_or(&chain.from, |last| &last.at).uuid();
    let WaitingCall { cid, ref function, began_ms, .. } = *call;
    chain.calls.push(ChainedCall { function: function.clone(), at: peer.who.clone(), began_ms });
    let callee = actors.get(&peer.who.uuid()).filter(|_| chain.calls.len() < MAX_CALLS);
    let called = Inside { peer: caller, cid };
    let made = callee.into_iter().flat_map(|callee| resting_calls(callee, now));
    let mut further = made.filter(|(_, call)| call.inside == Some(called)).peekable();
    if further.peek().is_none() {
        found.extend(chain.enters_twice().then_some(chain));
        return;
    }
    for (peer, call) in further {
        follow(actors, now, chain.clone(), peer, call, found);
    }
}

/// Returns the calls of an actor that have waited for a while.
fn resting_calls(actor: &ActorReport, now: u64) -> impl Iterator<Item = (&PeerReport, &WaitingCall)> {
    let lines = actor.peers.iter().flatten();
    let calls = lines.flat_map(|peer| peer.waiting.iter().flatten().map(move |call| (peer, call)));
    calls.filter(move |(_, call)| call.kind == FunctionKind::Rpc && now.saturating_sub(call.began_ms) >= AT_REST_MS)
}

impl CallChain {
    fn enters_twice(&self) -> bool {
        let mut actors: Vec<_> = self.calls.iter().map(|call| call.at.uuid()).chain([self.from.uuid()]).collect();
        let all = actors.len();
        actors.sort_unstable();
        actors.dedup();
        actors.len() < all
    }
}

impl fmt::Display for CallChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.from.name())?;
        self.calls.iter().try_for_each(|call| write!(f, " → {} in {}", call.function, call.at.name()))
    }
}

/// How long a call waits before it counts as one that does not move.
const AT_REST_MS: u64 = 1000;

/// The longest chain that is followed.
const MAX_CALLS: usize = 32;
