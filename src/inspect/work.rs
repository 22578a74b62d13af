//! What an actor works on for its peers, and what it waits for at theirs.

use std::time::Duration;

use pleach_wire::msg::FunctionKind;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::report::now_ms;
use super::stacks::RunningTask;
use crate::actor::ActorId;
use crate::channel::{Asked, Channel, Running, Work};
use crate::proto::session::Seen;
use crate::scope::CancelScope;

/// A function that runs in an actor for a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningFunction {
    /// Its number on the connection: the caller's [`WaitingCall`] has the same.
    pub cid: u64,
    /// The path of the function.
    pub function: String,
    /// What it is.
    pub kind: FunctionKind,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// Whether it has been asked to end.
    pub cancelled: bool,
}

/// A call, context or stream of an actor at a peer, until it has ended there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WaitingCall {
    /// Its number on the connection: the peer's [`RunningFunction`] has the same.
    pub cid: u64,
    /// The path of the function.
    pub function: String,
    /// What it is.
    pub kind: FunctionKind,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// Whether it has been cancelled, and waits for the acknowledgement.
    pub cancelled: bool,
    /// The function of the same actor that has made the call, if one has and that is known: code in a shield can't be
    /// told apart.
    pub inside: Option<Inside>,
}

/// A running function of an actor, as its calls name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inside {
    /// The uuid of the peer for which it runs.
    pub peer: Uuid,
    /// Its number on that connection.
    pub cid: u64,
}

/// What was under way over one connection.
pub(super) struct LineWork<'a> {
    peer: &'a ActorId,
    work: Option<Work>,
}

impl<'a> LineWork<'a> {
    pub(super) fn of(channel: &'a Channel, most: usize) -> Self {
        Self { peer: channel.peer(), work: super::report::soon(|| channel.work_now(most)) }
    }

    /// Returns what was seen; `None` while it was changing.
    pub(super) fn seen(&self) -> Option<&Work> {
        self.work.as_ref()
    }

    /// Returns the functions that run for the peer, with the scope of each.
    pub(super) fn running_with_scopes(&self) -> impl Iterator<Item = (&CancelScope, RunningTask)> {
        let tasks = self.seen().into_iter().flat_map(|work| &work.tasks);
        tasks.map(|task| (&task.what.scope, RunningTask::new(self.peer, RunningFunction::of(task))))
    }

    pub(super) fn running(&self) -> Option<Vec<RunningFunction>> {
        Some(self.seen()?.tasks.iter().map(RunningFunction::of).collect())
    }

    /// Returns the calls; `all` is the work of the actor, which tells the functions that have made them.
    pub(super) fn waiting(&self, all: &[LineWork<'_>]) -> Option<Vec<WaitingCall>> {
        Some(self.seen()?.calls.iter().map(|call| WaitingCall::of(call, all)).collect())
    }
}

impl RunningFunction {
    fn of(seen: &Seen<Running>) -> Self {
        let Seen { cid, what: Running { function, kind, began, .. }, cancelled } = seen;
        let (cid, cancelled, began_ms) = (cid.0, *cancelled, ago_ms(began.elapsed()));
        Self { cid, function: (*function).to_owned(), kind: *kind, began_ms, cancelled }
    }
}

impl WaitingCall {
    fn of(seen: &Seen<Asked>, all: &[LineWork<'_>]) -> Self {
        let Seen { cid, what: Asked { function, kind, began, scope }, cancelled } = seen;
        let inside = scope.as_ref().and_then(|scope| Inside::find(scope, all));
        let (cid, cancelled, began_ms) = (cid.0, *cancelled, ago_ms(began.elapsed()));
        Self { cid, function: function.to_string(), kind: *kind, began_ms, cancelled, inside }
    }
}

impl Inside {
    /// Finds the function whose scope is around `scope`.
    fn find(scope: &CancelScope, all: &[LineWork<'_>]) -> Option<Self> {
        let lines = all.iter().filter_map(|line| Some((line.peer, line.seen()?)));
        let mut tasks = lines.flat_map(|(peer, work)| work.tasks.iter().map(move |task| (peer, task)));
        let (peer, task) = tasks.find(|(_, task)| scope.is_within(&task.what.scope))?;
        Some(Self { peer: peer.uuid(), cid: task.cid.0 })
    }
}

fn ago_ms(ago: Duration) -> u64 {
    now_ms().saturating_sub(ago.as_millis() as u64)
}
