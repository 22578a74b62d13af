//! Who waits for a change of a dialog.

use std::sync::OnceLock;
use std::task::Context;

use futures_util::task::AtomicWaker;

use crate::channel::Wakers;
use crate::channel::changes::Changes;
use crate::proto::session::Ended;
use crate::scope::CancelScope;

/// The tasks that wait for a change of a dialog.
#[derive(Default)]
pub(crate) struct Wake {
    changes: Changes,
    /// The one task that takes stream messages: it is woken for each, so it has a place of its own.
    receiver: AtomicWaker,
    /// Around the local code that is to be interrupted when the peer fails.
    interrupt: OnceLock<CancelScope>,
}

impl Wake {
    /// Waits until `look` finds something; it locks the session.
    pub(super) async fn until<V>(&self, look: impl FnMut() -> Option<V>) -> V {
        self.changes.until(look).await
    }

    /// Has the task of `cx` woken for stream messages, instead of the one before.
    pub(super) fn register_receiver(&self, cx: &Context<'_>) {
        self.receiver.register(cx.waker());
    }

    /// Names the scope around the local code; the first one counts. Returns that.
    pub(super) fn interrupt_with(&self, scope: CancelScope) -> &CancelScope {
        self.interrupt.get_or_init(|| scope)
    }

    /// Wakes all of them.
    pub(in crate::channel) fn wake(&self) {
        self.changes.notify();
        self.receiver.wake();
    }

    /// Wakes the tasks of a dialog that has ended; interrupts the local code if that is a failure.
    pub(in crate::channel) fn end(ended: &Ended<Wakers>) {
        ended.wake.wake();
        if ended.failed
            && let Some(scope) = ended.wake.interrupt.get()
        {
            scope.cancel();
        }
    }
}
