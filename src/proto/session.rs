//! The dialogs of one connection: which calls wait here, and which tasks run here for the peer.
//!
//! ```text
//! a call that we made                          a task that the peer started
//!
//!   open ──► Waiting                          start ──► Running
//!              │  │ cancel                                │  │ cancel
//!  return,     │  ▼                                finish │  ▼
//!  error       │ Cancelling                               │ Cancelling
//!              ▼  │ acknowledged                          ▼  │ finish: answered, acknowledged
//!            gone ◄┘                                    gone ◄┘
//! ```
//! A call that was cancelled stays in `Cancelling` until the peer acknowledges, answered or not. A peer
//! that has answered before acknowledges that there was nothing to cancel; that may overtake an answer on
//! a lane of its own, so a dialog goes back to `Waiting` then.
//!
//! # Invariants
//! 1. Every waiter that was put in comes out once: by [`Event`], by [`Session::handle_timeout`] or by [`Session::close`].
//! 2. After `close` nothing can be opened.
//! 3. A message with an unknown cid changes nothing. If there was such a dialog it is merely late, as a
//!    message that has crossed the dialog's end is: [`Event::Late`]; otherwise it is [`Event::Ignored`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pleach_wire::{ByteStr, CallOptions, Cid, Msg, Payload};

use super::dialog::{Dialog, Side};
use super::target::Target;

/// The types that a connection's user attaches to its dialogs.
pub(crate) trait Handles {
    /// Wakes the caller of a function of the peer.
    type Reply;
    /// Wakes the waiter for the acknowledgement of a cancel request.
    type Ack;
    /// Cancels a task that runs here for the peer.
    type Task;
    /// Takes the messages of a dialog that has a stream.
    type Dialog: Clone;
}

/// The state of one connection after its handshake.
pub(crate) struct Session<H: Handles> {
    next: u64,
    /// The highest number of a dialog that the peer has opened.
    served: u64,
    calls: BTreeMap<Cid, Call<H>>,
    tasks: BTreeMap<Cid, Task<H>>,
    /// When acknowledgements are due; an entry whose call has ended is skipped.
    due: BTreeSet<(Duration, Cid)>,
    limit: usize,
    open: bool,
}

struct Call<H: Handles> {
    reply: Option<H::Reply>,
    dialog: Option<H::Dialog>,
    cancelling: bool,
    ack: Option<H::Ack>,
}

struct Task<H: Handles> {
    handle: Option<H::Task>,
    dialog: Option<H::Dialog>,
    cancelled: bool,
}

/// Which side of the connection this is; it decides which cids are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// This side dialled: its dialogs have odd numbers.
    Dialer,
    /// This side listened: its dialogs have even numbers.
    Listener,
}

/// The action that a message requires of its receiver.
pub(crate) enum Event<H: Handles> {
    /// Run a function, then call [`Session::finish`]. One with a dialog gets the messages of that; the time
    /// that a deadline leaves counts from now.
    Invoke { cid: Cid, target: Target, args: Payload, terms: CallOptions, dialog: Option<Box<Dialog>> },
    /// Hand a message to its dialog.
    Deliver { dialog: H::Dialog, msg: Msg },
    /// Answer that too many tasks run here for this peer.
    Overloaded { cid: Cid, limit: usize },
    /// Wake a caller, and the waiter for the acknowledgement of its cancellation.
    Resolved { reply: Option<H::Reply>, ack: Option<H::Ack>, outcome: Outcome },
    /// Cancel the task of this dialog; acknowledge when it has ended.
    CancelTask { cid: Cid },
    /// Acknowledge at once: the task does not exist.
    NothingToCancel { cid: Cid },
    /// Wake the waiter for this acknowledgement.
    Acked { ack: Option<H::Ack> },
    /// Answer this heartbeat at once.
    Pinged { n: u64 },
    /// The peer has answered this heartbeat.
    Ponged { n: u64 },
    /// The peer's runtime failed.
    PeerFailed { error: Payload },
    /// The peer is about to close the connection.
    PeerLeaves { why: ByteStr },
    /// Nothing to do: the dialog has ended.
    Late { kind: &'static str, cid: Cid },
    /// Nothing to do; count it and log it.
    Ignored { kind: &'static str, cid: Option<Cid> },
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With a value.
    Value(Payload),
    /// With an error.
    Error(Payload),
}

/// The waiters that remained when the connection ended.
pub(crate) struct Left<H: Handles> {
    pub(crate) replies: Vec<H::Reply>,
    pub(crate) acks: Vec<H::Ack>,
    pub(crate) tasks: Vec<H::Task>,
    /// Of those tasks.
    pub(crate) dialogs: Vec<H::Dialog>,
}

/// The remaining duties for a task that has ended.
pub(crate) struct Finished<H: Handles> {
    /// The peer waits for the acknowledgement of a cancel request.
    pub(crate) ack_due: bool,
    pub(crate) dialog: Option<H::Dialog>,
}

impl<H: Handles> Session<H> {
    /// A session in which the peer may have `limit` tasks at once.
    pub(crate) fn new(role: Role, limit: usize) -> Self {
        let next = match role {
            Role::Dialer => 1,
            Role::Listener => 2,
        };
        Self {
            next,
            served: 0,
            calls: BTreeMap::new(),
            tasks: BTreeMap::new(),
            due: BTreeSet::new(),
            limit,
            open: true,
        }
    }

    /// Takes a message from the peer.
    pub(crate) fn handle_msg(&mut self, msg: Msg) -> Event<H> {
        let kind = msg.kind();
        match msg {
            Msg::Start { cid, target, args, terms } => self.handle_request(kind, cid, target, args, terms, None),
            Msg::Open { cid, target, args, terms } => {
                let dialog = Dialog::new(Side::Callee);
                self.handle_request(kind, cid, target, args, terms, Some(dialog))
            }
            Msg::Pull { cid, target, buffer, waits, args, terms } => {
                let dialog = Dialog::one_way_sender(buffer, waits);
                self.handle_request(kind, cid, target, args, terms, Some(dialog))
            }
            Msg::Started { cid, .. }
            | Msg::Stream { cid, .. }
            | Msg::Yield { cid, .. }
            | Msg::Credit { cid, .. }
            | Msg::Stop { cid } => match self.dialog(cid) {
                Some(dialog) => Event::Deliver { dialog, msg },
                None => self.fits_nothing(kind, cid),
            },
            Msg::Return { cid, value } => self.resolve(kind, cid, Outcome::Value(value)),
            Msg::Error { cid: Some(cid), error } => self.resolve(kind, cid, Outcome::Error(error)),
            Msg::Error { cid: None, error } => Event::PeerFailed { error },
            Msg::Cancel { cid } => match self.tasks.get_mut(&cid) {
                Some(task) => {
                    task.cancelled = true;
                    Event::CancelTask { cid }
                }
                None => Event::NothingToCancel { cid },
            },
            Msg::CancelAck { cid, found } => self.handle_ack(kind, cid, found),
            Msg::Bye { why } => Event::PeerLeaves { why },
            Msg::Ping { n } => Event::Pinged { n },
            Msg::Pong { n } => Event::Ponged { n },
            _ => Event::Ignored { kind, cid: None },
        }
    }

    fn dialog(&self, cid: Cid) -> Option<H::Dialog> {
        match self.calls.get(&cid) {
            Some(call) => call.dialog.clone(),
            None => self.tasks.get(&cid)?.dialog.clone(),
        }
    }

    fn handle_request(
        &mut self,
        kind: &'static str,
        cid: Cid,
        target: ByteStr,
        args: Payload,
        terms: CallOptions,
        dialog: Option<Dialog>,
    ) -> Event<H> {
        if self.is_ours(cid) || cid.0 == 0 || self.tasks.contains_key(&cid) {
            return Event::Ignored { kind, cid: Some(cid) };
        }
        self.served = self.served.max(cid.0);
        // The runtime's own methods pass however busy the tasks are.
        let target = Target::read(target);
        if self.tasks.len() >= self.limit && matches!(target, Target::Function(_)) {
            return Event::Overloaded { cid, limit: self.limit };
        }
        self.tasks.insert(cid, Task { handle: None, dialog: None, cancelled: false });
        Event::Invoke { cid, target, args, terms, dialog: dialog.map(Box::new) }
    }

    fn handle_ack(&mut self, kind: &'static str, cid: Cid, found: bool) -> Event<H> {
        let Some(call) = self.calls.get_mut(&cid).filter(|call| call.cancelling) else {
            return self.fits_nothing(kind, cid);
        };
        if !found && call.reply.is_some() {
            // The answer has been sent on a lane of its own: it wakes the waiter.
            call.cancelling = false;
            return Event::Acked { ack: None };
        }
        Event::Acked { ack: self.calls.remove(&cid).and_then(|call| call.ack) }
    }

    fn is_ours(&self, cid: Cid) -> bool {
        cid.0 % 2 == self.next % 2
    }

    /// Classifies a message that belongs to no dialog: invariant 3.
    fn fits_nothing(&self, kind: &'static str, cid: Cid) -> Event<H> {
        let is_over = match self.is_ours(cid) {
            true => cid.0 < self.next && self.calls.get(&cid).is_none_or(|call| call.reply.is_none()),
            false => cid.0 <= self.served && !self.tasks.contains_key(&cid),
        };
        match is_over && cid.0 > 0 {
            true => Event::Late { kind, cid },
            false => Event::Ignored { kind, cid: Some(cid) },
        }
    }

    fn resolve(&mut self, kind: &'static str, cid: Cid, outcome: Outcome) -> Event<H> {
        let Some(call) = self.calls.get_mut(&cid) else { return self.fits_nothing(kind, cid) };
        let (reply, ack) = (call.reply.take(), call.ack.take());
        call.dialog = None; // later messages are late
        if !call.cancelling {
            self.calls.remove(&cid);
        }
        Event::Resolved { reply, ack, outcome }
    }

    /// Expires acknowledgements that are overdue and returns their waiters.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Vec<H::Ack> {
        let mut overdue = Vec::new();
        while let Some((_, cid)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            overdue.extend(self.calls.get_mut(&cid).and_then(|call| call.ack.take()));
        }
        overdue
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) may have something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Opens a dialog for a call; `None` once the connection is closed.
    pub(crate) fn open(&mut self, reply: H::Reply) -> Option<Cid> {
        self.open_with(|_| (reply, None))
    }

    /// As [`open`](Self::open), for a dialog with a stream; `make` learns its number.
    pub(crate) fn open_with(&mut self, make: impl FnOnce(Cid) -> (H::Reply, Option<H::Dialog>)) -> Option<Cid> {
        if !self.open {
            return None;
        }
        let cid = Cid(self.next);
        self.next += 2;
        let (reply, dialog) = make(cid);
        self.calls.insert(cid, Call { reply: Some(reply), dialog, cancelling: false, ack: None });
        Some(cid)
    }

    /// Takes a call back that was opened but never sent.
    pub(crate) fn forget(&mut self, cid: Cid) {
        self.calls.remove(&cid);
    }

    /// Marks a call as cancelled. Returns whether a cancel request must be sent now.
    ///
    /// The caller waits for the answer no more, unless it is a dialog with a stream: that learns its end.
    /// `ack` is woken by the acknowledgement or the answer, and comes out of
    /// [`handle_timeout`](Self::handle_timeout) at `overdue_at`.
    ///
    /// # Errors
    /// Gives `ack` back when the call has already ended.
    pub(crate) fn cancel(
        &mut self,
        cid: Cid,
        ack: Option<H::Ack>,
        overdue_at: Duration,
    ) -> Result<bool, Option<H::Ack>> {
        let Some(call) = self.calls.get_mut(&cid).filter(|call| call.reply.is_some()) else { return Err(ack) };
        if call.dialog.is_none() {
            call.reply = None;
        }
        if ack.is_some() {
            call.ack = ack;
            self.due.insert((overdue_at, cid));
        }
        Ok(!std::mem::replace(&mut call.cancelling, true))
    }

    /// Attaches the receiver of a task's dialog.
    pub(crate) fn attach_dialog(&mut self, cid: Cid, dialog: H::Dialog) {
        if let Some(task) = self.tasks.get_mut(&cid) {
            task.dialog = Some(dialog);
        }
    }

    /// Attaches the handle by which a running task can be cancelled.
    pub(crate) fn attach(&mut self, cid: Cid, handle: H::Task) {
        if let Some(task) = self.tasks.get_mut(&cid) {
            task.handle = Some(handle);
        }
    }

    /// Ends a task.
    pub(crate) fn finish(&mut self, cid: Cid) -> Finished<H> {
        let task = self.tasks.remove(&cid);
        let ack_due = task.as_ref().is_some_and(|task| task.cancelled);
        Finished { ack_due, dialog: task.and_then(|task| task.dialog) }
    }

    /// Returns the handle of a running task.
    pub(crate) fn task(&self, cid: Cid) -> Option<&H::Task> {
        self.tasks.get(&cid)?.handle.as_ref()
    }

    /// Ends all dialogs, because the connection ended.
    pub(crate) fn close(&mut self) -> Left<H> {
        self.open = false;
        let mut left = Left { replies: Vec::new(), acks: Vec::new(), tasks: Vec::new(), dialogs: Vec::new() };
        for call in std::mem::take(&mut self.calls).into_values() {
            left.replies.extend(call.reply);
            left.acks.extend(call.ack);
        }
        for task in std::mem::take(&mut self.tasks).into_values() {
            left.tasks.extend(task.handle);
            left.dialogs.extend(task.dialog);
        }
        left
    }

    /// Returns how many calls of ours are open.
    pub(crate) fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// Returns how many tasks run for the peer.
    pub(crate) fn running_tasks(&self) -> usize {
        self.tasks.len()
    }
}
