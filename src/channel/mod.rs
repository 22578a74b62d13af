//! One connection to one peer, after the handshake: calls out, answers back.
//!
//! | file | station |
//! |---|---|
//! | [`handshake`] | from a fresh transport to a member of the tree |
//! | [`driver`] | the message loop: one task per connection |
//! | [`dialog`] | a context: a dialog of many messages |
//! | this one | the handle: what callers and finished tasks use |
//!
//! A caller encodes its message into the connection's buffer and, when it is alone, writes it
//! itself; only when several are under way does the driver write for all of them at once.
//!
//! # Invariants
//! 1. The session's lock is never held across a wait, nor while the transport is called.
//! 2. A guard ([`Pending`]) exists before the message that it guards is queued.

pub(crate) mod dialog;
pub(crate) mod driver;
pub(crate) mod handshake;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, Cid, Encode, MsgTransport, Outgoing, Payload, TransportError};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::dialog::DialogHandle;
use crate::actor::ActorId;
use crate::error::{Cancelled, Error, Packed, Raised, Refusal, Result};
use crate::panics;
use crate::proto::dialog::Dialog;
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
    epoch: Instant,
    cancel_ack: Duration,
    stream_buffer: u32,
    /// Messages in the last read: more than one means that several callers are under way.
    last_batch: AtomicUsize,
    ignored: AtomicU64,
    closing: AtomicBool,
    /// The peer's process has ended: what it had sent is here already, and nothing more will come.
    peer_gone: AtomicBool,
    ended: CancellationToken,
    end: OnceLock<TransportError>,
}

/// What the dialogs of a channel hold on to.
#[derive(Debug)]
pub(crate) struct Wakers;

impl Handles for Wakers {
    type Reply = ReplyTo;
    type Ack = oneshot::Sender<()>;
    type Task = CancelScope;
    type Dialog = DialogHandle;
}

/// Who gets the answer of a call.
#[derive(Debug)]
pub(crate) enum ReplyTo {
    /// The one who waits for it.
    Call(oneshot::Sender<Outcome>),
    /// Its dialog.
    Dialog(DialogHandle),
}

/// Knows more about a peer than its connection does.
pub(crate) trait Explain: Sync {
    /// Says why a connection was lost, if the end of the peer's process explains it.
    fn explain(&self, error: Error) -> impl Future<Output = Error> + Send;
}

/// What a new channel needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) role: Role,
    pub(crate) here: ActorId,
    pub(crate) peer: ActorId,
    /// How long an acknowledgement may take.
    pub(crate) cancel_ack: Duration,
    /// How many tasks the peer may have here at once.
    pub(crate) max_tasks: usize,
    /// How many stream messages a dialog buffers unless it says otherwise.
    pub(crate) stream_buffer: usize,
}

impl Channel {
    pub(crate) fn new(transport: Arc<dyn MsgTransport>, terms: Terms) -> Self {
        Self(Arc::new(Shared {
            transport,
            session: Mutex::new(Session::new(terms.role, terms.max_tasks)),
            here: terms.here,
            peer: terms.peer,
            epoch: Instant::now(),
            cancel_ack: terms.cancel_ack,
            stream_buffer: u32::try_from(terms.stream_buffer).unwrap_or(u32::MAX).max(1),
            last_batch: AtomicUsize::new(0),
            ignored: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            peer_gone: AtomicBool::new(false),
            ended: CancellationToken::new(),
            end: OnceLock::new(),
        }))
    }

    /// Returns who is at the other end.
    pub(crate) fn peer(&self) -> &ActorId {
        &self.0.peer
    }

    /// Returns who this side is.
    pub(crate) fn here(&self) -> &ActorId {
        &self.0.here
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

    /// Waits until the connection has ended and nobody waits on it any more.
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
    pub(crate) fn note_peer_gone(&self) {
        self.0.peer_gone.store(true, Ordering::Release);
        self.request_close();
    }

    /// Starts a call: the message is queued, and on its way unless others are being sent.
    ///
    /// # Errors
    /// When the arguments can't be sent, or the connection is gone.
    pub(crate) fn call(&self, target: ByteStr, args: &dyn Encode) -> Result<Pending> {
        let (waker, reply) = oneshot::channel();
        let (cid, open) = {
            let mut session = self.session();
            let cid = session.open(ReplyTo::Call(waker)).ok_or_else(|| self.gone())?;
            (cid, session.open_calls())
        };
        let pending = Pending { channel: self.clone(), cid, reply, answered: false };
        if let Err(error) = self.send(&Outgoing::Start { cid, target, args }, open) {
            self.session().forget(cid);
            return Err(self.explain(error));
        }
        Ok(pending)
    }

    /// Answers a task of the peer and ends its dialog.
    pub(crate) fn answer(&self, cid: Cid, value: &dyn Encode) {
        if let Err(end) = self.finish(cid, &Outgoing::Return { cid, value }) {
            tracing::debug!(target: "pleach::runtime", peer = %self.0.peer, %cid, %end, "an answer found the connection gone");
        }
    }

    /// Answers a task of the peer with its own error.
    pub(crate) fn answer_failure(&self, cid: Cid, raised: Raised) {
        self.answer_error(cid, &Packed::new(raised, &self.0.here));
    }

    /// Answers that a function will not be run.
    pub(crate) fn refuse(&self, cid: Cid, function: String, why: Refusal) {
        self.answer_error(cid, &Packed::Refused { function, why });
    }

    /// Answers for a task that was dropped: cancelled, or unwinding from a panic.
    pub(crate) fn answer_dropped(&self, cid: Cid) {
        let here = &self.0.here;
        if let Some(panic) = panics::take_current() {
            return self.answer_error(cid, &Packed::panic(panic, here));
        }
        let by_caller = self.session().is_cancelled(cid);
        let why = if by_caller { Cancelled::Caller(Some(self.0.peer.clone())) } else { Cancelled::Actor };
        self.answer_error(cid, &Packed::of(Error::Cancelled(why), here));
    }

    /// Answers a task of the peer with an error and ends its dialog.
    fn answer_error(&self, cid: Cid, error: &Packed) {
        let Err(end) = self.finish(cid, &Outgoing::Error { cid: Some(cid), error }) else { return };
        let peer = &self.0.peer;
        match error.is_failure() {
            true => {
                tracing::error!(target: "pleach::runtime", %peer, %cid, %end, %error, "a function failed, and its caller can't be told how")
            }
            false => tracing::debug!(target: "pleach::runtime", %peer, %cid, %end, "nobody is left to be answered"),
        }
    }

    /// Sends the last message of a task and ends its dialog.
    ///
    /// # Errors
    /// The peer was not told: the connection is gone, or the message can't be sent. In the second case the
    /// peer gets an error that says so.
    fn finish(&self, cid: Cid, answer: &Outgoing<'_>) -> Result<(), TransportError> {
        let (ack_due, others) = {
            let mut session = self.session();
            (session.finish(cid), session.running_tasks() + 1)
        };
        let sent = self.send(answer, others);
        if let Err(why @ (TransportError::Encode { .. } | TransportError::FrameTooLarge { .. })) = &sent {
            let error = Packed::of(Error::Transport(why.clone()), &self.0.here);
            self.send_or_log(&Outgoing::Error { cid: Some(cid), error: &error }, others);
        }
        if ack_due {
            self.send_or_log(&Outgoing::CancelAck { cid, found: true }, others);
        }
        sent
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

    /// Waits while the send queue is too long; whoever sends without being answered calls this.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn room(&self) {
        std::future::poll_fn(|cx| self.poll_room(cx)).await;
    }

    /// As [`room`](Self::room), for those who poll.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is the connection's end, which every waiter learns by itself.
        self.0.transport.poll_room(cx).map(drop)
    }

    /// Queues a message and writes it, or leaves that to the driver if `under_way` says that more will come.
    fn send(&self, msg: &Outgoing<'_>, under_way: usize) -> Result<(), TransportError> {
        self.0.transport.queue(Lane::CONTROL, msg)?;
        if under_way <= 1 && self.0.last_batch.load(Ordering::Relaxed) <= 1 {
            self.0.transport.flush_now();
        } else {
            self.0.transport.wake_flusher();
        }
        Ok(())
    }

    fn send_or_log(&self, msg: &Outgoing<'_>, under_way: usize) {
        if let Err(error) = self.send(msg, under_way) {
            tracing::debug!(target: "pleach::transport", peer = %self.0.peer, kind = msg.kind(), %error, "not sent");
        }
    }

    /// Asks the peer to cancel a task; `ack` is woken when it is over. Returns whether it was not over yet.
    fn send_cancel(&self, cid: Cid, ack: Option<oneshot::Sender<()>>) -> bool {
        let overdue_at = self.now() + self.0.cancel_ack;
        let marked = self.session().cancel(cid, ack, overdue_at);
        if let Ok(true) = marked {
            self.send_or_log(&Outgoing::Cancel { cid }, 0);
        }
        self.0.transport.wake_flusher(); // the driver looks at its timers
        marked.is_ok()
    }

    /// The error of whoever waited for an acknowledgement in vain.
    fn too_slow(&self) -> Error {
        Error::ActorTooSlow { actor: Box::new(self.0.peer.clone()), waited: self.0.cancel_ack }
    }

    fn session(&self) -> MutexGuard<'_, Session<Wakers>> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.0.epoch.elapsed()
    }

    /// The error of whoever uses the connection after its end.
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
    /// What the function or the peer's runtime reported; [`Error::Disconnected`].
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

    /// Asks the peer to cancel the task and waits until it is over.
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

    /// Stops waiting without a word to the peer.
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

#[cfg(test)]
mod tests {
    use pleach_wire::{Key, Settings};

    use super::*;
    use crate::error::BoxError;

    /// Collects what is logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_failure_that_finds_the_connection_gone_is_logged() {
        let registry = crate::transports::registry(false);
        let (kind, settings) = (registry.find(&Key::new("msgpack", "mem")).unwrap(), Settings::default());
        let listener = kind.listen(&kind.protocol().any_address(&settings), &settings).await.unwrap();
        let transport = kind.dial(listener.local_address(), &settings).await.unwrap();
        let (here, peer, cancel_ack) = (ActorId::new("here"), ActorId::new("peer"), Duration::ZERO);
        let channel = Channel::new(
            transport,
            Terms { role: Role::Dialer, here, peer, cancel_ack, max_tasks: 1, stream_buffer: 1 },
        );
        channel.transport().abort();

        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        channel.answer_failure(Cid(2), Raised::new(BoxError::from("the disk is full")));
        channel.answer_dropped(Cid(4));
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("ERROR") && text.contains("the disk is full") && text.contains("`peer`"), "{text}");
        assert_eq!(text.lines().count(), 1, "a cancellation is no failure: {text}");
    }
}
