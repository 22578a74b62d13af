//! The receiving end of one stream: cuts frames out of the received bytes.
//!
//! All frames of a read are returned before the next system call. Bodies are slices of the read
//! buffer; a frame larger than it is received straight into a buffer of its own size, and so is a
//! message that comes in chunks ([`Assembly`]). The read buffer is small until it was too small once: most connections
//! carry little.
//!
//! # Invariants
//! 1. A length is checked against the limit before anything is allocated for it. A frame that is only
//!    announced gets room as more of it arrives.
//! 2. `end` is reported only when every whole frame before it has been returned.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::assembly::Assembly;
use super::frame::{Header, LENGTH_PREFIX, room};
use super::{TURN, end_turn};
use crate::codec::Codec;
use crate::error::{Direction, EndReason, TransportClosed, TransportError};
use crate::msg::Msg;

pub(super) struct FrameReader {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    /// The size of the next buffer.
    size: usize,
    assembly: Assembly,
    end: Option<TransportError>,
    /// Bytes that have come.
    received: u64,
}

impl FrameReader {
    pub(super) fn new(reader: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        let (buffer, assembly) = (BytesMut::new(), Assembly::new());
        Self { reader, buffer, size: SMALL, assembly, end: None, received: 0 }
    }

    /// Bytes that have come so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The bytes of messages that have not arrived whole.
    pub(super) fn held(&self) -> usize {
        self.assembly.held() + self.buffer.len()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Drops the link's receiving half.
    pub(super) fn end(&mut self, end: TransportError) {
        self.reader = Box::new(tokio::io::empty());
        self.buffer = BytesMut::new();
        self.assembly = Assembly::new();
        self.end.get_or_insert(end);
    }

    /// Appends all messages that have arrived whole, at least one. If much has come and no message is whole, other tasks
    /// have a turn first, and `cx` is woken at once.
    pub(super) fn poll_frames<C: Codec>(
        &mut self,
        cx: &mut Context<'_>,
        codec: &C,
        limit: usize,
        batch: &mut Vec<Msg>,
    ) -> Poll<Result<(), TransportError>> {
        let (before, mut come) = (batch.len(), 0);
        loop {
            let taken = if self.end.is_none() { self.take_frames(codec, limit, batch) } else { Ok(()) };
            match taken {
                // The messages before it may raise the limit, as the last one of a handshake does.
                Err(TransportError::FrameTooLarge { .. }) if batch.len() > before => {}
                Err(fault) => self.end(fault),
                Ok(()) => {}
            }
            if batch.len() > before {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = &self.end {
                return Poll::Ready(Err(end.clone()));
            }
            if come >= TURN {
                end_turn(cx);
                return Poll::Pending;
            }
            let Poll::Ready(read) = self.poll_read(cx) else {
                self.assembly.poll_idle(cx);
                return Poll::Pending;
            };
            match read {
                Ok(0) => self.end(self.end_of_file()),
                Ok(read) => {
                    self.received += read as u64;
                    come += read;
                }
                Err(error) => self.end(link_error(error, self.is_at_boundary())),
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.assembly.is_inside_chunk() {
            return self.assembly.poll_read(&mut self.reader, cx, &mut self.buffer);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        // A large frame has its room already; growing the buffer for its last bytes would move it whole.
        if room == 0 || (room < self.size / 8 && self.buffer.len() < LARGE) {
            self.buffer.reserve(self.size);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(poll_read_buf(Pin::new(&mut self.reader), cx, &mut self.buffer))?;
        if read == room && room >= SMALL / 2 {
            self.size = LARGE;
        }
        Poll::Ready(Ok(read))
    }

    fn take_frames<C: Codec>(&mut self, codec: &C, limit: usize, batch: &mut Vec<Msg>) -> Result<(), TransportError> {
        let malformed = |why| TransportError::Decode { codec: codec.name(), why };
        loop {
            if self.assembly.is_inside_chunk() {
                match self.assembly.take(&mut self.buffer) {
                    Some(body) => batch.push(codec.decode(body)?),
                    None if self.assembly.is_inside_chunk() => return Ok(()),
                    None => {}
                }
            }
            let Some(header) = Header::read(&self.buffer).map_err(malformed)? else { return Ok(()) };
            let size = header.message();
            if size > limit {
                return Err(TransportError::FrameTooLarge { size, limit, direction: Direction::FromPeer });
            }
            match header {
                Header::Whole { .. } if self.buffer.len() < header.frame() => {
                    let arrived = self.buffer.len();
                    let room = room(header.frame(), arrived + MIN_READ);
                    if self.buffer.capacity() < room {
                        self.buffer.reserve(room - arrived);
                        self.size = LARGE;
                    }
                    return Ok(());
                }
                Header::Whole { .. } => {
                    self.buffer.advance(LENGTH_PREFIX);
                    let body = self.buffer.split_to(size).freeze();
                    match codec.decode_items(&body, batch) {
                        Some(taken) => taken?,
                        None => batch.push(codec.decode(body)?),
                    }
                }
                Header::First { len, id, .. } => {
                    self.assembly.begin(id, size, len as usize).map_err(malformed)?;
                    self.buffer.advance(header.size());
                }
                Header::Further { len, id } => {
                    self.assembly.go_on(id, len as usize).map_err(malformed)?;
                    self.buffer.advance(header.size());
                }
            }
        }
    }

    /// Returns whether every message of which a part has arrived is complete.
    fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.assembly.incomplete().is_none()
    }

    fn end_of_file(&self) -> TransportError {
        if let Some((received, expected)) = self.assembly.incomplete() {
            return TransportError::Truncated { received, expected };
        }
        match self.buffer.len() {
            0 => TransportClosed::by_peer(EndReason::EndOfFile).into(),
            received => {
                let header = Header::read(&self.buffer).ok().flatten();
                let expected = header.map_or(LENGTH_PREFIX.max(received + 1), Header::frame);
                TransportError::Truncated { received, expected }
            }
        }
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameReader({} bytes buffered, end: {:?})", self.buffer.len(), self.end)
    }
}

/// The meaning of a link's error: at a frame boundary, a vanished peer is a graceful end.
pub(super) fn link_error(error: io::Error, at_boundary: bool) -> TransportError {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected if at_boundary => {
            TransportClosed::by_peer(EndReason::Vanished(error.to_string())).into()
        }
        _ => TransportError::Reset(Arc::new(error)),
    }
}

/// The size of a buffer while little comes at once.
const SMALL: usize = 2 << 10;

/// The size of a buffer of a connection over which more has come. With an eighth of it left, a new one is taken.
const LARGE: usize = 16 << 10;

/// The least room for the rest of a frame.
const MIN_READ: usize = 2 << 10;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::codec::Msgpack;

    /// A whole frame around a body.
    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_le_bytes(), body].concat()
    }

    /// Reads all that is there, and returns how many messages that was.
    fn read(bytes: Vec<u8>) -> (FrameReader, usize) {
        let mut reader = FrameReader::new(Box::new(io::Cursor::new(bytes)));
        let (mut cx, mut batch) = (Context::from_waker(Waker::noop()), Vec::new());
        while let Poll::Ready(Ok(())) = reader.poll_frames(&mut cx, &Msgpack, 1 << 20, &mut batch) {}
        (reader, batch.len())
    }

    #[test]
    fn the_buffer_is_large_only_where_a_small_one_was_too_small() {
        let ping = frame(&[0x92, 15, 7]);
        for (bytes, messages, size) in
            [(ping.clone(), 1, SMALL), (ping.repeat(200), 200, SMALL), (ping.repeat(1000), 1000, LARGE)]
        {
            let (reader, read) = read(bytes);
            assert_eq!((read, reader.size), (messages, size));
        }
    }
}
