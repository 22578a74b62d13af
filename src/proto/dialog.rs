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

use pleach_wire::Payload;
use pleach_wire::msg::INITIAL_CREDIT;

use super::inbox::{Inbox, Intake, Lag, Popped, Pushed};
use super::state::ContextState;

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

/// How a dialog ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The function returned.
    Value(Payload),
    /// It failed.
    Error(Payload),
    /// It was cancelled.
    Cancelled(Payload, Canceller),
    /// The connection ended first.
    Lost,
    /// The function of this side has ended; its leftover handles can't use the dialog any more.
    Left,
}

/// At whose request a function was cancelled, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Canceller {
    /// The caller's actor.
    Us,
    /// The actor that ran it.
    Peer,
    /// Another actor, or an unknown one.
    Other,
}

/// The caller's outcome of waiting for the first value.
#[derive(Debug)]
pub(crate) enum TakeFirst {
    /// The function has sent it.
    Value(Payload),
    /// The dialog ended without it.
    Ended(End),
    /// Not yet.
    Wait,
}

/// Whether a stream message may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Yes; it has been counted.
    Granted,
    /// When the peer has taken some.
    Wait,
    /// When the peer has opened its stream, if it does.
    NotOpened,
    /// Never: the peer's buffer is full, and it does not let senders wait.
    Overrun,
    /// Never: the dialog, or this side's stream, has ended.
    Closed,
}

/// The fate of a received stream message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It waits for the task.
    Kept,
    /// It waits for the task, and this credit is to be given back now.
    Credited(u32),
    /// This side has closed its stream: no task will take it. The credit is to be given back now, if any.
    Discarded(Option<u32>),
    /// The peer had no credit for it.
    Unallowed,
}

/// The outcome of receiving from a stream.
#[derive(Debug)]
pub(crate) enum Take {
    /// A message, and the credit to be given back now, if any.
    Item(Payload, Option<u32>),
    /// So many messages were lost here; the next ones came after them.
    Lost(u64),
    /// Nothing will come any more.
    Stopped,
    /// The dialog failed.
    Failed(End),
    /// Not yet.
    Wait,
}

/// A use of the dialog that can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misuse {
    /// `started` where it makes no sense.
    #[error("`started()` was called twice: it sends the first value, and there is one")]
    StartedTwice,
    /// The callee opened its stream too early.
    #[error("`open_stream()` was called before `started()`: the caller is not there yet")]
    NotStarted,
    /// Only one stream.
    #[error("the stream of this context was opened before: it can be opened once")]
    OpenedBefore,
    /// Too late.
    #[error("the context has ended: its function has returned, or its block was left")]
    Over,
    /// This side has cancelled the context.
    #[error("this side has cancelled the context")]
    Cancelled,
}

impl Dialog {
    pub(crate) fn new(side: Side) -> Self {
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
    pub(crate) fn one_way_sender(credit: u32, waits: bool) -> Self {
        let open = Self { first: First::Said, stream: Stream::Opened, one_way: true, ..Self::new(Side::Callee) };
        Self { credit, peer_stream: Some(waits), inbox: Inbox::new(0), ..open }
    }

    /// The receiving side of a one-way stream: its options travel with the message that opens the dialog.
    pub(crate) fn one_way_receiver(intake: Intake) -> Self {
        let Intake { buffer, lag } = intake;
        let open = Self { first: First::Said, stream: Stream::Opened, one_way: true, ..Self::new(Side::Caller) };
        let mut dialog = Self { inbox: Inbox::new(buffer), ..open };
        if lag == Lag::DropOldest {
            dialog.inbox.keep_newest();
        }
        dialog
    }

    /// Returns whether it is a one-way stream.
    pub(crate) fn is_one_way(&self) -> bool {
        self.one_way
    }

    /// The peer's first value has come. Returns whether it was due.
    pub(crate) fn handle_started(&mut self, value: Payload) -> bool {
        let due = self.side == Side::Caller && matches!(self.first, First::Awaited);
        if due {
            self.first = First::Here(value);
        }
        due
    }

    /// A stream message has come.
    pub(crate) fn handle_yield(&mut self, value: Payload) -> Arrival {
        match self.inbox.push(value) {
            Pushed::Unallowed => Arrival::Unallowed,
            Pushed::Kept(_) if self.stream == Stream::Stopped => Arrival::Discarded(self.discard_items()),
            Pushed::Kept(credit) => credit.map_or(Arrival::Kept, Arrival::Credited),
        }
    }

    /// The peer sends no more stream messages.
    pub(crate) fn handle_stop(&mut self) {
        self.peer_stopped = true;
    }

    /// The peer has opened its end of the stream.
    pub(crate) fn handle_stream(&mut self, buffer: u32, waits: bool) {
        self.peer_stream = Some(waits);
        self.credit = self.credit.saturating_add(buffer.saturating_sub(INITIAL_CREDIT));
    }

    /// The peer's task has taken messages.
    pub(crate) fn handle_credit(&mut self, count: u32) {
        self.credit = self.credit.saturating_add(count);
    }

    /// The dialog has ended. The first end counts.
    pub(crate) fn handle_end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// This side asks to cancel the function. If that has ended, its end is not this side's doing.
    pub(crate) fn request_cancel(&mut self) {
        self.cancel_called = true;
        self.cancel_in_time |= self.end.is_none();
    }

    /// The block that opened the dialog has been left. Returns whether the peer must learn that no stream messages will
    /// come: an open stream's close says so itself.
    pub(crate) fn leave(&mut self) -> bool {
        self.left = true;
        self.stream == Stream::NotOpened && self.end.is_none()
    }

    /// The callee is about to say its first value.
    ///
    /// # Errors
    /// When it has sent it, or can't any more.
    pub(crate) fn start(&mut self) -> Result<(), Misuse> {
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
    pub(crate) fn open_stream(&mut self, buffer: u32) -> Result<(), Misuse> {
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
    pub(crate) fn keep_newest(&mut self) -> Option<u32> {
        self.inbox.keep_newest()
    }

    /// Asks to send one stream message.
    pub(crate) fn take_permit(&mut self) -> Permit {
        if self.end.is_some() || self.stream != Stream::Opened {
            return Permit::Closed;
        }
        if self.credit > 0 {
            self.credit -= 1;
            return Permit::Granted;
        }
        match self.peer_stream {
            Some(true) => Permit::Wait,
            Some(false) => Permit::Overrun,
            None => Permit::NotOpened,
        }
    }

    /// Gives a permit back that was not used.
    pub(crate) fn return_permit(&mut self) {
        self.credit += 1;
    }

    /// Takes the next stream message.
    pub(crate) fn take_item(&mut self) -> Take {
        match self.inbox.pop() {
            // A peer that sends no more needs no credit.
            Popped::Item(item, credit) => {
                return Take::Item(item, credit.filter(|_| !self.peer_stopped && self.end.is_none()));
            }
            Popped::Lost(lost) => return Take::Lost(lost),
            Popped::Empty => {}
        }
        match &self.end {
            Some(end) if matches!(end, End::Left) || self.failure().is_some() => Take::Failed(end.clone()),
            // A cancellation that this side requested does not fail the stream: it just ends.
            Some(_returned_or_absorbed) => Take::Stopped,
            None if self.peer_stopped || self.stream == Stream::Stopped => Take::Stopped,
            None => Take::Wait,
        }
    }

    /// Ends the sending direction of this side's stream; returns whether the peer must be notified.
    pub(crate) fn finish(&mut self) -> bool {
        let was_open = self.stream == Stream::Opened;
        if was_open {
            self.stream = Stream::Finished;
        }
        was_open && self.end.is_none()
    }

    /// Ends this side's stream; returns whether the peer must be notified, and the credit to be given back for messages
    /// that no task will take.
    pub(crate) fn stop(&mut self) -> (bool, Option<u32>) {
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
    pub(crate) fn discard_items(&mut self) -> Option<u32> {
        self.inbox.discard()
    }
}
