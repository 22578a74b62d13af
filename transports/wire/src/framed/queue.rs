//! Frames that wait to be written, in one order.
//!
//! # Invariants
//! 1. `ready`, then `tail`, are the bytes still to be written, in order.
//! 2. A message that can't be encoded leaves both as they were.
//! 3. The header of a frame lies in one piece, so that the end of each frame can be found.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{Header, LENGTH_PREFIX};
use crate::codec::{Codec, FrameBuf};
use crate::error::{Direction, TransportError};
use crate::msg::Outgoing;

#[derive(Default)]
pub(super) struct FrameQueue {
    /// Finished bytes before `tail`: present only while there are some that are not to be copied.
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    tail: BytesMut,
    /// Blobs of the message being encoded; empty between calls.
    parts: Vec<Bytes>,
    /// The unwritten rest of a frame that was begun; 0 between two frames.
    unfinished: usize,
    /// Bytes written so far.
    written: u64,
}

impl FrameQueue {
    /// A queue whose first bytes, before any frame, are `opening`.
    pub(super) fn opening_with(opening: &[u8]) -> Self {
        Self { tail: opening.into(), unfinished: opening.len(), ..Self::default() }
    }

    /// Encodes a message at the end of the queue, for its size to be known before it is queued or taken out.
    pub(super) fn draft<C: Codec>(
        &mut self,
        codec: &C,
        msg: &Outgoing<'_>,
        limit: usize,
    ) -> Result<Draft<'_>, TransportError> {
        let mut draft = Draft { start: self.tail.len(), queue: self, size: 0 };
        let queue = &mut *draft.queue;
        Header::Whole { len: 0 }.put(&mut queue.tail);
        codec.encode(msg, &mut FrameBuf { out: &mut queue.tail, parts: &mut queue.parts })?;
        let blobs: usize = queue.parts.iter().map(Bytes::len).sum();
        draft.size = queue.tail.len() - draft.start - LENGTH_PREFIX + blobs;
        let (size, limit) = (draft.size, limit.min(MAX_MESSAGE));
        if size > limit {
            return Err(TransportError::FrameTooLarge { size, limit, direction: Direction::ToPeer });
        }
        Ok(draft)
    }

    /// Appends finished bytes. Nothing may have been queued by [`draft`](Self::draft).
    pub(super) fn append(&mut self, bytes: Bytes) {
        debug_assert!(self.tail.is_empty(), "the tail would be overtaken");
        self.ready_bytes += bytes.len();
        self.ready.push_back(bytes);
    }

    fn skip(&mut self, mut len: usize) {
        while let Some(first) = self.ready.front_mut() {
            let step = len.min(first.len());
            first.advance(step);
            self.ready_bytes -= step;
            len -= step;
            if !first.is_empty() {
                return;
            }
            self.ready.pop_front();
        }
        self.tail.advance(len);
    }

    /// Gives a buffer back that a burst has grown, once it is empty.
    pub(super) fn shrink(&mut self) {
        if self.tail.is_empty() && self.tail.capacity() > KEEP_CAPACITY {
            self.tail = BytesMut::new();
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn len(&self) -> usize {
        self.ready_bytes + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The unwritten rest of the first frame, begun or not. The queue must not be empty.
    pub(super) fn first_frame(&self) -> usize {
        if self.unfinished > 0 {
            return self.unfinished;
        }
        let first = self.ready.front().map_or(&*self.tail, |bytes| &**bytes);
        let header = Header::read(first).ok().flatten();
        header.expect("a frame begins here, with a header of ours in one piece (Invariant 3)").frame()
    }

    /// All that waits, if it lies in one piece.
    pub(super) fn in_one_piece(&self) -> Option<&[u8]> {
        self.ready.is_empty().then_some(&*self.tail)
    }

    /// Offers the rest of the first frame, begun or not. The queue must not be empty.
    pub(super) fn offer_first<'a>(&'a self, slices: &mut Slices<'a>) {
        self.offer(0, self.first_frame(), slices);
    }

    /// Offers the queue behind the first `skip` bytes, and `len` bytes at most.
    fn offer<'a>(&'a self, mut skip: usize, mut len: usize, slices: &mut Slices<'a>) {
        for bytes in self.ready.iter().map(|bytes| &**bytes).chain([&*self.tail]) {
            let start = skip.min(bytes.len());
            let end = bytes.len().min(start.saturating_add(len));
            skip -= start;
            len -= end - start;
            slices.push(&bytes[start..end]);
            if len == 0 || slices.is_full() {
                return;
            }
        }
    }
}

/// Frames that wait to be written, of which one may have been begun.
pub(super) trait Frames {
    /// The unwritten rest of the frame that was begun; 0 between two frames.
    fn unfinished(&self) -> usize;

    /// Offers the rest of the frame that was begun.
    fn offer_rest<'a>(&'a self, slices: &mut Slices<'a>);

    /// Offers whole frames, those behind the one that was begun.
    fn offer_more<'a>(&'a self, slices: &mut Slices<'a>);

    /// Marks the first `len` offered bytes as written.
    fn consume(&mut self, len: usize);
}

impl Frames for FrameQueue {
    fn unfinished(&self) -> usize {
        self.unfinished
    }

    fn offer_rest<'a>(&'a self, slices: &mut Slices<'a>) {
        self.offer(0, self.unfinished, slices);
    }

    fn offer_more<'a>(&'a self, slices: &mut Slices<'a>) {
        self.offer(self.unfinished, usize::MAX, slices);
    }

    fn consume(&mut self, len: usize) {
        self.written += len as u64;
        if len == self.len() {
            (self.ready_bytes, self.unfinished) = (0, 0);
            self.ready.clear();
            self.tail.clear();
            return;
        }
        let mut left = len;
        while left > 0 {
            let frame = self.first_frame();
            let step = frame.min(left);
            self.unfinished = frame - step;
            self.skip(step);
            left -= step;
        }
    }
}

/// A message that is encoded and not queued yet. Dropping it takes the message back: invariant 2 also
/// holds for a value that panics.
pub(super) struct Draft<'a> {
    queue: &'a mut FrameQueue,
    start: usize,
    size: usize,
}

impl Draft<'_> {
    /// Bytes of the message.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Queues the message, whole.
    pub(super) fn queue(self) {
        let queue = &mut *self.queue;
        let len = u32::try_from(self.size).expect("larger ones are cut into chunks");
        queue.tail[self.start..self.start + LENGTH_PREFIX].copy_from_slice(&len.to_le_bytes());
        if !queue.parts.is_empty() {
            queue.ready_bytes += self.start + LENGTH_PREFIX + self.size;
            queue.ready.push_back(queue.tail.split().freeze());
            queue.ready.extend(queue.parts.drain(..));
        }
        mem::forget(self);
    }

    /// Takes the message out, without a header.
    pub(super) fn take(self) -> VecDeque<Bytes> {
        let queue = &mut *self.queue;
        let mut envelope = queue.tail.split_off(self.start);
        envelope.advance(LENGTH_PREFIX);
        if envelope.len() > KEEP_CAPACITY {
            queue.tail = BytesMut::from(&*queue.tail); // the rest must not hold the large buffer
        }
        let message = [envelope.freeze()].into_iter().chain(queue.parts.drain(..)).collect();
        mem::forget(self);
        message
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        self.queue.tail.truncate(self.start);
        self.queue.parts.clear();
    }
}

/// The slices of one vectored write.
pub(super) struct Slices<'a> {
    slices: [IoSlice<'a>; MAX_SLICES],
    used: usize,
    bytes: usize,
}

impl<'a> Slices<'a> {
    pub(super) fn new() -> Self {
        Self { slices: [IoSlice::new(&[]); MAX_SLICES], used: 0, bytes: 0 }
    }

    /// Adds a slice. Once they are full nothing more is added, so the offer has no gaps.
    fn push(&mut self, bytes: &'a [u8]) {
        if !bytes.is_empty() && !self.is_full() {
            self.slices[self.used] = IoSlice::new(bytes);
            self.used += 1;
            self.bytes += bytes.len();
        }
    }

    fn is_full(&self) -> bool {
        self.used == MAX_SLICES
    }

    /// Bytes offered so far.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.used]
    }
}

/// The limit of the length and size fields of headers.
const MAX_MESSAGE: usize = u32::MAX as usize;

/// Slices handed to one vectored write.
const MAX_SLICES: usize = 32;

/// A buffer that a burst has grown beyond this is given back once it is empty.
const KEEP_CAPACITY: usize = 256 << 10;
