//! The dialogs of one connection: which calls wait here, and which tasks run here for the peer.
//!
//! | file | station |
//! |---|---|
//! | this one | calls and tasks: commands that open, cancel and end them |
//! | [`dialogs`] | commands on the dialogs that have a stream |
//! | [`receive`] | what a message of the peer requires |
//! | [`observe`] | what a look from outside sees |
//! | [`numbered`] | calls and tasks by their numbers |
//!
//! Commands return what is to be sent, as a [`Transmit`]; the session's user sends it, in the order in which it was
//! returned, and decides on nothing.
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
//! 4. A dialog is kept until both its users have let go: its call or task, and its handles. Its lane is closed then.

mod dialogs;
mod numbered;
mod observe;
mod receive;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pleach_wire::msg::FunctionKind;
use pleach_wire::{ByteStr, CallOptions, Cid, Encode, Msg, Payload};

use self::dialogs::Entry;
use self::numbered::Numbered;
pub(crate) use self::observe::{Counts, Seen};
pub(crate) use self::receive::Event;
use super::dialog::{Canceller, Dialog, End, Side};
use super::inbox::Intake;
use super::target::{Method, Target};
use super::transmit::{AfterAnswer, Answer, Transmit};

/// The types that a connection's user attaches to its dialogs, and what only it can read.
pub(crate) trait Handles {
    /// Wakes the caller of a function of the peer.
    type Reply;
    /// Wakes the waiter for the acknowledgement of a cancel request.
    type Ack;
    /// Cancels a task that runs here for the peer.
    type Task: Clone;
    /// Wakes the tasks that wait for a change of a dialog.
    type Wake: Clone + Default;
    /// What a look from outside is told of a call.
    type Note;

    /// Reads an error: if it says that a function was cancelled, at whose request, as it looks from here.
    fn canceller(&self, error: &Payload) -> Option<Canceller>;
}

/// The state of one connection after its handshake.
pub(crate) struct Session<H: Handles> {
    handles: H,
    next: u64,
    /// The highest number of a dialog that the peer has opened.
    served: u64,
    calls: Numbered<Call<H>>,
    tasks: Numbered<Task<H>>,
    /// Of those calls and tasks that have a stream; and of earlier ones whose handles are still used.
    /// Boxed: a map of large entries has room for about twice as many.
    dialogs: BTreeMap<Cid, Box<Entry<H>>>,
    /// When acknowledgements are due; an entry whose call has ended is skipped.
    due: BTreeSet<(Duration, Cid)>,
    limit: usize,
    open: bool,
}

struct Call<H: Handles> {
    awaits: Awaits<H>,
    cancelling: bool,
    /// The waiters for the acknowledgement, and when that is overdue.
    acks: Vec<(Duration, H::Ack)>,
    /// When the answer is overdue, if that is an acknowledgement itself.
    answer_due: Option<Duration>,
    note: Option<H::Note>,
}

/// The receiver of a call's answer.
enum Awaits<H: Handles> {
    Caller(H::Reply),
    Dialog,
    /// It has come, or its caller has left.
    Nothing,
}

struct Task<H: Handles> {
    handle: Option<H::Task>,
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

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With a value.
    Value(Payload),
    /// With an error.
    Error(Payload),
}

/// A dialog that was opened here.
pub(crate) struct Opened<'a, H: Handles> {
    pub(crate) cid: Cid,
    pub(crate) wake: H::Wake,
    /// The request that opens it at the peer.
    pub(crate) request: Transmit<'a>,
}

/// A dialog that has ended: wake its tasks.
pub(crate) struct Ended<H: Handles> {
    pub(crate) wake: H::Wake,
    /// It has failed, and this side has not asked for that: interrupt the local code.
    pub(crate) failed: bool,
}

/// The waiters that came out because their acknowledgements are overdue: dropping them tells them so.
pub(crate) struct Overdue<H: Handles> {
    pub(crate) acks: Vec<H::Ack>,
    pub(crate) replies: Vec<H::Reply>,
}

/// The waiters that remained when the connection ended.
pub(crate) struct Left<H: Handles> {
    pub(crate) replies: Vec<H::Reply>,
    pub(crate) acks: Vec<H::Ack>,
    pub(crate) tasks: Vec<H::Task>,
    pub(crate) dialogs: Vec<Ended<H>>,
}

/// The remaining duties for a task that has ended: send the answer, and then what follows it.
pub(crate) struct Finished<'a, H: Handles> {
    pub(crate) answer: Transmit<'a>,
    pub(crate) after: AfterAnswer,
    /// The task's dialog. Wake it now, and [`release`](Session::release) it after the last message.
    pub(crate) dialog: Option<H::Wake>,
    /// How many other tasks run for the peer.
    pub(crate) others: usize,
}

impl<H: Handles> Session<H> {
    /// A session in which the peer may have `limit` tasks at once.
    pub(crate) fn new(handles: H, role: Role, limit: usize) -> Self {
        let next = match role {
            Role::Dialer => 1,
            Role::Listener => 2,
        };
        Self {
            handles,
            next,
            served: 0,
            calls: Numbered::new(),
            tasks: Numbered::new(),
            dialogs: BTreeMap::new(),
            due: BTreeSet::new(),
            limit,
            open: true,
        }
    }

    /// Opens a dialog for a call; `None` once the connection is closed.
    pub(crate) fn call<'a>(
        &mut self,
        reply: H::Reply,
        target: ByteStr,
        args: &'a dyn Encode,
        terms: CallOptions,
    ) -> Option<(Cid, Transmit<'a>)> {
        let cid = self.begin(Awaits::Caller(reply))?;
        Some((cid, Transmit::control(Msg::Start { cid, target, args, terms })))
    }

    /// Asks the peer's actor to end itself, which it acknowledges at once; otherwise as [`call`](Self::call).
    ///
    /// `reply` comes out of [`handle_timeout`](Self::handle_timeout) at `overdue_at`.
    pub(crate) fn cancel_actor(&mut self, reply: H::Reply, overdue_at: Duration) -> Option<(Cid, Transmit<'static>)> {
        let target = Target::Runtime(Method::Cancel).into_text();
        let (cid, request) = self.call(reply, target, &(), CallOptions::default())?;
        if let Some(call) = self.calls.get_mut(cid) {
            call.answer_due = Some(overdue_at);
            self.due.insert((overdue_at, cid));
        }
        Some((cid, request))
    }

    /// Opens the dialog of a context; `None` once the connection is closed.
    pub(crate) fn open_context<'a>(
        &mut self,
        target: ByteStr,
        args: &'a dyn Encode,
        terms: CallOptions,
    ) -> Option<Opened<'a, H>> {
        let (cid, wake) = self.begin_dialog(Dialog::new(Side::Caller))?;
        Some(Opened { cid, wake, request: Transmit::control(Msg::Open { cid, target, args, terms }) })
    }

    /// Opens the dialog of a one-way stream; `None` once the connection is closed.
    pub(crate) fn open_one_way<'a>(
        &mut self,
        target: ByteStr,
        args: &'a dyn Encode,
        terms: CallOptions,
        intake: Intake,
    ) -> Option<Opened<'a, H>> {
        let (cid, wake) = self.begin_dialog(Dialog::one_way_receiver(intake))?;
        let (window, waits) = (intake.window, intake.lets_senders_wait());
        Some(Opened { cid, wake, request: Transmit::control(Msg::Pull { cid, target, window, waits, args, terms }) })
    }

    fn begin_dialog(&mut self, dialog: Dialog) -> Option<(Cid, H::Wake)> {
        let cid = self.begin(Awaits::Dialog)?;
        Some((cid, self.keep_dialog(cid, dialog)))
    }

    fn begin(&mut self, awaits: Awaits<H>) -> Option<Cid> {
        if !self.open {
            return None;
        }
        let cid = Cid(self.next);
        self.next += 2;
        self.calls.insert(cid, Call { awaits, cancelling: false, acks: Vec::new(), answer_due: None, note: None });
        Some(cid)
    }

    /// Takes a call back that was opened but never sent. Its dialog, if it has one, has ended.
    pub(crate) fn forget(&mut self, cid: Cid) -> Option<Ended<H>> {
        let call = self.calls.remove(cid)?;
        match call.awaits {
            Awaits::Dialog => Some(self.end_dialog(cid, End::Lost)?.0),
            Awaits::Caller(_) | Awaits::Nothing => None,
        }
    }

    /// Cancels a call. Returns the request to be sent, unless one is under way.
    ///
    /// The caller waits for the answer no more, unless it is a dialog with a stream: that learns its end.
    /// `ack` is woken by the acknowledgement or the answer, and comes out of [`handle_timeout`](Self::handle_timeout)
    /// at the time that goes with it.
    ///
    /// # Errors
    /// Gives `ack` back when the call has already ended.
    pub(crate) fn cancel(
        &mut self,
        cid: Cid,
        ack: Option<(H::Ack, Duration)>,
    ) -> Result<Option<Transmit<'static>>, Option<H::Ack>> {
        if let Some(entry) = self.dialogs.get_mut(&cid) {
            entry.dialog.request_cancel();
        }
        let Some(call) = self.calls.get_mut(cid).filter(|call| call.is_answered_later()) else {
            return Err(ack.map(|(ack, _)| ack));
        };
        if let Awaits::Caller(_) = call.awaits {
            call.awaits = Awaits::Nothing;
        }
        if let Some((ack, overdue_at)) = ack {
            call.acks.push((overdue_at, ack));
            self.due.insert((overdue_at, cid));
        }
        let under_way = std::mem::replace(&mut call.cancelling, true);
        Ok((!under_way).then(|| Transmit::control(Msg::Cancel { cid })))
    }

    /// Takes out the waiters whose acknowledgements are overdue.
    pub(crate) fn handle_timeout(&mut self, now: Duration) -> Overdue<H> {
        let mut overdue = Overdue { acks: Vec::new(), replies: Vec::new() };
        while let Some((_, cid)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            let Some(call) = self.calls.get_mut(cid) else { continue };
            let (late, waiting) = std::mem::take(&mut call.acks).into_iter().partition(|(at, _)| *at <= now);
            call.acks = waiting;
            overdue.acks.extend(Vec::into_iter(late).map(|(_, ack)| ack));
            if call.answer_due.is_some_and(|at| at <= now)
                && let Awaits::Caller(reply) = std::mem::replace(&mut call.awaits, Awaits::Nothing)
            {
                overdue.replies.push(reply);
            }
        }
        overdue
    }

    /// Lets nothing be overdue before then.
    pub(crate) fn put_off(&mut self, until: Duration) {
        for (at, cid) in std::mem::take(&mut self.due) {
            if let Some(call) = self.calls.get_mut(cid) {
                call.acks.iter_mut().for_each(|(at, _)| *at = until.max(*at));
                call.answer_due = call.answer_due.map(|at| until.max(at));
            }
            self.due.insert((until.max(at), cid));
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) may have something to do next.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Attaches what a look from outside is told of a call.
    pub(crate) fn describe(&mut self, cid: Cid, note: H::Note) {
        if let Some(call) = self.calls.get_mut(cid) {
            call.note = Some(note);
        }
    }

    /// Attaches the handle by which a running task can be cancelled.
    pub(crate) fn attach(&mut self, cid: Cid, handle: H::Task) {
        if let Some(task) = self.tasks.get_mut(cid) {
            task.handle = Some(handle);
        }
    }

    /// Returns the handle of a running task.
    pub(crate) fn task(&self, cid: Cid) -> Option<&H::Task> {
        self.tasks.get(cid)?.handle.as_ref()
    }

    /// Ends a task with its answer. Its dialog, if it has one, can't be used any more.
    ///
    /// A dialog's result goes behind its stream messages, on the dialog's lane. A context's error does not wait for
    /// them, because it interrupts their reader; that of a one-way stream is the last of its messages. The end of a
    /// one-way stream whose caller has cancelled it waits for no message: that caller reads no more.
    pub(crate) fn finish<'a>(&mut self, cid: Cid, answer: Answer<'a>) -> Finished<'a, H> {
        let task = self.tasks.remove(cid);
        let ack_due = task.as_ref().is_some_and(|task| task.cancelled);
        let (after, others) = (AfterAnswer { cid, ack_due }, self.tasks.len());
        let Some(entry) = self.dialogs.get_mut(&cid).filter(|_| task.is_some()) else {
            return Finished { answer: Transmit::control(answer.msg(cid)), after, dialog: None, others };
        };
        entry.dialog.handle_end(End::Left);
        let behind_messages = match entry.kind() {
            FunctionKind::Stream => !ack_due,
            FunctionKind::Context | FunctionKind::Rpc => matches!(answer, Answer::Value(_)),
        };
        let answer = match behind_messages {
            true => entry.in_order(cid).send(answer.msg(cid)),
            false => Transmit::control(answer.msg(cid)),
        };
        Finished { answer, after, dialog: Some(entry.wake.clone()), others }
    }

    /// Ends all dialogs, because the connection ended.
    pub(crate) fn close(&mut self) -> Left<H> {
        self.open = false;
        let mut left = Left { replies: Vec::new(), acks: Vec::new(), tasks: Vec::new(), dialogs: Vec::new() };
        for (cid, call) in self.calls.take() {
            left.acks.extend(call.acks.into_iter().map(|(_, ack)| ack));
            match call.awaits {
                Awaits::Caller(reply) => left.replies.push(reply),
                Awaits::Dialog => left.dialogs.extend(self.end_dialog(cid, End::Lost).map(|(ended, _)| ended)),
                Awaits::Nothing => {}
            }
        }
        for (cid, task) in self.tasks.take() {
            left.tasks.extend(task.handle);
            left.dialogs.extend(self.end_dialog(cid, End::Lost).map(|(ended, _)| ended));
        }
        left
    }

    /// Returns how many calls of ours are open.
    pub(crate) fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// Returns how many tasks run for the peer.
    #[cfg(test)]
    pub(crate) fn running_tasks(&self) -> usize {
        self.tasks.len()
    }

    fn is_ours(&self, cid: Cid) -> bool {
        cid.0 % 2 == self.next % 2
    }
}

impl<H: Handles> Call<H> {
    fn is_answered_later(&self) -> bool {
        !matches!(self.awaits, Awaits::Nothing)
    }
}
