//! Sending stream messages: a permit for each, room in the queue, and what a sender waits for.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pleach_wire::codec::Measured;
use pleach_wire::transport::Lane;
use pleach_wire::{Encode, Window};

use super::DialogHandle;
use super::batch::Batch;
use crate::channel::records::Kind;
use crate::error::Result;
use crate::proto::dialog::NoPermit;
use crate::proto::session::Session;
use crate::proto::transmit::InOrder;
use crate::sync::lock;
use crate::telemetry::meters::{self, Event};

impl DialogHandle {
    /// Ready while not too much of this dialog is still to be sent.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.0.may_lack_room.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let lane = self.0.lane.get().copied().unwrap_or(Lane::CONTROL);
        ready!(self.0.channel.poll_lane_room(lane, cx));
        self.0.may_lack_room.store(false, Ordering::Relaxed);
        Poll::Ready(())
    }

    /// Asks to send one stream message, later: for a sink, which has to know before it gets the message.
    pub(crate) fn take_permit(&self) -> Result<InOrder, NoPermit> {
        self.take_permit_behind(&mut lock(&self.0.sending))
    }

    fn take_permit_behind(&self, batch: &mut Batch) -> Result<InOrder, NoPermit> {
        self.queue_batch(batch); // the window counts them then
        self.with(Session::take_permit)
    }

    /// Waits for what a sender needs, and has a record say so once that takes long. Only a wait makes a timer.
    pub(crate) async fn noting_stall<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        if let Poll::Ready(done) = std::future::poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await {
            return done;
        }
        if let Ok(done) = tokio::time::timeout(STALLED, wait.as_mut()).await {
            return done;
        }
        let (function, peer) = (&self.0.function, self.0.channel.peer());
        meters::count(Event::Stalled);
        if let Some(count) = self.0.channel.may_log(Kind::Stalled) {
            warn!(target: "pleach::runtime", %function, %peer, waited = ?STALLED, count, "a sender is stalled: the buffer of its peer is full, and nothing is taken");
        }
        wait.await
    }

    /// Waits until a stream message may be sent; by then, another task may have sent one.
    ///
    /// # Errors
    /// Why it never may.
    pub(crate) async fn until_permitted(&self) -> Result<(), NoPermit> {
        self.queue_items(); // the window counts them then
        let permitted = self.permitted_but(NoPermit::Wait).await;
        if permitted != Err(NoPermit::NotOpened) {
            return permitted;
        }
        // Credit may come without a stream: a caller that waits for the result discards messages.
        match tokio::time::timeout(PEER_OPENS, self.permitted_but(NoPermit::NotOpened)).await {
            Ok(Err(NoPermit::Wait)) => self.permitted_but(NoPermit::Wait).await,
            Ok(permitted) => permitted,
            Err(_late) => Err(NoPermit::NotOpened),
        }
    }

    async fn permitted_but(&self, unsettled: NoPermit) -> Result<(), NoPermit> {
        self.until(|session, cid| Some(session.may_send(cid)).filter(|permitted| *permitted != Err(unsettled))).await
    }

    /// Sends a stream message, if one may be sent now. The inner result is an error when its value can't be sent, or the
    /// connection is gone.
    ///
    /// # Errors
    /// Why it may not.
    pub(crate) fn send_item(&self, value: &dyn Encode) -> Result<Result<()>, NoPermit> {
        if self.add_item(value)? {
            return Ok(Ok(()));
        }
        let batch = &mut *lock(&self.0.sending);
        let permit = self.take_permit_behind(batch)?;
        Ok(self.send_permitted(permit, value))
    }

    /// Sends a stream message for which there is a permit.
    ///
    /// # Errors
    /// When its value can't be sent, or the connection is gone. The permit is given back.
    pub(crate) fn send_item_for(&self, permit: InOrder, value: &dyn Encode) -> Result<()> {
        let batch = &mut *lock(&self.0.sending);
        self.queue_batch(batch);
        self.send_permitted(permit, value)
    }

    fn send_permitted(&self, permit: InOrder, value: &dyn Encode) -> Result<()> {
        let value = Measured::new(value);
        let sent = self.send_now(permit.item(&value));
        self.note_size(value.len());
        if sent.is_err() {
            self.change(Session::return_permit);
        } else if self.with(|session, cid| session.note_sent(cid, Window::cost(value.len()))) {
            self.0.wake.wake();
        }
        sent
    }
}

/// How long a sender without credit waits for a peer that has not opened its stream: long enough for
/// one that is about to, as both sides usually open theirs first thing.
const PEER_OPENS: Duration = Duration::from_millis(500);

/// How long a sender may wait before a record says so: longer than a reader takes that is only slow now and then.
const STALLED: Duration = Duration::from_secs(1);
