//! The sending direction of a connection: its streams, who writes them, and who waits for room.
//!
//! # Invariants
//! 1. The flusher's waker is the only one ever given to the link's writer, so an inline write that
//!    the link can't take at once is continued by the flusher. Lanes have wakers that wake the flusher.
//! 2. Once `state` has left `Open`, nothing is queued any more.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::AsyncWrite;

use super::TURN;
use super::encoded::Encoded;
use super::lanes;
use super::reader;
use super::under_way::UnderWay;
use super::writer::FrameWriter;
use crate::error::{EndReason, TransportClosed, TransportError};
use crate::transport::{Lane, OpenLanes, Traffic, pin};

#[derive(Debug)]
pub(super) struct Outbound {
    frames: FrameWriter,
    lanes: Option<lanes::Writers>,
    /// On all of its streams.
    under_way: UnderWay,
    /// Messages that have been queued.
    pub(super) messages: u64,
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

impl Outbound {
    pub(super) fn new(link: Box<dyn AsyncWrite + Send + Unpin>, lanes: Option<Box<dyn OpenLanes>>) -> Self {
        Self {
            frames: FrameWriter::new(link),
            lanes: lanes.map(lanes::Writers::new),
            under_way: UnderWay::default(),
            messages: 0,
            flusher: None,
            displaced: Vec::new(),
            waiting_for_room: BTreeMap::new(),
            blocked: false,
            at_end: Traffic::default(),
            state: Sending::Open,
        }
    }

    /// Queues a message on its lane; returns the bytes that wait there. `codec` is the name of what encoded it.
    pub(super) fn push(
        &mut self,
        lane: Lane,
        message: Encoded<'_>,
        codec: &'static str,
    ) -> Result<usize, TransportError> {
        self.check_open()?;
        let waiting = match self.lanes.as_mut().filter(|_| lane != Lane::CONTROL) {
            Some(lanes) => lanes.push(lane, message, codec)?,
            None => {
                self.frames.queued.push(lane, message);
                self.frames.queued.len()
            }
        };
        self.messages += 1;
        Ok(waiting)
    }

    pub(super) fn flush_now(&mut self) {
        if self.is_open() {
            // An error is kept in the state, for the next call.
            let _ = self.poll_write();
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.set_flusher(cx);
        match &self.state {
            Sending::Open => self.poll_write(),
            Sending::Closing => self.poll_shutdown(),
            Sending::Finished => Poll::Ready(Ok(())),
            Sending::Ended(end) => Poll::Ready(Err(end.clone())),
        }
    }

    /// Takes no more messages; those that are queued still go out.
    pub(super) fn close(&mut self) {
        if self.is_open() {
            self.state = Sending::Closing;
        }
    }

    /// Ends sending because of this, and wakes all waiters.
    pub(super) fn fail(&mut self, end: TransportError) {
        self.end(Sending::Ended(end));
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, Sending::Open)
    }

    pub(super) fn poll_small_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, TransportError>> {
        self.check_open()?;
        if self.frames.queued.has_small_room(HIGH_WATER) {
            return Poll::Ready(Ok(self.frames.queued.has_room(Lane::CONTROL, HIGH_WATER)));
        }
        self.wait_for_room(Waiter::Small, cx);
        if !self.blocked {
            self.wake_flusher();
        }
        Poll::Pending
    }

    pub(super) fn poll_lane_room(&mut self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.check_open()?;
        if self.has_room(lane, cx) {
            return Poll::Ready(Ok(()));
        }
        let own_stream = self.lanes.is_some() && lane != Lane::CONTROL;
        if own_stream || !self.blocked {
            self.wake_flusher();
        }
        Poll::Pending
    }

    pub(super) fn close_lane(&mut self, lane: Lane) {
        if self.lanes.as_mut().is_some_and(|lanes| lanes.finish(lane)) {
            self.wake_flusher();
        }
    }

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

    pub(super) fn traffic(&self) -> Traffic {
        let lanes = self.lanes.as_ref().map(lanes::Writers::traffic).unwrap_or_default();
        let waiting = self.at_end.waiting + self.frames.queued.len() + lanes.waiting;
        Traffic { moved: self.at_end.moved + self.frames.written + lanes.moved, waiting }
    }

    /// Bytes that the link has taken, on any stream that is not gone with the end.
    pub(super) fn written(&self) -> u64 {
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

    /// Writes the queue. Invariant 1: always with the flusher's waker, from any caller.
    fn poll_write(&mut self) -> Poll<Result<(), TransportError>> {
        if self.is_idle() {
            return Poll::Ready(Ok(()));
        }
        let written = self.poll_write_streams();
        let queued = &self.frames.queued;
        let has_room = |waiter: &Waiter| match waiter {
            Waiter::Small => queued.has_small_room(HIGH_WATER),
            Waiter::Lane(lane) => queued.has_room(*lane, HIGH_WATER),
        };
        for (_, waiting) in self.waiting_for_room.extract_if(.., |waiter, _| has_room(waiter)) {
            waiting.into_iter().for_each(Waker::wake);
        }
        if written.is_ready() {
            self.displaced.drain(..).for_each(Waker::wake);
        }
        self.note_failure(written)
    }

    /// Writes each stream's queue, and again those that waited for messages which have been completed meanwhile.
    fn poll_write_streams(&mut self) -> Poll<io::Result<()>> {
        let mut cx = Context::from_waker(self.flusher.as_ref().unwrap_or(Waker::noop()));
        // Without a flusher, the caller alone goes on.
        let turn = if self.flusher.is_some() { TURN } else { usize::MAX };
        loop {
            let ended = self.under_way.ended();
            self.frames.queued.hold_last(self.lanes.as_ref().is_some_and(lanes::Writers::is_busy));
            let mut written = self.frames.poll_write(&mut cx, turn, &mut self.under_way);
            self.blocked = written.is_pending() && self.flusher.is_some();
            let Some(lanes) = &mut self.lanes else { return written };
            let lanes_written = lanes.poll_write(&cx, &mut self.under_way);
            // The good-bye of a connection is its last word on any stream.
            if self.frames.queued.hold_last(lanes.is_busy()) && written.is_ready() {
                written = self.frames.poll_write(&mut cx, turn, &mut self.under_way);
            }
            let written = both(written, lanes_written);
            if self.under_way.ended() == ended || !(lanes.list_held() | self.frames.is_held()) {
                return written;
            }
        }
    }

    /// Returns whether there is nothing to write, and no task to wake: so it is at every second look of a flusher that
    /// also reads.
    fn is_idle(&self) -> bool {
        self.frames.is_idle() && self.lanes.is_none() && self.waiting_for_room.is_empty() && self.displaced.is_empty()
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

    pub(super) fn wake_flusher(&self) {
        if let Some(flusher) = &self.flusher {
            flusher.wake_by_ref();
        }
    }
}

/// Ready when both are; an error of either at once.
fn both(first: Poll<io::Result<()>>, second: io::Result<Poll<()>>) -> Poll<io::Result<()>> {
    match (first?, second?) {
        (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    }
}

/// Above this many queued bytes a sender waits: enough to keep the kernel busy, small enough to bound memory.
/// Control counts for itself. Small data counts for all lanes together, large messages for each of them.
const HIGH_WATER: usize = 256 << 10;
