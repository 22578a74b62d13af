//! The actor whose messages are meant, or the call.

use anyhow::{Context as _, bail};
use pleach::ActorId;
use pleach::inspect::{ActorReport, PeerReport, Process, Trace, TraceFilter};

use super::Command;
use crate::ps::{Chosen, several_are};

/// An actor, and which of its messages are meant.
pub(super) struct Subject {
    process: Process,
    pub(super) actor: ActorId,
    filter: TraceFilter,
    /// Whether they are those of one call, context or stream.
    pub(super) is_call: bool,
}

impl Subject {
    /// Finds what a command means.
    ///
    /// # Errors
    /// Which actors or calls there are, if it means none, or several.
    pub(super) fn find(command: &Command) -> anyhow::Result<Self> {
        let chosen = Chosen::now(command.tree.as_deref(), None)?;
        let number = command.subject.strip_prefix('#').unwrap_or(&command.subject);
        let meant = match (number.parse(), chosen.meant(&command.subject)) {
            (Ok(cid), Err(_)) => return Self::of_call(&chosen, cid),
            (_, meant) => meant?,
        };
        let [(process, actor)] = meant[..] else {
            bail!(several_are(&command.subject, meant.iter().map(|(_, actor)| &actor.who)));
        };
        let filter = TraceFilter { peer: command.peer.clone(), cid: command.cid };
        Self::new(process, actor, filter, false)
    }

    /// Finds a call by its number on its connection: at the caller, or, if that is elsewhere, at the callee.
    fn of_call(chosen: &Chosen, cid: u64) -> anyhow::Result<Self> {
        let waiting = |peer: &PeerReport| {
            let found = peer.waiting.iter().flatten().find(|call| call.cid == cid);
            found.map(|call| call.function.clone())
        };
        let running = |peer: &PeerReport| {
            let found = peer.running.iter().flatten().find(|task| task.cid == cid);
            found.map(|task| task.function.clone())
        };
        let mut found = Call::all(chosen, waiting);
        if found.is_empty() {
            found = Call::all(chosen, running);
        }
        match &found[..] {
            [] => bail!("no actor and no call is `{cid}`; `pleach ps --json` shows the numbers of calls as `cid`"),
            [Call { process, actor, peer, .. }] => {
                let filter = TraceFilter { peer: Some(peer.uuid().to_string()), cid: Some(cid) };
                Self::new(process, actor, filter, true)
            }
            several => {
                let listed: Vec<_> = several.iter().map(Call::in_words).collect();
                bail!(
                    "several calls are #{cid}, on different connections: {}; name the actor, with --cid {cid}, and --peer",
                    listed.join(", ")
                )
            }
        }
    }

    fn new(process: &Process, actor: &ActorReport, filter: TraceFilter, is_call: bool) -> anyhow::Result<Self> {
        let process = process.again().with_context(|| format!("{} has ended", actor.who))?;
        Ok(Self { process, actor: actor.who.clone(), filter, is_call })
    }

    /// Begins the trace.
    ///
    /// # Errors
    /// When the actor has ended meanwhile, or too many traces run in its process.
    pub(super) fn begin(&self) -> anyhow::Result<Trace> {
        let begun = self.process.trace(&self.actor, self.filter.clone());
        begun.with_context(|| format!("{} can't be traced", self.actor))
    }
}

/// A call, context or stream, as one of its two actors sees it.
struct Call<'a> {
    process: &'a Process,
    actor: &'a ActorReport,
    peer: &'a ActorId,
    function: String,
}

impl<'a> Call<'a> {
    fn all(chosen: &'a Chosen, of: impl Fn(&PeerReport) -> Option<String>) -> Vec<Self> {
        let calls = |(process, actor): (&'a Process, &'a ActorReport)| {
            let peers = actor.peers.iter().flatten();
            let calls = peers.filter_map(|peer| {
                let function = of(peer)?;
                Some(Call { process, actor, peer: &peer.who, function })
            });
            calls.collect::<Vec<_>>()
        };
        chosen.actors().flat_map(calls).collect()
    }

    fn in_words(&self) -> String {
        format!("{} between {} and {}", self.function, self.actor.who, self.peer)
    }
}
