//! The queues of one stream, and their order.
//!
//! ```text
//! push ─┬─ small, of the first lane ──► control ─┐
//!       ├─ small, of another lane ────► data ────┼─► the link
//!       ├─ large, or behind one ──────► bulk ────┤
//!       └─ bye ───────────────────────► last ────┘
//! ```
//! Control goes first, then small data, then chunks of large messages. The order is decided for each write: bytes that
//! the link did not take can be overtaken, except the rest of a frame that was begun. So that none starves, data and
//! bulk have a turn after [`CONTROL_RUN`] bytes of control in a row, and bulk after [`DATA_RUN`] bytes of data.
//!
//! # Invariants
//! 1. Messages with the same [`Key`](super::bulk::Key) leave in the order in which they were queued.
//! 2. `last` goes only when nothing else waits, here and, while it is held, on other streams.

use super::bulk::{After, Bulk};
use super::encoded::Encoded;
use super::frame::CHUNK;
use super::queue::{FrameQueue, Frames, Slices};
use super::under_way::UnderWay;
use crate::transport::Lane;

pub(super) struct Schedule {
    /// The lane that goes first.
    priority_lane: Lane,
    control: FrameQueue,
    data: FrameQueue,
    bulk: Bulk,
    last: FrameQueue,
    /// Whether `last` waits for other streams: it counts as queued, but not as to be written.
    holds_last: bool,
    /// Bytes of control since data or bulk had a turn.
    control_run: usize,
    /// Bytes of data since bulk had a turn.
    data_run: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Control,
    Data,
    Bulk,
    Last,
}

/// The sources of the bytes offered to the link, in order: how many bytes of which source.
pub(super) struct Offer([(Source, usize); 5]);

impl Schedule {
    /// For a stream on which messages of the lane `priority_lane` go before all others.
    pub(super) fn new(priority_lane: Lane) -> Self {
        Self::opening_with(&[], priority_lane)
    }

    /// The same for a stream that begins with some bytes before its first frame.
    pub(super) fn opening_with(opening: &[u8], priority_lane: Lane) -> Self {
        Self {
            priority_lane,
            control: FrameQueue::opening_with(opening),
            data: FrameQueue::default(),
            bulk: Bulk::default(),
            last: FrameQueue::default(),
            holds_last: false,
            control_run: 0,
            data_run: 0,
        }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, lane: Lane, message: Encoded<'_>) {
        let (queue, place): (_, fn(u64) -> After) = match lane {
            _ if message.is_goodbye() => return self.last.push(message),
            _ if lane == self.priority_lane => (&mut self.control, After::Control),
            _ => (&mut self.data, After::Data),
        };
        let (key, size) = ((lane, message.cid()), message.size());
        if size > CHUNK || self.bulk.has_line(&key) {
            let after = queue.written() + queue.len() as u64;
            self.bulk.push(key, size, message.into_pieces(), place(after));
        } else {
            queue.push(message);
        }
    }

    /// Holds `last` back from now on, or no more. Returns whether there is one that may go now.
    pub(super) fn hold_last(&mut self, holds: bool) -> bool {
        // One that was begun has to be finished.
        self.holds_last = holds && self.last.unfinished() == 0;
        !self.holds_last && !self.last.is_empty()
    }

    /// Lets large messages take turns that may do so now.
    pub(super) fn admit(&mut self, under_way: &mut UnderWay) {
        if !self.bulk.is_empty() {
            self.bulk.admit(self.control.written(), self.data.written(), under_way);
        }
    }

    /// The queued bytes, if they are control alone and in one piece: the usual case, and the cheapest to write.
    pub(super) fn only_control(&self) -> Option<&[u8]> {
        if self.data.is_empty() && self.bulk.is_empty() && (self.holds_last || self.last.is_empty()) {
            return self.control.in_one_piece();
        }
        None
    }

    /// Marks `len` bytes of [`only_control`](Self::only_control) as written.
    pub(super) fn consume_control(&mut self, len: usize) {
        self.control.consume(len);
    }

    /// Offers the queued bytes, in the order of writing.
    pub(super) fn offer<'a>(&'a self, slices: &mut Slices<'a>) -> Offer {
        let mut offer = Offer([(Source::Control, 0); 5]);
        if let Some(begun) = SOURCES.into_iter().find(|source| self.frames(*source).unfinished() > 0) {
            self.frames(begun).offer_rest(slices);
            offer.0[0] = (begun, slices.bytes());
        }
        for (source, offered) in self.order().into_iter().zip(&mut offer.0[1..]) {
            let before = slices.bytes();
            if source != Source::Last || (self.bulk.is_empty() && !self.holds_last) {
                self.frames(source).offer_more(slices);
            }
            *offered = (source, slices.bytes() - before);
        }
        offer
    }

    /// Marks the first `written` offered bytes as written.
    pub(super) fn consume(&mut self, offer: &Offer, mut written: usize, under_way: &mut UnderWay) {
        for (source, offered) in offer.0 {
            let len = offered.min(written);
            if len > 0 {
                self.consume_from(source, len, under_way);
            }
            written -= len;
        }
    }

    fn consume_from(&mut self, source: Source, len: usize, under_way: &mut UnderWay) {
        match source {
            Source::Control => {
                self.control.consume(len);
                self.control_run += len;
            }
            Source::Data => {
                self.data.consume(len);
                self.data_run += len;
                self.control_run = 0;
            }
            Source::Bulk => {
                self.bulk.consume(len, under_way);
                (self.control_run, self.data_run) = (0, 0);
            }
            Source::Last => self.last.consume(len),
        }
    }

    /// Gives buffers back that a burst has grown.
    pub(super) fn shrink(&mut self) {
        self.control.shrink();
        self.data.shrink();
        (self.control_run, self.data_run) = (0, 0);
    }

    /// Bytes that wait to be written.
    pub(super) fn len(&self) -> usize {
        self.control.len() + self.data.len() + self.bulk.len() + self.last.len()
    }

    /// Returns whether there is nothing to be written now.
    pub(super) fn is_empty(&self) -> bool {
        let held = if self.holds_last { self.last.len() } else { 0 };
        self.len() == held
    }

    /// Returns whether less than `mark` waits ahead of a message on `lane`: small ones, and large ones of the lane
    /// itself. Control does not wait for data; data waits when there is much of it on many lanes.
    pub(super) fn has_room(&self, lane: Lane, mark: usize) -> bool {
        let small = if lane == self.priority_lane { &self.control } else { &self.data };
        let crowded = || lane != self.priority_lane && self.bulk.is_crowded(self.priority_lane);
        small.len() < mark && !crowded() && small.len() + self.bulk.len_of_lane(lane, mark) < mark
    }

    /// Returns whether less than `mark` waits of the small messages on the first lane, which large ones do not hold up.
    pub(super) fn has_small_room(&self, mark: usize) -> bool {
        self.control.len() < mark
    }

    fn order(&self) -> [Source; 4] {
        let mut order = SOURCES;
        if self.data_run >= DATA_RUN {
            order.swap(1, 2);
        }
        if self.control_run >= CONTROL_RUN {
            order[..3].rotate_left(1);
        }
        order
    }

    fn frames(&self, source: Source) -> &dyn Frames {
        match source {
            Source::Control => &self.control,
            Source::Data => &self.data,
            Source::Bulk => &self.bulk,
            Source::Last => &self.last,
        }
    }
}

/// In the usual order.
const SOURCES: [Source; 4] = [Source::Control, Source::Data, Source::Bulk, Source::Last];

/// Bytes of control that may go in a row while others wait.
const CONTROL_RUN: usize = 4 * CHUNK;

/// Bytes of small data that may go in a row while large messages wait.
const DATA_RUN: usize = CHUNK;
