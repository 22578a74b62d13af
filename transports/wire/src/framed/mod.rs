//! A [`MsgTransport`] over any byte link: length-prefixed frames, send queues, back-pressure.
//!
//! ```text
//! queue() ─► Schedule ─► FrameWriter ─► flush_now() or the flusher ─► link ─► FrameReader ─► poll_recv()
//! ```
//! | file | station |
//! |---|---|
//! | `frame` | how frames are written: the wire format |
//! | `schedule` | the queues of one stream, and their order: control, small data, chunks of large messages |
//! | `queue` | frames that wait in one order |
//! | `bulk` | large messages, cut into chunks that take turns |
//! | `writer` | writes in the order of the schedule |
//! | `reader` | cuts frames out of the received bytes |
//! | `assembly` | puts chunks together |
//! | `pool` | receive buffers of large messages, kept for the next ones |
//! | `lanes` | streams of their own for further lanes, each with a writer and a reader |
//!
//! The body of a message is the [`Codec`]'s. Here it goes in one frame, or in chunks if it is large, so
//! that it holds nothing up. Where lanes share a stream, control is written first.
//!
//! # Invariants
//! 1. The send lock and the receive lock are never held together, and never across a wait.
//! 2. The flusher's waker is the only one ever given to the link's writer, so an inline write that
//!    the link can't take at once is continued by the flusher. Lanes have wakers that wake the flusher.
//! 3. Once `Outbound::state` has left `Open`, nothing is queued any more.

mod assembly;
mod bulk;
mod frame;
mod lanes;
mod pool;
mod queue;
mod reader;
mod schedule;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;

use self::frame::CHUNK;
use self::reader::FrameReader;
use self::writer::FrameWriter;
use crate::blob;
use crate::codec::{Codec, Encode, Format, Measured};
use crate::error::{EndReason, TransportClosed, TransportError};
use crate::msg::{Msg, Outgoing};
use crate::sync::{lock, try_lock};
use crate::tap::{Tap, Tapped};
use crate::transport::{Flow, Lane, Link, MsgTransport, PeerInfo, Traffic, Volume, pin};

/// Messages in frames over a byte link.
///
/// Dropping it closes the link without waiting: queued messages are lost.
#[derive(Debug)]
pub struct Framed<C> {
    codec: Tapped<C>,
    ends: PeerInfo,
    max_frame: AtomicUsize,
    outbound: Mutex<Outbound>,
    inbound: Mutex<Inbound>,
}

#[derive(Debug)]
struct Outbound {
    frames: FrameWriter,
    lanes: Option<lanes::Writers>,
    /// Messages that have been queued.
    messages: u64,
    flusher: Option<Waker>,
    /// Tasks that flushed before the flusher did; woken once all is written, and one of them is the next.
    displaced: Vec<Waker>,
    waiting_for_room: BTreeMap<Waiter, Vec<Waker>>,
    /// The link takes no more and has the flusher's waker: waking the flusher now would only make it spin.
    blocked: bool,
    /// When sending ended: the bytes that had moved on other lanes, and the lost ones.
    at_end: Traffic,
    state: Sending,
}

/// What a task has to send that waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Waiter {
    /// A small message on the control lane.
    Small,
    /// Any message on a lane that shares the control lane's stream.
    Lane(Lane),
}

#[derive(Clone, Debug)]
enum Sending {
    Open,
    /// A close was requested; the queue still goes out.
    Closing,
    /// A close went through: everything was written.
    Finished,
    Ended(TransportError),
}

#[derive(Debug)]
struct Inbound {
    frames: FrameReader,
    lanes: Option<lanes::Readers>,
    /// Messages that have come whole.
    messages: u64,
    reading: Option<Waker>,
}

impl<C: Codec> Framed<C> {
    /// Carries `codec`'s messages over `link`, with frames of up to [`MAX_FRAME`] bytes.
    pub fn new(codec: C, link: Link) -> Self {
        let (opener, acceptor) = link.lanes.map(|lanes| (lanes.opener, lanes.acceptor)).unzip();
        Self {
            codec: Tapped::new(codec),
            ends: link.ends,
            max_frame: AtomicUsize::new(MAX_FRAME),
            outbound: Mutex::new(Outbound {
                frames: FrameWriter::new(link.writer),
                lanes: opener.map(lanes::Writers::new),
                messages: 0,
                flusher: None,
                displaced: Vec::new(),
                waiting_for_room: BTreeMap::new(),
                blocked: false,
                at_end: Traffic::default(),
                state: Sending::Open,
            }),
            inbound: Mutex::new(Inbound {
                frames: FrameReader::new(link.reader),
                lanes: acceptor.map(lanes::Readers::new),
                messages: 0,
                reading: None,
            }),
        }
    }

    /// Encodes a message into the queue of its lane; returns the bytes that wait there.
    fn push(&self, out: &mut Outbound, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        let limit = self.max_frame.load(Ordering::Relaxed);
        out.check_open()?;
        let (size, waiting) = match out.lanes.as_mut().filter(|_| lane != Lane::CONTROL) {
            Some(lanes) => lanes.push(lane, &self.codec, msg, limit)?,
            None => (out.frames.queued.push(lane, &self.codec, msg, limit)?, out.frames.queued.len()),
        };
        out.messages += 1;
        self.codec.note_sent(msg, size);
        Ok(waiting)
    }

    fn outbound(&self) -> MutexGuard<'_, Outbound> {
        lock(&self.outbound)
    }

    fn inbound(&self) -> MutexGuard<'_, Inbound> {
        lock(&self.inbound)
    }
}

impl<C: Codec> MsgTransport for Framed<C> {
    fn queue(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        self.push(&mut self.outbound(), lane, msg)
    }

    fn queue_for_flusher(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        let out = &mut *self.outbound();
        let waiting = self.push(out, lane, msg)?;
        out.wake_flusher();
        Ok(waiting)
    }

    fn flush_now(&self) {
        let out = &mut *self.outbound();
        if matches!(out.state, Sending::Open) {
            // An error is kept in the state, for the next call.
            let _ = out.poll_write();
        }
    }

    fn wake_flusher(&self) {
        self.outbound().wake_flusher();
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let out = &mut *self.outbound();
        out.set_flusher(cx);
        match &out.state {
            Sending::Open => out.poll_write(),
            Sending::Closing => out.poll_shutdown(),
            Sending::Finished => Poll::Ready(Ok(())),
            Sending::Ended(end) => Poll::Ready(Err(end.clone())),
        }
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_lane_room(Lane::CONTROL, cx)
    }

    fn poll_small_room(&self, cx: &mut Context<'_>) -> Poll<Result<bool, TransportError>> {
        let out = &mut *self.outbound();
        out.check_open()?;
        if out.frames.queued.has_small_room(HIGH_WATER) {
            return Poll::Ready(Ok(out.frames.queued.has_room(Lane::CONTROL, HIGH_WATER)));
        }
        out.wait_for_room(Waiter::Small, cx);
        if !out.blocked {
            out.wake_flusher();
        }
        Poll::Pending
    }

    fn is_small(&self, value: &dyn Encode) -> bool {
        let value = Measured::new(value);
        let encoded = blob::collect(&mut Vec::new(), || value.encode(self.format(), &mut BytesMut::new()));
        // One that can't be encoded is an error where it is sent.
        encoded.is_err() || value.len() <= SMALL
    }

    fn poll_lane_room(&self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let out = &mut *self.outbound();
        out.check_open()?;
        if out.has_room(lane, cx) {
            return Poll::Ready(Ok(()));
        }
        let own_stream = out.lanes.is_some() && lane != Lane::CONTROL;
        if own_stream || !out.blocked {
            out.wake_flusher();
        }
        Poll::Pending
    }

    fn close_lane(&self, lane: Lane) {
        let out = &mut *self.outbound();
        if out.lanes.as_mut().is_some_and(|lanes| lanes.finish(lane)) {
            out.wake_flusher();
        }
    }

    fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        let limit = self.max_frame.load(Ordering::Relaxed);
        let polled = {
            let inbound = &mut *self.inbound();
            let before = batch.len();
            let polled = match inbound.lanes {
                None => inbound.frames.poll_frames(cx, &self.codec, limit, batch),
                Some(_) => inbound.poll_all_lanes(cx, &self.codec, limit, batch),
            };
            inbound.messages += (batch.len() - before) as u64;
            if polled.is_pending() && !inbound.reading.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                inbound.reading = Some(cx.waker().clone());
            }
            polled
        };
        // After a graceful end the other direction may go on; after a fault nothing does.
        if let Poll::Ready(Err(fault)) = &polled
            && !fault.is_closed()
        {
            self.outbound().end(Sending::Ended(fault.clone()));
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
        let end = TransportError::from(TransportClosed::by_us(EndReason::Aborted));
        self.outbound().end(Sending::Ended(end.clone()));
        let reading = {
            let inbound = &mut *self.inbound();
            inbound.frames.end(end);
            inbound.lanes = None;
            inbound.reading.take()
        };
        if let Some(reading) = reading {
            reading.wake();
        }
    }

    fn traffic(&self) -> Traffic {
        let Traffic { moved, waiting } = self.outbound().traffic();
        Traffic { moved: moved + self.inbound().received(), waiting }
    }

    fn volume(&self) -> Option<Volume> {
        let (sent, waiting) = {
            let out = try_lock(&self.outbound)?;
            (Flow { messages: out.messages, bytes: out.written() }, out.traffic().waiting as u64)
        };
        let inbound = try_lock(&self.inbound)?;
        Some(Volume { sent, received: Flow { messages: inbound.messages, bytes: inbound.received() }, waiting })
    }

    fn set_tap(&self, tap: Arc<dyn Tap>) {
        self.codec.set(tap);
    }

    fn set_max_frame(&self, bytes: usize) {
        self.max_frame.store(bytes, Ordering::Relaxed);
    }

    fn format(&self) -> Format {
        self.codec.format()
    }

    fn ends(&self) -> &PeerInfo {
        &self.ends
    }

    fn connected(&self) -> bool {
        let sending = matches!(self.outbound().state, Sending::Open);
        sending && !self.inbound().frames.has_ended()
    }
}

impl Outbound {
    fn check_open(&self) -> Result<(), TransportError> {
        match &self.state {
            Sending::Open => Ok(()),
            Sending::Closing => Err(TransportClosed::by_us(EndReason::Closing).into()),
            Sending::Finished => Err(TransportClosed::by_us(EndReason::Sent).into()),
            Sending::Ended(end) => Err(end.clone()),
        }
    }

    /// Returns whether `lane` is short enough for more; if not, `cx` is woken when it is.
    fn has_room(&mut self, lane: Lane, cx: &Context<'_>) -> bool {
        if let Some(lanes) = self.lanes.as_mut().filter(|_| lane != Lane::CONTROL) {
            return lanes.has_room(lane, cx);
        }
        if self.frames.queued.has_room(lane, HIGH_WATER) {
            return true;
        }
        self.wait_for_room(Waiter::Lane(lane), cx);
        false
    }

    /// Has `cx` woken once there is room.
    fn wait_for_room(&mut self, waiter: Waiter, cx: &Context<'_>) {
        let (waiting, waker) = (self.waiting_for_room.entry(waiter).or_default(), cx.waker().clone());
        if !waiting.iter().any(|waiting| waiting.will_wake(&waker)) {
            waiting.push(waker);
        }
    }

    fn traffic(&self) -> Traffic {
        let lanes = self.lanes.as_ref().map(lanes::Writers::traffic).unwrap_or_default();
        let waiting = self.at_end.waiting + self.frames.queued.len() + lanes.waiting;
        Traffic { moved: self.at_end.moved + self.frames.written + lanes.moved, waiting }
    }

    /// Bytes that the link has taken, on any stream that is not gone with the end.
    fn written(&self) -> u64 {
        self.frames.written + self.lanes.as_ref().map_or(0, lanes::Writers::written)
    }

    fn set_flusher(&mut self, cx: &Context<'_>) {
        if self.flusher.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        // A waker need not be the same as its clone, that of a runtime's `block_on` for one: only clones compare.
        let waker = cx.waker().clone();
        if !self.flusher.as_ref().is_some_and(|flusher| flusher.will_wake(&waker)) {
            // Without this, of two tasks that wait in a flush only the later one would ever wake.
            self.displaced.extend(self.flusher.replace(waker));
        }
    }

    /// Writes the queue. Invariant 2: always with the flusher's waker, from any caller.
    fn poll_write(&mut self) -> Poll<Result<(), TransportError>> {
        let mut cx = Context::from_waker(self.flusher.as_ref().unwrap_or(Waker::noop()));
        self.frames.queued.hold_last(self.lanes.as_ref().is_some_and(lanes::Writers::is_busy));
        // Without a flusher, the caller alone goes on.
        let turn = if self.flusher.is_some() { TURN } else { usize::MAX };
        let mut written = self.frames.poll_write(&mut cx, turn);
        self.blocked = written.is_pending() && self.flusher.is_some();
        let queued = &self.frames.queued;
        let has_room = |waiter: &Waiter| match waiter {
            Waiter::Small => queued.has_small_room(HIGH_WATER),
            Waiter::Lane(lane) => queued.has_room(*lane, HIGH_WATER),
        };
        for (_, waiting) in self.waiting_for_room.extract_if(.., |waiter, _| has_room(waiter)) {
            waiting.into_iter().for_each(Waker::wake);
        }
        if let Some(lanes) = &mut self.lanes {
            let lanes_written = lanes.poll_write(&cx);
            // The good-bye of a connection is its last word on any stream.
            if self.frames.queued.hold_last(lanes.is_busy()) && written.is_ready() {
                written = self.frames.poll_write(&mut cx, turn);
            }
            written = both(written, lanes_written);
        }
        if written.is_ready() {
            self.displaced.drain(..).for_each(Waker::wake);
        }
        self.note_failure(written)
    }

    /// Lanes end first: when the peer reads the end of the control lane, all of them have arrived.
    fn poll_shutdown(&mut self) -> Poll<Result<(), TransportError>> {
        if let Some(lanes) = &mut self.lanes {
            lanes.finish_all();
        }
        ready!(self.poll_write())?;
        let mut cx = Context::from_waker(self.flusher.as_ref().unwrap_or(Waker::noop()));
        let shut = pin(&mut self.frames.link).poll_shutdown(&mut cx);
        ready!(self.note_failure(shut))?;
        self.end(Sending::Finished);
        Poll::Ready(Ok(()))
    }

    fn note_failure(&mut self, result: Poll<io::Result<()>>) -> Poll<Result<(), TransportError>> {
        result.map(|result| {
            result.map_err(|error| {
                let end = reader::link_error(error, true);
                self.end(Sending::Ended(end.clone()));
                end
            })
        })
    }

    /// Ends sending and wakes all waiters; a link that failed or was aborted is dropped at once.
    fn end(&mut self, end: Sending) {
        if matches!(self.state, Sending::Finished | Sending::Ended(_)) {
            return;
        }
        let waiting = if matches!(end, Sending::Finished) { 0 } else { self.traffic().waiting };
        self.at_end = Traffic { moved: self.lanes.as_ref().map_or(0, |lanes| lanes.traffic().moved), waiting };
        self.state = end;
        self.frames.let_go();
        self.lanes = None;
        let waiting = mem::take(&mut self.waiting_for_room).into_values().flatten();
        waiting.chain(self.displaced.drain(..)).for_each(Waker::wake);
        self.wake_flusher();
    }

    fn wake_flusher(&self) {
        if let Some(flusher) = &self.flusher {
            flusher.wake_by_ref();
        }
    }
}

impl Inbound {
    fn received(&self) -> u64 {
        self.frames.received() + self.lanes.as_ref().map_or(0, lanes::Readers::received)
    }

    /// As [`FrameReader::poll_frames`], over all lanes: frames that have arrived on any of them come before the end.
    fn poll_all_lanes<C: Codec>(
        &mut self,
        cx: &mut Context<'_>,
        codec: &C,
        limit: usize,
        batch: &mut Vec<Msg>,
    ) -> Poll<Result<(), TransportError>> {
        let before = batch.len();
        let mut polled = self.frames.poll_frames(cx, codec, limit, batch);
        if let Some(Err(fault)) = self.lanes.as_mut().map(|lanes| lanes.poll_frames(cx, codec, limit, batch)) {
            self.frames.end(fault.clone());
            polled = Poll::Ready(Err(fault));
        }
        if batch.len() > before {
            return Poll::Ready(Ok(()));
        }
        if matches!(polled, Poll::Ready(Err(_))) {
            self.lanes = None;
        }
        polled
    }
}

/// Ready when both are; an error of either at once.
fn both(first: Poll<io::Result<()>>, second: io::Result<Poll<()>>) -> Poll<io::Result<()>> {
    match (first?, second?) {
        (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    }
}

/// The largest frame unless configured otherwise: 64 MiB.
pub const MAX_FRAME: usize = 64 << 20;

/// Above this many queued bytes a sender waits: enough to keep the kernel busy, small enough to bound memory.
/// Control counts for itself. Small data counts for all lanes together, large messages for each of them.
const HIGH_WATER: usize = 256 << 10;

/// Bytes that one poll writes, or reads while no message is whole: a fraction of a millisecond. A peer that is as fast
/// as this side would otherwise keep it from everything else for a whole large message, and longer.
const TURN: usize = 512 << 10;

/// A value of this size is surely small with its envelope: it goes in one frame.
const SMALL: usize = CHUNK / 2;
