//! The stream messages that wait for their task, and the credit that goes back for them.
//!
//! The peer sends no more than this side's window allows. It learns, half a window at a time, how many messages are gone
//! from here: as the task takes them or, if this side would rather lose messages than hold its peer up, as they come.
//!
//! # Invariants
//! 1. No more waits here than the window allowed when it was sent; if the newest are kept, no more than the window. The
//!    last message may go beyond its bytes, and one more may whose sender had been promised that it may go.
//! 2. Each message is handed out, or counted as lost, or its loss was asked for by [`Inbox::discard`].

use std::collections::VecDeque;
use std::mem;

use pleach_wire::{Payload, Window};

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
    pub(crate) window: Window,
    pub(crate) lag: Lag,
}

impl Intake {
    /// Returns whether the peer is to wait when the window is full.
    pub(crate) fn lets_senders_wait(self) -> bool {
        self.lag != Lag::Error
    }
}

/// The messages that wait on one side of a dialog.
#[derive(Debug)]
pub(super) struct Inbox {
    items: VecDeque<Payload>,
    /// What they count for.
    bytes: u64,
    /// What the peer could send before it knew of the window.
    granted: Window,
    window: Window,
    /// What is gone from here, and the peer has not been told of.
    owed: Owed,
    /// Whether the last message came when the bytes of the window were used up.
    is_beyond: bool,
    keeps_newest: bool,
    /// Messages that were lost, untold.
    lost: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    messages: u32,
    bytes: u64,
}

/// The fate of a message.
pub(super) enum Pushed {
    /// It waits, and this credit is to be given back now, if any.
    Kept(Option<u32>),
    /// It was not allowed.
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
    /// An inbox whose peer may send so much.
    pub(super) fn new(granted: Window) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            granted,
            window: granted,
            owed: Owed::default(),
            is_beyond: false,
            keeps_newest: false,
            lost: 0,
        }
    }

    pub(super) fn push(&mut self, item: Payload) -> Pushed {
        if !self.keeps_newest && !self.allows_more() {
            return Pushed::Unallowed;
        }
        let cost = cost(&item);
        self.items.push_back(item);
        self.bytes += cost;
        if !self.keeps_newest {
            return Pushed::Kept(None);
        }
        self.lose_oldest();
        Pushed::Kept(self.free(1, cost))
    }

    /// Returns whether the next message is sure to be kept.
    pub(super) fn keeps_more(&self) -> bool {
        let limit = self.limit();
        self.keeps_newest || (self.items.len() < limit.messages as usize && self.bytes < limit.bytes.into())
    }

    /// What the peer may have taken for the window: it may not have learned of a smaller one.
    fn limit(&self) -> Window {
        self.window.max(self.granted)
    }

    fn allows_more(&mut self) -> bool {
        let limit = self.limit();
        if self.items.len() >= limit.messages as usize {
            return false;
        }
        let was_beyond = mem::replace(&mut self.is_beyond, self.bytes >= limit.bytes.into());
        !(was_beyond && self.is_beyond)
    }

    pub(super) fn pop(&mut self) -> Popped {
        if self.lost > 0 {
            return Popped::Lost(mem::take(&mut self.lost));
        }
        match self.items.pop_front() {
            Some(item) => {
                let cost = cost(&item);
                self.bytes -= cost;
                Popped::Item(item, if self.keeps_newest { None } else { self.free(1, cost) })
            }
            None => Popped::Empty,
        }
    }

    /// Moves further messages to `batch`, as far as that changes little in how much is buffered: up to an eighth of a
    /// window that is counted in bytes. Returns the credit to be given back now, if any.
    pub(super) fn pop_more(&mut self, batch: &mut VecDeque<Payload>) -> Option<u32> {
        if self.keeps_newest || self.window.messages != u32::MAX {
            return None;
        }
        let (enough, mut messages, mut bytes) = (u64::from(self.window.bytes / 8), 0, 0);
        if batch.is_empty() && self.bytes < enough {
            // All of them, without moving each: a payload is large.
            (messages, bytes) = (self.len(), self.bytes);
            mem::swap(&mut self.items, batch);
        }
        while bytes < enough
            && let Some(item) = self.items.pop_front()
        {
            messages += 1;
            bytes += cost(&item);
            batch.push_back(item);
        }
        self.bytes -= bytes;
        self.free(messages, bytes)
    }

    /// Buffers so much instead of what was granted.
    pub(super) fn resize(&mut self, window: Window) {
        self.window = window;
    }

    /// From now on a full window loses its oldest message to a new one. Returns the credit to be given back now, if
    /// any.
    pub(super) fn keep_newest(&mut self) -> Option<u32> {
        let (here, bytes) = (self.len(), self.bytes);
        self.keeps_newest = true;
        self.lose_oldest();
        self.free(here, bytes)
    }

    /// Discards the waiting messages; returns the credit to be given back for them.
    pub(super) fn discard(&mut self) -> Option<u32> {
        // A buffer that keeps the newest has given it back when they came.
        let freed = if self.keeps_newest { 0 } else { self.len() };
        self.items.clear();
        self.bytes = 0;
        (freed > 0).then(|| freed + mem::take(&mut self.owed).messages)
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

    /// Shortens the queue to the window, but for the newest message; counts the dropped ones.
    fn lose_oldest(&mut self) {
        let Window { messages, bytes } = self.window;
        while self.items.len() > messages as usize || (self.bytes > bytes.into() && self.items.len() > 1) {
            self.bytes -= self.items.pop_front().map_or(0, |item| cost(&item));
            self.lost += 1;
        }
    }

    /// Counts messages that are gone; returns the credit to be given back now, if any.
    fn free(&mut self, messages: u32, bytes: u64) -> Option<u32> {
        self.owed.messages = self.owed.messages.saturating_add(messages);
        self.owed.bytes += bytes;
        let Window { messages, bytes } = self.window;
        let is_due = self.owed.messages >= messages.div_ceil(2) || self.owed.bytes >= u64::from(bytes / 2);
        (is_due && self.owed.messages > 0).then(|| mem::take(&mut self.owed).messages)
    }
}

/// What a message counts for, as its sender has measured it.
fn cost(item: &Payload) -> u64 {
    Window::cost(item.len()).into()
}
