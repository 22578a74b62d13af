//! One connection to one peer, after the handshake: calls out, answers back.
//!
//! | file | station |
//! |---|---|
//! | [`handshake`] | from a fresh transport to a member of the tree |
//! | [`driver`] | the message loop: one task per connection |
//! | [`drain`] | the end of a connection: messages in transit still arrive |
//! | [`dialog`] | a context: a dialog of many messages |
//! | [`respond`] | how a task of the peer ends |
//! | [`state_cell`] | a dialog's state, and its waiters |
//! | [`failure`] | a runtime that failed, a peer that does not read |
//! | [`liveness`] | a peer that is silent |
//! | [`records`] | log records that a peer can cause |
//! | this one | the handle: what callers and finished tasks use |
//!
//! A caller encodes its message into the connection's buffer and, when it is alone, writes it
//! itself; only when several are under way does the driver write for all of them at once.
//!
//! # Lanes
//! A context's own messages go on a lane of their own, so that they hold up no other context: its first value, its
//! stream messages, its result. Everything else is on the control lane and may overtake them. The order holds where it
//! matters: the caller uses its lane only after it has got the first value, so the request to open the context is
//! always there before; the acknowledgement of a cancel request goes behind the answer, on its lane; credit adds up to
//! the same in any order. An error may overtake earlier messages, and messages for an ended dialog are ignored. Where a
//! connection has no lane to spare, the control lane does.
//!
//! # Invariants
//! 1. The session's lock is never held across a wait, nor while the transport is called.
//! 2. A guard ([`Pending`]) exists before the message that it guards is queued.
//! 3. A lane is closed when nothing is left that could send on it.

pub(crate) mod dialog;
pub(crate) mod drain;
pub(crate) mod driver;
mod failure;
pub(crate) mod handshake;
mod liveness;
pub(crate) mod records;
mod respond;
mod state_cell;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, CallOptions, Cid, Encode, MsgTransport, Outgoing, Payload, TransportError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::dialog::DialogHandle;
use self::drain::PeerGone;
pub use self::liveness::Liveness;
use self::records::{Kind, Records};
pub(crate) use self::respond::EndRequest;
use crate::actor::ActorId;
use crate::error::{Error, Packed, Result};
use crate::proto::dialog::Dialog;
use crate::proto::failure_detector::{DetectorConfig, FailureDetector, Relation};
use crate::proto::session::{Handles, Outcome, Role, Session};
use crate::scope::CancelScope;

/// A connection to a peer. Cloning is cheap; the connection ends when it is closed, not when handles drop.
#[derive(Clone)]
pub(crate) struct Channel(Arc<Shared>);

struct Shared {
    transport: Arc<dyn MsgTransport>,
    session: Mutex<Session<Wakers>>,
    here: ActorId,
    peer: ActorId,
    end_request: EndRequest,
    epoch: Instant,
    cancel_ack: Duration,
    stream_buffer: u32,
    /// Messages in the last read: more than one means that several callers are under way.
    last_batch: AtomicUsize,
    ignored: AtomicU64,
    closing: AtomicBool,
    /// The peer's process has ended: its last messages have already arrived.
    peer_gone: AtomicU8,
    /// The peer has acknowledged a request to end itself.
    end_acknowledged: AtomicBool,
    ended: CancellationToken,
    end: OnceLock<TransportError>,
    lasts: bool,
    max_backlog: usize,
    silence: Duration,
    /// Why this side has given the connection up.
    fault: OnceLock<TransportError>,
    /// The failure of the peer's runtime, set before the token is cancelled.
    failure: OnceLock<Error>,
    failed: CancellationToken,
    /// The failure detector of a peer that may fall silent.
    detector: Option<Mutex<FailureDetector>>,
    records: Records,
}

/// The part of a channel that its dialogs share.
#[derive(Debug)]
pub(crate) struct Wakers;

impl Handles for Wakers {
    type Reply = ReplyTo;
    type Ack = oneshot::Sender<()>;
    type Task = CancelScope;
    type Dialog = DialogHandle;
}

/// The receiver of a call's answer.
#[derive(Debug)]
pub(crate) enum ReplyTo {
    /// The task that waits for it.
    Call(oneshot::Sender<Outcome>),
    /// Its dialog.
    Dialog(DialogHandle),
}

/// Knows more about a peer than its connection does.
pub(crate) trait Explain: Sync {
    /// Says why a connection was lost, if the end of the peer's process explains it.
    fn explain(&self, error: Error) -> impl Future<Output = Error> + Send;
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
    /// How many bytes may wait to be sent before the connection is closed.
    pub(crate) max_backlog: usize,
    /// How long the network may leave the peer's host without an answer.
    pub(crate) silence: Duration,
    /// How many stream messages a dialog buffers unless it says otherwise.
    pub(crate) stream_buffer: usize,
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
        Self(Arc::new(Shared {
            transport,
            session: Mutex::new(Session::new(terms.role, terms.max_tasks)),
            here: terms.here,
            peer: terms.peer,
            end_request: terms.end_request,
            epoch: terms.began,
            cancel_ack: terms.cancel_ack,
            stream_buffer: u32::try_from(terms.stream_buffer).unwrap_or(u32::MAX).max(1),
            last_batch: AtomicUsize::new(0),
            ignored: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            peer_gone: AtomicU8::new(ALIVE),
            end_acknowledged: AtomicBool::new(false),
            ended: CancellationToken::new(),
            end: OnceLock::new(),
            lasts: terms.lasts,
            max_backlog: terms.max_backlog,
            silence: terms.silence,
            fault: OnceLock::new(),
            failure: OnceLock::new(),
            failed: CancellationToken::new(),
            detector,
            records: Records::default(),
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

    /// Returns how many stream messages a dialog buffers unless it says otherwise.
    pub(crate) fn stream_buffer(&self) -> u32 {
        self.0.stream_buffer
    }

    /// Returns the connection below.
    pub(crate) fn transport(&self) -> &dyn MsgTransport {
        &*self.0.transport
    }

    /// Returns how the connection ended, if it has.
    pub(crate) fn end(&self) -> Option<&TransportError> {
        self.0.end.get()
    }

    /// Waits until the connection has ended and its waiters are woken.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn ended(&self) {
        self.0.ended.cancelled().await;
    }

    /// Asks the driver to say goodbye, drain, and end. Returns at once.
    pub(crate) fn request_close(&self) {
        self.0.closing.store(true, Ordering::Release);
        self.0.transport.wake_flusher();
    }

    /// Tells the driver that the peer's process has ended. Not every transport notices that soon.
    pub(crate) fn note_peer_gone(&self, how: PeerGone) {
        let how = if how == PeerGone::Exited { EXITED } else { KILLED };
        self.0.peer_gone.fetch_max(how, Ordering::AcqRel);
        self.request_close();
    }

    /// Remembers that the peer has acknowledged a request to end itself.
    pub(crate) fn note_end_acknowledged(&self) {
        self.0.end_acknowledged.store(true, Ordering::Release);
    }

    /// Returns whether the peer has acknowledged a request to end itself.
    pub(crate) fn end_acknowledged(&self) -> bool {
        self.0.end_acknowledged.load(Ordering::Acquire)
    }

    /// Returns whether `fault` follows from one side asking the other to end: messages to an ending actor are cut then,
    /// its own last ones are not.
    fn ends_with_actor(&self, fault: &TransportError) -> bool {
        let said_all = !matches!(fault, TransportError::Undelivered { .. });
        self.end_acknowledged() || (said_all && self.0.end_request.asked() == Some(self.peer()))
    }

    /// Returns how the peer's process has ended, if it has.
    fn peer_gone(&self) -> Option<PeerGone> {
        match self.0.peer_gone.load(Ordering::Acquire) {
            ALIVE => None,
            KILLED => Some(PeerGone::Killed),
            _ => Some(PeerGone::Exited),
        }
    }

    /// Starts a call: the message is queued, and on its way unless others are being sent.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn call(&self, target: ByteStr, args: &dyn Encode, terms: CallOptions) -> Result<Pending> {
        let (waker, reply) = oneshot::channel();
        let (cid, open) = {
            let mut session = self.session();
            let cid = session.open(ReplyTo::Call(waker)).ok_or_else(|| self.gone())?;
            (cid, session.open_calls())
        };
        let pending = Pending { channel: self.clone(), cid, reply, answered: false };
        if let Err(error) = self.send(Lane::CONTROL, &Outgoing::Start { cid, target, args, terms }, open) {
            self.session().forget(cid);
            return Err(self.explain(error));
        }
        Ok(pending)
    }

    /// Makes the dialog of a task of the peer, before any further message of it is looked at.
    pub(crate) fn accept_dialog(&self, cid: Cid, state: Dialog) -> DialogHandle {
        let dialog = DialogHandle::new(self.clone(), cid, state);
        self.session().attach_dialog(cid, dialog.clone());
        dialog
    }

    /// Attaches the scope by which a running task of the peer can be cancelled.
    pub(crate) fn attach(&self, cid: Cid, scope: CancelScope) {
        self.session().attach(cid, scope);
    }

    /// Waits while the send queue of the control lane is too long; for senders that wait for no answer.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_lane_room(Lane::CONTROL, cx)).await;
    }

    /// Ready while the send queue of a lane is not too long.
    fn poll_lane_room(&self, lane: Lane, cx: &mut Context<'_>) -> Poll<()> {
        // An error is the connection's end, which every waiter learns by itself.
        self.0.transport.poll_lane_room(lane, cx).map(drop)
    }

    /// Queues a message and writes it, or leaves that to the driver if `under_way` says that more will come.
    fn send(&self, lane: Lane, msg: &Outgoing<'_>, under_way: usize) -> Result<(), TransportError> {
        let waiting = self.0.transport.queue(lane, msg)?;
        if waiting > self.0.max_backlog {
            return Err(self.give_up(waiting));
        }
        if under_way <= 1 && self.0.last_batch.load(Ordering::Relaxed) <= 1 {
            self.0.transport.flush_now();
        } else {
            self.0.transport.wake_flusher();
        }
        Ok(())
    }

    fn send_or_log(&self, lane: Lane, msg: &Outgoing<'_>, under_way: usize) {
        if let Err(error) = self.send(lane, msg, under_way) {
            let Some(count) = self.may_log(Kind::NotSent) else { return };
            debug!(target: "pleach::transport", peer = %self.0.peer, kind = msg.kind(), %error, count, "not sent");
        }
    }

    /// Asks the peer to cancel a task; `ack` is woken when the task has ended. Returns whether it still runs.
    fn send_cancel(&self, cid: Cid, ack: Option<oneshot::Sender<()>>) -> bool {
        let overdue_at = self.now() + self.0.cancel_ack;
        let marked = self.session().cancel(cid, ack, overdue_at);
        if let Ok(true) = marked {
            self.send_or_log(Lane::CONTROL, &Outgoing::Cancel { cid }, 0);
        }
        self.0.transport.wake_flusher(); // the driver looks at its timers
        marked.is_ok()
    }

    /// The error of a wait for an acknowledgement that never came.
    fn too_slow(&self) -> Error {
        Error::ActorTooSlow { actor: Box::new(self.0.peer.clone()), waited: self.0.cancel_ack }
    }

    fn session(&self) -> MutexGuard<'_, Session<Wakers>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.0.epoch.elapsed()
    }

    /// The error for uses of the connection after its end.
    pub(crate) fn gone(&self) -> Error {
        let end = self.end().cloned();
        let end = end.unwrap_or_else(|| pleach_wire::TransportClosed::by_us("it is closing").into());
        Error::Disconnected { actor: Box::new(self.0.peer.clone()), end }
    }

    fn explain(&self, error: TransportError) -> Error {
        match error {
            TransportError::Encode { .. } | TransportError::FrameTooLarge { .. } => Error::Transport(error),
            end => Error::Disconnected { actor: Box::new(self.0.peer.clone()), end },
        }
    }
}

/// The terms of a call: `schema` is that of the function's [`Export`](crate::exports), or [`UNCHECKED`]; at
/// the deadline the peer cancels the task by itself.
pub(crate) fn call_terms(schema: u64, deadline: Option<Instant>) -> CallOptions {
    // None at all if it has passed.
    let deadline = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    CallOptions { schema, deadline }
}

/// A call that waits for its answer. Dropping it before asks the peer to cancel the task.
pub(crate) struct Pending {
    channel: Channel,
    cid: Cid,
    reply: oneshot::Receiver<Outcome>,
    answered: bool,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The error of the function or of the peer's runtime; [`Error::Disconnected`].
    ///
    /// # Cancel safety
    /// Nothing is lost; ask again. Not to be asked again after it has resolved.
    pub(crate) async fn outcome(&mut self) -> Result<Payload> {
        let outcome = (&mut self.reply).await;
        self.answered = true;
        match outcome {
            Ok(Outcome::Value(value)) => Ok(value),
            Ok(Outcome::Error(error)) => Err(match error.decode::<Packed>() {
                Ok(packed) => packed.unpack(&self.channel.0.peer),
                Err(unreadable) => Error::Transport(unreadable),
            }),
            Err(_closed) => Err(self.channel.gone()),
        }
    }

    /// Asks the peer to cancel the task and waits until it has ended.
    ///
    /// # Errors
    /// [`Error::ActorTooSlow`] when neither an acknowledgement nor an answer came in time.
    ///
    /// # Cancel safety
    /// If dropped, the request has been sent.
    pub(crate) async fn cancel(mut self) -> Result<()> {
        let (ack, acked) = oneshot::channel();
        self.answered = true;
        if !self.channel.send_cancel(self.cid, Some(ack)) {
            return Ok(());
        }
        // The driver drops the waker at the deadline, and when the connection ends.
        match acked.await {
            Ok(()) => Ok(()),
            Err(_) if self.channel.end().is_some() => Ok(()),
            Err(_) => Err(self.channel.too_slow()),
        }
    }

    /// Stops waiting without notifying the peer.
    pub(crate) fn forget(mut self) {
        self.answered = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answered {
            self.channel.send_cancel(self.cid, None);
        }
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("peer", self.peer()).field("end", &self.end()).finish_non_exhaustive()
    }
}

/// The peer's process, as far as it is known. A higher number says more.
const ALIVE: u8 = 0;
const KILLED: u8 = 1;
const EXITED: u8 = 2;

/// The schema of a caller that does not know how the function is declared.
pub(crate) const UNCHECKED: u64 = 0;
