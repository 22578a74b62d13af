//! One connection to one peer, after the handshake: calls out, answers back.
//!
//! | file | station |
//! |---|---|
//! | [`handshake`] | from a fresh transport to a member of the tree |
//! | [`driver`] | the message loop: one task per connection |
//! | [`drain`] | the end of a connection: messages in transit still arrive |
//! | [`ending`] | what follows it: all that wait are woken, and a record says how it went |
//! | [`budget`] | what is held for the peer, in bytes |
//! | [`call`] | calls to the peer: sent, answered, cancelled |
//! | [`cancelling`] | cancellations that this side asks for, and their records |
//! | [`opened`] | contexts and streams of the peer: opened, left |
//! | [`dialog`] | a dialog of many messages: its tasks wait, and are woken |
//! | [`respond`] | how a task of the peer ends |
//! | [`unsent`] | stream messages that wait to be queued together |
//! | [`room`] | senders that wait until the send queue is shorter |
//! | `faults` | a connection that a test cuts, slows down, or has kill its peer |
//! | [`explain`] | what a caller is told when it fails |
//! | [`changes`] | the waiters for a change of a dialog |
//! | [`life`] | the stages of a connection, and how it ends |
//! | [`liveness`] | a peer that is silent |
//! | [`records`] | log records that a peer can cause |
//! | [`observe`] | what a look from another thread sees |
//! | [`tap`] | messages as they pass, for those who trace them |
//! | this one | the handle, and how messages are packed |
//!
//! A caller encodes its message for the connection's buffer and, when it is alone, writes it
//! itself; only when several are under way does the driver write for all of them at once.
//!
//! # Invariants
//! 1. The session's lock is never held across a wait, nor while the transport is called.
//! 2. What a command of the session returns is sent, in that order: all rules are in [`crate::proto`].

mod budget;
mod call;
pub(crate) mod cancelling;
mod changes;
pub(crate) mod dialog;
pub(crate) mod drain;
pub(crate) mod driver;
mod ending;
pub(crate) mod explain;
#[cfg(feature = "testing")]
pub(crate) mod faults;
pub(crate) mod handshake;
mod life;
mod liveness;
mod observe;
pub(crate) mod opened;
pub(crate) mod records;
mod respond;
mod room;
pub(crate) mod tap;
#[cfg(test)]
mod tests;
mod unsent;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use pleach_wire::transport::Lane;
use pleach_wire::{Cid, Encode, Format, MsgTransport, Outgoing, Payload, TransportError, Window};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::Instant;

use self::budget::Budget;
pub(crate) use self::call::{Pending, UNCHECKED, call_terms};
use self::cancelling::CancelOutcome;
use self::dialog::Wake;
use self::life::Life;
pub use self::liveness::Liveness;
use self::observe::LastFailure;
pub(crate) use self::observe::{Asked, Running, Work};
use self::records::{Kind, Records};
pub(crate) use self::respond::EndRequest;
use self::room::Room;
use self::tap::Line;
use self::unsent::Unsent;
use crate::actor::ActorId;
use crate::error::Packed;
use crate::proto::dialog::Canceller;
use crate::proto::failure_detector::{DetectorConfig, FailureDetector, Relation};
use crate::proto::session::{Handles, Outcome, Role, Session};
use crate::proto::transmit::Transmit;
use crate::sync::lock;

/// A connection to a peer. Cloning is cheap; the connection ends when it is closed, not when handles drop.
#[derive(Clone)]
pub(crate) struct Channel(Arc<Shared>);

struct Shared {
    transport: Arc<dyn MsgTransport>,
    /// The same, for a test.
    #[cfg(feature = "testing")]
    faulty: Arc<faults::Faulty>,
    session: Mutex<Session<Wakers>>,
    here: ActorId,
    peer: ActorId,
    end_request: EndRequest,
    epoch: Instant,
    cancel_ack: Duration,
    stream_window: Window,
    /// Messages in the last read: more than one means that several callers are under way.
    last_batch: AtomicUsize,
    ignored: AtomicU64,
    life: Life,
    lasts: bool,
    budget: Budget,
    max_backlog: usize,
    silence: Duration,
    /// Senders on the control lane that wait until its queue is shorter: of small messages, and of any.
    small_room: Room,
    room: Room,
    /// The failure detector of a peer that may fall silent.
    detector: Option<Mutex<FailureDetector>>,
    records: Records,
    last_failure: LastFailure,
    line: Arc<Line>,
    unsent: Unsent,
    /// How small stream messages are written, if they may share a frame.
    shared_items: Option<Format>,
    /// Held while a large value of the peer is being decoded.
    decoding: Arc<tokio::sync::Mutex<()>>,
    /// The place of the next call of a method in the queue of the state: those that take theirs later wait here.
    order_of_methods: Arc<tokio::sync::Mutex<()>>,
    /// The place of the next call of a method that is sent: those that find no room wait here.
    order_of_sent_methods: Arc<tokio::sync::Mutex<()>>,
}

/// The types by which the session wakes and cancels tasks here.
#[derive(Debug)]
struct Wakers {
    here: ActorId,
    peer: ActorId,
}

impl Handles for Wakers {
    type Reply = oneshot::Sender<Outcome>;
    type Ack = oneshot::Sender<CancelOutcome>;
    type Task = Running;
    type Wake = Arc<Wake>;
    type Note = Asked;

    fn canceller(&self, error: &Payload) -> Option<Canceller> {
        let Ok(Packed::ContextCancelled(cancelled)) = error.decode() else { return None };
        Some(match &cancelled.canceller {
            Some(actor) if *actor == self.here => Canceller::Us,
            Some(actor) if *actor == self.peer => Canceller::Peer,
            _ => Canceller::Other,
        })
    }
}

/// The settings of a new channel.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) role: Role,
    pub(crate) here: ActorId,
    pub(crate) peer: ActorId,
    /// How long an acknowledgement may take.
    pub(crate) cancel_ack: Duration,
    /// How many tasks the peer may have here at once.
    pub(crate) max_tasks: usize,
    /// How many bytes of arguments of the peer's calls are held here at once.
    pub(crate) max_arguments: usize,
    /// How many bytes of answers may wait for the peer before its further calls wait to begin.
    pub(crate) max_answers: usize,
    /// How many bytes may wait to be sent before the connection is closed.
    pub(crate) max_backlog: usize,
    /// How long the network may leave the peer's host without an answer.
    pub(crate) silence: Duration,
    /// How much a stream buffers unless it says otherwise.
    pub(crate) stream_window: Window,
    /// The peer that asked this side's actor to end.
    pub(crate) end_request: EndRequest,
    /// Whether it is held until one of the two actors ends.
    pub(crate) lasts: bool,
    /// When the handshake began.
    pub(crate) began: Instant,
    /// The peer's relation to this side, if heartbeats run, and how long it may be silent.
    pub(crate) detector: Option<(Relation, DetectorConfig)>,
}

impl Channel {
    pub(crate) fn new(transport: Arc<dyn MsgTransport>, terms: Terms) -> Self {
        let now = terms.began.elapsed();
        let detector = terms
            .detector
            .map(|(relation, config)| Mutex::new(FailureDetector::new(relation, config, Duration::ZERO, now)));
        let line = Arc::new(Line::new(&terms.here, &terms.peer));
        transport.set_tap(line.clone());
        #[cfg(feature = "testing")]
        let faulty = faults::Faulty::around(transport);
        #[cfg(feature = "testing")]
        let transport: Arc<dyn MsgTransport> = faulty.clone();
        let wakers = Wakers { here: terms.here.clone(), peer: terms.peer.clone() };
        let shared_items = transport.shares_frames().then(|| transport.format());
        Self(Arc::new(Shared {
            transport,
            #[cfg(feature = "testing")]
            faulty,
            session: Mutex::new(Session::new(wakers, terms.role, terms.max_tasks)),
            here: terms.here,
            peer: terms.peer,
            end_request: terms.end_request,
            epoch: terms.began,
            cancel_ack: terms.cancel_ack,
            stream_window: terms.stream_window,
            last_batch: AtomicUsize::new(0),
            ignored: AtomicU64::new(0),
            life: Life::new(),
            lasts: terms.lasts,
            budget: Budget::new(terms.max_arguments, terms.max_answers),
            max_backlog: terms.max_backlog,
            silence: terms.silence,
            small_room: Room::new(),
            room: Room::new(),
            detector,
            records: Records::default(),
            last_failure: LastFailure::default(),
            line,
            unsent: Unsent::new(),
            shared_items,
            decoding: Arc::default(),
            order_of_methods: Arc::default(),
            order_of_sent_methods: Arc::default(),
        }))
    }

    /// Returns the actor at the other end.
    pub(crate) fn peer(&self) -> &ActorId {
        &self.0.peer
    }

    /// Returns this side's actor.
    pub(crate) fn here(&self) -> &ActorId {
        &self.0.here
    }

    /// Returns whether both sides hold it until one of them ends, so that others may use it too.
    pub(crate) fn lasts(&self) -> bool {
        self.0.lasts
    }

    /// Returns how much a stream buffers unless it says otherwise: in messages where senders do not wait.
    pub(crate) fn stream_window(&self) -> Window {
        self.0.stream_window
    }

    /// Returns the connection below.
    pub(crate) fn transport(&self) -> &dyn MsgTransport {
        &*self.0.transport
    }

    /// Attaches what is known of a running task of the peer, and the scope by which it can be cancelled.
    pub(crate) fn attach(&self, cid: Cid, running: Running) {
        self.session().attach(cid, running);
    }

    /// Waits until no other large value of the peer is being decoded; the next one waits for the guard.
    ///
    /// # Cancel safety
    /// If dropped, the place in the queue is given up.
    pub(crate) async fn decoding_turn(&self) -> OwnedMutexGuard<()> {
        self.0.decoding.clone().lock_owned().await
    }

    /// Returns the order of those calls of methods that can't take their place in the queue of the state at once.
    pub(crate) fn order_of_methods(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.0.order_of_methods
    }

    /// Returns the order of those calls of methods that can't be sent at once.
    pub(crate) fn order_of_sent_methods(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.0.order_of_sent_methods
    }

    /// Waits while too much of what is small waits on the control lane. Returns whether there is room for a large
    /// message too; otherwise a sender of one waits for [`room`](Self::room) as well.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn small_room(&self) -> bool {
        // An error is the connection's end, which every waiter learns by itself.
        let transport = &self.0.transport;
        self.0
            .small_room
            .wait(|cx: &mut Context<'_>| transport.poll_small_room(cx).map(|any| any.unwrap_or(true)))
            .await
    }

    /// Returns whether a message with this value is a small one.
    pub(crate) fn is_small(&self, value: &dyn Encode) -> bool {
        self.0.transport.is_small(value)
    }

    /// Waits while too much waits on the control lane, large messages included.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn room(&self) {
        self.0.room.wait(|cx: &mut Context<'_>| self.poll_lane_room(Lane::CONTROL, cx)).await;
    }

    /// Ready while the send queue of a lane is not too long.
    fn poll_lane_room(&self, lane: Lane, cx: &mut Context<'_>) -> Poll<()> {
        // An error is the connection's end, which every waiter learns by itself.
        self.0.transport.poll_lane_room(lane, cx).map(drop)
    }

    /// Queues a message and writes it, or leaves that to the driver if `under_way` says that more will come.
    fn send(&self, lane: Lane, msg: &Outgoing<'_>, under_way: usize) -> Result<Sent, TransportError> {
        let transport = &self.0.transport;
        let writes = under_way <= 1 && self.0.last_batch.load(Ordering::Relaxed) <= 1;
        let waiting = if writes { transport.queue(lane, msg)? } else { transport.queue_for_flusher(lane, msg)? };
        self.note_waiting(waiting)?;
        if writes {
            transport.flush_now();
        }
        Ok(Sent { lane, waiting })
    }

    /// Notes how many bytes wait to be sent on a stream.
    ///
    /// # Errors
    /// They are too many: the connection was given up.
    fn note_waiting(&self, waiting: usize) -> Result<(), TransportError> {
        self.0.budget.note_waiting(waiting);
        if waiting > self.0.max_backlog { Err(self.give_up(waiting)) } else { Ok(()) }
    }

    /// Sends a message on its lane, or where it goes if the connection can't spare that.
    fn transmit(&self, transmit: &Transmit<'_>, under_way: usize) -> Result<Sent, TransportError> {
        match transmit.settles() {
            None => self.send(transmit.lane, &transmit.msg, under_way),
            Some(cid) => self.transmit_first(cid, transmit, under_way),
        }
    }

    /// Sends the first message on the lane of a dialog.
    fn transmit_first(&self, cid: Cid, transmit: &Transmit<'_>, under_way: usize) -> Result<Sent, TransportError> {
        let sent = match (self.send(transmit.lane, &transmit.msg, under_way), transmit.fallback()) {
            // The value can't be sent, or there is no such lane to spare.
            (Err(TransportError::Encode { .. }), Some(other)) => self.send(other, &transmit.msg, under_way)?,
            (sent, _) => sent?,
        };
        Ok(Sent { lane: self.session().settle_lane(cid, sent.lane), ..sent })
    }

    fn transmit_or_log(&self, transmit: &Transmit<'_>, under_way: usize) {
        if let Err(error) = self.transmit(transmit, under_way) {
            let Some(count) = self.may_log(Kind::NotSent) else { return };
            let kind = transmit.msg.kind();
            debug!(target: "pleach::transport", peer = %self.0.peer, kind, %error, count, "not sent");
        }
    }

    /// Lets go of a dialog for one of its two users; the second one closes its lane.
    fn release(&self, cid: Cid) {
        let lane = self.session().release(cid);
        self.close_lane(lane);
    }

    fn close_lane(&self, lane: Option<Lane>) {
        if let Some(lane) = lane {
            self.0.transport.close_lane(lane);
        }
    }

    /// Has the driver look at its timers.
    fn look_at_timers(&self) {
        self.0.transport.wake_flusher();
    }

    /// Returns when an acknowledgement that is asked for now is overdue.
    fn ack_overdue_at(&self) -> Duration {
        self.now() + self.0.cancel_ack
    }

    fn session(&self) -> MutexGuard<'_, Session<Wakers>> {
        lock(&self.0.session)
    }

    fn now(&self) -> Duration {
        self.0.epoch.elapsed()
    }
}

/// Where a message was queued.
struct Sent {
    lane: Lane,
    /// The bytes that wait for the same stream, with it.
    waiting: usize,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("peer", self.peer()).field("end", &self.end()).finish_non_exhaustive()
    }
}
