//! Small stream messages of a dialog that are sent in a row: they are queued together.
//!
//! ```text
//! send_item() ─► Batch ─(many; another message of the dialog; the message loop)─► the queue of the connection
//! ```
//! A message costs more to queue than to encode: locks, an envelope, a frame. So one that comes while the message loop
//! has not had its turn since the last one joins it. It has no permit of its own: the first one has learned how much
//! may go.
//!
//! # Invariants
//! 1. Stream messages leave in the order in which they were sent: all that adds or queues one holds `sending`.
//! 2. The window counts a message before it is queued, and none is added that goes beyond it.
//! 3. The message loop waits for `sending` only while it is held for a moment: a small value is encoded before that, and
//!    a large one while there is no message in the batch.

use std::sync::atomic::Ordering;

use pleach_wire::codec::{Items, MAX_SMALL, with_small};
use pleach_wire::tap::is_watched;
use pleach_wire::transport::Lane;
use pleach_wire::{Encode, Window};

use super::DialogHandle;
use crate::proto::dialog::NoPermit;
use crate::sync::lock;

/// The messages that are not queued yet.
pub(super) struct Batch {
    items: Items,
    lane: Lane,
    /// How much may still be added.
    left: Window,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { items: Items::new(), lane: Lane::CONTROL, left: Window::NONE }
    }

    fn has_room_for(&self, payload: &[u8]) -> bool {
        self.left.messages > 0 && self.left.bytes > 0 && self.items.fits(payload)
    }
}

impl DialogHandle {
    /// Adds a stream message to those that are queued together. Returns whether it could; if not, it is to be sent alone.
    ///
    /// # Errors
    /// Why none may be sent.
    pub(super) fn add_item(&self, value: &dyn Encode) -> Result<bool, NoPermit> {
        let Some(format) = self.0.channel.0.shared_items.filter(|_| self.may_share()) else { return Ok(false) };
        let added = with_small(format, value, |payload| self.add_payload(payload));
        self.0.sends_large.store(added.is_none(), Ordering::Relaxed);
        added.unwrap_or(Ok(false))
    }

    /// Returns whether small messages may share frames: those who watch a connection see each for itself.
    fn may_share(&self) -> bool {
        !self.0.sends_large.load(Ordering::Relaxed) && !is_watched()
    }

    /// Notes the size of a message that was sent alone: the next one may be small again.
    pub(super) fn note_size(&self, size: usize) {
        if size <= MAX_SMALL {
            self.0.sends_large.store(false, Ordering::Relaxed);
        }
    }

    fn add_payload(&self, payload: &[u8]) -> Result<bool, NoPermit> {
        let is_first = {
            let batch = &mut *lock(&self.0.sending);
            if !batch.has_room_for(payload) {
                self.queue_batch(batch);
                // Before the first message in order, its lane is not known.
                let Some((lane, left)) = self.with(|session, cid| session.may_send_items(cid))? else {
                    return Ok(false);
                };
                (batch.lane, batch.left) = (lane, left);
            }
            let is_first = batch.items.is_empty();
            batch.items.add(payload);
            batch.left.messages -= 1;
            batch.left.bytes = batch.left.bytes.saturating_sub(Window::cost(payload.len()));
            self.0.has_items.store(true, Ordering::Relaxed);
            is_first
        };
        if is_first {
            self.0.channel.0.unsent.add(self.clone());
            self.0.channel.0.transport.wake_flusher();
        }
        Ok(true)
    }

    /// Queues the messages that were added so far.
    pub(in crate::channel) fn queue_items(&self) {
        if self.0.has_items.load(Ordering::Relaxed) {
            self.queue_batch(&mut lock(&self.0.sending));
        }
    }

    pub(super) fn queue_batch(&self, batch: &mut Batch) {
        batch.left = Window::NONE;
        if batch.items.is_empty() {
            return;
        }
        let (channel, items) = (&self.0.channel, &mut batch.items);
        self.with(|session, cid| session.note_items(cid, items.sizes().map(Window::cost)));
        let queued = channel.0.transport.queue_items(batch.lane, self.0.cid, &*items);
        items.clear();
        self.0.has_items.store(false, Ordering::Relaxed);
        // If the connection is gone, the end follows.
        if let Ok(waiting) = queued
            && channel.note_waiting(waiting).is_ok()
        {
            self.note_waiting(waiting);
        }
    }
}
