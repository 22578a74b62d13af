//! A dialog with a stream, as its task and the message loop share it.
//!
//! The rules are in [`crate::proto::session`], which owns the dialog; here its tasks wait, and are woken.
//!
//! # Invariants
//! 1. A change that a task may wait for wakes all of them, after the session is unlocked.

mod batch;
mod sending;
mod wake;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};

use pleach_wire::msg::FunctionKind;
use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, Cid, Encode, Payload};
use tokio::sync::oneshot;

use self::batch::Batch;
pub(crate) use self::wake::Wake;
use super::cancelling::{CancelOutcome, Cancelling, Reason, Subject};
use super::records::Kind;
use super::{Channel, Sent, Wakers};
use crate::error::Result;
use crate::proto::dialog::{Dialog, End, Take, TakeFirst};
use crate::proto::inbox::Intake;
use crate::proto::session::Session;
use crate::proto::transmit::{Credit, Transmit};
use crate::scope::CancelScope;

/// One side of a dialog. Cloning is cheap; dropping all handles lets go of the dialog, and ends nothing.
#[derive(Clone)]
pub struct DialogHandle(Arc<Held>);

struct Held {
    channel: Channel,
    cid: Cid,
    kind: FunctionKind,
    function: ByteStr,
    wake: Arc<Wake>,
    /// Where this side's messages wait that have to stay in order, once there was one.
    lane: OnceLock<Lane>,
    /// Whether so much may be queued on the lane that its room has to be looked at.
    may_lack_room: AtomicBool,
    /// Held from the permit for a stream message until its size is counted: so the next one knows of it.
    sending: Mutex<Batch>,
    /// Whether there are messages in `sending`.
    has_items: AtomicBool,
    /// Whether the last message was too large to share a frame.
    sends_large: AtomicBool,
    /// Whether its cancellation has a record, or will have one.
    cancel_recorded: AtomicBool,
}

impl Channel {
    /// Lets the peer send more stream messages.
    pub(super) fn give_credit(&self, credit: Option<Credit>) {
        if let Some(credit) = credit {
            // If the connection is gone, the end follows.
            let _ = self.transmit(&credit.transmit(), WITH_OTHERS);
        }
    }

    /// Gives the peer credit for stream messages that no task takes.
    pub(super) fn give_back(&self, cid: Cid, credit: Option<Credit>) {
        if credit.is_some()
            && let Some(count) = self.may_log(Kind::NotTaken)
        {
            debug!(target: "pleach::runtime", peer = %self.peer(), %cid, count, "stream messages were not taken");
        }
        self.give_credit(credit);
    }
}

impl DialogHandle {
    pub(super) fn new(channel: Channel, cid: Cid, kind: FunctionKind, function: ByteStr, wake: Arc<Wake>) -> Self {
        Self(Arc::new(Held {
            channel,
            cid,
            kind,
            function,
            wake,
            lane: OnceLock::new(),
            may_lack_room: AtomicBool::new(false),
            sending: Mutex::new(Batch::new()),
            has_items: AtomicBool::new(false),
            sends_large: AtomicBool::new(false),
            cancel_recorded: AtomicBool::new(false),
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
        self.0.kind
    }

    /// Looks at the dialog.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Dialog) -> T) -> T {
        self.with(|session, cid| look(session.dialog(cid)))
    }

    /// Returns how the dialog ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.look(|dialog| dialog.end().cloned())
    }

    /// Returns the end if it is a failure for this side.
    pub(crate) fn failure(&self) -> Option<End> {
        self.look(|dialog| dialog.failure().cloned())
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Session<Wakers>, Cid) -> T) -> T {
        act(&mut self.0.channel.session(), self.0.cid)
    }

    /// As [`with`](Self::with), for a change that a task of this side may wait for.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut Session<Wakers>, Cid) -> T) -> T {
        let done = self.with(act);
        self.0.wake.wake();
        done
    }

    async fn until<T>(&self, mut look: impl FnMut(&mut Session<Wakers>, Cid) -> Option<T>) -> T {
        self.0.wake.until(|| self.with(&mut look)).await
    }

    /// Names the scope to be cancelled when the peer fails, also if it has failed before.
    pub(crate) fn interrupt_with(&self, scope: CancelScope) {
        let scope = self.0.wake.interrupt_with(scope);
        if self.failure().is_some() {
            scope.cancel();
        }
    }

    /// Says the first value.
    ///
    /// # Errors
    /// When it was said before, or can't be any more; when it can't be sent.
    pub(crate) fn start(&self, value: &dyn Encode) -> Result<()> {
        let started = self.with(|session, cid| session.start(cid, value));
        self.send(started.map_err(|misuse| self.error_of_misuse(misuse))?)
    }

    /// Waits for the first value.
    pub(crate) async fn first(&self) -> TakeFirst {
        let take = |session: &mut Session<Wakers>, cid| session.dialog(cid).take_first();
        self.until(|session, cid| Some(take(session, cid)).filter(|first| !matches!(first, TakeFirst::Wait))).await
    }

    /// Opens this side's end of the stream.
    ///
    /// # Errors
    /// When it is too early, too late, or was done before.
    pub(crate) fn open_stream(&self, intake: Intake) -> Result<()> {
        let opened = self.with(|session, cid| session.open_stream(cid, intake));
        let opened = opened.map_err(|misuse| self.error_of_misuse(misuse))?;
        opened.into_iter().flatten().try_for_each(|transmit| self.send(transmit))
    }

    /// Takes the next stream message, and puts some of those behind it into `behind`; the last task that polls this is
    /// woken when there is one.
    pub(crate) fn poll_items(&self, cx: &Context<'_>, behind: &mut VecDeque<Payload>) -> Poll<Take> {
        let take = self.take_items(behind);
        if !matches!(take, Take::Wait) {
            return Poll::Ready(take);
        }
        self.0.wake.register_receiver(cx);
        // Once more: it may have changed before the line above.
        match self.take_items(behind) {
            Take::Wait => Poll::Pending,
            take => Poll::Ready(take),
        }
    }

    fn take_items(&self, behind: &mut VecDeque<Payload>) -> Take {
        let (take, credit) = self.with(|session, cid| session.take_items(cid, behind));
        self.0.channel.give_credit(credit);
        take
    }

    /// Ends the sending direction of this side's stream.
    ///
    /// # Errors
    /// The connection is gone.
    pub(crate) fn finish_stream(&self) -> Result<()> {
        self.change(Session::finish_stream).map_or(Ok(()), |stop| self.send(stop))
    }

    /// Ends the receiving direction of this side's stream: messages that no task has taken are forgotten, as are later
    /// ones.
    pub(crate) fn stop_receiving(&self) {
        let credit = self.change(Session::stop_receiving);
        self.0.channel.give_back(self.0.cid, credit);
    }

    /// Waits for the dialog's end, and forgets stream messages meanwhile: a peer that waits for credit
    /// would never end.
    pub(crate) async fn ended(&self) -> End {
        let found = |session: &mut Session<Wakers>, cid| {
            let (credit, end) = (session.discard_items(cid), session.dialog(cid).end().cloned());
            (credit.is_some() || end.is_some()).then_some((credit, end))
        };
        loop {
            match self.until(found).await {
                (_, Some(end)) => return end,
                (credit, None) => self.0.channel.give_back(self.0.cid, credit),
            }
        }
    }

    /// Sends a message of this dialog, behind its stream messages.
    pub(super) fn send(&self, transmit: Transmit<'_>) -> Result<()> {
        self.queue_items();
        self.send_now(transmit)
    }

    fn send_now(&self, transmit: Transmit<'_>) -> Result<()> {
        // The message loop writes: messages that a task sends without waiting go out together.
        let sent = self.0.channel.transmit(&transmit, WITH_OTHERS);
        let Sent { lane, waiting } = sent.map_err(|error| self.0.channel.not_sent(error))?;
        self.note_waiting(waiting);
        if transmit.settles().is_some() {
            self.0.lane.get_or_init(|| lane);
        }
        Ok(())
    }

    fn note_waiting(&self, waiting: usize) {
        if waiting >= LOOK_FOR_ROOM {
            self.0.may_lack_room.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that this side cancels the function: from here on its end, or that of the connection, is as expected.
    pub(crate) fn note_cancel(&self) {
        self.change(|session, cid| session.dialog(cid).request_cancel());
    }

    /// Asks the peer to cancel the dialog's task, and waits for the dialog's end, which the acknowledgement only
    /// follows.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`](crate::Error::ActorTooSlow) when that did not come in time.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub(crate) async fn cancel(&self, reason: Reason) -> Result<()> {
        let is_told = matches!(reason, Reason::Asked); // the block gets the function's failure
        let cancelling = self.cancelling(reason);
        let (ack, acked) = oneshot::channel();
        let runs = self.0.channel.send_cancel(self.0.cid, Some(ack));
        self.0.wake.wake();
        let acked = match runs {
            true => self.0.channel.acknowledged(acked).await,
            false => Ok(Some(self.0.channel.nothing_to_cancel())),
        };
        if let Some(cancelling) = cancelling {
            let failure = self.failure().filter(|_| !is_told && acked.is_ok()).map(|failed| self.error_of(failed));
            cancelling.end_with(self.how_cancelled(&acked), failure.as_ref());
        }
        acked.map(drop)
    }

    fn how_cancelled(&self, acked: &Result<Option<CancelOutcome>>) -> CancelOutcome {
        let Ok(acked) = acked else { return CancelOutcome::TooLate };
        if self.failure().is_some() {
            return CancelOutcome::Failed;
        }
        match self.end() {
            Some(End::Value(_)) => CancelOutcome::FinishedFirst,
            Some(End::Lost) => CancelOutcome::Gone,
            _ => acked.unwrap_or(CancelOutcome::Gone),
        }
    }

    /// Begins the one record of its cancellation; `None` if there is one already.
    pub(super) fn cancelling(&self, reason: Reason) -> Option<Cancelling> {
        if self.0.cancel_recorded.swap(true, Ordering::AcqRel) {
            return None;
        }
        let subject = Subject::Function(self.0.kind, self.0.function.clone());
        Some(Cancelling::begin(&self.0.channel, subject, reason))
    }

    /// Cancels the task of this dialog that runs here. Returns at once.
    pub(crate) fn cancel_here(&self) {
        if let Some(running) = self.with(|session, cid| session.task(cid).cloned()) {
            running.scope.cancel();
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
        if self.look(|dialog| dialog.cancel_called() && dialog.end().is_none()) {
            self.cancel(Reason::Asked).await?;
        }
        Ok(self.ended().await)
    }
}

impl Drop for Held {
    /// The block or the function, and its streams have let go.
    fn drop(&mut self) {
        self.channel.release(self.cid);
    }
}

impl fmt::Debug for DialogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dialog {} with {}", self.0.cid, self.0.channel.peer())
    }
}

/// From so many queued bytes on, a sender looks whether its lane has room: no transport has less.
const LOOK_FOR_ROOM: usize = 64 << 10;

/// That more messages are under way: the driver writes them together.
const WITH_OTHERS: usize = usize::MAX;
