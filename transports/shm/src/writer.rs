//! The writing half: copies into this side's ring.
//!
//! A peer that is awake may read what was written at once. One that sleeps is woken by a flush, when the ring is full, and
//! where it has a processor of its own, as soon as there is much to read.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWrite, Interest};

use crate::nap::{Place, Sleeper, Waker};
use crate::ring::Number;
use crate::shared::{Shared, poll_event, signal};
use crate::spin::this_processor;

/// Dropping it ends its direction.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Signalled when there is room.
    event: AsyncFd<OwnedFd>,
    /// Up to where it has written.
    position: u32,
    sleeper: Sleeper,
    /// For the peer's reader.
    waker: Waker,
    /// How much of it the peer can't see yet.
    unpublished: usize,
    /// How much it can see that it was not woken for. A flush without news wakes nothing.
    news: usize,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, event: AsyncFd<OwnedFd>) -> Self {
        Self {
            shared,
            event,
            position: 0,
            sleeper: Sleeper::default(),
            waker: Waker::default(),
            unpublished: 0,
            news: 0,
        }
    }

    /// Waits for room; returns how much there is.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = self.shared.room(self.position)?;
        if room == 0 {
            self.tell_news();
            room = ready!(self.poll_sleep(cx))?;
        }
        self.sleeper.end(&self.shared.mine.number(Number::WriterNap));
        Poll::Ready(Ok(room as usize))
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u32>> {
        self.sleeper.begin(&self.shared.mine.number(Number::WriterNap));
        let mut room = self.shared.room(self.position)?;
        if room == 0 {
            poll_event(&self.event, cx)?;
            if let Poll::Ready(_end) = self.shared.poll_end(cx, Interest::WRITABLE) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            room = self.shared.room(self.position)?;
        }
        if room == 0 { Poll::Pending } else { Poll::Ready(Ok(room)) }
    }

    /// Copies as much as there is room for, and returns how much that was.
    fn put(&mut self, bytes: &[u8], room: usize) -> usize {
        let len = bytes.len().min(room);
        for piece in bytes[..len].chunks(MUCH) {
            self.shared.mine.write(self.position, piece);
            self.position = self.position.wrapping_add(piece.len() as u32);
            self.unpublished += piece.len();
            if self.unpublished >= MUCH {
                self.publish(); // so that the peer can read while this side goes on
            }
        }
        len
    }

    /// Shows the peer what was put.
    fn publish(&mut self) {
        let here = this_processor();
        self.shared.mine.number(Number::Processor).store(here);
        self.shared.mine.number(Number::Written).store(self.position);
        self.news += std::mem::take(&mut self.unpublished);
        if self.news >= MUCH && self.shared.theirs.number(Number::Processor).load() != here {
            self.tell_news();
        }
    }

    /// Wakes the peer for what it can see, if there is something new.
    fn tell_news(&mut self) {
        if std::mem::take(&mut self.news) > 0 {
            self.wake_reader();
        }
    }

    fn wake_reader(&mut self) {
        if self.waker.must_wake(&self.shared.theirs.number(Number::ReaderNap)) {
            signal(&self.shared.their_reader);
        }
    }

    fn end(&mut self) {
        self.shared.mine.number(Number::Ended).store(1);
        self.wake_reader();
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(cx))?;
        let written = self.put(bytes, room);
        self.publish();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(cx))?;
        let mut written = 0;
        for slice in slices {
            written += self.put(slice, room - written);
            if written == room {
                break;
            }
        }
        self.publish();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tell_news();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // All that was written is in memory that the peer has mapped, and stays there when this process has ended.
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Bytes that are worth showing to the peer before all is written, and waking it for where it has a processor of its own: on
/// the same one it could only read them once this side waits.
const MUCH: usize = 64 << 10;
