//! Commands on the dialogs that have a stream, for their tasks.
//!
//! A dialog's handles keep it here: commands on one that has been released are a bug of this side.

use std::collections::VecDeque;

use pleach_wire::msg::FunctionKind;
use pleach_wire::transport::Lane;
use pleach_wire::{Cid, Encode, Msg, Payload, Window};

use super::{Ended, Handles, Session};
use crate::proto::dialog::{Dialog, End, Misuse, NoPermit, Take};
use crate::proto::inbox::{Intake, Lag};
use crate::proto::transmit::{Credit, InOrder, Transmit, Transmits};

/// A dialog and its users.
pub(super) struct Entry<H: Handles> {
    pub(super) dialog: Dialog,
    pub(super) wake: H::Wake,
    /// Where this side's messages go that have to stay in order, once there was one.
    lane: Option<Lane>,
    users: Users,
}

/// The users of a dialog: its call or task, and its handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    Both,
    One,
}

impl<H: Handles> Entry<H> {
    pub(super) fn kind(&self) -> FunctionKind {
        self.dialog.kind()
    }

    pub(super) fn in_order(&self, cid: Cid) -> InOrder {
        InOrder::behind(cid, self.lane)
    }
}

impl<H: Handles> Session<H> {
    /// Says the first value of a context.
    ///
    /// # Errors
    /// When it was said before, or can't be any more.
    pub(crate) fn start<'a>(&mut self, cid: Cid, value: &'a dyn Encode) -> Result<Transmit<'a>, Misuse> {
        let entry = self.entry(cid);
        entry.dialog.start()?;
        Ok(entry.in_order(cid).send(Msg::Started { cid, value }))
    }

    /// Opens this side's end of a stream: the peer learns of the buffer, and then gets the credit that it frees.
    ///
    /// # Errors
    /// When it is too early, too late, or was done before.
    pub(crate) fn open_stream(&mut self, cid: Cid, intake: Intake) -> Result<Transmits<'static>, Misuse> {
        let (entry, window, waits) = (self.entry(cid), intake.window, intake.lets_senders_wait());
        entry.dialog.open_stream(window)?;
        let credit = if intake.lag == Lag::DropOldest { entry.dialog.keep_newest() } else { None };
        let stream = entry.in_order(cid).send(Msg::Stream { cid, window, waits });
        Ok([Some(stream), credit.map(|count| Credit::new(cid, count).transmit())])
    }

    /// Returns whether one stream message may be sent.
    ///
    /// # Errors
    /// Why not, or not yet.
    pub(crate) fn may_send(&mut self, cid: Cid) -> Result<(), NoPermit> {
        self.entry(cid).dialog.may_send()
    }

    /// Asks to send one stream message.
    ///
    /// # Errors
    /// Why not, or not yet.
    pub(crate) fn take_permit(&mut self, cid: Cid) -> Result<InOrder, NoPermit> {
        let entry = self.entry(cid);
        entry.dialog.take_permit()?;
        Ok(entry.in_order(cid))
    }

    /// Returns on which lane stream messages may be sent in a row, and how much of them; none before the lane is settled.
    ///
    /// # Errors
    /// Why not, or not yet.
    pub(crate) fn may_send_items(&mut self, cid: Cid) -> Result<Option<(Lane, Window)>, NoPermit> {
        let entry = self.entry(cid);
        let window = entry.dialog.may_send_items()?;
        Ok(entry.lane.map(|lane| (lane, window)))
    }

    /// Stream messages will be sent in a row, which count for so many bytes each.
    pub(crate) fn note_items(&mut self, cid: Cid, costs: impl Iterator<Item = u32>) {
        self.entry(cid).dialog.note_items(costs);
    }

    /// Gives a permit back that was not used.
    pub(crate) fn return_permit(&mut self, cid: Cid) {
        self.entry(cid).dialog.return_permit();
    }

    /// The message of a permit was sent, and counts for so many bytes. Returns whether it has been taken already: wake
    /// the tasks that wait to send.
    pub(crate) fn note_sent(&mut self, cid: Cid, cost: u32) -> bool {
        self.entry(cid).dialog.note_sent(cost)
    }

    /// Takes the next stream message, and some of those behind it; the credit for them is to be given back.
    pub(crate) fn take_items(&mut self, cid: Cid, behind: &mut VecDeque<Payload>) -> (Take, Option<Credit>) {
        let (take, credit) = self.entry(cid).dialog.take_items(behind);
        (take, credit.map(|count| Credit::new(cid, count)))
    }

    /// Forgets the stream messages that are here, so that the peer's task can go on.
    pub(crate) fn discard_items(&mut self, cid: Cid) -> Option<Credit> {
        self.entry(cid).dialog.discard_items().map(|count| Credit::new(cid, count))
    }

    /// Ends the sending direction of this side's stream.
    pub(crate) fn finish_stream(&mut self, cid: Cid) -> Option<Transmit<'static>> {
        let entry = self.entry(cid);
        entry.dialog.finish().then(|| entry.in_order(cid).send(Msg::Stop { cid }))
    }

    /// Ends the receiving direction of this side's stream: the credit for messages that no task will take.
    pub(crate) fn stop_receiving(&mut self, cid: Cid) -> Option<Credit> {
        self.entry(cid).dialog.stop_receiving().map(|count| Credit::new(cid, count))
    }

    /// The block that opened the dialog has a value: the peer learns that no stream messages will come, if it would
    /// wait for them.
    pub(crate) fn leave(&mut self, cid: Cid) -> Option<Transmit<'static>> {
        let entry = self.entry(cid);
        entry.dialog.leave().then(|| entry.in_order(cid).send(Msg::Stop { cid }))
    }

    /// The block that opened the dialog was dropped: its function is cancelled, if it still runs.
    pub(crate) fn abandon(&mut self, cid: Cid) -> Option<Transmit<'static>> {
        let dialog = &mut self.entry(cid).dialog;
        dialog.leave();
        if dialog.end().is_some() {
            return None;
        }
        self.cancel(cid, None).ok().flatten()
    }

    /// Returns the dialog, for commands that concern this side alone.
    pub(crate) fn dialog(&mut self, cid: Cid) -> &mut Dialog {
        &mut self.entry(cid).dialog
    }

    /// Notes on which lane the first message in order has gone; returns the lane for the later ones. The first one that
    /// was sent decides.
    pub(crate) fn settle_lane(&mut self, cid: Cid, lane: Lane) -> Lane {
        self.dialogs.get_mut(&cid).map_or(lane, |entry| *entry.lane.get_or_insert(lane))
    }

    /// One of a dialog's users has let go of it, its task or its handles. Returns the lane to be closed, if both have.
    pub(crate) fn release(&mut self, cid: Cid) -> Option<Lane> {
        let entry = self.dialogs.get_mut(&cid)?;
        if entry.users == Users::Both {
            entry.users = Users::One;
            return None;
        }
        self.dialogs.remove(&cid)?.lane.filter(|lane| *lane != Lane::CONTROL)
    }

    /// Keeps the dialog of a new call or task.
    pub(super) fn keep_dialog(&mut self, cid: Cid, dialog: Dialog) -> H::Wake {
        let entry = Entry { dialog, wake: H::Wake::default(), lane: None, users: Users::Both };
        self.dialogs.entry(cid).or_insert_with(|| Box::new(entry)).wake.clone()
    }

    /// Ends a dialog whose call or task has ended. Also returns the lane to be closed.
    pub(super) fn end_dialog(&mut self, cid: Cid, end: End) -> Option<(Ended<H>, Option<Lane>)> {
        let entry = self.dialogs.get_mut(&cid)?;
        entry.dialog.handle_end(end);
        let ended = Ended { wake: entry.wake.clone(), failed: entry.dialog.failure().is_some() };
        Some((ended, self.release(cid)))
    }

    /// Returns the dialog of a message; none that has ended.
    pub(super) fn open_dialog(&mut self, cid: Cid) -> Option<&mut Entry<H>> {
        self.dialogs.get_mut(&cid).map(Box::as_mut).filter(|entry| entry.dialog.end().is_none())
    }

    fn entry(&mut self, cid: Cid) -> &mut Entry<H> {
        self.dialogs.get_mut(&cid).expect("the handles of a dialog keep it")
    }
}
