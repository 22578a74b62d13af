//! The caller's side of a dialog: opening it, and what leaving it owes.
//!
//! # Invariants
//! 1. The guard of a caller's dialog exists before the message that opens it is queued.

use pleach_wire::msg::FunctionKind;
use pleach_wire::{ByteStr, CallOptions, Encode};

use super::cancelling::{CancelOutcome, Reason};
use super::dialog::{DialogHandle, Wake};
use super::{Asked, Channel, Wakers};
use crate::error::Result;
use crate::proto::dialog::End;
use crate::proto::inbox::Intake;
use crate::proto::session::{Opened, Session};
use crate::telemetry::calls::{CallOutcome, Observed};
use crate::telemetry::meters::Callee;

/// A dialog that was opened here. Dropping it before its end asks the peer to cancel the task.
pub(crate) struct OpenedDialog(DialogHandle, Observed);

impl OpenedDialog {
    /// Opens a dialog: the message is queued, and on its way. At the deadline the peer cancels the task
    /// by itself.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn open(
        channel: &Channel,
        callee: impl Into<Callee>,
        args: &dyn Encode,
        mut terms: CallOptions,
    ) -> Result<Self> {
        let callee = callee.into();
        let function = callee.path.clone();
        let observed = Observed::caller(FunctionKind::Context, &callee, channel.peer());
        terms.trace = observed.trace_context();
        let opened = channel.session().open_context(callee.path, args, terms);
        Self::begin(channel, FunctionKind::Context, function, opened, observed)
    }

    /// Opens the dialog of a one-way stream; otherwise as [`open`](Self::open).
    pub(crate) fn pull(
        channel: &Channel,
        callee: impl Into<Callee>,
        args: &dyn Encode,
        mut terms: CallOptions,
        intake: Intake,
    ) -> Result<Self> {
        let callee = callee.into();
        let function = callee.path.clone();
        let observed = Observed::caller(FunctionKind::Stream, &callee, channel.peer());
        terms.trace = observed.trace_context();
        let opened = channel.session().open_one_way(callee.path, args, terms, intake);
        Self::begin(channel, FunctionKind::Stream, function, opened, observed)
    }

    fn begin(
        channel: &Channel,
        kind: FunctionKind,
        function: ByteStr,
        opened: Option<Opened<'_, Wakers>>,
        mut observed: Observed,
    ) -> Result<Self> {
        let Some(Opened { cid, wake, request }) = opened else {
            observed.end(CallOutcome::Lost);
            return Err(channel.gone());
        };
        channel.session().describe(cid, Asked::now(kind, function.clone()));
        let opened = Self(DialogHandle::new(channel.clone(), cid, kind, function, wake), observed);
        if let Err(error) = channel.transmit(&request, 1) {
            let ended = channel.session().forget(cid);
            ended.iter().for_each(Wake::end);
            return Err(channel.not_sent(error));
        }
        Ok(opened)
    }

    pub(crate) fn handle(&self) -> &DialogHandle {
        &self.0
    }

    /// Returns how the function has ended, for those who observe calls.
    fn outcome(&self) -> CallOutcome {
        match self.0.end() {
            Some(End::Value(_)) => CallOutcome::Returned,
            Some(End::Lost) => CallOutcome::Lost,
            Some(End::Cancelled(..) | End::Left) | None => CallOutcome::Cancelled,
            Some(End::Error(error)) => self.0.channel().answered(&error).call_outcome(),
        }
    }

    /// Tells the peer that nothing more will come from the block, which has a value, if it would wait for that.
    pub(crate) fn leave(&self) {
        if let Some(stop) = self.0.with(Session::leave) {
            // If the connection is gone, the end follows.
            let _ = self.0.send(stop);
        }
    }
}

impl Drop for OpenedDialog {
    fn drop(&mut self) {
        if self.1.is_on() {
            self.1.end(self.outcome());
        }
        if let Some(cancel) = self.0.change(Session::abandon) {
            let cancelling = self.0.cancelling(Reason::Dropped);
            self.0.channel().transmit_or_log(&cancel, 0);
            if let Some(cancelling) = cancelling {
                cancelling.end(CancelOutcome::NotAwaited);
            }
        }
    }
}
