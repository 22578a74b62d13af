//! Large messages that wait to be written: cut into chunks, which take turns.
//!
//! ```text
//! push ─► a line per dialog: waiting ─(admit)─► active: one frame each, in turn ─► gone when it is empty
//!                               ▲                 │
//!                               └─(next message)──┘
//! ```
//! While a dialog has a line, all of its messages on that lane join it, small ones too, so that none
//! overtakes another.
//!
//! # Invariants
//! 1. A key is in `active` or in `waiting` exactly while it has a line, and a line is never empty.
//! 2. A message of which a part was written is the first of an active line, and counted in [`UnderWay`]; so at most
//!    [`MAX_TRANSFERS`] are under way. Only the foremost active line can be inside a frame.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use super::frame::{CHUNK, Header, MAX_HEADER, MAX_TRANSFERS};
use super::queue::{FrameQueue, Frames, MAX_SLICES, Slices};
use super::under_way::{LARGE, UnderWay};
use crate::msg::Cid;
use crate::transport::Lane;

/// Messages with the same key keep their order.
pub(super) type Key = (Lane, Option<Cid>);

#[derive(Default)]
pub(super) struct Bulk {
    lines: BTreeMap<Key, Line>,
    active: VecDeque<Key>,
    /// Lines whose first message is to begin: the smaller messages, and the large ones.
    waiting: [VecDeque<Key>; 2],
    bytes: usize,
    next_id: u32,
}

/// The messages of one dialog that wait on one lane.
struct Line {
    frames: FrameQueue,
    messages: VecDeque<Message>,
    after: After,
}

struct Message {
    size: usize,
    /// Bytes of its frames that are not written.
    left: usize,
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
            self.waiting[class(size)].push_back(key);
            Line { frames: FrameQueue::default(), messages: VecDeque::new(), after }
        });
        let before = line.frames.len();
        cut(id, size, message, &mut line.frames);
        let left = line.frames.len() - before;
        line.messages.push_back(Message { size, left });
        self.bytes += left;
        self.next_id = id.wrapping_add(1);
    }

    /// Lets waiting lines take turns, as far as their places and what is under way allow.
    pub(super) fn admit(&mut self, control_written: u64, data_written: u64, under_way: &mut UnderWay) {
        // The one large message first, or the others would leave it no turn.
        for waiting in self.waiting.iter_mut().rev() {
            while self.active.len() < MAX_TRANSFERS
                && let Some(line) = waiting.front().map(|key| &self.lines[key])
                && match line.after {
                    After::Control(place) => place <= control_written,
                    After::Data(place) => place <= data_written,
                }
                && under_way.begin(line.messages[0].size)
            {
                self.active.extend(waiting.pop_front());
            }
        }
    }

    /// Marks the first `len` offered bytes as written.
    pub(super) fn consume(&mut self, mut len: usize, under_way: &mut UnderWay) {
        self.bytes -= len;
        while len > 0 {
            let is_alone = self.is_one_alone();
            let key = self.active.pop_front().expect("only active lines were offered");
            let line = self.lines.get_mut(&key).expect("a key in `active` has a line (Invariant 1)");
            let step = line.frames.first_frame().min(len);
            line.frames.consume(step);
            len -= step;
            let message = &mut line.messages[0];
            message.left -= step;
            if message.left > 0 {
                match line.frames.unfinished() {
                    0 => self.active.push_back(key),
                    _ => self.active.push_front(key),
                }
                continue;
            }
            let size = message.size;
            under_way.end(size);
            line.messages.pop_front();
            match line.messages.front() {
                None => drop(self.lines.remove(&key)),
                // It takes the place of the last one, and may have been written in part with that.
                Some(next) if is_alone && next.size <= size && under_way.begin(next.size) => {
                    self.active.push_front(key);
                }
                Some(next) => self.waiting[class(next.size)].push_back(key),
            }
        }
    }

    /// Returns whether one line is active, and no other one waits for a turn.
    fn is_one_alone(&self) -> bool {
        self.active.len() == 1 && self.waiting.iter().all(VecDeque::is_empty)
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

    /// One frame of each active line, or many if there is no other line: of the next messages, too, if they need no more
    /// room than the first.
    fn offer_more<'a>(&'a self, slices: &mut Slices<'a>) {
        if self.is_one_alone() {
            let Line { frames, messages, .. } = &self.lines[&self.active[0]];
            let pairs = messages.iter().zip(messages.iter().skip(1)).take(MAX_SLICES); // each takes one or more
            let fit = pairs.take_while(|(before, next)| next.size <= before.size);
            let len = messages[0].left + fit.map(|(_, next)| next.left).sum::<usize>();
            return frames.offer_whole(len, slices);
        }
        for key in self.active.iter().skip(usize::from(self.unfinished() > 0)) {
            self.lines[key].frames.offer_first(slices);
        }
    }
}

/// Which of the two queues a message waits in.
fn class(size: usize) -> usize {
    usize::from(size > LARGE)
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
