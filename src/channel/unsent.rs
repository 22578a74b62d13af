//! The dialogs whose stream messages wait to be queued together.
//!
//! A sender that does not wait adds its messages to those of its dialog, and puts the dialog on this list with the first
//! one. The message loop queues them before it writes; the dialog itself does when there are many, and before any other
//! message that has to stay behind them.
//!
//! # Invariants
//! 1. A dialog whose messages were sent is on the list until they are queued, and the message loop has been woken.
//! 2. Nothing is on the list of a connection that has ended: a dialog holds its connection.
//! 3. The lock comes before those of a dialog and of the session.

use std::sync::atomic::{AtomicBool, Ordering};

use pleach_wire::Cid;

use super::dialog::DialogHandle;
use crate::sync::{Mutex, lock};

pub(super) struct Unsent {
    /// Read without the lock: usually there is none.
    any: AtomicBool,
    /// `None` once the connection has ended.
    dialogs: Mutex<Option<Vec<DialogHandle>>>,
}

impl Unsent {
    pub(super) fn new() -> Self {
        Self { any: AtomicBool::new(false), dialogs: Mutex::new(Some(Vec::new())) }
    }

    /// Puts a dialog on the list, where it may be several times. The caller wakes the message loop.
    pub(super) fn add(&self, dialog: DialogHandle) {
        if let Some(dialogs) = &mut *lock(&self.dialogs) {
            dialogs.push(dialog);
            self.any.store(true, Ordering::Release);
        }
    }

    /// Queues the messages of all of them.
    pub(super) fn queue_all(&self) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut dialogs = lock(&self.dialogs);
        // Under the lock, so that what finds none on the list knows that they are queued.
        dialogs.iter_mut().flat_map(|dialogs| dialogs.drain(..)).for_each(|dialog| dialog.queue_items());
        self.any.store(false, Ordering::Release);
    }

    /// Queues the messages of one dialog.
    pub(super) fn queue_items_of(&self, cid: Cid) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let dialogs = lock(&self.dialogs);
        dialogs.iter().flatten().filter(|dialog| dialog.cid() == cid).for_each(DialogHandle::queue_items);
    }

    /// Empties the list for good.
    pub(super) fn close(&self) {
        let dialogs = lock(&self.dialogs).take();
        drop(dialogs); // without the lock
    }
}
