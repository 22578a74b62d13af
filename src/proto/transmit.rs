//! What a session sends: each message with its lane.
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
//! 1. Only [`InOrder`] puts a message on a dialog's lane, and all messages of a dialog go on one.

use pleach_wire::transport::Lane;
use pleach_wire::{ByteStr, Cid, Encode, Msg, Outgoing};

/// A message that is to be sent now, and its lane.
pub(crate) struct Transmit<'a> {
    pub(crate) lane: Lane,
    pub(crate) msg: Outgoing<'a>,
    settles: Option<Cid>,
}

/// Up to two messages, in the order in which they are sent.
pub(crate) type Transmits<'a> = [Option<Transmit<'a>>; 2];

impl<'a> Transmit<'a> {
    /// A message that may overtake those of a dialog.
    pub(super) fn control(msg: Outgoing<'a>) -> Self {
        Self { lane: Lane::CONTROL, msg, settles: None }
    }

    /// A heartbeat.
    pub(crate) fn ping(n: u64) -> Self {
        Self::control(Msg::Ping { n })
    }

    /// The last message of a side that closes the connection.
    pub(crate) fn goodbye(why: ByteStr) -> Self {
        Self::control(Msg::Bye { why })
    }

    /// The runtime of this side has failed.
    pub(crate) fn runtime_failed(error: &'a dyn Encode) -> Self {
        Self::control(Msg::Error { cid: None, error })
    }

    /// The lane to be tried when the first one does not take the message: its dialog has not used that before, and the
    /// connection may have none to spare.
    pub(crate) fn fallback(&self) -> Option<Lane> {
        self.settles.map(|_| Lane::CONTROL)
    }

    /// Returns the dialog whose lane is settled by sending this: call [`Session::settle_lane`] then.
    ///
    /// [`Session::settle_lane`]: super::session::Session::settle_lane
    pub(crate) fn settles(&self) -> Option<Cid> {
        self.settles
    }
}

/// Tells the peer that so many more of its stream messages have been taken: in any order, it adds up to the same. One is
/// due for many messages only, so it is smaller than the message that it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the peer may wait for it"]
pub(crate) struct Credit {
    cid: Cid,
    count: u32,
}

impl Credit {
    pub(super) fn new(cid: Cid, count: u32) -> Self {
        Self { cid, count }
    }

    /// Adds an earlier one for the same dialog.
    pub(super) fn with(self, earlier: Option<Self>) -> Self {
        let earlier = earlier.map_or(0, |earlier| earlier.count);
        Self { count: self.count.saturating_add(earlier), ..self }
    }

    pub(crate) fn transmit(self) -> Transmit<'static> {
        Transmit::control(Msg::Credit { cid: self.cid, count: self.count })
    }
}

/// The place behind all messages of one dialog that were sent in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InOrder {
    cid: Cid,
    /// The lane of the earlier messages, once there was one.
    lane: Option<Lane>,
}

impl InOrder {
    pub(super) fn behind(cid: Cid, lane: Option<Lane>) -> Self {
        Self { cid, lane }
    }

    pub(super) fn send<'a>(self, msg: Outgoing<'a>) -> Transmit<'a> {
        let settles = self.lane.is_none().then_some(self.cid);
        Transmit { lane: self.lane.unwrap_or(Lane(self.cid.0)), msg, settles }
    }

    /// A stream message, for which there is a permit.
    pub(crate) fn item<'a>(self, value: &'a dyn Encode) -> Transmit<'a> {
        self.send(Msg::Yield { cid: self.cid, value })
    }
}

/// The end of a task, for its caller.
#[derive(Clone, Copy)]
pub(crate) enum Answer<'a> {
    /// The function returned.
    Value(&'a dyn Encode),
    /// It failed, was cancelled, or will not be run.
    Error(&'a dyn Encode),
}

impl<'a> Answer<'a> {
    pub(super) fn msg(self, cid: Cid) -> Outgoing<'a> {
        match self {
            Self::Value(value) => Msg::Return { cid, value },
            Self::Error(error) => Msg::Error { cid: Some(cid), error },
        }
    }
}

/// What follows the answer of a task. Each step needs the one before it: the order can't be missed.
#[derive(Debug)]
#[must_use = "the peer may wait for an acknowledgement"]
pub(crate) struct AfterAnswer {
    pub(super) cid: Cid,
    /// The peer waits for the acknowledgement of a cancel request.
    pub(super) ack_due: bool,
}

impl AfterAnswer {
    /// The error for an answer that can't be sent: nothing of it is on any lane.
    pub(crate) fn unsendable<'a>(&self, error: &'a dyn Encode) -> Transmit<'a> {
        Transmit::control(Answer::Error(error).msg(self.cid))
    }

    /// The acknowledgement, if one is due: behind the answer on its lane, or behind the error that was sent instead.
    pub(crate) fn acknowledge(self, answered_on: Option<Lane>) -> Option<Transmit<'static>> {
        let ack = Transmit::control(Msg::CancelAck { cid: self.cid, found: true });
        self.ack_due.then(|| Transmit { lane: answered_on.unwrap_or(Lane::CONTROL), ..ack })
    }
}
