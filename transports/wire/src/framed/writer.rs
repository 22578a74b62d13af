//! The sending end of one stream: its queue, and writing it out.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::end_turn;
use super::queue::Slices;
use super::schedule::Schedule;
use super::under_way::UnderWay;
use crate::transport::{Lane, pin};

pub(super) struct FrameWriter {
    pub(super) link: Box<dyn AsyncWrite + Send + Unpin>,
    pub(super) queued: Schedule,
    /// Bytes that the link has taken.
    pub(super) written: u64,
    /// Whether the link has passed on all that it has taken.
    flushed: bool,
    /// Whether all that is queued waits for messages of other streams to be complete.
    held: bool,
}

impl FrameWriter {
    /// The connection's own stream.
    pub(super) fn new(link: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self { link, queued: Schedule::new(Lane::CONTROL), written: 0, flushed: true, held: false }
    }

    /// The stream of a lane, which is not open yet. It begins with the lane's id.
    pub(super) fn for_lane(lane: Lane) -> Self {
        let queued = Schedule::opening_with(&lane.0.to_le_bytes(), lane);
        Self { link: Box::new(tokio::io::sink()), queued, written: 0, flushed: true, held: false }
    }

    /// Writes until nothing is left, or `turn` bytes, so that other tasks have a turn; then [`cx` is woken](end_turn). While
    /// it is [held](Self::is_held), nothing wakes `cx`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        turn: usize,
        under_way: &mut UnderWay,
    ) -> Poll<io::Result<()>> {
        let mut written = 0;
        while !self.queued.is_empty() {
            if written >= turn {
                end_turn(cx);
                return Poll::Pending;
            }
            match ready!(self.poll_write_once(cx, under_way))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => written += more,
            }
        }
        if !self.flushed {
            self.queued.shrink();
            ready!(pin(&mut self.link).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns whether a call of [`poll_write`](Self::poll_write) would find nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.flushed && self.queued.is_empty()
    }

    /// Returns whether all that is queued waits for messages of other streams to be complete.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    fn poll_write_once(&mut self, cx: &mut Context<'_>, under_way: &mut UnderWay) -> Poll<io::Result<usize>> {
        if let Some(bytes) = self.queued.only_control() {
            let written = ready!(pin(&mut self.link).poll_write(cx, bytes))?;
            self.queued.consume_control(written);
            self.note_written(written);
            return Poll::Ready(Ok(written));
        }
        self.queued.admit(under_way);
        let mut slices = Slices::new();
        let offer = self.queued.offer(&mut slices);
        self.held = slices.bytes() == 0;
        if self.held {
            return Poll::Pending;
        }
        let written = ready!(pin(&mut self.link).poll_write_vectored(cx, slices.as_slice()))?;
        self.queued.consume(&offer, written, under_way);
        self.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn note_written(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.flushed = false;
    }

    /// Drops the link's sending half and the queue.
    pub(super) fn let_go(&mut self) {
        *self = Self { written: self.written, ..Self::new(Box::new(tokio::io::sink())) };
    }
}

impl fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameWriter({} bytes queued)", self.queued.len())
    }
}
