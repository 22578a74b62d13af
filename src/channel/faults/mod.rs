//! Faults on demand: a connection that a test cuts, slows down, or has kill its peer at some point.
//!
//! It stands between a [`Channel`] and its connection in builds for tests. What a test asks for is in
//! [`crate::testing`]. It breaks nothing by itself that a network, or a crash, could not break, too.
//!
//! # Invariants
//! 1. While no fault is set, a message costs one load.
//! 2. Messages keep their order: a delay ends no sooner than those before it.
//! 3. It holds [`MOST_HELD`] received messages; the others wait where they are, which holds up the peer.

mod delay;

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use pleach_wire::codec::Items;
use pleach_wire::tap::Tap;
use pleach_wire::transport::{Lane, PeerInfo, Traffic, Volume};
use pleach_wire::{Cid, Encode, Format, Msg, MsgTransport, Outgoing, TransportError};
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) use self::delay::{Delay, Random};
use super::Channel;
use crate::sync::lock;

/// A connection, and the faults that it has.
pub(super) struct Faulty {
    inner: Arc<dyn MsgTransport>,
    /// Whether there are any.
    set: AtomicBool,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    delay: Option<Delay>,
    /// Received messages, and when each is let through.
    held: VecDeque<(Instant, Msg)>,
    /// How the connection has ended, behind those.
    end: Option<TransportError>,
    /// What is queued is not written before.
    gate: Option<Pin<Box<Sleep>>>,
    due: Option<Pin<Box<Sleep>>>,
    flusher: Option<Waker>,
    kills: Vec<Kill>,
    /// The peer was killed by an answer: what it has said since, before it was dead, is not let through.
    is_killed: bool,
}

/// The point at which a peer is killed.
pub(crate) struct Kill {
    /// The function, or the end of its path.
    pub(crate) function: String,
    /// Whether an answer counts, and not the call.
    pub(crate) answered: bool,
    /// How many more of them there are to be.
    pub(crate) left: u32,
    /// Calls of the function that have no answer yet.
    pub(crate) open: BTreeSet<u64>,
    /// Kills it.
    pub(crate) peer: Box<dyn Fn() + Send>,
}

impl Kill {
    /// Looks at a call that is sent; returns whether the point is reached.
    fn sees_call<P>(&mut self, msg: &Msg<P>) -> bool {
        let (Some(target), Some(cid)) = (msg.target(), msg.cid()) else { return false };
        if !is_named(target, &self.function) {
            return false;
        }
        if self.answered {
            self.open.insert(cid.0);
            return false;
        }
        self.counts()
    }

    /// Looks at what is received; returns whether the point is reached.
    fn sees_answer(&mut self, msg: &Msg) -> bool {
        let is_end = matches!(msg, Msg::Return { .. } | Msg::Error { .. });
        is_end && msg.cid().is_some_and(|cid| self.open.remove(&cid.0)) && self.counts()
    }

    fn counts(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }
}

/// Returns whether a function has this path, or this end of its path.
fn is_named(path: &str, name: &str) -> bool {
    let mut path = path.rsplit("::");
    name.rsplit("::").all(|part| path.next() == Some(part))
}

impl Channel {
    /// Delays messages from now on. Those that are held keep their times.
    pub(crate) fn delay(&self, delay: Delay) {
        self.0.faulty.delay(delay);
    }

    /// Has the peer killed at a point.
    pub(crate) fn kill_at(&self, kill: Kill) {
        self.0.faulty.kill(kill);
    }
}

impl Faulty {
    pub(super) fn around(inner: Arc<dyn MsgTransport>) -> Arc<Self> {
        Arc::new(Self { inner, set: AtomicBool::new(false), faults: Mutex::default() })
    }

    fn delay(&self, delay: Delay) {
        lock(&self.faults).delay = Some(delay);
        self.set.store(true, Ordering::Release);
        self.wake();
    }

    fn kill(&self, kill: Kill) {
        lock(&self.faults).kills.push(kill);
        self.set.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    fn wake(&self) {
        let flusher = lock(&self.faults).flusher.take();
        flusher.into_iter().for_each(Waker::wake);
        self.inner.wake_flusher();
    }

    /// Notes a message that was queued: it may reach a point, or be held.
    fn note_queued(&self, msg: &Outgoing<'_>) {
        let mut faults = lock(&self.faults);
        if faults.kills.iter_mut().any(|kill| kill.sees_call(msg)) {
            self.inner.flush_now();
            faults.kills.extract_if(.., |kill| kill.left == 0).for_each(|kill| (kill.peer)());
        }
        faults.close_gate();
    }

    /// Ready when what is queued may be written.
    fn poll_gate(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut faults = lock(&self.faults);
        faults.flusher = Some(cx.waker().clone());
        match &mut faults.gate {
            Some(gate) => std::task::ready!(gate.as_mut().poll(cx)),
            None => return Poll::Ready(()),
        }
        faults.gate = None;
        Poll::Ready(())
    }

    fn poll_held(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        let mut faults = lock(&self.faults);
        loop {
            let is_over = faults.take_in(&*self.inner, cx);
            let now = Instant::now();
            let due = faults.held.iter().take_while(|(due, _)| *due <= now).count();
            batch.extend(faults.held.drain(..due).map(|(_, msg)| msg));
            if !batch.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match (faults.held.front(), is_over) {
                (None, Some(end)) => return Poll::Ready(Err(end)),
                (None, None) => return Poll::Pending,
                (Some((due, _)), _) => {
                    let due = *due;
                    let timer = faults.due.get_or_insert_with(|| Box::pin(sleep_until(due)));
                    if timer.deadline() != due {
                        timer.as_mut().reset(due);
                    }
                    std::task::ready!(timer.as_mut().poll(cx));
                    faults.due = None;
                }
            }
        }
    }
}

impl Faults {
    /// Holds back what is queued, if it is delayed and not held already.
    fn close_gate(&mut self) {
        if let Some(delay) = self.delay.as_mut().filter(|delay| delay.both_ways)
            && self.gate.is_none()
        {
            let time = delay.draw();
            self.gate = (!time.is_zero()).then(|| Box::pin(sleep_until(Instant::now() + time)));
        }
    }

    /// Takes in what has come; returns how the connection has ended, if it has.
    fn take_in(&mut self, inner: &dyn MsgTransport, cx: &mut Context<'_>) -> Option<TransportError> {
        let mut come = Vec::new();
        while self.end.is_none() && self.held.len() < MOST_HELD {
            match inner.poll_recv(cx, &mut come) {
                Poll::Ready(Ok(())) => come.drain(..).for_each(|msg| self.hold(msg)),
                Poll::Ready(Err(end)) => self.end = Some(end),
                Poll::Pending => break,
            }
        }
        self.end.clone()
    }

    fn hold(&mut self, msg: Msg) {
        if self.is_killed {
            return;
        }
        if self.kills.iter_mut().any(|kill| kill.sees_answer(&msg)) {
            self.kills.extract_if(.., |kill| kill.left == 0).for_each(|kill| (kill.peer)());
            self.is_killed = true;
        }
        let due = Instant::now() + self.delay.as_mut().map(Delay::draw).unwrap_or_default();
        let before = self.held.back().map_or(due, |(before, _)| *before);
        self.held.push_back((due.max(before), msg)); // invariant 2
    }
}

impl MsgTransport for Faulty {
    fn queue(&self, lane: Lane, msg: &Outgoing<'_>) -> Result<usize, TransportError> {
        let waiting = self.inner.queue(lane, msg)?;
        if self.is_set() {
            self.note_queued(msg);
        }
        Ok(waiting)
    }

    fn shares_frames(&self) -> bool {
        self.inner.shares_frames()
    }

    fn queue_items(&self, lane: Lane, cid: Cid, items: &Items) -> Result<usize, TransportError> {
        let waiting = self.inner.queue_items(lane, cid, items)?;
        if self.is_set() {
            lock(&self.faults).close_gate();
        }
        Ok(waiting)
    }

    fn flush_now(&self) {
        match self.is_set() && lock(&self.faults).gate.is_some() {
            true => self.wake_flusher(), // it waits for the gate
            false => self.inner.flush_now(),
        }
    }

    fn wake_flusher(&self) {
        match self.is_set() {
            true => self.wake(),
            false => self.inner.wake_flusher(),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.is_set() && self.poll_gate(cx).is_pending() {
            return Poll::Pending;
        }
        self.inner.poll_flush(cx)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_room(cx)
    }

    fn poll_small_room(&self, cx: &mut Context<'_>) -> Poll<Result<bool, TransportError>> {
        self.inner.poll_small_room(cx)
    }

    fn is_small(&self, value: &dyn Encode) -> bool {
        self.inner.is_small(value)
    }

    fn poll_lane_room(&self, lane: Lane, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.inner.poll_lane_room(lane, cx)
    }

    fn close_lane(&self, lane: Lane) {
        self.inner.close_lane(lane);
    }

    fn poll_recv(&self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        match self.is_set() {
            true => self.poll_held(cx, batch),
            false => self.inner.poll_recv(cx, batch),
        }
    }

    fn poll_close(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.is_set() && self.poll_gate(cx).is_pending() {
            return Poll::Pending;
        }
        self.inner.poll_close(cx)
    }

    fn abort(&self) {
        self.inner.abort();
        if self.is_set() {
            let mut faults = lock(&self.faults);
            (faults.held, faults.gate) = (VecDeque::new(), None);
            drop(faults);
            self.wake();
        }
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }

    fn volume(&self) -> Option<Volume> {
        self.inner.volume()
    }

    fn set_tap(&self, tap: Arc<dyn Tap>) {
        self.inner.set_tap(tap);
    }

    fn set_max_frame(&self, bytes: usize) {
        self.inner.set_max_frame(bytes);
    }

    fn format(&self) -> Format {
        self.inner.format()
    }

    fn ends(&self) -> &PeerInfo {
        self.inner.ends()
    }

    fn connected(&self) -> bool {
        self.inner.connected()
    }
}

/// How many received messages are held on one connection: as many as some windows of streams.
const MOST_HELD: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_by_the_end_of_its_path() {
        for name in ["add", "jobs::add", "my_crate::jobs::add"] {
            assert!(is_named("my_crate::jobs::add", name), "{name}");
        }
        for name in ["dd", "obs::add", "jobs", "a::my_crate::jobs::add"] {
            assert!(!is_named("my_crate::jobs::add", name), "{name}");
        }
    }
}
