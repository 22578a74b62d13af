//! What a look from outside sees of a session: it changes nothing.

use pleach_wire::Cid;

use super::{Handles, Session};

/// How much is open in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls and dialogs of this side that await their answers.
    pub(crate) calls: usize,
    /// Tasks that run here for the peer.
    pub(crate) tasks: usize,
    /// Dialogs that have a stream, of either side.
    pub(crate) dialogs: usize,
    /// Stream messages that this side may send without waiting.
    pub(crate) credit: u64,
    /// Stream messages that wait here for their tasks.
    pub(crate) unread: u64,
}

/// A call of this side, or a task of the peer.
pub(crate) struct Seen<T> {
    pub(crate) cid: Cid,
    /// What is known of it.
    pub(crate) what: T,
    /// Whether it has been asked to end.
    pub(crate) cancelled: bool,
}

impl<T> Seen<T> {
    pub(crate) fn map<U>(self, read: impl FnOnce(T) -> U) -> Seen<U> {
        Seen { cid: self.cid, what: read(self.what), cancelled: self.cancelled }
    }
}

impl<H: Handles> Session<H> {
    pub(crate) fn counts(&self) -> Counts {
        let dialogs = || self.dialogs.values().map(|entry| &entry.dialog);
        Counts {
            calls: self.calls.len(),
            tasks: self.tasks.len(),
            dialogs: self.dialogs.len(),
            credit: dialogs().map(|dialog| u64::from(dialog.credit())).sum(),
            unread: dialogs().map(|dialog| u64::from(dialog.unread())).sum(),
        }
    }

    /// Returns the calls that wait for an answer or an acknowledgement and have a note, the oldest first.
    pub(crate) fn calls_seen(&self) -> impl Iterator<Item = Seen<&H::Note>> {
        let noted = self.calls.iter().filter_map(|(cid, call)| Some((cid, call.note.as_ref()?, call.cancelling)));
        noted.map(|(cid, what, cancelled)| Seen { cid, what, cancelled })
    }

    /// Returns the tasks that run for the peer, the oldest first.
    pub(crate) fn tasks_seen(&self) -> impl Iterator<Item = Seen<&H::Task>> {
        let running = self.tasks.iter().filter_map(|(cid, task)| Some((cid, task.handle.as_ref()?, task.cancelled)));
        running.map(|(cid, what, cancelled)| Seen { cid, what, cancelled })
    }
}
