//! A dialog with a stream, as its task and the message loop share it.
//!
//! The rules are in [`crate::proto::dialog`]; here stand the lock, the wake-ups and the messages.
//!
//! # Invariants
//! 1. Whoever changes the state wakes all who wait on it, after the change.
//! 2. The guard of a caller's dialog exists before the message that opens it is queued.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use pleach_wire::msg::FunctionKind;
use pleach_wire::{ByteStr, Cid, Encode, Msg, Outgoing};
use tokio::sync::{Notify, oneshot};

use super::{Channel, ReplyTo};
use crate::error::{Error, Packed, Result};
use crate::proto::dialog::{Arrival, Dialog, End, Permit, Side, Take, TakeFirst};
use crate::proto::inbox::Intake;
use crate::scope::CancelScope;

/// One side of a dialog. Cloning is cheap; dropping all handles ends nothing.
#[derive(Clone)]
pub(crate) struct DialogHandle(Arc<Shared>);

struct Shared {
    channel: Channel,
    cid: Cid,
    state: Mutex<Dialog>,
    changed: Notify,
    /// The one task that takes stream messages: it is woken for each, so it has a place of its own.
    receiver: AtomicWaker,
    /// Around the local code that is to be interrupted when the peer fails.
    interrupt: OnceLock<CancelScope>,
    cancel_called: AtomicBool,
}

impl DialogHandle {
    pub(crate) fn new(channel: Channel, cid: Cid, state: Dialog) -> Self {
        Self(Arc::new(Shared {
            channel,
            cid,
            state: Mutex::new(state),
            changed: Notify::new(),
            receiver: AtomicWaker::new(),
            interrupt: OnceLock::new(),
            cancel_called: AtomicBool::new(false),
        }))
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.0.channel
    }

    pub(crate) fn cid(&self) -> Cid {
        self.0.cid
    }

    /// Returns what kind of function it is the dialog of.
    pub(crate) fn kind(&self) -> FunctionKind {
        if self.state().is_one_way() { FunctionKind::Stream } else { FunctionKind::Context }
    }

    /// Names the scope to be cancelled when the peer fails (invariant 1 holds for an end that came before).
    pub(crate) fn interrupt_with(&self, scope: CancelScope) {
        let scope = self.0.interrupt.get_or_init(|| scope);
        if self.failed() {
            scope.cancel();
        }
    }

    /// Takes a message from the message loop. Returns what the peer did wrong, if it did.
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
            _ => Err("a message that is no dialog's"),
        };
        drop(state);
        self.wake();
        fits
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
        let failed = matches!(self.state().end(), Some(End::Error(_) | End::Lost));
        failed && !self.cancel_called()
    }

    pub(crate) fn cancel_called(&self) -> bool {
        self.0.cancel_called.load(Ordering::Acquire)
    }

    /// Looks at the state, or changes it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Dialog) -> T) -> T {
        let done = act(&mut self.state());
        self.wake();
        done
    }

    /// Wakes all who wait on the state (invariant 1).
    fn wake(&self) {
        self.0.changed.notify_waiters();
        self.0.receiver.wake();
    }

    /// Waits until `look` finds something.
    ///
    /// # Cancel safety
    /// If dropped, nothing has been taken.
    async fn until<T>(&self, mut look: impl FnMut(&mut Dialog) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(&mut self.state()) {
                return found;
            }
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            // Once more: it may have changed before the line above.
            if let Some(found) = look(&mut self.state()) {
                return found;
            }
            changed.await;
        }
    }

    /// Waits for the first value.
    pub(crate) async fn first(&self) -> TakeFirst {
        self.until(|state| Some(state.take_first()).filter(|first| !matches!(first, TakeFirst::Wait))).await
    }

    /// Waits until a stream message may be sent, or never may.
    pub(crate) async fn permit(&self) -> Permit {
        let permit = self.until(|state| Some(state.take_permit()).filter(|permit| *permit != Permit::Wait)).await;
        if permit != Permit::NotOpened {
            return permit;
        }
        let settled = |permit: &Permit| !matches!(permit, Permit::Wait | Permit::NotOpened);
        let opened = self.until(|state| state.peer_has_opened().then_some(()));
        match tokio::time::timeout(PEER_OPENS, opened).await {
            Ok(()) => self.until(|state| Some(state.take_permit()).filter(settled)).await,
            Err(_late) => Permit::NotOpened,
        }
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

    /// Waits while the send queue is too long, as [`Channel::room`] does.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.channel.poll_room(cx)
    }

    /// Waits for the dialog's end, and forgets stream messages meanwhile: a peer that waits for credit
    /// would never end.
    pub(crate) async fn ended(&self) -> End {
        loop {
            let found = |state: &mut Dialog| {
                let (forgotten, end) = (state.discard_items(), state.end().cloned());
                (forgotten.is_some() || end.is_some()).then_some((forgotten, end))
            };
            let (forgotten, end) = self.until(found).await;
            match end {
                Some(end) => return end,
                None => self.give_back(forgotten),
            }
        }
    }

    /// Gives the peer credit for stream messages that were forgotten, so that its task can go on.
    pub(crate) fn give_back(&self, forgotten: Option<u32>) {
        let Some(count) = forgotten else { return };
        tracing::debug!(target: "pleach::runtime", dialog = ?self, count, "stream messages were not taken");
        self.send_credit(count);
    }

    /// Lets the peer send so many more stream messages.
    pub(crate) fn send_credit(&self, count: u32) {
        // If the connection is gone, the end follows.
        let _ = self.send(&Outgoing::Credit { cid: self.0.cid, count });
    }

    /// Sends a message of this dialog.
    ///
    /// # Errors
    /// When its value can't be sent, or the connection is gone.
    pub(crate) fn send(&self, msg: &Outgoing<'_>) -> Result<()> {
        // The message loop writes: what a task sends without waiting goes out together.
        self.0.channel.send(msg, usize::MAX).map_err(|error| self.0.channel.explain(error))
    }

    /// Turns an end that is a failure into the error of whoever meets it.
    pub(crate) fn error_of(&self, end: End) -> Error {
        match end {
            End::Error(error) => match error.decode::<Packed>() {
                Ok(packed) => packed.unpack(self.0.channel.peer()),
                Err(unreadable) => Error::Transport(unreadable),
            },
            End::Lost => self.0.channel.gone(),
            End::Value(_) => Error::Usage("the context is over: its function has returned".into()),
        }
    }

    /// Asks the peer to cancel the dialog's task, and waits until it is over.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when neither an acknowledgement nor an end came in time.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub(crate) async fn cancel(&self) -> Result<()> {
        self.0.cancel_called.store(true, Ordering::Release);
        let (ack, acked) = oneshot::channel();
        if !self.0.channel.send_cancel(self.0.cid, Some(ack)) {
            return Ok(());
        }
        match acked.await {
            Ok(()) => Ok(()),
            Err(_) if self.state().end().is_some() || self.0.channel.end().is_some() => Ok(()),
            Err(_) => Err(self.0.channel.too_slow()),
        }
    }

    fn state(&self) -> MutexGuard<'_, Dialog> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// Opens a dialog: the message is queued, and on its way.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn open(channel: &Channel, target: ByteStr, args: &dyn Encode) -> Result<Self> {
        Self::begin(channel, Dialog::new(Side::Caller), |cid| Outgoing::Open { cid, target, args })
    }

    /// Opens the dialog of a one-way stream; otherwise as [`open`](Self::open).
    pub(crate) fn pull(channel: &Channel, target: ByteStr, args: &dyn Encode, intake: Intake) -> Result<Self> {
        let (buffer, waits) = (intake.buffer, intake.lets_senders_wait());
        let state = Dialog::one_way_receiver(intake);
        Self::begin(channel, state, |cid| Outgoing::Pull { cid, target, buffer, waits, args })
    }

    fn begin<'a>(channel: &Channel, state: Dialog, opening: impl FnOnce(Cid) -> Outgoing<'a>) -> Result<Self> {
        let mut made = None;
        let opened = channel.session().open_with(|cid| {
            let handle = made.insert(DialogHandle::new(channel.clone(), cid, state));
            (ReplyTo::Dialog(handle.clone()), Some(handle.clone()))
        });
        let (Some(cid), Some(handle)) = (opened, made) else { return Err(channel.gone()) };
        let opened = Self(handle);
        if let Err(error) = channel.send(&opening(cid), 1) {
            channel.session().forget(cid);
            opened.0.finish(End::Lost);
            return Err(channel.explain(error));
        }
        Ok(opened)
    }

    pub(crate) fn handle(&self) -> &DialogHandle {
        &self.0
    }
}

impl Drop for OpenedDialog {
    fn drop(&mut self) {
        if self.0.state().end().is_none() {
            self.0.0.cancel_called.store(true, Ordering::Release);
            self.0.0.channel.send_cancel(self.0.0.cid, None);
        }
    }
}

/// How long a sender without credit waits for a peer that has not opened its stream: long enough for
/// one that is about to, as both sides usually open theirs first thing.
const PEER_OPENS: Duration = Duration::from_millis(500);
