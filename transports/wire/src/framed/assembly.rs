//! Messages that arrive in chunks, being put together.
//!
//! A chunk is received straight into the buffer of its message, together with what may be the next
//! header; only bytes of the same read as its own header are copied there.
//!
//! # Invariants
//! 1. A message's size is checked against the limit before anything is allocated for it.
//! 2. A message never holds more than its announced size, plus [`MAX_HEADER`] bytes during a read.
//! 3. Messages are under way only as [`under_way`](super::under_way) says.
//! 4. An announcement costs little: a message holds at most four times its arrived bytes, or four chunks while that is
//!    less; or a buffer that an earlier message has left ([`Pool`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::frame::{CHUNK, MAX_HEADER, MAX_TRANSFERS, room};
use super::pool::Pool;
use super::under_way::{LARGE, SMALLER, UnderWay};

pub(super) struct Assembly {
    transfers: Vec<Transfer>,
    under_way: UnderWay,
    chunk: Option<Chunk>,
    pool: Pool,
}

/// A message that has not arrived whole.
struct Transfer {
    id: u32,
    size: usize,
    body: Vec<u8>,
}

/// The chunk whose bytes come next on the stream.
struct Chunk {
    /// Its message's place in `transfers`.
    transfer: usize,
    left: usize,
}

impl Assembly {
    pub(super) fn new() -> Self {
        Self { transfers: Vec::new(), under_way: UnderWay::default(), chunk: None, pool: Pool::new() }
    }

    /// Begins a message of `size` bytes, of which `len` come now.
    ///
    /// # Errors
    /// In words, when no message may begin like this.
    pub(super) fn begin(&mut self, id: u32, size: usize, len: usize) -> Result<(), String> {
        if let Some(transfer) = self.transfers.iter().find(|transfer| transfer.id == id) {
            let Transfer { body, size, .. } = transfer;
            return Err(format!("message {id} begins again after {} of its {size} bytes", body.len()));
        }
        if self.transfers.len() == MAX_TRANSFERS {
            return Err(format!("message {id} begins while {MAX_TRANSFERS} others are under way, which is the limit"));
        }
        if size <= CHUNK {
            return Err(format!("message {id} of {size} bytes comes in chunks, which is for those over {CHUNK}"));
        }
        if len > size {
            return Err(format!("the first chunk of message {id} has {len} bytes, and the whole has {size}"));
        }
        if !self.under_way.begin(size) {
            return Err(format!(
                "message {id} of {size} bytes begins beside others under way: one may be larger than {LARGE}, and the \
                 smaller ones may have {SMALLER} together"
            ));
        }
        self.chunk = Some(Chunk { transfer: self.transfers.len(), left: len });
        let body = self.pool.take(size + MAX_HEADER);
        let body = body.unwrap_or_else(|| Vec::with_capacity(room(size, 0) + MAX_HEADER));
        self.transfers.push(Transfer { id, size, body });
        Ok(())
    }

    /// Goes on with a message, of which `len` bytes come now.
    ///
    /// # Errors
    /// In words, when it can't go on like this.
    pub(super) fn go_on(&mut self, id: u32, len: usize) -> Result<(), String> {
        let place = self.transfers.iter().position(|transfer| transfer.id == id);
        let place = place.ok_or_else(|| format!("a further chunk of message {id} came, and none such is under way"))?;
        let Transfer { body, size, .. } = &self.transfers[place];
        let missing = size - body.len();
        if len > missing {
            return Err(format!("a chunk of {len} bytes came for message {id}, which lacks {missing} of {size}"));
        }
        self.chunk = Some(Chunk { transfer: place, left: len });
        Ok(())
    }

    /// Returns whether the next bytes of the stream belong to a chunk.
    pub(super) fn is_inside_chunk(&self) -> bool {
        self.chunk.is_some()
    }

    /// Moves the chunk's bytes in `arrived` to its message; returns the message if that completes it.
    pub(super) fn take(&mut self, arrived: &mut BytesMut) -> Option<Bytes> {
        let chunk = self.chunk.as_mut()?;
        let transfer = &mut self.transfers[chunk.transfer];
        let len = chunk.left.min(arrived.len());
        transfer.make_room(len);
        transfer.body.extend_from_slice(&arrived[..len]);
        arrived.advance(len);
        chunk.left -= len;
        let place = self.chunk.take_if(|chunk| chunk.left == 0)?.transfer;
        let Transfer { body, size, .. } = &self.transfers[place];
        if body.len() < *size {
            return None;
        }
        self.under_way.end(*size);
        Some(self.pool.freeze(self.transfers.swap_remove(place).body))
    }

    /// Reads the rest of the chunk, and moves later bytes to `next`. Returns how much was read.
    ///
    /// # Errors
    /// Those of the link.
    pub(super) fn poll_read(
        &mut self,
        reader: &mut Box<dyn AsyncRead + Send + Unpin>,
        cx: &mut Context<'_>,
        next: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let chunk = self.chunk.as_mut().expect("called inside of a chunk only");
        let transfer = &mut self.transfers[chunk.transfer];
        transfer.make_room(chunk.left.min(CHUNK));
        let body = &mut transfer.body;
        let read = ready!(poll_read_buf(Pin::new(reader), cx, &mut body.limit(chunk.left + MAX_HEADER)))?;
        let own = read.min(chunk.left);
        let end = body.len() - (read - own);
        next.extend_from_slice(&body[end..]);
        body.truncate(end);
        chunk.left -= own;
        Poll::Ready(Ok(read))
    }

    /// Frees buffers that are kept for later messages once none has come for a while; `cx` is woken then.
    pub(super) fn poll_idle(&mut self, cx: &mut Context<'_>) {
        if self.transfers.is_empty() {
            self.pool.poll_idle(cx);
        }
    }

    /// The bytes that have arrived of messages that are not complete.
    pub(super) fn held(&self) -> usize {
        self.transfers.iter().map(|transfer| transfer.body.len()).sum()
    }

    /// A message that is not complete: how much of it has arrived, and its size.
    pub(super) fn incomplete(&self) -> Option<(usize, usize)> {
        self.transfers.first().map(|transfer| (transfer.body.len(), transfer.size))
    }
}

impl Transfer {
    /// Makes room for `len` more bytes, and for the header that may come with them.
    fn make_room(&mut self, len: usize) {
        let needed = self.body.len() + len;
        if self.body.capacity() < needed + MAX_HEADER {
            self.body.reserve_exact(room(self.size, needed) + MAX_HEADER - self.body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SEC-8
    #[test]
    fn what_is_announced_is_not_allocated() {
        let mut assembly = Assembly::new();
        for id in 0..MAX_TRANSFERS as u32 - 1 {
            assembly.begin(id, LARGE, LARGE).unwrap();
        }
        assembly.begin(u32::MAX, 64 << 20, 64 << 20).unwrap();
        let held = |assembly: &Assembly| assembly.transfers.iter().map(|transfer| transfer.body.capacity()).sum();
        let held: [usize; 2] = [held(&assembly), {
            let mut arrived = BytesMut::zeroed(1 << 20);
            assert!(assembly.take(&mut arrived).is_none() && arrived.is_empty());
            held(&assembly)
        }];
        assert!(held[0] <= 4 * MAX_TRANSFERS * (CHUNK + MAX_HEADER), "{held:?}");
        assert!(held[1] - held[0] <= 4 << 20, "{held:?}");
    }

    #[test]
    fn small_messages_do_not_come_in_chunks() {
        let why = Assembly::new().begin(7, CHUNK, 1).unwrap_err();
        assert!(why.contains("for those over 65536"), "{why}");
    }
}
