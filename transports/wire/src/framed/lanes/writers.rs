//! The sending half of lanes: a send queue per lane, each on its own stream.
//!
//! ```text
//! queue ─► Unopened ─(stream)─► Open ─(close_lane)─► finishing ─(all taken by the peer)─► gone
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::MAX_LANES;
use super::woken::{Slot, Woken};
use crate::error::TransportError;
use crate::framed::TURN;
use crate::framed::encoded::Encoded;
use crate::framed::under_way::UnderWay;
use crate::framed::writer::FrameWriter;
use crate::transport::{Lane, OpenLanes, Traffic, pin};

/// The lanes that this side sends on.
pub(in crate::framed) struct Writers {
    opener: Box<dyn OpenLanes>,
    by_lane: BTreeMap<Lane, u64>,
    /// Includes lanes that are finishing, which no [`Lane`] names any more.
    writers: BTreeMap<u64, Writer>,
    /// Slots that wait for a stream, in the order in which they were first used.
    unopened: VecDeque<u64>,
    /// Slots of those that wait for messages of other streams to be complete.
    held: BTreeSet<u64>,
    /// How many have something to write or to finish.
    busy: usize,
    woken: Arc<Woken>,
    /// Empty between calls; kept for its capacity.
    movable: Vec<u64>,
    next_slot: u64,
    /// The bytes written on lanes that have ended.
    written_before: u64,
}

struct Writer {
    frames: FrameWriter,
    open: bool,
    busy: bool,
    finishing: bool,
    slot: Arc<Slot>,
    waker: Waker,
    waiting_for_room: Vec<Waker>,
}

impl Writers {
    pub(in crate::framed) fn new(opener: Box<dyn OpenLanes>) -> Self {
        Self {
            opener,
            by_lane: BTreeMap::new(),
            writers: BTreeMap::new(),
            unopened: VecDeque::new(),
            held: BTreeSet::new(),
            busy: 0,
            woken: Arc::default(),
            movable: Vec::new(),
            next_slot: 0,
            written_before: 0,
        }
    }

    /// The bytes written or acknowledged, and those waiting, over all lanes and the connection's own stream.
    pub(in crate::framed) fn traffic(&self) -> Traffic {
        let below = self.opener.traffic();
        let queued: usize = self.writers.values().map(|writer| writer.frames.queued.len()).sum();
        Traffic { moved: self.written() + below.moved, waiting: queued + below.waiting }
    }

    /// The bytes written on lanes.
    pub(in crate::framed) fn written(&self) -> u64 {
        self.written_before + self.writers.values().map(|writer| writer.frames.written).sum::<u64>()
    }

    /// Returns whether something is still to be written or finished.
    pub(in crate::framed) fn is_busy(&self) -> bool {
        self.busy > 0
    }

    /// Queues one message on `lane`; returns the bytes that wait there. `codec` is the name of what encoded it.
    pub(in crate::framed) fn push(
        &mut self,
        lane: Lane,
        message: Encoded<'_>,
        codec: &'static str,
    ) -> Result<usize, TransportError> {
        if let Some(writer) = self.by_lane.get(&lane).and_then(|slot| self.writers.get_mut(slot)) {
            writer.frames.queued.push(lane, message);
            self.busy += usize::from(writer.begin());
            return Ok(writer.frames.queued.len());
        }
        if self.writers.len() >= MAX_LANES {
            let why = format!("{MAX_LANES} lanes are open on this connection, which is the limit; close some");
            return Err(TransportError::Encode { codec, why });
        }
        let mut frames = FrameWriter::for_lane(lane);
        frames.queued.push(lane, message);
        let backlog = frames.queued.len();
        let slot = self.woken.slot(self.next_slot);
        self.next_slot += 1;
        self.by_lane.insert(lane, slot.id);
        self.unopened.push_back(slot.id);
        self.busy += 1;
        self.writers.insert(slot.id, Writer::new(frames, slot));
        Ok(backlog)
    }

    /// Returns whether `lane` is short enough for more; if not, `cx` is woken when it is.
    pub(in crate::framed) fn has_room(&mut self, lane: Lane, cx: &Context<'_>) -> bool {
        let Some(writer) = self.by_lane.get(&lane).and_then(|slot| self.writers.get_mut(slot)) else { return true };
        if writer.frames.queued.len() < LANE_HIGH_WATER {
            return true;
        }
        if !writer.waiting_for_room.iter().any(|waker| waker.will_wake(cx.waker())) {
            writer.waiting_for_room.push(cx.waker().clone());
        }
        false
    }

    /// Lets `lane` finish once its queue is written. Returns whether there is something to do.
    pub(in crate::framed) fn finish(&mut self, lane: Lane) -> bool {
        let Some(writer) = self.by_lane.remove(&lane).and_then(|slot| self.writers.get_mut(&slot)) else {
            return false;
        };
        writer.finishing = true;
        self.busy += usize::from(writer.begin());
        true
    }

    /// Lets all lanes finish.
    pub(in crate::framed) fn finish_all(&mut self) {
        self.by_lane.clear();
        for writer in self.writers.values_mut() {
            writer.finishing = true;
            self.busy += usize::from(writer.begin());
        }
    }

    /// Opens lanes if possible and writes each as far as its peer takes it; ready when nothing is left.
    pub(in crate::framed) fn poll_write(
        &mut self,
        flusher: &Context<'_>,
        under_way: &mut UnderWay,
    ) -> io::Result<Poll<()>> {
        if self.writers.is_empty() {
            return Ok(Poll::Ready(()));
        }
        self.woken.drive(flusher);
        self.open_streams(flusher)?;
        let mut movable = mem::take(&mut self.movable);
        self.woken.take(&mut movable);
        for slot in movable.drain(..) {
            let Some(writer) = self.writers.get_mut(&slot) else { continue };
            writer.slot.take_off();
            let written = writer.poll_write(under_way)?;
            if writer.frames.is_held() {
                self.held.insert(slot);
            }
            if written.is_ready() {
                // A stream may wake its writer although there is nothing to write.
                self.busy -= usize::from(mem::take(&mut writer.busy));
                if writer.finishing {
                    self.written_before += writer.frames.written;
                    self.writers.remove(&slot);
                }
            }
        }
        self.movable = movable;
        Ok(if self.busy > 0 { Poll::Pending } else { Poll::Ready(()) })
    }

    /// Has those looked at next that waited for messages of other streams; returns whether there are any.
    pub(in crate::framed) fn list_held(&mut self) -> bool {
        let held = !self.held.is_empty();
        for slot in mem::take(&mut self.held) {
            self.writers.get(&slot).into_iter().for_each(|writer| writer.slot.list());
        }
        held
    }

    fn open_streams(&mut self, flusher: &Context<'_>) -> io::Result<()> {
        while let Some(slot) = self.unopened.front() {
            let mut cx = Context::from_waker(flusher.waker());
            let Poll::Ready(stream) = self.opener.poll_open(&mut cx) else { break };
            if let Some(writer) = self.writers.get_mut(slot) {
                writer.frames.link = stream?;
                writer.open = true;
                writer.slot.list();
            }
            self.unopened.pop_front();
        }
        Ok(())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.writers.values_mut().for_each(Writer::wake_waiting);
    }
}

impl Writer {
    fn new(frames: FrameWriter, slot: Arc<Slot>) -> Self {
        let waker = Waker::from(slot.clone());
        Self { frames, open: false, busy: true, finishing: false, slot, waker, waiting_for_room: Vec::new() }
    }

    /// Notes that there is something to do; returns whether there was nothing before.
    fn begin(&mut self) -> bool {
        if self.open {
            self.slot.list();
        }
        !mem::replace(&mut self.busy, true)
    }

    /// Writes the queue and finishes the stream if that was asked for; ready when nothing is left.
    fn poll_write(&mut self, under_way: &mut UnderWay) -> io::Result<Poll<()>> {
        let mut cx = Context::from_waker(&self.waker);
        let written = self.frames.poll_write(&mut cx, TURN, under_way)?;
        if self.frames.queued.len() < LANE_HIGH_WATER {
            self.wake_waiting();
        }
        if written.is_pending() || !self.finishing {
            return Ok(written);
        }
        Ok(pin(&mut self.frames.link).poll_shutdown(&mut Context::from_waker(&self.waker))?)
    }

    fn wake_waiting(&mut self) {
        self.waiting_for_room.drain(..).for_each(Waker::wake);
    }
}

impl fmt::Debug for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writers({} lanes, {} not opened yet)", self.writers.len(), self.unopened.len())
    }
}

/// Above this many queued bytes a sender on a lane waits: all lanes together may hold 64 MiB.
const LANE_HIGH_WATER: usize = 64 << 10;
