//! What a message of the peer requires: the one place that looks at its kind.

use std::vec::Drain;

use pleach_wire::msg::FunctionKind;
use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, CallOptions, Cid, Msg, Payload};

use super::{Awaits, Ended, Handles, Outcome, Session, Task};
use crate::proto::dialog::{Arrival, Dialog, End, Side};
use crate::proto::target::Target;
use crate::proto::transmit::{Credit, Transmit};

/// The action that a message requires of its receiver.
pub(crate) enum Event<H: Handles> {
    /// Run a function, then call [`Session::finish`]. The time that a deadline leaves counts from now.
    Invoke { cid: Cid, target: Target, args: Payload, terms: CallOptions, dialog: Option<(FunctionKind, H::Wake)> },
    /// A dialog has changed: wake its tasks, and give the credit back.
    Changed { wake: H::Wake, credit: Option<Credit> },
    /// No task will take this stream message: give the credit back.
    Discarded { cid: Cid, credit: Credit },
    /// The dialog does not take this message: the peer's mistake.
    Misplaced { cid: Cid, kind: &'static str, why: &'static str },
    /// Answer that too many tasks run here for this peer.
    Overloaded { cid: Cid, limit: usize },
    /// Wake a caller, and the waiters for the acknowledgement of its cancellation. Before that, note whether this is the
    /// peer's acknowledgement of a request to end itself.
    Resolved { reply: Option<H::Reply>, acks: Vec<H::Ack>, outcome: Outcome, end_acknowledged: bool },
    /// A dialog has ended: wake its tasks and those waiters, and close the lane.
    Ended { dialog: Ended<H>, acks: Vec<H::Ack>, lane: Option<Lane> },
    /// Cancel this task. Its answer is acknowledged when it has ended.
    CancelTask { task: H::Task },
    /// Send this at once.
    Reply(Transmit<'static>),
    /// Wake the waiters for this acknowledgement.
    Acked { acks: Vec<H::Ack> },
    /// A heartbeat: send its answer at once.
    Pinged { pong: Transmit<'static> },
    /// The peer has answered this heartbeat.
    Ponged { n: u64 },
    /// The peer's runtime failed.
    PeerFailed { error: Payload },
    /// The peer is about to close the connection.
    PeerLeaves { why: ByteStr },
    /// Nothing to do.
    Unchanged,
    /// Nothing to do: the dialog has ended.
    Late { kind: &'static str, cid: Cid },
    /// Nothing to do; count it and log it.
    Ignored { kind: &'static str, cid: Option<Cid> },
}

impl<H: Handles> Session<H> {
    /// Takes the next message from the peer and, if that is one of a stream, those of the same stream behind it, as far
    /// as the stream has room for them.
    pub(crate) fn handle_next(&mut self, messages: &mut Drain<'_, Msg>) -> Option<Event<H>> {
        let msg = messages.next()?;
        let stream = if let Msg::Yield { cid, .. } = &msg { Some(*cid) } else { None };
        let mut event = self.handle_msg(msg);
        if let (Some(cid), Event::Changed { credit, .. }) = (stream, &mut event) {
            self.handle_more_items(cid, messages, credit);
        }
        Some(event)
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
            Msg::Pull { cid, target, window, waits, args, terms } => {
                let dialog = Dialog::one_way_sender(window, waits);
                self.handle_request(kind, cid, target, args, terms, Some(dialog))
            }
            Msg::Started { cid, value } => self
                .change(kind, cid, |dialog| dialog.handle_started(value).then_some(()).ok_or("a second first value")),
            Msg::Stream { cid, window, waits } => self.change(kind, cid, |dialog| {
                dialog.handle_stream(window, waits);
                Ok(())
            }),
            Msg::Credit { cid, count } => self.change(kind, cid, |dialog| {
                dialog.handle_credit(count);
                Ok(())
            }),
            Msg::Stop { cid } => self.change(kind, cid, |dialog| {
                dialog.handle_stop();
                Ok(())
            }),
            Msg::Yield { cid, value } => self.handle_item(kind, cid, value),
            Msg::Return { cid, value } => self.resolve(kind, cid, Outcome::Value(value)),
            Msg::Error { cid: Some(cid), error } => self.resolve(kind, cid, Outcome::Error(error)),
            Msg::Error { cid: None, error } => Event::PeerFailed { error },
            Msg::Cancel { cid } => self.handle_cancel(cid),
            Msg::CancelAck { cid, found } => self.handle_ack(kind, cid, found),
            Msg::Bye { why } => Event::PeerLeaves { why },
            Msg::Ping { n } => Event::Pinged { pong: Transmit::control(Msg::Pong { n }) },
            Msg::Pong { n } => Event::Ponged { n },
            _ => Event::Ignored { kind, cid: None },
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
        let taken = self.tasks.contains(cid) || self.dialogs.contains_key(&cid);
        if self.is_ours(cid) || cid.0 == 0 || taken {
            return Event::Ignored { kind, cid: Some(cid) };
        }
        self.served = self.served.max(cid.0);
        // The runtime's own methods pass however busy the tasks are.
        let target = Target::read(target);
        if self.tasks.len() >= self.limit && matches!(target, Target::Function(_)) {
            return Event::Overloaded { cid, limit: self.limit };
        }
        self.tasks.insert(cid, Task { handle: None, cancelled: false });
        let dialog = dialog.map(|dialog| (dialog.kind(), self.keep_dialog(cid, dialog)));
        Event::Invoke { cid, target, args, terms, dialog }
    }

    /// Hands a message to its dialog, if that has not ended.
    fn change(
        &mut self,
        kind: &'static str,
        cid: Cid,
        change: impl FnOnce(&mut Dialog) -> Result<(), &'static str>,
    ) -> Event<H> {
        let Some(entry) = self.open_dialog(cid) else { return self.fits_nothing(kind, cid) };
        match change(&mut entry.dialog) {
            Ok(()) => Event::Changed { wake: entry.wake.clone(), credit: None },
            Err(why) => Event::Misplaced { cid, kind, why },
        }
    }

    fn handle_item(&mut self, kind: &'static str, cid: Cid, value: Payload) -> Event<H> {
        let Some(entry) = self.open_dialog(cid) else { return self.fits_nothing(kind, cid) };
        let credit = match entry.dialog.handle_yield(value) {
            Arrival::Kept => None,
            Arrival::Credited(count) => Some(Credit::new(cid, count)),
            Arrival::Discarded(Some(count)) => return Event::Discarded { cid, credit: Credit::new(cid, count) },
            Arrival::Discarded(None) => return Event::Unchanged,
            Arrival::Unallowed => return Event::Misplaced { cid, kind, why: "a message without credit" },
        };
        Event::Changed { wake: entry.wake.clone(), credit }
    }

    /// Takes the next messages of a stream that has just taken one; adds to the credit that is to be given back.
    fn handle_more_items(&mut self, cid: Cid, messages: &mut Drain<'_, Msg>, credit: &mut Option<Credit>) {
        let Some(entry) = self.open_dialog(cid) else { return };
        while matches!(messages.as_slice().first(), Some(Msg::Yield { cid: next, .. }) if *next == cid)
            && entry.dialog.keeps_more()
            && let Some(Msg::Yield { value, .. }) = messages.next()
        {
            if let Arrival::Credited(count) = entry.dialog.handle_yield(value) {
                *credit = Some(Credit::new(cid, count).with(credit.take()));
            }
        }
    }

    fn handle_cancel(&mut self, cid: Cid) -> Event<H> {
        let Some(task) = self.tasks.get_mut(cid) else {
            return Event::Reply(Transmit::control(Msg::CancelAck { cid, found: false }));
        };
        task.cancelled = true;
        task.handle.clone().map_or(Event::Unchanged, |task| Event::CancelTask { task })
    }

    fn handle_ack(&mut self, kind: &'static str, cid: Cid, found: bool) -> Event<H> {
        let Some(call) = self.calls.get_mut(cid).filter(|call| call.cancelling) else {
            return self.fits_nothing(kind, cid);
        };
        match (found, call.is_answered_later()) {
            (false, true) => {
                // The answer has been sent on a lane of its own: it wakes the waiters.
                call.cancelling = false;
                return Event::Unchanged;
            }
            // It follows the answer of a dialog on one lane, and that has not come.
            (true, true) => return Event::Ignored { kind, cid: Some(cid) },
            (_, false) => {}
        }
        let acks = self.calls.remove(cid).map(|call| call.acks).unwrap_or_default();
        Event::Acked { acks: acks.into_iter().map(|(_, ack)| ack).collect() }
    }

    fn resolve(&mut self, kind: &'static str, cid: Cid, outcome: Outcome) -> Event<H> {
        let Some(call) = self.calls.get_mut(cid) else { return self.fits_nothing(kind, cid) };
        let awaits = std::mem::replace(&mut call.awaits, Awaits::Nothing);
        let acks = std::mem::take(&mut call.acks).into_iter().map(|(_, ack)| ack).collect();
        let end_acknowledged = call.answer_due.is_some() && matches!(outcome, Outcome::Value(_));
        if !call.cancelling {
            self.calls.remove(cid);
        }
        let reply = match awaits {
            Awaits::Caller(reply) => Some(reply),
            Awaits::Nothing => None,
            Awaits::Dialog => {
                let end = self.end_of(outcome);
                return match self.end_dialog(cid, end) {
                    Some((dialog, lane)) => Event::Ended { dialog, acks, lane },
                    None => Event::Acked { acks },
                };
            }
        };
        Event::Resolved { reply, acks, outcome, end_acknowledged }
    }

    fn end_of(&self, outcome: Outcome) -> End {
        match outcome {
            Outcome::Value(value) => End::Value(value),
            Outcome::Error(error) => match self.handles.canceller(&error) {
                Some(canceller) => End::Cancelled(error, canceller),
                None => End::Error(error),
            },
        }
    }

    /// Classifies a message that belongs to no dialog: invariant 3 of the session.
    fn fits_nothing(&self, kind: &'static str, cid: Cid) -> Event<H> {
        let has_ended = match self.is_ours(cid) {
            true => cid.0 < self.next && self.calls.get(cid).is_none_or(|call| !call.is_answered_later()),
            false => cid.0 <= self.served && !self.tasks.contains(cid),
        };
        match has_ended && cid.0 > 0 {
            true => Event::Late { kind, cid },
            false => Event::Ignored { kind, cid: Some(cid) },
        }
    }
}
