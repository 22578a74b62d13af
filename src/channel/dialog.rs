//! A dialog with a stream, as its task and the message loop share it.
//!
//! The rules are in [`crate::proto::dialog`], the lock and the wake-ups in [`super::state_cell`]; here stand
//! the messages.
//!
//! # Invariants
//! 1. The guard of a caller's dialog exists before the message that opens it is queued.

use std::fmt;
use std::sync::{Arc, MutexGuard, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use pleach_wire::msg::FunctionKind;
use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, CallOptions, Cid, Encode, Msg, Outgoing, TransportError};

use super::records::Kind;
use super::state_cell::StateCell;
use super::{Channel, ReplyTo};
use crate::error::{ContextCancelled, Error, Packed, Result};
use crate::proto::dialog::{Arrival, Canceller, Dialog, End, Misuse, Permit, Side, Take, TakeFirst};
use crate::proto::inbox::Intake;
use crate::proto::session::Outcome;
use crate::scope::CancelScope;

/// One side of a dialog. Cloning is cheap; dropping all handles ends nothing.
#[derive(Clone)]
pub(crate) struct DialogHandle(Arc<Shared>);

struct Shared {
    channel: Channel,
    cid: Cid,
    state: StateCell<Dialog>,
    /// The one task that takes stream messages: it is woken for each, so it has a place of its own.
    receiver: AtomicWaker,
    /// Where this side's messages go that have to stay in order, once there was one.
    lane: OnceLock<Lane>,
    /// Around the local code that is to be interrupted when the peer fails.
    interrupt: OnceLock<CancelScope>,
}

impl DialogHandle {
    pub(crate) fn new(channel: Channel, cid: Cid, state: Dialog) -> Self {
        Self(Arc::new(Shared {
            channel,
            cid,
            state: StateCell::new(state),
            receiver: AtomicWaker::new(),
            lane: OnceLock::new(),
            interrupt: OnceLock::new(),
        }))
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.0.channel
    }

    pub(crate) fn cid(&self) -> Cid {
        self.0.cid
    }

    /// Returns the kind of the dialog's function.
    pub(crate) fn kind(&self) -> FunctionKind {
        if self.state().is_one_way() { FunctionKind::Stream } else { FunctionKind::Context }
    }

    /// Names the scope to be cancelled when the peer fails, also if it has failed before.
    pub(crate) fn interrupt_with(&self, scope: CancelScope) {
        let scope = self.0.interrupt.get_or_init(|| scope);
        if self.failed() {
            scope.cancel();
        }
    }

    /// Takes a message from the message loop. Returns the peer's mistake, if it made one.
    pub(super) fn deliver(&self, msg: Msg) -> Result<(), &'static str> {
        let mut state = self.state();
        let fits = match msg {
            Msg::Started { value, .. } => state.handle_started(value).then_some(()).ok_or("a second first value"),
            Msg::Stream { buffer, waits, .. } => {
                state.handle_stream(buffer, waits);
                Ok(())
            }
            Msg::Yield { value, .. } => match state.handle_yield(value) {
                Arrival::Kept => Ok(()),
                Arrival::Credited(count) => {
                    drop(state);
                    self.wake();
                    self.send_credit(count);
                    return Ok(());
                }
                Arrival::Discarded(credit) => {
                    drop(state);
                    self.give_back(credit);
                    return Ok(());
                }
                Arrival::Unallowed => Err("a message without credit"),
            },
            Msg::Credit { count, .. } => {
                state.handle_credit(count);
                Ok(())
            }
            Msg::Stop { .. } => {
                state.handle_stop();
                Ok(())
            }
            _ => Err("a message that belongs to no dialog"),
        };
        drop(state);
        self.wake();
        fits
    }

    /// Ends the dialog with the peer's answer.
    pub(super) fn finish_with(&self, outcome: Outcome) {
        self.finish(match outcome {
            Outcome::Value(value) => End::Value(value),
            Outcome::Error(error) => match error.decode() {
                Ok(Packed::ContextCancelled(cancelled)) => End::Cancelled(error, self.canceller(&cancelled)),
                _ => End::Error(error),
            },
        });
    }

    fn canceller(&self, cancelled: &ContextCancelled) -> Canceller {
        match &cancelled.canceller {
            Some(actor) if actor == self.0.channel.here() => Canceller::Us,
            Some(actor) if actor == self.0.channel.peer() => Canceller::Peer,
            _ => Canceller::Other,
        }
    }

    /// Ends the dialog on the side of a function that has ended.
    pub(super) fn leave(&self) {
        self.finish(End::Left);
    }

    /// Ends the dialog; interrupts the local code if that is a failure it has not asked for.
    pub(super) fn finish(&self, end: End) {
        self.state().handle_end(end);
        self.wake();
        if self.failed()
            && let Some(scope) = self.0.interrupt.get()
        {
            scope.cancel();
        }
    }

    fn failed(&self) -> bool {
        self.state().failure().is_some()
    }

    /// Looks at the state, or changes it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Dialog) -> T) -> T {
        let done = self.0.state.with(act);
        self.0.receiver.wake();
        done
    }

    /// Wakes all waiters of the state after a change.
    fn wake(&self) {
        self.0.state.changed();
        self.0.receiver.wake();
    }

    /// Waits for the first value.
    pub(crate) async fn first(&self) -> TakeFirst {
        self.0.state.until(|state| Some(state.take_first()).filter(|first| !matches!(first, TakeFirst::Wait))).await
    }

    /// Waits until a stream message may be sent, or never may.
    pub(crate) async fn permit(&self) -> Permit {
        let permit = self.permit_but(Permit::Wait).await;
        if permit != Permit::NotOpened {
            return permit;
        }
        // Credit may come without a stream: a caller that waits for the result discards messages.
        match tokio::time::timeout(PEER_OPENS, self.permit_but(Permit::NotOpened)).await {
            Ok(Permit::Wait) => self.permit_but(Permit::Wait).await,
            Ok(permit) => permit,
            Err(_late) => Permit::NotOpened,
        }
    }

    async fn permit_but(&self, unsettled: Permit) -> Permit {
        self.0.state.until(|state| Some(state.take_permit()).filter(|permit| *permit != unsettled)).await
    }

    /// Takes the next stream message; the last task that polls this is woken when there is one.
    pub(crate) fn poll_item(&self, cx: &Context<'_>) -> Poll<Take> {
        let take = self.state().take_item();
        if !matches!(take, Take::Wait) {
            return Poll::Ready(take);
        }
        self.0.receiver.register(cx.waker());
        // Once more: it may have changed before the line above.
        match self.state().take_item() {
            Take::Wait => Poll::Pending,
            take => Poll::Ready(take),
        }
    }

    /// Waits for the dialog's end, and forgets stream messages meanwhile: a peer that waits for credit
    /// would never end.
    pub(crate) async fn ended(&self) -> End {
        loop {
            let found = |state: &mut Dialog| {
                let (forgotten, end) = (state.discard_items(), state.end().cloned());
                (forgotten.is_some() || end.is_some()).then_some((forgotten, end))
            };
            let (forgotten, end) = self.0.state.until(found).await;
            match end {
                Some(end) => return end,
                None => self.give_back(forgotten),
            }
        }
    }

    /// Gives the peer credit for stream messages that were forgotten, so that its task can go on.
    pub(crate) fn give_back(&self, forgotten: Option<u32>) {
        let Some(count) = forgotten else { return };
        self.send_credit(count);
        if let Some(times) = self.0.channel.may_log(Kind::NotTaken) {
            debug!(target: "pleach::runtime", dialog = ?self, count, times, "stream messages were not taken");
        }
    }

    /// Lets the peer send so many more stream messages.
    pub(crate) fn send_credit(&self, count: u32) {
        // If the connection is gone, the end follows.
        let _ = self.send(&Outgoing::Credit { cid: self.0.cid, count });
    }

    /// Turns a use of the dialog that can't work into the error of its user.
    pub(crate) fn error_of_misuse(&self, misuse: Misuse) -> Error {
        match misuse {
            Misuse::Cancelled => {
                let (here, there) = (self.0.channel.here(), self.0.channel.peer());
                Error::ContextCancelled(Box::new(ContextCancelled::at(there, Some(here.clone()))))
            }
            other => Error::Usage(other.to_string()),
        }
    }

    /// Ready while not too much of this dialog is still to be sent.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.channel.poll_lane_room(self.lane(), cx)
    }

    /// Sends a message of this dialog.
    ///
    /// # Errors
    /// When its value can't be sent, or the connection is gone.
    pub(crate) fn send(&self, msg: &Outgoing<'_>) -> Result<()> {
        // The message loop writes: messages that a task sends without waiting go out together.
        let sent = match msg {
            Outgoing::Credit { .. } => self.0.channel.send(Lane::CONTROL, msg, usize::MAX),
            in_order => self.send_in_order(in_order, usize::MAX).map(drop),
        };
        sent.map_err(|error| self.0.channel.explain(error))
    }

    /// Sends a message behind all of this side that were sent in this way; returns on which lane.
    pub(super) fn send_in_order(&self, msg: &Outgoing<'_>, under_way: usize) -> Result<Lane, TransportError> {
        let channel = &self.0.channel;
        if let Some(lane) = self.0.lane.get() {
            channel.send(*lane, msg, under_way)?;
            return Ok(*lane);
        }
        // The first message. Usually one task sends it, by `started` or by opening the stream; the first one's lane
        // becomes the dialog's.
        let mut lane = Lane(self.0.cid.0);
        let mut sent = channel.send(lane, msg, under_way);
        if let Err(TransportError::Encode { .. }) = sent {
            // The value can't be sent, or the connection has no lane to spare: then this one does.
            lane = Lane::CONTROL;
            sent = channel.send(lane, msg, under_way);
        }
        sent?;
        Ok(*self.0.lane.get_or_init(|| lane))
    }

    fn lane(&self) -> Lane {
        self.0.lane.get().copied().unwrap_or(Lane::CONTROL)
    }

    /// Turns an end that is a failure into the error for its observer.
    pub(crate) fn error_of(&self, end: End) -> Error {
        match end {
            End::Error(error) | End::Cancelled(error, _) => match error.decode::<Packed>() {
                Ok(packed) => packed.unpack(self.0.channel.peer()),
                Err(unreadable) => Error::Transport(unreadable),
            },
            End::Lost => self.0.channel.gone(),
            End::Value(_) | End::Left => Error::Usage("the context has ended: its function has returned".into()),
        }
    }

    /// Asks the peer to cancel the dialog's task, and waits for the dialog's end, which the acknowledgement only
    /// follows.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when that did not come in time.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub(crate) async fn cancel(&self) -> Result<()> {
        self.with(Dialog::request_cancel);
        let channel = &self.0.channel;
        if !channel.send_cancel(self.0.cid, None) {
            return Ok(());
        }
        let over = self.0.state.until(|state| state.end().map(|end| matches!(end, End::Lost)));
        match tokio::time::timeout(channel.0.cancel_ack, over).await {
            Ok(lost) => {
                if lost {
                    debug!(target: "pleach::cancel", dialog = ?self, "no acknowledgement: the connection is gone");
                }
                Ok(())
            }
            Err(_) => {
                let late = channel.too_slow();
                warn!(target: "pleach::cancel", dialog = ?self, %late, "no acknowledgement: the connection stands, the peer is slow");
                Err(late)
            }
        }
    }

    /// Cancels the task of this dialog that runs here. Returns at once.
    pub(crate) fn cancel_here(&self) {
        let scope = self.0.channel.session().task(self.0.cid).cloned();
        if let Some(scope) = scope {
            scope.cancel();
        }
    }

    /// Waits for the dialog's end, but once this side has asked to cancel it only as long as
    /// [`cancel`](Self::cancel) does.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    ///
    /// # Cancel safety
    /// Nothing but unread stream messages is lost; ask again.
    pub(crate) async fn settled(&self) -> Result<End> {
        if self.with(|state| state.cancel_called() && state.end().is_none()) {
            self.cancel().await?;
        }
        Ok(self.ended().await)
    }

    fn state(&self) -> MutexGuard<'_, Dialog> {
        self.0.state.lock()
    }
}

impl Drop for Shared {
    /// The session, the block or the function, and its streams have let go: nothing can be sent any more.
    fn drop(&mut self) {
        if let Some(lane) = self.lane.get().filter(|lane| **lane != Lane::CONTROL) {
            self.channel.transport().close_lane(*lane);
        }
    }
}

impl fmt::Debug for DialogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dialog {} with {}", self.0.cid, self.0.channel.peer())
    }
}

/// A dialog that was opened here. Dropping it before its end asks the peer to cancel the task.
pub(crate) struct OpenedDialog(DialogHandle);

impl OpenedDialog {
    /// Opens a dialog: the message is queued, and on its way. At the deadline the peer cancels the task
    /// by itself.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn open(channel: &Channel, target: ByteStr, args: &dyn Encode, terms: CallOptions) -> Result<Self> {
        Self::begin(channel, Dialog::new(Side::Caller), |cid| Outgoing::Open { cid, target, args, terms })
    }

    /// Opens the dialog of a one-way stream; otherwise as [`open`](Self::open).
    pub(crate) fn pull(
        channel: &Channel,
        target: ByteStr,
        args: &dyn Encode,
        terms: CallOptions,
        intake: Intake,
    ) -> Result<Self> {
        let (buffer, waits) = (intake.buffer, intake.lets_senders_wait());
        let state = Dialog::one_way_receiver(intake);
        Self::begin(channel, state, |cid| Outgoing::Pull { cid, target, buffer, waits, args, terms })
    }

    fn begin<'a>(channel: &Channel, state: Dialog, opening: impl FnOnce(Cid) -> Outgoing<'a>) -> Result<Self> {
        let mut made = None;
        let opened = channel.session().open_with(|cid| {
            let handle = made.insert(DialogHandle::new(channel.clone(), cid, state));
            (ReplyTo::Dialog(handle.clone()), Some(handle.clone()))
        });
        let (Some(cid), Some(handle)) = (opened, made) else { return Err(channel.gone()) };
        let opened = Self(handle);
        if let Err(error) = channel.send(Lane::CONTROL, &opening(cid), 1) {
            channel.session().forget(cid);
            opened.0.finish(End::Lost);
            return Err(channel.explain(error));
        }
        Ok(opened)
    }

    pub(crate) fn handle(&self) -> &DialogHandle {
        &self.0
    }

    /// Tells the peer that nothing more will come from the block, which has a value, if it would wait for that.
    pub(crate) fn leave(&self) {
        if self.0.with(Dialog::leave) {
            // If the connection is gone, the end follows.
            let _ = self.0.send(&Outgoing::Stop { cid: self.0.cid() });
        }
    }
}

impl Drop for OpenedDialog {
    fn drop(&mut self) {
        self.0.with(Dialog::leave);
        if self.0.state().end().is_none() {
            self.0.with(Dialog::request_cancel);
            self.0.0.channel.send_cancel(self.0.0.cid, None);
        }
    }
}

/// How long a sender without credit waits for a peer that has not opened its stream: long enough for
/// one that is about to, as both sides usually open theirs first thing.
const PEER_OPENS: Duration = Duration::from_millis(500);
