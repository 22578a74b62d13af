//! Frames that wait to be written, in one order.
//!
//! # Invariants
//! 1. `ready`, then `tail`, are the bytes still to be written, in order.
//! 2. The header of a frame lies in one piece, so that the end of each frame can be found.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::encoded::Encoded;
use super::frame::Header;

#[derive(Default)]
pub(super) struct FrameQueue {
    /// Finished bytes before `tail`: present only while there are some that are not to be copied.
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    tail: BytesMut,
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

    /// Queues a message, whole.
    pub(super) fn push(&mut self, mut message: Encoded<'_>) {
        let len = u32::try_from(message.size()).expect("larger ones are cut into chunks");
        Header::Whole { len }.put(&mut self.tail);
        self.tail.extend_from_slice(message.envelope());
        if !message.parts().is_empty() {
            let before = self.tail.split().freeze();
            self.ready_bytes += before.len() + message.parts().iter().map(Bytes::len).sum::<usize>();
            self.ready.push_back(before);
            self.ready.extend(message.parts().drain(..));
        }
    }

    /// Appends finished bytes. Nothing may have been queued by [`push`](Self::push).
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
        header.expect("a frame begins here, with a header of ours in one piece (Invariant 2)").frame()
    }

    /// All that waits, if it lies in one piece.
    pub(super) fn in_one_piece(&self) -> Option<&[u8]> {
        self.ready.is_empty().then_some(&*self.tail)
    }

    /// Offers the rest of the first frame, begun or not. The queue must not be empty.
    pub(super) fn offer_first<'a>(&'a self, slices: &mut Slices<'a>) {
        self.offer(0, self.first_frame(), slices);
    }

    /// Offers whole frames of the first `len` bytes, those behind the one that was begun.
    pub(super) fn offer_whole<'a>(&'a self, len: usize, slices: &mut Slices<'a>) {
        self.offer(self.unfinished, len - self.unfinished, slices);
    }

    /// Marks the first `len` offered bytes as written.
    pub(super) fn consume(&mut self, len: usize) {
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
}

impl Frames for FrameQueue {
    fn unfinished(&self) -> usize {
        self.unfinished
    }

    fn offer_rest<'a>(&'a self, slices: &mut Slices<'a>) {
        self.offer(0, self.unfinished, slices);
    }

    fn offer_more<'a>(&'a self, slices: &mut Slices<'a>) {
        self.offer_whole(self.len(), slices);
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

/// Slices handed to one vectored write.
pub(super) const MAX_SLICES: usize = 32;

/// A buffer that a burst has grown beyond this is given back once it is empty.
const KEEP_CAPACITY: usize = 256 << 10;
