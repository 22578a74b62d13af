//! The message loop of one connection: writes what is queued, reads a batch, acts on each message.
//!
//! It never runs a peer's function itself and never waits for one, so cancels and answers pass
//! however busy the tasks are.
//!
//! It moves the connection from one [`Stage`] to the next. How long the last ones may take is the business of
//! [`drain`](super::drain).

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::vec::Drain as Drained;

use pleach_wire::{
    ByteStr, CallOptions, Cid, DrainLimit, EndReason, Msg, Payload, SilenceLimit, TraceContext, TransportClosed,
    TransportError,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until};

use super::cancelling::CancelOutcome;
use super::dialog::{DialogHandle, Wake};
use super::drain::{Drain, Draining};
use super::ending::Ending;
use super::life::Stage;
use super::records::Kind;
use super::{Channel, Wakers};
use crate::error::{Cancelled, Packed, Refusal};
use crate::holds;
use crate::proto::session::{Event, Outcome};
use crate::proto::target::Target;
use crate::proto::transmit::Transmit;

/// What a peer is served with: the functions that it calls.
pub(crate) trait Serve: Send + Sync + 'static {
    /// Starts a task that ends with [`Channel::answer`] or another answer. Must not wait.
    fn invoke(&self, channel: &Channel, asked: Invocation);

    /// The peer's runtime reports that it failed.
    fn peer_failed(&self, channel: &Channel, error: Packed);

    /// The peer has said goodbye. It sees the end of the connection only after this.
    fn peer_leaves(&self);
}

/// A peer's request to run a function.
pub(crate) struct Invocation {
    pub(crate) cid: Cid,
    pub(crate) target: Target,
    pub(crate) args: Payload,
    /// The declaration that the peer uses, or [`UNCHECKED`](super::UNCHECKED).
    pub(crate) schema: u64,
    /// When the task is to be cancelled.
    pub(crate) deadline: Option<Instant>,
    /// There if the peer opened a context.
    pub(crate) dialog: Option<DialogHandle>,
    /// The trace that the peer's call belongs to.
    pub(crate) trace: Option<Box<TraceContext>>,
}

/// Runs the connection until it ends; wakes all its waiters.
///
/// `batch` holds messages that came with the end of the handshake.
pub(crate) async fn run(channel: Channel, serve: Arc<dyn Serve>, mut batch: Vec<Msg>, drain: Drain) {
    let mut ending = Ending { channel: &channel, end: None };
    let mut driver = Driver::new(&channel, &*serve, drain);
    batch.iter().for_each(|early| channel.0.line.note_early(early));
    let end = loop {
        let mut messages = batch.drain(..);
        while driver.take(&mut messages) {
            if driver.turn >= TURN {
                driver.end_turn().await;
            }
        }
        drop(messages);
        driver.wake_changed();
        let next = match driver.look_if_due() {
            Ok(()) => driver.next(&mut batch).await,
            dead => dead,
        };
        match next {
            Ok(()) => channel.0.last_batch.store(batch.len(), Ordering::Relaxed),
            Err(end) => break driver.name_end(end),
        }
    };
    ending.end = Some(end);
}

struct Driver<'a> {
    channel: &'a Channel,
    serve: &'a dyn Serve,
    drain: Drain,
    draining: Option<Draining>,
    /// Whether it was this side that began to close.
    by_us: bool,
    /// How the peer's direction has ended, while this side's is not finished.
    peer_end: Option<TransportError>,
    /// Closing took too long.
    gave_up: Option<TransportError>,
    /// The dialog that the last message has changed: its tasks are woken before anything else happens.
    changed: Option<Arc<Wake>>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// All waits for the peer: its timers run on while a debugger holds it.
    patience: holds::Patience,
    /// The work since other tasks last had their turn: messages, and [`REQUEST`] for each request.
    turn: usize,
}

impl<'a> Driver<'a> {
    fn new(channel: &'a Channel, serve: &'a dyn Serve, drain: Drain) -> Self {
        let (draining, by_us, peer_end, gave_up, changed, sleep) = (None, false, None, None, None, None);
        let patience = holds::Patience::begin();
        Self { channel, serve, drain, draining, by_us, peer_end, gave_up, changed, sleep, patience, turn: 0 }
    }

    /// Lets the other tasks of this thread run, and the sockets of other connections be looked at: a peer that never
    /// pauses must not starve the others. A transport's own limits count reads, not messages.
    async fn end_turn(&mut self) {
        self.turn = 0;
        self.wake_changed();
        tokio::task::yield_now().await;
    }

    /// Writes and waits until messages have come.
    async fn next(&mut self, batch: &mut Vec<Msg>) -> Result<(), TransportError> {
        std::future::poll_fn(|cx| self.poll_next(cx, batch)).await
    }

    /// The order: a requested close, queued messages, received ones, timers.
    fn poll_next(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Msg>) -> Poll<Result<(), TransportError>> {
        self.channel.0.unsent.queue_all();
        if self.channel.life().stage() == Stage::CloseRequested {
            self.by_us = self.channel.peer_gone().is_none();
            self.start_draining();
        }
        let transport = self.channel.transport();
        // A failed write is not the end: messages that the peer sent before are still read.
        let mut sent = if self.draining.is_some() { transport.poll_close(cx) } else { transport.poll_flush(cx) };
        if self.peer_end.is_none()
            && let Poll::Ready(received) = transport.poll_recv(cx, batch)
        {
            self.channel.note_heard();
            match received {
                // It sends no more, but may still read: its outstanding answers go out first.
                Err(end) if end.is_closed() => {
                    self.peer_end = Some(end);
                    self.start_draining();
                    self.channel.life().reach(Stage::Finishing);
                    sent = transport.poll_close(cx);
                }
                received => return Poll::Ready(received),
            }
        }
        if sent.is_ready()
            && let Some(end) = self.peer_end.take()
        {
            return Poll::Ready(Err(end));
        }
        while let Some(at) = self.timer() {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
            // A timer that fires too early finds nothing to do; resetting it for each message would cost more.
            if at < sleep.deadline() || sleep.is_elapsed() {
                sleep.as_mut().reset(at);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                break;
            }
            self.handle_timeout()?;
        }
        self.turn = 0; // the others have theirs now
        Poll::Pending
    }

    fn timer(&self) -> Option<Instant> {
        let overdue = self.channel.session().poll_timeout().map(|at| self.channel.0.epoch + at);
        let watch = self.channel.watch_timeout().filter(|_| self.draining.is_none());
        let look = self.draining.as_ref().map(|draining| draining.next_look(self.channel.peer_gone()));
        [overdue, look, watch].into_iter().flatten().min()
    }

    /// Looks at the timers between two batches: with a peer that never pauses, their turn does not come.
    fn look_if_due(&mut self) -> Result<(), TransportError> {
        match self.timer() {
            Some(at) if at <= Instant::now() => self.handle_timeout(),
            _ => Ok(()),
        }
    }

    fn start_draining(&mut self) {
        if self.draining.is_some() {
            return;
        }
        self.channel.life().reach(Stage::Draining);
        self.draining = Some(Draining::begin(self.drain, self.channel.transport().traffic()));
        if self.channel.peer_gone().is_some() {
            return;
        }
        let goodbye = Transmit::goodbye(ByteStr::from_static(self.channel.closing_reason().goodbye()));
        if let Err(error) = self.channel.transport().queue(goodbye.lane, &goodbye.msg) {
            debug!(target: "pleach::transport", peer = %self.channel.peer(), %error, "no goodbye");
        }
    }

    fn handle_timeout(&mut self) -> Result<(), TransportError> {
        if self.patience.was_interrupted(self.channel.peer().uuid()) {
            self.put_off();
            // What was due is done, or it would be due again at once.
            return if self.draining.is_none() { self.channel.look_at_watch() } else { Ok(()) };
        }
        let overdue = self.channel.session().handle_timeout(self.channel.now());
        drop(overdue);
        let Some(draining) = &mut self.draining else { return self.channel.look_at_watch() };
        let looked = draining.look(self.channel.transport().traffic(), self.channel.peer_gone());
        looked.inspect_err(|end| self.gave_up = Some(end.clone()))
    }

    /// Begins all waits for the peer again: it stands still under a debugger, and is not late.
    fn put_off(&mut self) {
        self.channel.session().put_off(self.channel.ack_overdue_at());
        self.channel.put_off_watch();
        if let Some(draining) = &mut self.draining {
            *draining = Draining::begin(self.drain, self.channel.transport().traffic());
        }
    }

    /// Takes the next message, or several of one stream; returns whether there was one.
    fn take(&mut self, messages: &mut Drained<'_, Msg>) -> bool {
        let before = messages.len();
        let event = self.channel.session().handle_next(messages);
        self.turn += before - messages.len();
        event.map(|event| self.handle(event)).is_some()
    }

    fn handle(&mut self, event: Event<Wakers>) {
        let channel = self.channel;
        if !matches!(event, Event::Changed { .. }) {
            self.wake_changed(); // what follows may take its time
        }
        match event {
            Event::Invoke { cid, target, args, terms, dialog } => {
                let dialog = dialog.map(|(kind, wake)| {
                    let function = target.clone().into_text();
                    DialogHandle::new(channel.clone(), cid, kind, function, wake)
                });
                let deadline = terms.deadline.and_then(|left| Instant::now().checked_add(left));
                let CallOptions { schema, trace, .. } = terms;
                self.turn += REQUEST;
                self.serve.invoke(channel, Invocation { cid, target, args, schema, deadline, dialog, trace });
            }
            Event::Changed { wake, credit } => {
                self.note_changed(wake);
                channel.give_credit(credit);
            }
            Event::Discarded { cid, credit } => channel.give_back(cid, Some(credit)),
            Event::Misplaced { cid, kind, why } => {
                let Some(count) = channel.may_log(Kind::Undelivered) else { return };
                warn!(target: "pleach::runtime", peer = %channel.peer(), %cid, kind, why, count, "ignored a message");
            }
            Event::Overloaded { cid, limit } => {
                channel.refuse(cid, "another function".into(), Refusal::Overloaded { limit });
            }
            Event::Resolved { reply, acks, outcome, end_acknowledged } => {
                if end_acknowledged {
                    channel.note_end_acknowledged();
                }
                let acked = (!acks.is_empty()).then(|| how_cancelled(&outcome));
                let late = match reply {
                    Some(reply) => reply.send(outcome).err(),
                    None => Some(outcome),
                };
                if let Some(acked) = acked {
                    wake_all(acks, acked);
                }
                if let Some(outcome) = late {
                    log_late(channel, &outcome);
                }
            }
            Event::Ended { dialog, acks, lane } => {
                Wake::end(&dialog);
                wake_all(acks, CancelOutcome::Acknowledged);
                channel.close_lane(lane);
            }
            Event::CancelTask { task } => task.scope.cancel_because(Cancelled::Caller(Some(channel.peer().clone()))),
            Event::Reply(transmit) => channel.transmit_or_log(&transmit, 0),
            Event::Acked { acks } => wake_all(acks, CancelOutcome::Acknowledged),
            Event::PeerFailed { error } => match error.decode() {
                Ok(error) => self.serve.peer_failed(channel, error),
                Err(error) => {
                    let Some(count) = channel.may_log(Kind::Unreadable) else { return };
                    error!(target: "pleach::runtime", peer = %channel.peer(), %error, count, "unreadable runtime error")
                }
            },
            Event::Pinged { pong } => channel.answer_ping(&pong),
            Event::Ponged { n } => channel.note_pong(n),
            Event::PeerLeaves { why } => {
                channel.note_goodbye(EndReason::of_goodbye(&why));
                self.serve.peer_leaves();
            }
            Event::Unchanged => {}
            Event::Late { kind, cid } => {
                let Some(count) = channel.may_log(Kind::Late) else { return };
                debug!(target: "pleach::runtime", peer = %channel.peer(), kind, %cid, count, "a message came after its dialog had ended");
            }
            Event::Ignored { kind, cid } => {
                channel.0.ignored.fetch_add(1, Ordering::Relaxed);
                let Some(count) = channel.may_log(Kind::Ignored) else { return };
                warn!(target: "pleach::runtime", peer = %channel.peer(), kind, ?cid, count, "ignored a message that fits no dialog");
            }
        }
    }

    /// Has the tasks of a dialog woken once for all its messages that came in a row.
    fn note_changed(&mut self, wake: Arc<Wake>) {
        match &self.changed {
            Some(before) if Arc::ptr_eq(before, &wake) => {}
            _ => {
                self.wake_changed();
                self.changed = Some(wake);
            }
        }
    }

    fn wake_changed(&mut self) {
        if let Some(changed) = self.changed.take() {
            changed.wake();
        }
    }

    /// Says in whose interest the connection ended, as far as it is known.
    fn name_end(&self, end: TransportError) -> TransportError {
        if let Some(fault) = self.channel.life().fault().or(self.gave_up.as_ref()) {
            return fault.clone();
        }
        // The network's own timeout, the safety net below the heartbeats, has expired.
        if let TransportError::Reset(error) = &end
            && error.kind() == ErrorKind::TimedOut
        {
            let silent = self.channel.0.silence;
            return TransportError::Silent { silent, limit: SilenceLimit::Network(silent) };
        }
        let bytes = self.channel.transport().traffic().waiting;
        match (&end, self.channel.life().goodbye()) {
            (TransportError::Closed(_), None) if self.by_us && bytes > 0 => {
                TransportError::Undelivered { bytes, limit: DrainLimit::Broken }
            }
            (TransportError::Closed(_), _) if self.by_us => {
                TransportClosed::by_us(self.channel.closing_reason()).after_goodbye().into()
            }
            (TransportError::Closed(_), Some(why)) => TransportClosed::by_peer(why.clone()).after_goodbye().into(),
            _ => end,
        }
    }
}

/// The work after which other tasks have their turn: some 128 requests, or as many messages of streams as fill a window.
/// That is about half a millisecond of a thread, and the turn itself costs about a microsecond.
const TURN: usize = 1024;

/// The work of a request beyond that of other messages: its task may be polled where it is made.
const REQUEST: usize = 7;

/// Wakes those that wait for an acknowledgement.
fn wake_all(acks: Vec<oneshot::Sender<CancelOutcome>>, acked: CancelOutcome) {
    for ack in acks {
        let _ = ack.send(acked); // the waiter may have left
    }
}

/// Says how a call has ended that this side has asked the peer to cancel.
fn how_cancelled(outcome: &Outcome) -> CancelOutcome {
    match outcome {
        Outcome::Value(_) => CancelOutcome::FinishedFirst,
        Outcome::Error(error) if error.decode::<Packed>().is_ok_and(|error| !error.is_failure()) => {
            CancelOutcome::Acknowledged
        }
        Outcome::Error(_) => CancelOutcome::Failed, // `log_late` has the error
    }
}

/// An answer whose caller has left is useless; but an unexpected failure must not be lost.
fn log_late(channel: &Channel, outcome: &Outcome) {
    let peer = channel.peer();
    let failure = match outcome {
        Outcome::Value(_) => None,
        Outcome::Error(error) => error.decode::<Packed>().ok().filter(Packed::is_failure),
    };
    match failure {
        Some(error) => {
            let Some(count) = channel.may_log(Kind::LateFailure) else { return };
            warn!(target: "pleach::runtime", %peer, %error, count, "a call failed after its caller had left");
        }
        None => {
            let Some(count) = channel.may_log(Kind::LateAnswer) else { return };
            debug!(target: "pleach::runtime", %peer, count, "an answer came after its caller had left");
        }
    }
}
