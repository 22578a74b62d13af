//! A [`MsgTransport`] over any byte link: length-prefixed frames, a send queue, back-pressure.
//!
//! ```text
//! queue() ─► FrameWriter (one buffer) ─► flush_now() or the flusher ─► link ─► FrameReader ─► poll_recv()
//! ```
//! A frame is a u32 little-endian length and a body that the [`Codec`] owns.
//!
//! # Invariants
//! 1. The send lock and the receive lock are never held together, and never across a wait.
//! 2. The flusher's waker is the only one ever given to the link's writer, so an inline write that
//!    the link can't take at once is continued by the flusher.
//! 3. Once `Outgoing::end` is set, nothing is queued any more.

mod reader;
mod writer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use self::reader::FrameReader;
use self::writer::FrameWriter;
use crate::codec::{Codec, Format};
use crate::error::{Ended, TransportClosed, TransportError};
use crate::msg::{Msg, Outgoing};
use crate::transport::{Ends, Lane, Link, MsgTransport, pin};

/// Messages in frames over a byte link.
///
/// Dropping it closes the link without waiting: what was only queued is lost.
#[derive(Debug)]
pub struct Framed<C> {
    codec: C,
    ends: Ends,
    max_frame: AtomicUsize,
    outbound: Mutex<Outbound>,
    inbound: Mutex<Inbound>,
}

#[derive(Debug)]
struct Outbound {
    frames: FrameWriter,
    flusher: Option<Waker>,
    waiting_for_room: Vec<Waker>,
    state: Sending,
}

#[derive(Clone, Debug)]
enum Sending {
    Open,
    /// A close was asked for; what is queued still goes out.
    Closing,
    Ended(TransportError),
}

#[derive(Debug)]
struct Inbound {
    frames: FrameReader,
    reading: Option<Waker>,
}

impl<C: Codec> Framed<C> {
    /// Carries `codec`'s messages over `link`, with frames of up to [`MAX_FRAME`] bytes.
    pub fn new(codec: C, link: Link) -> Self {
        Self {
            codec,
            ends: link.ends,
            max_frame: AtomicUsize::new(MAX_FRAME),
            outbound: Mutex::new(Outbound {
                frames: FrameWriter::new(link.writer),
                flusher: None,
                waiting_for_room: Vec::new(),
                state: Sending::Open,
            }),
            inbound: Mutex::new(Inbound { frames: FrameReader::new(link.reader), reading: None }),
        }
    }

    fn outbound(&self) -> MutexGuard<'_, Outbound> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inbound(&self) -> MutexGuard<'_, Inbound> {
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Codec> MsgTransport for Framed<C> {
    fn queue(&self, _lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        let out = &mut *self.outbound();
        out.check_open()?;
        out.frames.push(&self.codec, msg, self.max_frame.load(Ordering::Relaxed))?;
        Ok(out.frames.backlog())
    }

    fn flush_now(&self) {
        let out = &mut *self.outbound();
        if matches!(out.state, Sending::Open) {
            // An error is kept in the state; whoever calls next gets it.
            let _ = out.poll_write();
        }
    }

    fn wake_flusher(&self) {
        if let Some(flusher) = &self.outbound().flusher {
            flusher.wake_by_ref();
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let out = &mut *self.outbound();
        out.set_flusher(cx);
        match &out.state {
            Sending::Open => out.poll_write(),
            Sending::Closing => out.poll_shutdown(),
            Sending::Ended(TransportError::Closed(TransportClosed { by: Ended::Us, .. })) => Poll::Ready(Ok(())),
            Sending::Ended(end) => Poll::Ready(Err(end.clone())),
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let out = &mut *self.outbound();
        out.check_open()?;
        if out.frames.backlog() < HIGH_WATER {
            return Poll::Ready(Ok(()));
        }
        if !out.waiting_for_room.iter().any(|waker| waker.will_wake(cx.waker())) {
            out.waiting_for_room.push(cx.waker().clone());
        }
        if let Some(flusher) = &out.flusher {
            flusher.wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        let inbound = &mut *self.inbound();
        let polled = inbound.frames.poll_frames(cx, &self.codec, self.max_frame.load(Ordering::Relaxed), batch);
        if polled.is_pending() && !inbound.reading.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inbound.reading = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        {
            let out = &mut *self.outbound();
            if matches!(out.state, Sending::Open) {
                out.state = Sending::Closing;
            }
        }
        self.poll_flush(cx)
    }

    fn abort(&self) {
        let end = TransportError::from(TransportClosed::by_us("aborted"));
        self.outbound().end(&end);
        let reading = {
            let inbound = &mut *self.inbound();
            inbound.frames.end(end);
            inbound.reading.take()
        };
        if let Some(reading) = reading {
            reading.wake();
        }
    }

    fn set_max_frame(&self, bytes: usize) {
        self.max_frame.store(bytes, Ordering::Relaxed);
    }

    fn format(&self) -> Format {
        self.codec.format()
    }

    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn connected(&self) -> bool {
        matches!(self.outbound().state, Sending::Open) && !self.inbound().frames.has_ended()
    }
}

impl Outbound {
    fn check_open(&self) -> Result<(), TransportError> {
        match &self.state {
            Sending::Open => Ok(()),
            Sending::Closing => Err(TransportClosed::by_us("it is closing").into()),
            Sending::Ended(end) => Err(end.clone()),
        }
    }

    fn set_flusher(&mut self, cx: &Context<'_>) {
        if !self.flusher.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.flusher = Some(cx.waker().clone());
        }
    }

    /// Writes what is queued. Invariant 2: always with the flusher's waker, whoever calls.
    fn poll_write(&mut self) -> Poll<Result<(), TransportError>> {
        let mut cx = Context::from_waker(self.flusher.as_ref().unwrap_or(Waker::noop()));
        let written = self.frames.poll_write(&mut cx);
        if self.frames.backlog() < HIGH_WATER {
            self.waiting_for_room.drain(..).for_each(Waker::wake);
        }
        self.note_failure(written)
    }

    fn poll_shutdown(&mut self) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_write())?;
        let mut cx = Context::from_waker(self.flusher.as_ref().unwrap_or(Waker::noop()));
        let shut = pin(&mut self.frames.writer).poll_shutdown(&mut cx);
        ready!(self.note_failure(shut))?;
        self.end(&TransportClosed::by_us("this side has finished sending").into());
        Poll::Ready(Ok(()))
    }

    fn note_failure(&mut self, result: Poll<std::io::Result<()>>) -> Poll<Result<(), TransportError>> {
        result.map(|result| {
            result.map_err(|error| {
                let end = reader::link_error(error, true);
                self.end(&end);
                end
            })
        })
    }

    /// Ends sending and wakes all who wait; a link that failed or was aborted is let go at once.
    fn end(&mut self, end: &TransportError) {
        if matches!(self.state, Sending::Ended(_)) {
            return;
        }
        self.state = Sending::Ended(end.clone());
        self.frames.let_go();
        self.waiting_for_room.drain(..).for_each(Waker::wake);
        if let Some(flusher) = &self.flusher {
            flusher.wake_by_ref();
        }
    }
}

/// The largest frame unless configured otherwise: 64 MiB.
pub const MAX_FRAME: usize = 64 << 20;

/// Above this many queued bytes a sender waits: enough to keep the kernel busy, small enough to bound memory.
const HIGH_WATER: usize = 256 << 10;
