//! Large messages that wait to be written: cut into chunks, which take turns.
//!
//! ```text
//! push ─► a line per dialog: waiting ─(admit)─► active: one frame each, in turn ─► gone when it is empty
//! ```
//! While a dialog has a line, all of its messages on that lane join it, small ones too, so that none
//! overtakes another.
//!
//! # Invariants
//! 1. A key is in `active` or in `waiting` exactly while it has a line, and a line is never empty.
//! 2. A message of which a part was written belongs to an active line, so at most
//!    [`MAX_TRANSFERS`] are under way. Only the foremost active line can be inside a frame.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use super::frame::{CHUNK, Header, MAX_HEADER, MAX_TRANSFERS};
use super::queue::{FrameQueue, Frames, Slices};
use crate::msg::Cid;
use crate::transport::Lane;

/// Messages with the same key keep their order.
pub(super) type Key = (Lane, Option<Cid>);

#[derive(Default)]
pub(super) struct Bulk {
    lines: BTreeMap<Key, Line>,
    active: VecDeque<Key>,
    waiting: VecDeque<Key>,
    bytes: usize,
    next_id: u32,
}

/// The messages of one dialog that wait on one lane.
struct Line {
    frames: FrameQueue,
    after: After,
}

/// How much of the queue of small messages has to be written first: a new line must not overtake earlier messages.
#[derive(Clone, Copy)]
pub(super) enum After {
    Control(u64),
    Data(u64),
}

impl Bulk {
    /// Queues a message of `size` bytes; a line that has to be made for it begins after `after`.
    pub(super) fn push(&mut self, key: Key, size: usize, message: VecDeque<Bytes>, after: After) {
        let id = self.next_id;
        let line = self.lines.entry(key).or_insert_with(|| {
            self.waiting.push_back(key);
            Line { frames: FrameQueue::default(), after }
        });
        let before = line.frames.len();
        cut(id, size, message, &mut line.frames);
        self.bytes += line.frames.len() - before;
        self.next_id = id.wrapping_add(1);
    }

    /// Lets waiting lines take turns, as far as their places and the number of transfers allow.
    pub(super) fn admit(&mut self, control_written: u64, data_written: u64) {
        while self.active.len() < MAX_TRANSFERS
            && let Some(key) = self.waiting.front()
            && match self.lines[key].after {
                After::Control(place) => place <= control_written,
                After::Data(place) => place <= data_written,
            }
        {
            self.active.extend(self.waiting.pop_front());
        }
    }

    /// Returns whether messages with this key have to wait behind a large one.
    pub(super) fn has_line(&self, key: &Key) -> bool {
        !self.lines.is_empty() && self.lines.contains_key(key)
    }

    /// Bytes that wait to be written.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes that wait on `lane`; stops counting at `enough`.
    pub(super) fn len_of_lane(&self, lane: Lane, enough: usize) -> usize {
        let lines = self.lines.range((lane, None)..).take_while(|((of, _), _)| *of == lane);
        let mut bytes = 0;
        for (_, line) in lines {
            bytes += line.frames.len();
            if bytes >= enough {
                break;
            }
        }
        bytes
    }

    /// Returns whether as many lines of other lanes than `first`, the lowest, wait as can be under way.
    pub(super) fn is_crowded(&self, first: Lane) -> bool {
        let others = (Bound::Excluded((first, Some(Cid(u64::MAX)))), Bound::Unbounded);
        self.lines.range(others).nth(MAX_TRANSFERS - 1).is_some()
    }
}

impl Frames for Bulk {
    fn unfinished(&self) -> usize {
        self.active.front().map_or(0, |key| self.lines[key].frames.unfinished())
    }

    fn offer_rest<'a>(&'a self, slices: &mut Slices<'a>) {
        if let Some(key) = self.active.front() {
            self.lines[key].frames.offer_rest(slices);
        }
    }

    /// One frame of each active line, or many if there is no other line.
    fn offer_more<'a>(&'a self, slices: &mut Slices<'a>) {
        if self.active.len() == 1 {
            return self.lines[&self.active[0]].frames.offer_more(slices);
        }
        for key in self.active.iter().skip(usize::from(self.unfinished() > 0)) {
            self.lines[key].frames.offer_first(slices);
        }
    }

    fn consume(&mut self, mut len: usize) {
        self.bytes -= len;
        while len > 0 {
            let key = self.active.pop_front().expect("only active lines were offered");
            let line = self.lines.get_mut(&key).expect("a key in `active` has a line (Invariant 1)");
            let step = line.frames.first_frame().min(len);
            line.frames.consume(step);
            len -= step;
            if line.frames.is_empty() {
                self.lines.remove(&key);
            } else if line.frames.unfinished() > 0 {
                self.active.push_front(key);
            } else {
                self.active.push_back(key);
            }
        }
    }
}

/// Appends a message as one frame or, if it is large, as chunks.
fn cut(id: u32, size: usize, mut message: VecDeque<Bytes>, frames: &mut FrameQueue) {
    let fits = |len: usize| u32::try_from(len).expect("a message is within the limit of its size field");
    let mut headers = BytesMut::with_capacity(size.div_ceil(CHUNK) * MAX_HEADER);
    let mut left = size;
    loop {
        let len = left.min(CHUNK);
        let header = match left {
            _ if size <= CHUNK => Header::Whole { len: fits(len) },
            _ if left == size => Header::First { len: fits(len), id, size: fits(size) },
            _ => Header::Further { len: fits(len), id },
        };
        header.put(&mut headers);
        frames.append(headers.split().freeze());
        left -= len;
        move_bytes(len, &mut message, frames);
        if left == 0 {
            return;
        }
    }
}

/// Moves the next `len` bytes of a message.
fn move_bytes(mut len: usize, message: &mut VecDeque<Bytes>, frames: &mut FrameQueue) {
    while len > 0 {
        let first = message.front_mut().expect("its parts add up to its size");
        let part = first.split_to(first.len().min(len));
        if first.is_empty() {
            message.pop_front();
        }
        len -= part.len();
        frames.append(part);
    }
}
