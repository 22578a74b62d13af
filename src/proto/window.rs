//! The sending side of a stream's flow control: what its receiver has not taken, and whether more may go.
//!
//! The receiver says how much it buffers, and later how many messages it has taken; this side remembers what each
//! counted for. So both agree, whatever the receiver does with its buffer.
//!
//! # Invariants
//! 1. A message may go only while neither limit of the window has been reached.

use std::collections::VecDeque;

use pleach_wire::{MESSAGE_COST, Window};

/// The messages of one direction of a stream that its receiver has not taken.
#[derive(Debug)]
pub(super) struct SendWindow {
    limit: Window,
    /// What each of them counts for, the oldest first.
    costs: VecDeque<u32>,
    bytes: u64,
    /// Messages that have a permit, and are not counted yet.
    permits: u32,
    /// How many of those the receiver has taken already: it may be faster than the task that sends and then counts.
    taken_early: u32,
}

impl SendWindow {
    pub(super) fn new(limit: Window) -> Self {
        Self { limit, costs: VecDeque::new(), bytes: 0, permits: 0, taken_early: 0 }
    }

    /// The receiver buffers so much from now on.
    pub(super) fn resize(&mut self, limit: Window) {
        self.limit = limit;
    }

    /// Returns whether one more message may go.
    pub(super) fn has_room(&self) -> bool {
        let Window { messages, bytes } = self.left();
        messages > 0 && bytes > 0
    }

    /// A message will go.
    pub(super) fn permit(&mut self) {
        self.permits += 1;
    }

    /// It will not.
    pub(super) fn return_permit(&mut self) {
        self.permits = self.permits.saturating_sub(1);
        self.taken_early = self.taken_early.min(self.permits);
    }

    /// It has gone. Returns whether the receiver has taken it already, so that there is room again.
    pub(super) fn note_sent(&mut self, cost: u32) -> bool {
        self.permits = self.permits.saturating_sub(1);
        if self.taken_early > 0 {
            self.taken_early -= 1;
            return true;
        }
        self.note_going([cost]);
        false
    }

    /// Returns how much may go before the receiver has taken more.
    pub(super) fn left(&self) -> Window {
        let messages = self.limit.messages.saturating_sub(self.unread().saturating_add(self.permits));
        let bytes = u64::from(self.limit.bytes).saturating_sub(self.bytes);
        Window { messages, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }

    /// Messages will go that had no permit, as far as [`left`](Self::left) allowed.
    pub(super) fn note_going(&mut self, costs: impl IntoIterator<Item = u32>) {
        for cost in costs {
            self.costs.push_back(cost);
            self.bytes += u64::from(cost);
        }
    }

    /// The receiver has taken so many messages. One that claims more than there were gets no more room by that.
    pub(super) fn note_taken(&mut self, count: u32) {
        let counted = self.unread().min(count);
        self.bytes -= self.costs.drain(..counted as usize).map(u64::from).sum::<u64>();
        self.taken_early = self.taken_early.saturating_add(count - counted).min(self.permits);
    }

    /// Returns how many messages may go: where that depends on their size, if they are as large as those that the
    /// receiver has not taken, or empty if it has taken all.
    pub(super) fn room(&self) -> u32 {
        let Window { messages: by_count, bytes } = self.left();
        let mean = self.bytes.checked_div(self.costs.len() as u64).unwrap_or(MESSAGE_COST.into()).max(1);
        let by_size = u64::from(bytes).div_ceil(mean);
        by_count.min(u32::try_from(by_size).unwrap_or(u32::MAX))
    }

    fn unread(&self) -> u32 {
        u32::try_from(self.costs.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(window: &mut SendWindow, cost: u32) {
        window.permit();
        assert!(!window.note_sent(cost));
    }

    #[test]
    fn messages_of_any_size_may_go_until_a_limit_is_reached() {
        let mut window = SendWindow::new(Window { messages: 3, bytes: 100 });
        assert!(window.has_room());
        send(&mut window, 1000);
        assert!(!window.has_room(), "it is beyond the limit of bytes");
        window.note_taken(1);
        (0..3).for_each(|_| send(&mut window, 1));
        assert!(!window.has_room(), "it is at the limit of messages");
        window.resize(Window { messages: 4, bytes: 100 });
        window.permit();
        assert!(!window.has_room(), "a permit counts");
        window.return_permit();
        assert!(window.has_room());
    }

    #[test]
    fn messages_in_a_row_count_as_each_alone() {
        let mut window = SendWindow::new(Window { messages: 4, bytes: 100 });
        window.permit();
        assert_eq!(window.left(), Window { messages: 3, bytes: 100 });
        window.note_going([30, 40]);
        assert_eq!(window.left(), Window { messages: 1, bytes: 30 });
        assert!(!window.note_sent(20));
        assert_eq!(window.left(), Window { messages: 1, bytes: 10 });
        window.note_taken(2);
        assert_eq!(window.left(), Window { messages: 3, bytes: 80 });
        window.note_going([500]);
        assert!(window.left().bytes == 0 && !window.has_room());
    }

    #[test]
    fn a_receiver_that_claims_too_much_gets_no_more() {
        let mut window = SendWindow::new(Window { messages: 2, bytes: 100 });
        send(&mut window, 60);
        window.note_taken(u32::MAX);
        send(&mut window, 60);
        assert!(window.has_room());
        send(&mut window, 60);
        assert!(!window.has_room());
    }

    #[test]
    fn a_message_may_be_taken_before_it_is_counted() {
        let mut window = SendWindow::new(Window::of_messages(1));
        for _ in 0..3 {
            window.permit();
            window.note_taken(1);
            assert!(!window.has_room(), "it has its permit still");
            assert!(window.note_sent(60) && window.has_room());
        }
        window.permit();
        window.note_taken(1);
        window.return_permit();
        send(&mut window, 60);
        assert!(!window.has_room(), "one that was not sent was not taken");
    }

    #[test]
    fn the_room_is_told_in_messages_like_those_before() {
        let mut window = SendWindow::new(Window { messages: 10, bytes: 1000 });
        assert_eq!(window.room(), 10);
        send(&mut window, 400);
        assert_eq!(window.room(), 2);
        send(&mut window, 600);
        assert_eq!(window.room(), 0);
        window.resize(Window::of_messages(5));
        assert_eq!(window.room(), 3);
    }
}
