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
//!   NotOpened ── open ──► Opened             room in the peer's window: one more message
//!                  │ finish                  no room: wait, if the peer lets senders wait, or may
//!                  ▼                                  still open its stream; otherwise an overrun
//!                Finished: messages can be taken
//!
//! Messages can be taken until this side stops receiving, before or after it has finished; later ones are discarded.
//!
//! the end, for the side that opened it     has it asked to cancel?     no        before    after
//!   the function returned                                              value     value     value
//!   it was cancelled                                                   raised    absorbed  raised
//!   the connection was lost                                            raised    absorbed  absorbed
//!   it failed                                                          raised    raised    raised
//! ```
//! The receiver says how much it buffers, and how many messages its task has taken, see `inbox.rs` and `window.rs`. So a
//! connection's message loop never waits for a slow task.
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

use std::collections::VecDeque;

use pleach_wire::msg::FunctionKind;
use pleach_wire::{Payload, Window};

pub use self::outcomes::ContextState;
pub(crate) use self::outcomes::{Arrival, Canceller, End, Misuse, NoPermit, Take, TakeFirst};
use super::inbox::{Inbox, Intake, Lag, Popped, Pushed};
use super::window::SendWindow;

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
    /// Whether no task takes messages any more.
    discards: bool,
    outgoing: SendWindow,
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
}

impl Dialog {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            first: First::Awaited,
            inbox: Inbox::new(Window::INITIAL),
            peer_stopped: false,
            cancel_called: false,
            cancel_in_time: false,
            end: None,
            left: false,
            stream: Stream::NotOpened,
            discards: false,
            outgoing: SendWindow::new(Window::INITIAL),
            peer_stream: None,
            one_way: false,
        }
    }

    /// The side of a one-way stream that sends: its peer's end is open from the start.
    pub(super) fn one_way_sender(window: Window, waits: bool) -> Self {
        let open = Self { first: First::Said, stream: Stream::Opened, one_way: true, ..Self::new(Side::Callee) };
        let outgoing = SendWindow::new(window);
        Self { outgoing, peer_stream: Some(waits), inbox: Inbox::new(Window::NONE), ..open }
    }

    /// The receiving side of a one-way stream: its options travel with the message that opens the dialog.
    pub(super) fn one_way_receiver(intake: Intake) -> Self {
        let Intake { window, lag } = intake;
        let open = Self { first: First::Said, stream: Stream::Opened, one_way: true, ..Self::new(Side::Caller) };
        let mut dialog = Self { inbox: Inbox::new(window), ..open };
        if lag == Lag::DropOldest {
            dialog.inbox.keep_newest();
        }
        dialog
    }

    /// Returns the kind of its function.
    pub(super) fn kind(&self) -> FunctionKind {
        if self.one_way { FunctionKind::Stream } else { FunctionKind::Context }
    }

    /// Returns how many stream messages this side may send without waiting, as far as that does not depend on their size.
    pub(super) fn credit(&self) -> u32 {
        if self.end.is_some() { 0 } else { self.outgoing.room() }
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
            Pushed::Kept(_) if self.discards => Arrival::Discarded(self.discard_items()),
            Pushed::Kept(credit) => credit.map_or(Arrival::Kept, Arrival::Credited),
        }
    }

    /// Returns whether the next stream message will be kept.
    pub(super) fn keeps_more(&self) -> bool {
        !self.discards && self.inbox.keeps_more()
    }

    /// The peer sends no more stream messages.
    pub(super) fn handle_stop(&mut self) {
        self.peer_stopped = true;
    }

    /// The peer has opened its end of the stream.
    pub(super) fn handle_stream(&mut self, window: Window, waits: bool) {
        self.peer_stream = Some(waits);
        self.outgoing.resize(window);
    }

    /// The peer's task has taken messages.
    pub(super) fn handle_credit(&mut self, count: u32) {
        self.outgoing.note_taken(count);
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

    /// Opens this side's end of the stream, and buffers so much of it.
    ///
    /// # Errors
    /// When it is too early, too late, or was done before.
    pub(super) fn open_stream(&mut self, window: Window) -> Result<(), Misuse> {
        if self.cancel_called {
            return Err(Misuse::Cancelled);
        }
        if self.left || (self.side == Side::Callee && self.end.is_some()) {
            return Err(Misuse::Over);
        }
        match (self.stream, self.side, &self.first) {
            (Stream::NotOpened, Side::Callee, First::Awaited) => return Err(Misuse::NotStarted),
            (Stream::NotOpened, ..) => {}
            (Stream::Opened | Stream::Finished, ..) => return Err(Misuse::OpenedBefore),
        }
        self.stream = Stream::Opened;
        self.inbox.resize(window);
        Ok(())
    }

    /// From now on a full buffer loses its oldest message to a new one, and the peer never waits for long.
    /// Returns the credit to be given back now, if any. This side's stream is open.
    pub(super) fn keep_newest(&mut self) -> Option<u32> {
        self.inbox.keep_newest()
    }

    /// Returns whether one stream message may be sent.
    ///
    /// # Errors
    /// Why not, or not yet.
    pub(super) fn may_send(&self) -> Result<(), NoPermit> {
        if self.end.is_some() || self.stream != Stream::Opened {
            return Err(NoPermit::Closed);
        }
        if self.outgoing.has_room() {
            return Ok(());
        }
        Err(match self.peer_stream {
            Some(true) => NoPermit::Wait,
            Some(false) => NoPermit::Overrun,
            None => NoPermit::NotOpened,
        })
    }

    /// Asks to send one stream message; it is counted.
    ///
    /// # Errors
    /// As [`may_send`](Self::may_send).
    pub(super) fn take_permit(&mut self) -> Result<(), NoPermit> {
        self.may_send()?;
        self.outgoing.permit();
        Ok(())
    }

    /// Returns how much may be sent in a row.
    ///
    /// # Errors
    /// As [`may_send`](Self::may_send).
    pub(crate) fn may_send_items(&self) -> Result<Window, NoPermit> {
        self.may_send().map(|()| self.outgoing.left())
    }

    /// Messages will be sent in a row, which count for so many bytes each.
    pub(super) fn note_items(&mut self, costs: impl Iterator<Item = u32>) {
        self.outgoing.note_going(costs);
    }

    /// Gives a permit back that was not used.
    pub(super) fn return_permit(&mut self) {
        self.outgoing.return_permit();
    }

    /// The message of a permit was sent, and counts for so many bytes. Returns whether it has been taken already, so that
    /// another may be sent.
    pub(super) fn note_sent(&mut self, cost: u32) -> bool {
        self.outgoing.note_sent(cost)
    }

    /// Takes the next stream message, and some of those behind it; also returns the credit to be given back now, if any.
    pub(super) fn take_items(&mut self, behind: &mut VecDeque<Payload>) -> (Take, Option<u32>) {
        match self.inbox.pop() {
            Popped::Item(item, credit) => {
                let more = self.inbox.pop_more(behind);
                let credit = credit.map_or(more, |credit| Some(credit + more.unwrap_or(0)));
                // A peer that sends no more needs no credit.
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
            None if self.peer_stopped || self.discards => Take::Stopped,
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

    /// No task takes messages of this side's stream any more; returns the credit to be given back for those that are here.
    pub(super) fn stop_receiving(&mut self) -> Option<u32> {
        self.discards = true;
        self.inbox.close().filter(|_| self.end.is_none())
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
            (.., Stream::Finished) => ContextState::StreamFinished,
        }
    }

    /// Forgets the stream messages that are here; returns the credit to be given back for them.
    pub(super) fn discard_items(&mut self) -> Option<u32> {
        self.inbox.discard()
    }
}
