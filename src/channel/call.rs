//! Calls to the peer: sent, answered, cancelled.
//!
//! # Invariants
//! 1. A guard ([`Pending`]) exists before the message that it guards is queued.

use pleach_wire::msg::FunctionKind;
use pleach_wire::{ByteStr, CallOptions, Cid, Encode, Payload};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::cancelling::{CancelOutcome, Cancelling, Reason, Subject};
use super::{Asked, Channel};
use crate::error::{Error, Result};
use crate::events::{self, ActorEventKind};
use crate::proto::session::Outcome;
use crate::proto::target::{Method, Target};
use crate::scope::{self, Shield};
use crate::telemetry::calls::{CallOutcome, Observed};
use crate::telemetry::meters::Callee;

impl Channel {
    /// Starts a call: the message is queued, and on its way unless others are being sent.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn call(&self, callee: impl Into<Callee>, args: &dyn Encode, mut terms: CallOptions) -> Result<Pending> {
        let (waker, reply) = oneshot::channel();
        let callee = callee.into();
        let function = callee.path.clone();
        let asked = Asked::now(FunctionKind::Rpc, function.clone());
        let mut observed = Observed::caller(FunctionKind::Rpc, &callee, self.peer());
        terms.trace = observed.trace_context();
        let (opened, open) = {
            let mut session = self.session();
            let opened = session.call(waker, callee.path, args, terms);
            if let Some((cid, _)) = &opened {
                session.describe(*cid, asked);
            }
            (opened, session.open_calls())
        };
        let Some((cid, request)) = opened else {
            observed.end(CallOutcome::Lost);
            return Err(self.gone());
        };
        let mut pending = Pending { channel: self.clone(), cid, function, reply, answered: false, observed };
        if let Err(error) = self.transmit(&request, open) {
            pending.observed.end(CallOutcome::Lost);
            self.session().forget(cid);
            return Err(self.not_sent(error));
        }
        Ok(pending)
    }

    /// Asks the actor at the other end to end itself; `Ok` once it has acknowledged or has ended.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when no acknowledgement came within `cancel_ack`.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub(crate) async fn cancel_actor(&self) -> Result<()> {
        let Some(reply) = self.send_cancel_actor() else { return Ok(()) };
        match self.acknowledged(reply).await? {
            Some(Outcome::Error(error)) => Err(self.answered(&error)),
            Some(Outcome::Value(_)) | None => Ok(()),
        }
    }

    /// Sends the request; `None` if the connection has ended, and the actor with it.
    fn send_cancel_actor(&self) -> Option<oneshot::Receiver<Outcome>> {
        let (waker, reply) = oneshot::channel();
        let (cid, request) = {
            let mut session = self.session();
            let (cid, request) = session.cancel_actor(waker, self.ack_overdue_at())?;
            session.describe(cid, Asked::now(FunctionKind::Rpc, Target::Runtime(Method::Cancel).into_text()));
            (cid, request)
        };
        if self.transmit(&request, 1).is_err() {
            self.session().forget(cid);
            return None;
        }
        events::note(ActorEventKind::CancelRequested, self.here(), self.peer(), Some(format!("by {}", self.here())));
        self.look_at_timers();
        Some(reply)
    }

    /// Asks the peer to cancel a task; `ack` is woken when the task has ended. Returns whether it still runs.
    pub(super) fn send_cancel(&self, cid: Cid, ack: Option<oneshot::Sender<CancelOutcome>>) -> bool {
        let ack = ack.map(|ack| (ack, self.ack_overdue_at()));
        let asked = self.session().cancel(cid, ack);
        let runs = asked.is_ok();
        if let Ok(Some(cancel)) = asked {
            self.transmit_or_log(&cancel, 0);
        }
        self.look_at_timers();
        runs
    }

    /// Returns how a cancellation went that came too late to be sent.
    pub(super) fn nothing_to_cancel(&self) -> CancelOutcome {
        if self.end().is_some() { CancelOutcome::Gone } else { CancelOutcome::FinishedFirst }
    }

    /// Waits for an acknowledgement. `None`: the connection has ended without it.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when the session has found it overdue.
    pub(super) async fn acknowledged<T>(&self, ack: oneshot::Receiver<T>) -> Result<Option<T>> {
        // The driver drops the waker at the deadline, and when the connection ends.
        match ack.await {
            Ok(ack) => Ok(Some(ack)),
            Err(_) if self.end().is_some() => Ok(None),
            Err(_) => Err(Error::ActorTooSlow { actor: Box::new(self.peer().clone()), waited: self.0.cancel_ack }),
        }
    }
}

/// The terms of a call: `schema` is that of the function's [`Export`](crate::rpc::export), or [`UNCHECKED`]; at
/// the deadline the peer cancels the task by itself.
pub(crate) fn call_terms(schema: u64, deadline: Option<Instant>) -> CallOptions {
    // None at all if it has passed.
    let deadline = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    CallOptions { schema, deadline, trace: None }
}

/// A call that waits for its answer. Dropping it before asks the peer to cancel the task.
pub(crate) struct Pending {
    channel: Channel,
    pub(super) cid: Cid,
    function: ByteStr,
    reply: oneshot::Receiver<Outcome>,
    answered: bool,
    observed: Observed,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The error of the function or of the peer's runtime; [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// Nothing is lost; ask again. Not to be asked again after it has resolved.
    pub(crate) async fn outcome(&mut self) -> Result<Payload> {
        let outcome = (&mut self.reply).await;
        self.answered = true;
        match outcome {
            Ok(Outcome::Value(value)) => {
                self.observed.end(CallOutcome::Returned);
                Ok(value)
            }
            Ok(Outcome::Error(error)) => {
                let error = self.channel.answered(&error);
                self.observed.end(error.call_outcome());
                Err(error)
            }
            Err(_closed) => {
                self.observed.end(CallOutcome::Lost);
                Err(self.channel.gone())
            }
        }
    }

    /// Waits for the answer; when the scope around is cancelled, cancels the remote task first.
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome); [`Error::Cancelled`].
    ///
    /// # Cancel safety
    /// If dropped, the peer is asked to cancel the task.
    pub(crate) async fn answer(mut self) -> Result<Payload> {
        let _shield = Shield::enter();
        tokio::select! {
            // An answer that is here already wins over a cancellation.
            biased;
            outcome = self.outcome() => outcome,
            () = scope::cancelled() => {
                let cancelled = scope::cancellation();
                self.cancel(Reason::of(&cancelled)).await;
                Err(cancelled)
            }
        }
    }

    /// Asks the peer to cancel the task and waits until it has ended, or an acknowledgement is overdue.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub(crate) async fn cancel(mut self, reason: Reason) {
        let cancelling = self.cancelling(reason);
        let (ack, acked) = oneshot::channel();
        self.answered = true;
        if !self.channel.send_cancel(self.cid, Some(ack)) {
            return cancelling.end(self.channel.nothing_to_cancel());
        }
        cancelling.end(match self.channel.acknowledged(acked).await {
            Ok(acked) => acked.unwrap_or(CancelOutcome::Gone),
            Err(_late) => CancelOutcome::TooLate,
        });
    }

    fn cancelling(&self, reason: Reason) -> Cancelling {
        Cancelling::begin(&self.channel, Subject::Function(FunctionKind::Rpc, self.function.clone()), reason)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let cancelling = self.cancelling(Reason::Dropped);
        match self.channel.send_cancel(self.cid, None) {
            true => cancelling.end(CancelOutcome::NotAwaited),
            false => cancelling.end(self.channel.nothing_to_cancel()),
        }
    }
}

/// The schema of a caller that does not know how the function is declared.
pub(crate) const UNCHECKED: u64 = 0;
