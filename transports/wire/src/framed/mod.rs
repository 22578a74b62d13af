//! A [`MsgTransport`] over any byte link: length-prefixed frames, send queues, back-pressure.
//!
//! ```text
//! queue() ─► Encoded ─► Schedule ─► FrameWriter ─► flush_now() or the flusher ─► link ─► FrameReader ─► poll_recv()
//! ```
//! | file | station |
//! |---|---|
//! | `outbound` | the sending direction: who writes, who waits for room |
//! | `inbound` | the receiving direction |
//! | `frame` | how frames are written: the wire format |
//! | `encoded` | a message, encoded before anything is locked |
//! | `schedule` | the queues of one stream, and their order: control, small data, chunks of large messages |
//! | `queue` | frames that wait in one order |
//! | `bulk` | large messages, cut into chunks that take turns |
//! | `under_way` | how much of them may be under way at once |
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

mod assembly;
mod bulk;
mod encoded;
mod frame;
mod inbound;
mod lanes;
mod outbound;
mod pool;
mod queue;
mod reader;
mod schedule;
mod under_way;
mod writer;

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::BytesMut;

use self::encoded::{with_encoded, with_items};
use self::frame::CHUNK;
use self::inbound::Inbound;
use self::outbound::Outbound;
use crate::blob;
use crate::codec::{Codec, Encode, Format, Items, MAX_SHARED, Measured};
use crate::error::{EndReason, TransportClosed, TransportError};
use crate::msg::{Cid, Msg, Outgoing};
use crate::sync::{lock, try_lock};
use crate::tap::{Tap, Tapped};
use crate::transport::{Flow, Lane, Link, MsgTransport, PeerInfo, Traffic, Volume};

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

impl<C: Codec> Framed<C> {
    /// Carries `codec`'s messages over `link`, with frames of up to [`MAX_FRAME`] bytes.
    pub fn new(codec: C, link: Link) -> Self {
        let (opener, acceptor) = link.lanes.map(|lanes| (lanes.opener, lanes.acceptor)).unzip();
        Self {
            codec: Tapped::new(codec),
            ends: link.ends,
            max_frame: AtomicUsize::new(MAX_FRAME),
            outbound: Mutex::new(Outbound::new(link.writer, opener)),
            inbound: Mutex::new(Inbound::new(link.reader, acceptor)),
        }
    }

    /// Encodes a message and queues it; returns the bytes that wait on its lane.
    fn push(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<(MutexGuard<'_, Outbound>, usize), TransportError> {
        with_encoded(&self.codec, msg, self.limit(), |message| {
            let size = message.size();
            let mut out = self.outbound();
            let waiting = out.push(lane, message, self.codec.name())?;
            self.codec.note_sent(msg, size);
            Ok((out, waiting))
        })
    }

    /// The bytes that a frame may have.
    fn limit(&self) -> usize {
        self.max_frame.load(Ordering::Relaxed)
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
        Ok(self.push(lane, msg)?.1)
    }

    fn queue_for_flusher(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        let (out, waiting) = self.push(lane, msg)?;
        out.wake_flusher();
        Ok(waiting)
    }

    fn shares_frames(&self) -> bool {
        self.codec.shares_frames() && self.limit() >= MAX_SHARED
    }

    fn queue_items(&self, lane: Lane, cid: Cid, items: &Items) -> Result<usize, TransportError> {
        with_items(cid, items, |message| {
            let mut out = self.outbound();
            let waiting = out.push(lane, message, self.codec.name())?;
            out.messages += items.len() as u64 - 1;
            Ok(waiting)
        })
    }

    fn flush_now(&self) {
        self.outbound().flush_now();
    }

    fn wake_flusher(&self) {
        self.outbound().wake_flusher();
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.outbound().poll_flush(cx)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.poll_lane_room(Lane::CONTROL, cx)
    }

    fn poll_small_room(&self, cx: &mut Context<'_>) -> Poll<Result<bool, TransportError>> {
        self.outbound().poll_small_room(cx)
    }

    fn is_small(&self, value: &dyn Encode) -> bool {
        let value = Measured::new(value);
        let encoded = blob::collect(&mut Vec::new(), || value.encode(self.format(), &mut BytesMut::new()));
        // One that can't be encoded is an error where it is sent.
        encoded.is_err() || value.len() <= SMALL
    }

    fn poll_lane_room(&self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.outbound().poll_lane_room(lane, cx)
    }

    fn close_lane(&self, lane: Lane) {
        self.outbound().close_lane(lane);
    }

    fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        let polled = self.inbound().poll_recv(cx, &self.codec, self.limit(), batch);
        // After a graceful end the other direction may go on; after a fault nothing does.
        if let Poll::Ready(Err(fault)) = &polled
            && !fault.is_closed()
        {
            self.outbound().fail(fault.clone());
        }
        polled
    }

    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let out = &mut *self.outbound();
        out.close();
        out.poll_flush(cx)
    }

    fn abort(&self) {
        let end = TransportError::from(TransportClosed::by_us(EndReason::Aborted));
        self.outbound().fail(end.clone());
        let reading = self.inbound().end(end);
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
        let sending = self.outbound().is_open();
        sending && !self.inbound().has_ended()
    }
}

/// Ends a turn: `cx` is woken once the runtime has run its other tasks, and looked at its sockets and timers.
///
/// A wake-up at once would only let the other tasks run: tokio looks at sockets and timers when it has nothing to run, or
/// after some sixty polls, which may write and read a whole large message.
fn end_turn(cx: &mut Context<'_>) {
    let _pending = pin!(tokio::task::yield_now()).poll(cx);
}

/// The largest frame unless configured otherwise: 64 MiB.
pub const MAX_FRAME: usize = 64 << 20;

/// Bytes that one poll writes, or reads while no message is whole: a fraction of a millisecond. A peer that is as fast
/// as this side would otherwise keep it from everything else for a whole large message, and longer.
const TURN: usize = 512 << 10;

/// A value of this size is surely small with its envelope: it goes in one frame.
const SMALL: usize = CHUNK / 2;
