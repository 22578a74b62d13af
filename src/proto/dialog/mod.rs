//! One dialog of a context or a one-way stream: its first value, its stream with credits, its end. One
//! side's view.
//!
//! ```text
//! caller                                   callee
//!   Opening ── started ──► Open              Running ── start ──► Started
//!      │                    │ end                │ end              │ end
//!      └── end ──► Ended ◄──┘                    └────► Ended ◄─────┘
//!
//! the stream, on either side               what this side may send
//!   NotOpened ── open ──► Opened             credit ── take ──► credit - 1
//!                  │ finish, stop            no credit: wait, if the peer lets senders wait, or may
//!                  ▼                                    still open its stream; otherwise an overrun
//!                Finished: messages can be taken
//!                  │ stop
//!                  ▼
//!                Stopped: messages are discarded
//!
//! the end, for the side that opened it     has it asked to cancel?     no        before    after
//!   the function returned                                              value     value     value
//!   it was cancelled                                                   raised    absorbed  raised
//!   the connection was lost                                            raised    absorbed  absorbed
//!   it failed                                                          raised    raised    raised
//! ```
//! The receiver grants credit for as many messages as it buffers, and gives it back as its task takes
//! them, see `inbox.rs`. So a connection's message loop never waits for a slow task.
//!
//! A one-way stream says no first value, and both its ends are open from the start. The side that only
//! takes says no `stop` either: it cancels the task.
//!
//! # Invariants
//! 1. Messages that arrived before the end are handed out before it; a loss is reported in its place.
//! 2. A stream is opened once and stopped once; `started` is sent once.
//! 3. The first end counts: a value that the function returned before a cancel reached it wins.
//! 4. Nothing depends on whether a lost connection is noticed before or after this side asks to cancel.

mod outcomes;

use pleach_wire::Payload;
use pleach_wire::msg::{FunctionKind, INITIAL_CREDIT};

pub use self::outcomes::ContextState;
pub(crate) use self::outcomes::{Arrival, Canceller, End, Misuse, NoPermit, Take, TakeFirst};
use super::inbox::{Inbox, Intake, Lag, Popped, Pushed};

/// One side of a dialog.
#[derive(Debug)]
pub(crate) struct Dialog {
    side: Side,
    first: First,
    inbox: Inbox,
    peer_stopped: bool,
    cancel_called: bool,
    /// Whether that was before the end, so that the end may be its doing.
    cancel_in_time: bool,
    end: Option<End>,
    /// The block that opened the dialog has been left.
    left: bool,
    stream: Stream,
    credit: u32,
    /// Whether the peer has opened its stream, and lets senders wait.
    peer_stream: Option<bool>,
    one_way: bool,
}

/// Which side of a dialog this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It opened the dialog.
    Caller,
    /// It runs the dialog's function.
    Callee,
}

#[derive(Debug)]
enum First {
    Awaited,
    Here(Payload),
    Said,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    NotOpened,
    Opened,
    Finished,
    Stopped,
}

impl Dialog {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            first: First::Awaited,
            inbox: Inbox::new(INITIAL_CREDIT),
            peer_stopped: false,
            cancel_called: false,
            cancel_in_time: false,
            end: None,
            left: false,
            stream: Stream::NotOpened,
            credit: INITIAL_CREDIT,
            peer_stream: None,
            one_way: false,
        }
    }

    /// The side of a one-way stream that sends: its peer's end is open from the start.
    pub(super) fn one_way_sender(credit: u32, waits: bool) -> Self {
        let open = Self { first: First::Said, stream: Stream::Opened, one_way: true, ..Self::new(Side::Callee) };
        Self { credit, peer_stream: Some(waits), inbox: Inbox::new(0), ..open }
    }

    /// The receiving side of a one-way stream: its options travel with the message that opens the dialog.
    pub(super) fn one_way_receiver(intake: Intake) -> Self {
        let Intake { buffer, lag } = intake;
        let open = Self { first: First::Said, stream: Stream::Opened, one_way: true, ..Self::new(Side::Caller) };
        let mut dialog = Self { inbox: Inbox::new(buffer), ..open };
        if lag == Lag::DropOldest {
            dialog.inbox.keep_newest();
        }
        dialog
    }

    /// Returns the kind of its function.
    pub(super) fn kind(&self) -> FunctionKind {
        if self.one_way { FunctionKind::Stream } else { FunctionKind::Context }
    }

    /// Returns how many stream messages this side may send without waiting.
    pub(super) fn credit(&self) -> u32 {
        if self.end.is_some() { 0 } else { self.credit }
    }

    /// Returns how many stream messages wait here for their task.
    pub(super) fn unread(&self) -> u32 {
        self.inbox.len()
    }

    /// The peer's first value has come. Returns whether it was due.
    pub(super) fn handle_started(&mut self, value: Payload) -> bool {
        let due = self.side == Side::Caller && matches!(self.first, First::Awaited);
        if due {
            self.first = First::Here(value);
        }
        due
    }

    /// A stream message has come.
    pub(super) fn handle_yield(&mut self, value: Payload) -> Arrival {
        match self.inbox.push(value) {
            Pushed::Unallowed => Arrival::Unallowed,
            Pushed::Kept(_) if self.stream == Stream::Stopped => Arrival::Discarded(self.discard_items()),
            Pushed::Kept(credit) => credit.map_or(Arrival::Kept, Arrival::Credited),
        }
    }

    /// The peer sends no more stream messages.
    pub(super) fn handle_stop(&mut self) {
        self.peer_stopped = true;
    }

    /// The peer has opened its end of the stream.
    pub(super) fn handle_stream(&mut self, buffer: u32, waits: bool) {
        self.peer_stream = Some(waits);
        self.credit = self.credit.saturating_add(buffer.saturating_sub(INITIAL_CREDIT));
    }

    /// The peer's task has taken messages.
    pub(super) fn handle_credit(&mut self, count: u32) {
        self.credit = self.credit.saturating_add(count);
    }

    /// The dialog has ended. The first end counts.
    pub(super) fn handle_end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// This side asks to cancel the function. If that has ended, its end is not this side's doing.
    pub(crate) fn request_cancel(&mut self) {
        self.cancel_called = true;
        self.cancel_in_time |= self.end.is_none();
    }

    /// The block that opened the dialog has been left. Returns whether the peer must learn that no stream messages will
    /// come: an open stream's close says so itself.
    pub(super) fn leave(&mut self) -> bool {
        self.left = true;
        self.stream == Stream::NotOpened && self.end.is_none()
    }

    /// The callee is about to say its first value.
    ///
    /// # Errors
    /// When it has sent it, or can't any more.
    pub(super) fn start(&mut self) -> Result<(), Misuse> {
        match (&self.end, &self.first) {
            (Some(_), _) => Err(Misuse::Over),
            (None, First::Awaited) => {
                self.first = First::Said;
                Ok(())
            }
            (None, _) => Err(Misuse::StartedTwice),
        }
    }

    /// Takes the first value, on the caller's side.
    pub(crate) fn take_first(&mut self) -> TakeFirst {
        match (std::mem::replace(&mut self.first, First::Said), &self.end) {
            (First::Here(value), _) => TakeFirst::Value(value),
            (_, Some(end)) => TakeFirst::Ended(end.clone()),
            (first, None) => {
                self.first = first;
                TakeFirst::Wait
            }
        }
    }

    /// Opens this side's end of the stream, with room for `buffer` messages.
    ///
    /// # Errors
    /// When it is too early, too late, or was done before.
    pub(super) fn open_stream(&mut self, buffer: u32) -> Result<(), Misuse> {
        if self.cancel_called {
            return Err(Misuse::Cancelled);
        }
        if self.left || (self.side == Side::Callee && self.end.is_some()) {
            return Err(Misuse::Over);
        }
        match (self.stream, self.side, &self.first) {
            (Stream::NotOpened, Side::Callee, First::Awaited) => return Err(Misuse::NotStarted),
            (Stream::NotOpened, ..) => {}
            (Stream::Opened | Stream::Finished | Stream::Stopped, ..) => return Err(Misuse::OpenedBefore),
        }
        self.stream = Stream::Opened;
        self.inbox.resize(buffer);
        Ok(())
    }

    /// From now on a full buffer loses its oldest message to a new one, and the peer never waits for long.
    /// Returns the credit to be given back now, if any. This side's stream is open.
    pub(super) fn keep_newest(&mut self) -> Option<u32> {
        self.inbox.keep_newest()
    }

    /// Asks to send one stream message; it is counted.
    ///
    /// # Errors
    /// Why not, or not yet.
    pub(super) fn take_permit(&mut self) -> Result<(), NoPermit> {
        if self.end.is_some() || self.stream != Stream::Opened {
            return Err(NoPermit::Closed);
        }
        if self.credit > 0 {
            self.credit -= 1;
            return Ok(());
        }
        Err(match self.peer_stream {
            Some(true) => NoPermit::Wait,
            Some(false) => NoPermit::Overrun,
            None => NoPermit::NotOpened,
        })
    }

    /// Gives a permit back that was not used.
    pub(super) fn return_permit(&mut self) {
        self.credit += 1;
    }

    /// Takes the next stream message; also returns the credit to be given back now, if any.
    pub(super) fn take_item(&mut self) -> (Take, Option<u32>) {
        match self.inbox.pop() {
            // A peer that sends no more needs no credit.
            Popped::Item(item, credit) => {
                (Take::Item(item), credit.filter(|_| !self.peer_stopped && self.end.is_none()))
            }
            Popped::Lost(lost) => (Take::Lost(lost), None),
            Popped::Empty => (self.take_end(), None),
        }
    }

    /// What a reader finds behind the last message that is here.
    fn take_end(&self) -> Take {
        match &self.end {
            Some(end) if matches!(end, End::Left) || self.failure().is_some() => Take::Failed(end.clone()),
            // A cancellation that this side requested does not fail the stream: it just ends.
            Some(_returned_or_absorbed) => Take::Stopped,
            None if self.peer_stopped || self.stream == Stream::Stopped => Take::Stopped,
            None => Take::Wait,
        }
    }

    /// Ends the sending direction of this side's stream; returns whether the peer must be notified.
    pub(super) fn finish(&mut self) -> bool {
        let was_open = self.stream == Stream::Opened;
        if was_open {
            self.stream = Stream::Finished;
        }
        was_open && self.end.is_none()
    }

    /// Ends this side's stream; returns whether the peer must be notified, and the credit to be given back for messages
    /// that no task will take.
    pub(super) fn stop(&mut self) -> (bool, Option<u32>) {
        let tell = self.finish();
        let took = self.stream == Stream::Finished && self.end.is_none();
        self.stream = Stream::Stopped;
        (tell, self.inbox.close().filter(|_| took))
    }

    /// Returns how the dialog ended, if it has.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Returns whether this side has asked to cancel the function.
    pub(crate) fn cancel_called(&self) -> bool {
        self.cancel_called
    }

    /// Returns whether this side has asked to cancel, and the peer has answered: the function has ended.
    pub(crate) fn cancel_acked(&self) -> bool {
        self.cancel_called && matches!(self.end, Some(End::Value(_) | End::Error(_) | End::Cancelled(..)))
    }

    /// Returns the end if it is a failure for this side.
    pub(crate) fn failure(&self) -> Option<&End> {
        self.end.as_ref().filter(|end| match end {
            End::Error(_) => true,
            End::Cancelled(..) => !self.cancel_in_time,
            End::Lost => !self.cancel_called,
            End::Value(_) | End::Left => false,
        })
    }

    /// Returns how far the dialog has come.
    pub(crate) fn state(&self) -> ContextState {
        match &self.end {
            Some(End::Value(_) | End::Left) => return ContextState::Returned,
            Some(End::Error(_) | End::Lost) => return ContextState::Failed,
            Some(End::Cancelled(_, Canceller::Us)) => return ContextState::CancelledBySelf,
            Some(End::Cancelled(_, Canceller::Peer)) => return ContextState::CancelledByPeer,
            Some(End::Cancelled(_, Canceller::Other)) => return ContextState::CancelledByOther,
            None => {}
        }
        match (self.cancel_called, &self.first, self.stream) {
            (true, ..) => ContextState::Cancelling,
            (_, First::Awaited, _) => ContextState::Opening,
            (.., Stream::NotOpened) => ContextState::Open,
            (.., Stream::Opened) => ContextState::Streaming,
            (.., Stream::Finished | Stream::Stopped) => ContextState::StreamFinished,
        }
    }

    /// Forgets the stream messages that are here; returns the credit to be given back for them.
    pub(super) fn discard_items(&mut self) -> Option<u32> {
        self.inbox.discard()
    }
}
