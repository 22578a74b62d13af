//! One dialog of a context: its first value, its stream with credits, its end. One side's view.
//!
//! ```text
//! caller                                   callee
//!   Opening ── started ──► Open              Running ── start ──► Started
//!      │                    │ end                │ end              │ end
//!      └── end ──► Ended ◄──┘                    └────► Ended ◄─────┘
//!
//! the stream, on either side               what this side may send
//!   NotOpened ── open ──► Opened             credit ── take ──► credit - 1
//!                  │ stop                    no credit: wait, if the peer lets senders wait, or may
//!                  ▼                                    still open its stream; otherwise an overrun
//!                Stopped: what comes is forgotten
//!
//! the end, for the side that opened it     has it asked to cancel?     no        yes
//!   the function returned                                              value     value
//!   it was cancelled, the connection was lost                          raised    absorbed
//!   it failed                                                          raised    raised
//! ```
//! The receiver grants credit for as many messages as it buffers, and gives it back as its task takes
//! them, half a buffer at a time. So a connection's message loop never waits for a slow task.
//!
//! # Invariants
//! 1. At most `buffer` messages wait here: the peer had credit for each.
//! 2. What arrived before the end is handed out before the end is.
//! 3. A stream is opened once and stopped once; `started` is said once.
//! 4. The first end counts: a value that the function returned before a cancel reached it wins.

use std::collections::VecDeque;

use pleach_wire::Payload;
use pleach_wire::msg::INITIAL_CREDIT;

use super::state::ContextState;

/// One side of a dialog.
#[derive(Debug)]
pub(crate) struct Dialog {
    side: Side,
    first: First,
    items: VecDeque<Payload>,
    peer_stopped: bool,
    cancel_called: bool,
    end: Option<End>,
    stream: Stream,
    /// Messages that this side buffers, and credit that it has not given back yet.
    buffer: u32,
    owed: u32,
    /// Credit to be kept back, because the buffer was made smaller than the initial credit.
    withheld: u32,
    credit: u32,
    /// Whether the peer has opened its stream, and lets senders wait.
    peer_stream: Option<bool>,
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
    /// The function of this side is over; what it has left behind can't use the dialog any more.
    Left,
}

/// At whose request a function was cancelled, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Canceller {
    /// The caller's actor.
    Us,
    /// The actor that ran it.
    Peer,
    /// Somebody else, or nobody knows.
    Other,
}

/// What the caller finds where it awaits the first value.
#[derive(Debug)]
pub(crate) enum TakeFirst {
    /// The function said it.
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
    /// Never: the dialog, or this side's stream, is over.
    Closed,
}

/// What became of a stream message that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It waits for the task.
    Kept,
    /// This side has closed its stream: nobody will take it. The credit is to be given back now, if any.
    Discarded(Option<u32>),
    /// The peer had no credit for it.
    Unallowed,
}

/// What the receiver of a stream finds.
#[derive(Debug)]
pub(crate) enum Take {
    /// A message, and the credit to be given back now, if any.
    Item(Payload, Option<u32>),
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
    #[error("the context is over")]
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
            items: VecDeque::new(),
            peer_stopped: false,
            cancel_called: false,
            end: None,
            stream: Stream::NotOpened,
            buffer: INITIAL_CREDIT,
            owed: 0,
            withheld: 0,
            credit: INITIAL_CREDIT,
            peer_stream: None,
        }
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
        if self.items.len() >= self.buffer.max(INITIAL_CREDIT) as usize {
            return Arrival::Unallowed;
        }
        self.items.push_back(value);
        if self.stream == Stream::Stopped {
            return Arrival::Discarded(self.discard_items());
        }
        Arrival::Kept
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

    /// This side asks to cancel the function.
    pub(crate) fn request_cancel(&mut self) {
        self.cancel_called = true;
    }

    /// The callee is about to say its first value.
    ///
    /// # Errors
    /// When it has said it, or can't any more.
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
        match (self.stream, self.side, &self.first) {
            (Stream::NotOpened, Side::Callee, First::Awaited) => return Err(Misuse::NotStarted),
            (Stream::NotOpened, ..) => {}
            (Stream::Opened | Stream::Stopped, ..) => return Err(Misuse::OpenedBefore),
        }
        self.stream = Stream::Opened;
        self.buffer = buffer;
        self.withheld = INITIAL_CREDIT.saturating_sub(buffer);
        Ok(())
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

    /// Returns whether the peer has opened its stream, or never will.
    pub(crate) fn peer_has_opened(&self) -> bool {
        self.peer_stream.is_some() || self.end.is_some()
    }

    /// Gives a permit back that was not used.
    pub(crate) fn return_permit(&mut self) {
        self.credit += 1;
    }

    /// Takes the next stream message.
    pub(crate) fn take_item(&mut self) -> Take {
        if let Some(item) = self.items.pop_front() {
            if self.withheld > 0 {
                self.withheld -= 1;
                return Take::Item(item, None);
            }
            self.owed += 1;
            let due = self.owed >= self.buffer.div_ceil(2) && !self.peer_stopped;
            return Take::Item(item, due.then(|| std::mem::take(&mut self.owed)));
        }
        match &self.end {
            Some(End::Value(_)) => Take::Stopped,
            Some(failed) => Take::Failed(failed.clone()),
            None if self.peer_stopped || self.stream == Stream::Stopped => Take::Stopped,
            None => Take::Wait,
        }
    }

    /// Ends this side's stream; returns whether the peer must be told, and the credit to be given back
    /// for messages that nobody will take any more.
    pub(crate) fn stop(&mut self) -> (bool, Option<u32>) {
        let tell = self.stream == Stream::Opened && self.end.is_none();
        self.stream = Stream::Stopped;
        (tell, self.discard_items().filter(|_| tell))
    }

    /// Returns how the dialog ended, if it has.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Returns whether this side has asked to cancel the function.
    pub(crate) fn cancel_called(&self) -> bool {
        self.cancel_called
    }

    /// Returns whether the peer has answered after this side had asked to cancel: the function is over.
    pub(crate) fn cancel_acked(&self) -> bool {
        self.cancel_called && matches!(self.end, Some(End::Value(_) | End::Error(_) | End::Cancelled(..)))
    }

    /// Returns the end if it is a failure that the side which opened the dialog has to be told of.
    pub(crate) fn failure(&self) -> Option<&End> {
        self.end.as_ref().filter(|end| match end {
            End::Error(_) => true,
            End::Cancelled(..) | End::Lost => !self.cancel_called,
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
            (.., Stream::Stopped) => ContextState::StreamFinished,
        }
    }

    /// Forgets the stream messages that are here; returns the credit to be given back for them.
    pub(crate) fn discard_items(&mut self) -> Option<u32> {
        let count = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.items.clear();
        (count > 0).then(|| count + std::mem::take(&mut self.owed))
    }
}
