//! Running the functions that peers ask for.
//!
//! Each runs as a task of its own in a cancel scope of its own, so a panic or a cancel concerns that
//! task only. Requests to the runtime itself (`self:…`) are carried out at once, in the message loop,
//! so that they pass however busy the tasks are.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use pleach_wire::Cid;
use pleach_wire::log::display;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Runtime, current_task, within};
use crate::channel::driver::{Invocation, Serve};
use crate::channel::records::Kind;
use crate::channel::{Channel, Running, UNCHECKED};
use crate::error::{Cancelled, Error, Packed, Refusal};
use crate::log::Limit;
use crate::proto::target::{Method, Target};
use crate::registry::table::Hold;
use crate::rpc::answer::Answer;
use crate::scope::{CancelScope, Run};
use crate::sync::lock;
use crate::telemetry::calls::Observed;

/// What one peer has here by its connection: the functions of this actor, and its entry if this is its registrar.
pub(super) struct Service {
    runtime: Arc<Runtime>,
    entry: Mutex<Option<Hold>>,
}

impl Service {
    /// Serves a peer whose `entry` lasts as long as its connection.
    pub(super) fn new(runtime: Arc<Runtime>, entry: Option<Hold>) -> Self {
        Self { runtime, entry: Mutex::new(entry) }
    }
}

impl Serve for Service {
    fn invoke(&self, channel: &Channel, asked: Invocation) {
        let Invocation { cid, target, args, schema, deadline, dialog, trace } = asked;
        let answer = Answer::new(channel.clone(), cid);
        let target = match &target {
            Target::Function(path) => path,
            Target::Runtime(method) => return self.runtime.run_own(channel, cid, method, answer),
        };
        let export = match self.runtime.find_function(target, schema) {
            Ok(export) => export,
            Err(why) => return answer.observed(Observed::unknown()).refuse(target.to_string(), why),
        };
        let observed = Observed::callee(export.kind(), export.path, export.meters(), channel.peer(), trace.as_deref());
        let span = observed.span();
        let mut answer = answer.observed(observed);
        let Some(function) = export.bind(dialog) else {
            return answer.refuse(target.to_string(), Refusal::WrongKind { is: export.kind() });
        };
        if schema != UNCHECKED && schema != export.schema() {
            let why = Refusal::SchemaMismatch { here: "".into(), there: export.shown().into() };
            return answer.refuse(target.to_string(), why);
        }
        if let Err(why) = answer.hold(args.len()) {
            return answer.refuse(target.to_string(), why);
        }
        let task = function.invoke(export, args, answer, &self.runtime.state);
        let task = match span {
            Some(span) => Box::pin(task.instrument(span)),
            None => task,
        };
        let scope = self.runtime.tasks.call_scope(deadline);
        channel.attach(cid, Running::now(scope.clone(), export.kind(), export.path));
        let run = scope.run(task);
        self.runtime.tasks.start_call(within(self.runtime.clone(), CallTask { run, scope, function: export.path }));
    }

    fn peer_failed(&self, channel: &Channel, error: Packed) {
        let error = error.unpack(channel.peer());
        // Of its own death it is the source: there is nothing remote about that.
        let error = match error.actor_died() {
            Some(died) if died.actor == *channel.peer() => Error::ActorDied(Box::new(died.clone())),
            _ => error,
        };
        channel.note_peer_failure(error.clone());
        if let Some(count) = channel.may_log(Kind::PeerFailed) {
            error!(target: "pleach::runtime", peer = %channel.peer(), ?error, count, "the peer's runtime failed");
        }
    }

    fn peer_leaves(&self) {
        drop(lock(&self.entry).take());
    }
}

/// The task of a call. One that was cancelled, or that panicked, has answered while it was dropped.
struct CallTask {
    run: Run<BoxFuture<'static, ()>>,
    scope: CancelScope,
    function: &'static str,
}

impl Future for CallTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ended = ready!(Pin::new(&mut self.run).poll(cx));
        if let Some(since) = self.scope.cancelled_since() {
            note_cancelled(self.function, &self.scope, since, ended.is_ok());
        }
        Poll::Ready(())
    }
}

/// Records the end of a task that was cancelled: this actor's part of it. A peer can cause many: this is limited.
#[cold]
fn note_cancelled(function: &'static str, scope: &CancelScope, since: Instant, has_returned: bool) {
    static CANCELLED: Limit = Limit::per_second(100);
    let (Some(why), Some(count)) = (scope.cause(), CANCELLED.count()) else { return };
    let outcome = if has_returned { "ended by itself" } else { "stopped" };
    let (took, count) = (since.elapsed(), (count > 1).then_some(count));
    let actor = current_task().filter(|_| why == Cancelled::Actor);
    let by = actor.as_ref().and_then(|actor| actor.lifecycle.asked_by()).map(display); // a caller is named by `why`
    debug!(target: "pleach::cancel", %function, %outcome, ?took, count, by, %why, "a task was cancelled");
}

impl Runtime {
    /// Runs a method of the runtime itself.
    fn run_own(&self, channel: &Channel, cid: Cid, method: &Method, answer: Answer) {
        match method {
            Method::Cancel => {
                answer.acknowledge();
                channel.transport().flush_now(); // a task may end the process as soon as it is cancelled
                self.request_end(channel.peer());
                if let Some(count) = channel.may_log(Kind::AskedToEnd) {
                    debug!(target: "pleach::runtime", by = %channel.peer(), count, "asked to end");
                }
            }
            Method::Unknown(method) => {
                let like = Some(Target::Runtime(Method::Cancel).to_string());
                answer.refuse(method.to_string(), Refusal::UnknownFunction { like });
                if let Some(count) = channel.may_log(Kind::UnknownMethod) {
                    warn!(target: "pleach::runtime", peer = %channel.peer(), %cid, %method, count, "asked for an unknown method of the runtime");
                }
            }
        }
    }
}
