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
//! A call that was cancelled stays in `Cancelling` until the peer acknowledges, answered or not, so
//! that a late message is told from one to nothing.
//!
//! # Invariants
//! 1. Every waiter that was put in comes out once: by [`Event`], by [`Session::handle_timeout`] or by [`Session::close`].
//! 2. After `close` nothing can be opened.
//! 3. A message with an unknown cid changes nothing; it comes out as [`Event::Ignored`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pleach_wire::{ByteStr, Cid, Msg, Payload};

use super::dialog::{Dialog, Side};

/// What a connection's user attaches to its dialogs.
pub(crate) trait Handles {
    /// Wakes the caller of a function of the peer.
    type Reply;
    /// Wakes whoever waits for the acknowledgement of a cancel request.
    type Ack;
    /// Cancels a task that runs here for the peer.
    type Task;
    /// Takes the messages of a dialog that has a stream.
    type Dialog: Clone;
}

/// The state of one connection after its handshake.
pub(crate) struct Session<H: Handles> {
    next: u64,
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

/// What a message asks its receiver to do.
pub(crate) enum Event<H: Handles> {
    /// Run a function, then call [`Session::finish`]. One with a dialog gets the messages of that.
    Invoke { cid: Cid, target: ByteStr, args: Payload, dialog: Option<Box<Dialog>> },
    /// Hand a message to its dialog.
    Deliver { dialog: H::Dialog, msg: Msg },
    /// Answer that too many tasks run here for this peer.
    Overloaded { cid: Cid, limit: usize },
    /// Wake a caller, and whoever waits for the acknowledgement of its cancellation.
    Resolved { reply: Option<H::Reply>, ack: Option<H::Ack>, outcome: Outcome },
    /// Cancel the task of this dialog; acknowledge when it is over.
    CancelTask { cid: Cid },
    /// Acknowledge at once: there is no such task.
    NothingToCancel { cid: Cid },
    /// Wake who waits for this acknowledgement.
    Acked { ack: Option<H::Ack> },
    /// The peer's runtime failed.
    PeerFailed { error: Payload },
    /// The peer is about to close the connection.
    PeerLeaves { why: ByteStr },
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

/// Who was left waiting when the connection ended.
pub(crate) struct Left<H: Handles> {
    pub(crate) replies: Vec<H::Reply>,
    pub(crate) acks: Vec<H::Ack>,
    pub(crate) tasks: Vec<H::Task>,
}

impl<H: Handles> Session<H> {
    /// A session in which the peer may have `limit` tasks at once.
    pub(crate) fn new(role: Role, limit: usize) -> Self {
        let next = match role {
            Role::Dialer => 1,
            Role::Listener => 2,
        };
        Self { next, calls: BTreeMap::new(), tasks: BTreeMap::new(), due: BTreeSet::new(), limit, open: true }
    }

    /// Takes a message from the peer.
    pub(crate) fn handle_msg(&mut self, msg: Msg) -> Event<H> {
        let kind = msg.kind();
        match msg {
            Msg::Start { cid, target, args } => self.handle_start(cid, target, args, None),
            Msg::Open { cid, target, args } => self.handle_start(cid, target, args, Some(Dialog::new(Side::Callee))),
            Msg::Pull { cid, target, buffer, waits, args } => {
                self.handle_start(cid, target, args, Some(Dialog::one_way_sender(buffer, waits)))
            }
            Msg::Started { cid, .. }
            | Msg::Stream { cid, .. }
            | Msg::Yield { cid, .. }
            | Msg::Credit { cid, .. }
            | Msg::Stop { cid } => match self.dialog(cid) {
                Some(dialog) => Event::Deliver { dialog, msg },
                None => Event::Ignored { kind, cid: Some(cid) },
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
            Msg::CancelAck { cid, .. } if self.calls.get(&cid).is_some_and(|call| call.cancelling) => {
                Event::Acked { ack: self.calls.remove(&cid).and_then(|call| call.ack) }
            }
            Msg::CancelAck { cid, .. } => Event::Ignored { kind, cid: Some(cid) },
            Msg::Bye { why } => Event::PeerLeaves { why },
            _ => Event::Ignored { kind, cid: None },
        }
    }

    fn dialog(&self, cid: Cid) -> Option<H::Dialog> {
        match self.calls.get(&cid) {
            Some(call) => call.dialog.clone(),
            None => self.tasks.get(&cid)?.dialog.clone(),
        }
    }

    fn handle_start(&mut self, cid: Cid, target: ByteStr, args: Payload, dialog: Option<Dialog>) -> Event<H> {
        if cid.0 % 2 == self.next % 2 || cid.0 == 0 || self.tasks.contains_key(&cid) {
            return Event::Ignored { kind: "start", cid: Some(cid) };
        }
        // The runtime's own methods pass however busy the tasks are.
        if self.tasks.len() >= self.limit && !target.starts_with(SELF) {
            return Event::Overloaded { cid, limit: self.limit };
        }
        self.tasks.insert(cid, Task { handle: None, dialog: None, cancelled: false });
        Event::Invoke { cid, target, args, dialog: dialog.map(Box::new) }
    }

    fn resolve(&mut self, kind: &'static str, cid: Cid, outcome: Outcome) -> Event<H> {
        let Some(call) = self.calls.get_mut(&cid) else { return Event::Ignored { kind, cid: Some(cid) } };
        let (reply, ack) = (call.reply.take(), call.ack.take());
        if !call.cancelling {
            self.calls.remove(&cid);
        }
        Event::Resolved { reply, ack, outcome }
    }

    /// Gives up on acknowledgements that are overdue and returns who waited for them.
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
    /// Gives `ack` back when the call is over already.
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

    /// Attaches what takes the messages of a task's dialog.
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

    /// Ends a task; returns whether the peer waits for the acknowledgement of a cancel request.
    pub(crate) fn finish(&mut self, cid: Cid) -> bool {
        self.tasks.remove(&cid).is_some_and(|task| task.cancelled)
    }

    /// Returns whether the peer has asked to cancel this task.
    pub(crate) fn is_cancelled(&self, cid: Cid) -> bool {
        self.tasks.get(&cid).is_some_and(|task| task.cancelled)
    }

    /// Returns the handle of a running task.
    pub(crate) fn task(&self, cid: Cid) -> Option<&H::Task> {
        self.tasks.get(&cid)?.handle.as_ref()
    }

    /// Ends all dialogs, because the connection ended.
    pub(crate) fn close(&mut self) -> Left<H> {
        self.open = false;
        let mut left = Left { replies: Vec::new(), acks: Vec::new(), tasks: Vec::new() };
        for call in std::mem::take(&mut self.calls).into_values() {
            left.replies.extend(call.reply);
            left.acks.extend(call.ack);
        }
        left.tasks.extend(std::mem::take(&mut self.tasks).into_values().filter_map(|task| task.handle));
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

/// What the paths of the runtime's own methods begin with.
pub(crate) const SELF: &str = "self:";
