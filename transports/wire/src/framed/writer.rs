//! The send queue of one stream: encodes frames into one buffer and writes it out.
//!
//! # Invariants
//! 1. `ready`, then `tail`, are the bytes still to be written, in order.
//! 2. A message that can't be encoded leaves both as they were.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::codec::{Codec, FrameBuf};
use crate::error::TransportError;
use crate::msg::Outgoing;
use crate::transport::{Lane, pin};

pub(super) struct FrameWriter {
    pub(super) writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Finished bytes before `tail`: present only while blobs are queued.
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    tail: BytesMut,
    /// Blobs of the message being encoded; empty between calls.
    parts: Vec<Bytes>,
}

impl FrameWriter {
    pub(super) fn new(writer: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self { writer, ready: VecDeque::new(), ready_bytes: 0, tail: BytesMut::new(), parts: Vec::new() }
    }

    /// The queue of a lane whose stream is not open yet; the stream begins with the lane's id.
    pub(super) fn for_lane(lane: Lane) -> Self {
        let mut frames = Self::new(Box::new(tokio::io::sink()));
        frames.tail.put_u64_le(lane.0);
        frames
    }

    /// Bytes that wait to be written.
    pub(super) fn backlog(&self) -> usize {
        self.ready_bytes + self.tail.len()
    }

    /// Queues one frame.
    pub(super) fn push<C: Codec>(&mut self, codec: &C, msg: &Outgoing<'_>, limit: usize) -> Result<(), TransportError> {
        let unfinished = Unfinished { start: self.tail.len(), frames: self };
        let (start, frames) = (unfinished.start, &mut *unfinished.frames);
        frames.tail.put_u32_le(0);
        codec.encode(msg, &mut FrameBuf { out: &mut frames.tail, parts: &mut frames.parts })?;
        frames.seal(start, limit)?;
        mem::forget(unfinished);
        Ok(())
    }

    /// Writes the frame's length and moves its blobs behind it.
    fn seal(&mut self, start: usize, limit: usize) -> Result<(), TransportError> {
        let blobs: usize = self.parts.iter().map(Bytes::len).sum();
        let size = self.tail.len() - start - LENGTH_PREFIX + blobs;
        let length = u32::try_from(size).ok().filter(|_| size <= limit);
        let length = length.ok_or(TransportError::FrameTooLarge { size, limit, direction: "to the peer" })?;
        self.tail[start..start + LENGTH_PREFIX].copy_from_slice(&length.to_le_bytes());
        if !self.parts.is_empty() {
            self.ready_bytes += self.tail.len() + blobs;
            self.ready.push_back(self.tail.split().freeze());
            self.ready.extend(self.parts.drain(..));
        }
        Ok(())
    }

    /// Writes until nothing is left.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.backlog() > 0 {
            let written = if self.ready.is_empty() {
                ready!(pin(&mut self.writer).poll_write(cx, &self.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let queued = self.ready.iter().map(|bytes| &**bytes).chain([&*self.tail]);
                let used = slices.iter_mut().zip(queued).map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count();
                ready!(pin(&mut self.writer).poll_write_vectored(cx, &slices[..used]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.consume(written);
        }
        if self.tail.capacity() > KEEP_CAPACITY {
            self.tail = BytesMut::new();
        }
        pin(&mut self.writer).poll_flush(cx)
    }

    fn consume(&mut self, mut written: usize) {
        while let Some(first) = self.ready.front_mut() {
            let step = written.min(first.len());
            first.advance(step);
            self.ready_bytes -= step;
            written -= step;
            if !first.is_empty() {
                return;
            }
            self.ready.pop_front();
        }
        self.tail.advance(written);
    }

    /// Drops the link's sending half and what is queued.
    pub(super) fn let_go(&mut self) {
        *self = Self::new(Box::new(tokio::io::sink()));
    }
}

/// A frame being encoded. Dropping it takes the frame back: invariant 2 also holds for a value that panics.
struct Unfinished<'a> {
    frames: &'a mut FrameWriter,
    start: usize,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.frames.tail.truncate(self.start);
        self.frames.parts.clear();
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameWriter({} bytes queued)", self.backlog())
    }
}

/// Bytes of a frame's length.
pub(super) const LENGTH_PREFIX: usize = 4;

/// Slices handed to one vectored write.
const MAX_SLICES: usize = 16;

/// A buffer that a burst has grown beyond this is given back once it is empty.
const KEEP_CAPACITY: usize = 256 << 10;
