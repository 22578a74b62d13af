//! A dialog with a stream, as its task and the message loop share it.
//!
//! The rules are in [`crate::proto::dialog`], the lock and the wake-ups in [`super::watched`]; here stand
//! the messages.
//!
//! # Invariants
//! 1. The guard of a caller's dialog exists before the message that opens it is queued.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

use pleach_wire::{ByteStr, Cid, Encode, Msg, Outgoing};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::watched::Watched;
use super::{Channel, ReplyTo, time_left};
use crate::error::{Error, Packed, Result};
use crate::proto::dialog::{Arrival, Dialog, End, Permit, Side, Take, TakeFirst};
use crate::scope::CancelScope;

/// One side of a dialog. Cloning is cheap; dropping all handles ends nothing.
#[derive(Clone)]
pub(crate) struct DialogHandle(Arc<Shared>);

struct Shared {
    channel: Channel,
    cid: Cid,
    state: Watched<Dialog>,
    /// Around the local code that is to be interrupted when the peer fails.
    interrupt: OnceLock<CancelScope>,
    cancel_called: AtomicBool,
}

impl DialogHandle {
    pub(crate) fn new(channel: Channel, cid: Cid, side: Side) -> Self {
        Self(Arc::new(Shared {
            channel,
            cid,
            state: Watched::new(Dialog::new(side)),
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

    /// Names the scope to be cancelled when the peer fails, also if it has failed before.
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
        self.0.state.changed();
        fits
    }

    /// Ends the dialog; interrupts the local code if that is a failure it has not asked for.
    pub(super) fn finish(&self, end: End) {
        self.state().handle_end(end);
        self.0.state.changed();
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
        self.0.state.with(act)
    }

    /// Waits for the first value.
    pub(crate) async fn first(&self) -> TakeFirst {
        self.0.state.until(|state| Some(state.take_first()).filter(|first| !matches!(first, TakeFirst::Wait))).await
    }

    /// Waits until a stream message may be sent, or never may.
    pub(crate) async fn permit(&self) -> Permit {
        let permit =
            self.0.state.until(|state| Some(state.take_permit()).filter(|permit| *permit != Permit::Wait)).await;
        if permit != Permit::NotOpened {
            return permit;
        }
        let settled = |permit: &Permit| !matches!(permit, Permit::Wait | Permit::NotOpened);
        let opened = self.0.state.until(|state| state.peer_has_opened().then_some(()));
        match tokio::time::timeout(PEER_OPENS, opened).await {
            Ok(()) => self.0.state.until(|state| Some(state.take_permit()).filter(settled)).await,
            Err(_late) => Permit::NotOpened,
        }
    }

    /// Waits for the next stream message.
    pub(crate) async fn item(&self) -> Take {
        self.0.state.until(|state| Some(state.take_item()).filter(|take| !matches!(take, Take::Wait))).await
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
        tracing::debug!(target: "pleach::runtime", dialog = ?self, count, "stream messages were not taken");
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
        self.0.state.lock()
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
    pub(crate) fn open(
        channel: &Channel,
        target: ByteStr,
        args: &dyn Encode,
        deadline: Option<Instant>,
    ) -> Result<Self> {
        let mut made = None;
        let opened = channel.session().open_with(|cid| {
            let handle = made.insert(DialogHandle::new(channel.clone(), cid, Side::Caller));
            (ReplyTo::Dialog(handle.clone()), Some(handle.clone()))
        });
        let (Some(cid), Some(handle)) = (opened, made) else { return Err(channel.gone()) };
        let opened = Self(handle);
        let open = Outgoing::Open { cid, target, args, deadline: deadline.map(time_left) };
        if let Err(error) = channel.send(&open, 1) {
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
