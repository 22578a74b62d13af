//! The reading half: copies out of the peer's ring.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};

use crate::nap::{Place, Sleeper, Waker};
use crate::ring::Number;
use crate::shared::{Shared, poll_event, signal};
use crate::spin::{Spin, this_processor};

pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// Signalled when there is something to read.
    event: AsyncFd<OwnedFd>,
    /// Up to where it has read.
    position: u32,
    sleeper: Sleeper,
    /// For the peer's writer.
    waker: Waker,
    spin: Spin,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, event: AsyncFd<OwnedFd>, spin: Spin) -> Self {
        Self { shared, event, position: 0, sleeper: Sleeper::default(), waker: Waker::default(), spin }
    }

    fn available(&self) -> io::Result<u32> {
        self.shared.available(self.position)
    }

    /// Waits for bytes, and returns how many there are: none, if the peer has written its last one.
    fn poll_available(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u32>> {
        let mut available = self.available()?;
        if available == 0 {
            let (shared, position) = (&self.shared, self.position);
            let processor = || shared.theirs.number(Number::Processor).load();
            // What can't be right is something to find, too.
            let found = || shared.available(position).map_or(true, |available| available > 0);
            if ready!(self.spin.poll_look(cx, processor, found)) {
                available = self.available()?;
            }
        }
        if available == 0 {
            available = ready!(self.poll_sleep(cx))?;
        }
        let slept = self.sleeper.end(&self.shared.mine.number(Number::ReaderNap));
        self.spin.note_found(slept);
        Poll::Ready(Ok(available))
    }

    fn poll_sleep(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u32>> {
        self.shared.mine.number(Number::Processor).store(this_processor());
        self.sleeper.begin(&self.shared.mine.number(Number::ReaderNap));
        let mut available = self.available()?;
        if available == 0 {
            poll_event(&self.event, cx)?;
            let end = self.shared.poll_end(cx, Interest::READABLE);
            // What was written before the end comes before it.
            let has_ended = self.shared.theirs.number(Number::Ended).load() != 0;
            available = self.available()?;
            if available == 0 && !has_ended {
                return end.map(Err);
            }
        }
        Poll::Ready(Ok(available))
    }

    /// Tells the peer what was read, and wakes its writer once half of the ring is free.
    fn note_read(&mut self, len: u32, left: u32) {
        self.position = self.position.wrapping_add(len);
        self.shared.mine.number(Number::Read).store(self.position);
        if left <= self.shared.theirs.size() / 2 && self.waker.must_wake(&self.shared.theirs.number(Number::WriterNap))
        {
            signal(&self.shared.their_writer);
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let available = ready!(self.poll_available(cx))?;
        let len = available.min(u32::try_from(buf.remaining()).unwrap_or(u32::MAX));
        if len > 0 {
            self.shared.theirs.read(self.position, buf, len as usize);
            self.note_read(len, available - len);
        }
        Poll::Ready(Ok(()))
    }
}
