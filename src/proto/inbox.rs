//! The stream messages that wait for their task, and the credit that goes back for them.
//!
//! The peer sends no more than it has credit for. It had some from the start, and gets it back, half a
//! buffer at a time, when places are free again: as the task takes messages or, if this side would rather
//! lose messages than hold its peer up, as they come.
//!
//! # Invariants
//! 1. No more messages wait here than there was credit for; if the newest are kept, no more than the buffer.
//! 2. Each message is handed out, or counted as lost, or its loss was asked for by [`Inbox::discard`].

use std::collections::VecDeque;
use std::mem;

use pleach_wire::Payload;

/// The policy for messages that arrive while their receiver's buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lag {
    /// Their sender waits.
    #[default]
    Wait,
    /// They are not sent: their sender gets [`Error::StreamOverrun`](pleach::Error::StreamOverrun).
    Error,
    /// They take the places of the oldest. Their receiver gets [`Error::Lagged`](pleach::Error::Lagged) with
    /// the number of those, once, and then the oldest that was kept.
    DropOldest,
}

/// How a side takes stream messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intake {
    pub(crate) buffer: u32,
    pub(crate) lag: Lag,
}

impl Intake {
    /// Returns whether the peer is to wait when the buffer is full.
    pub(crate) fn lets_senders_wait(self) -> bool {
        self.lag != Lag::Error
    }
}

/// The messages that wait on one side of a dialog.
#[derive(Debug)]
pub(super) struct Inbox {
    items: VecDeque<Payload>,
    /// Credit that the peer had from the start.
    granted: u32,
    buffer: u32,
    /// Credit to be kept back, because the buffer is smaller than the granted credit.
    withheld: u32,
    /// Credit that is to be given back, but not yet.
    owed: u32,
    keeps_newest: bool,
    /// Messages that were lost, untold.
    lost: u64,
}

/// The fate of a message.
pub(super) enum Pushed {
    /// It waits, and this credit is to be given back now, if any.
    Kept(Option<u32>),
    /// It came without credit.
    Unallowed,
}

/// The task's next item.
pub(super) enum Popped {
    /// A message, and the credit to be given back now, if any.
    Item(Payload, Option<u32>),
    /// So many were lost here.
    Lost(u64),
    /// There is nothing.
    Empty,
}

impl Inbox {
    /// An inbox whose peer has credit for `granted` messages.
    pub(super) fn new(granted: u32) -> Self {
        let items = VecDeque::new();
        Self { items, granted, buffer: granted, withheld: 0, owed: 0, keeps_newest: false, lost: 0 }
    }

    pub(super) fn push(&mut self, item: Payload) -> Pushed {
        if !self.keeps_newest && self.items.len() >= self.buffer.max(self.granted) as usize {
            return Pushed::Unallowed;
        }
        self.items.push_back(item);
        if !self.keeps_newest {
            return Pushed::Kept(None);
        }
        self.lose_oldest();
        Pushed::Kept(self.free(1))
    }

    pub(super) fn pop(&mut self) -> Popped {
        if self.lost > 0 {
            return Popped::Lost(mem::take(&mut self.lost));
        }
        match self.items.pop_front() {
            Some(item) if self.keeps_newest => Popped::Item(item, None),
            Some(item) => Popped::Item(item, self.free(1)),
            None => Popped::Empty,
        }
    }

    /// Makes room for `buffer` messages instead of those that were granted.
    pub(super) fn resize(&mut self, buffer: u32) {
        self.buffer = buffer;
        self.withheld = self.granted.saturating_sub(buffer);
    }

    /// From now on a full buffer loses its oldest message to a new one. Returns the credit to be given
    /// back now, if any.
    pub(super) fn keep_newest(&mut self) -> Option<u32> {
        let here = self.len();
        self.keeps_newest = true;
        self.lose_oldest();
        self.free(here)
    }

    /// Discards the waiting messages; returns the credit to be given back for them.
    pub(super) fn discard(&mut self) -> Option<u32> {
        // A buffer that keeps the newest has given it back when they came.
        let freed = if self.keeps_newest { 0 } else { self.len() };
        self.items.clear();
        (freed > 0).then(|| freed + mem::take(&mut self.owed))
    }

    /// As [`discard`](Self::discard), for good: later messages are discarded, too.
    pub(super) fn close(&mut self) -> Option<u32> {
        let credit = self.discard();
        (self.keeps_newest, self.lost) = (false, 0);
        credit
    }

    /// Messages that wait.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    /// Shortens the queue to the buffer; counts the dropped messages.
    fn lose_oldest(&mut self) {
        let excess = self.items.len().saturating_sub(self.buffer as usize);
        self.items.drain(..excess);
        self.lost += excess as u64;
    }

    /// Counts places that are free again; returns the credit to be given back now, if any.
    fn free(&mut self, places: u32) -> Option<u32> {
        let withheld = self.withheld.min(places);
        self.withheld -= withheld;
        self.owed = self.owed.saturating_add(places - withheld);
        (self.owed >= self.buffer.div_ceil(2)).then(|| mem::take(&mut self.owed))
    }
}
