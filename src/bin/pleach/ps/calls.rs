//! What an actor works on and waits for, by function, as lines of text.

use std::collections::BTreeMap;

use pleach::inspect::{ActorReport, FunctionKind};

use super::table::{shown, since};

/// Returns a line for each function and peer: those that run there for the peer, then those that wait at it.
pub(crate) fn of(actor: &ActorReport) -> Vec<String> {
    let mut all: BTreeMap<Key<'_>, Group> = BTreeMap::new();
    for peer in actor.peers.iter().flatten() {
        for run in peer.running.iter().flatten() {
            let verb = if run.cancelled { Verb::Cancelled } else { Verb::Runs };
            all.entry((verb, &run.function, peer.who.name(), kind(run.kind))).or_default().add(run.began_ms);
        }
        for call in peer.waiting.iter().flatten() {
            let verb = if call.cancelled { Verb::Cancelling } else { Verb::WaitsFor };
            all.entry((verb, &call.function, peer.who.name(), kind(call.kind))).or_default().add(call.began_ms);
        }
    }
    let more = all.len().saturating_sub(MAX_LINES);
    let lines = all.iter().take(MAX_LINES).map(|(key, group)| group.in_words(key));
    lines.chain((more > 0).then(|| format!("… and {more} more"))).collect()
}

/// How it stands, the function, the peer, and what it is.
type Key<'a> = (Verb, &'a str, &'a str, &'static str);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Runs,
    Cancelled,
    WaitsFor,
    Cancelling,
}

/// Those that differ only in their age.
#[derive(Default)]
struct Group {
    count: usize,
    oldest_ms: Option<u64>,
}

impl Group {
    fn add(&mut self, began_ms: u64) {
        self.count += 1;
        self.oldest_ms = Some(self.oldest_ms.map_or(began_ms, |oldest| oldest.min(began_ms)));
    }

    fn in_words(&self, (verb, function, peer, kind): &Key<'_>) -> String {
        let age = since(self.oldest_ms.unwrap_or_default());
        let times = if self.count > 1 { format!("{} of them, the oldest ", self.count) } else { String::new() };
        let (function, peer) = (shown(function), shown(peer));
        let what = match verb {
            Verb::Runs => format!("runs {kind}{function} for {peer}"),
            Verb::Cancelled => format!("runs {kind}{function} for {peer}, though it was cancelled"),
            Verb::WaitsFor => format!("waits for {kind}{function} in {peer}"),
            Verb::Cancelling => format!("cancels {kind}{function} in {peer}"),
        };
        format!("{what} ({times}{age})")
    }
}

fn kind(kind: FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Rpc => "",
        FunctionKind::Context => "context ",
        FunctionKind::Stream => "stream ",
    }
}

/// How many lines an actor gets.
const MAX_LINES: usize = 12;
