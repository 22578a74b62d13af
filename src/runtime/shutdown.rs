//! The end of an actor, in order, each step bounded.
//!
//! 1. cancel the peers' tasks that run here, and wait for them;
//!    then hand the actor's state, if it has one, to its `stopping`
//! 2. stop listening, and wait for that
//! 3. end the message loop with the parent
//! 4. deregister: take the name out wherever it is known
//! 5. end the other connections, and wait for everything else that runs here
//! 6. leave: the callbacks of `on_exit`; then the process exits, or the tree's body returns
//!
//! Steps that take longer than their bound are reported and left to the parent's escalation. While an actor below
//! stands still under a debugger, no bound counts.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use pleach_wire::EndReason;

use super::handle::is_of_process;
use super::{Runtime, within};
use crate::channel::{Channel, tap};
use crate::holds;
use crate::os::exit_callbacks;
use crate::panics;
use crate::rpc::method::cell::StopReason;

impl Runtime {
    /// Ends this actor.
    ///
    /// # Cancel safety
    /// If dropped, the actor is left half shut down: the caller must call this again.
    pub(crate) async fn shut_down(self: &Arc<Self>) {
        self.lifecycle.leave();
        // A task of ours may itself have children to bring to their end.
        let for_calls = self.config.task_cancel + self.config.ladder();
        self.note_step(1, "cancelling the tasks of peers");
        self.bounded("tasks of peers", for_calls, self.tasks.end_calls(self.lifecycle.cause())).await;
        self.stop_state().await;
        self.note_step(2, "closing the listeners");
        self.bounded("listeners", self.config.peers, self.tasks.end_listeners()).await;
        let (parent, others) = self.split_peers();
        parent.iter().for_each(|channel| channel.request_close(EndReason::ActorEnded));
        self.note_step(3, "closing the connection to the parent");
        self.all_ended(&parent).await;
        self.note_step(4, "deregistering");
        self.bounded("deregistration", self.config.deregister, self.deregister()).await;
        others.iter().for_each(|channel| channel.request_close(EndReason::ActorEnded));
        self.note_step(5, "closing the other connections");
        self.all_ended(&others).await;
        self.bounded("services", self.config.peers + self.config.ladder(), self.tasks.services_ended()).await;
        #[cfg(feature = "testing")]
        if self.identity.is_root() {
            // Those that have lost their parents. Processes would have died with them.
            let tree = self.tasks.tree();
            self.bounded("actors without a parent", self.config.ladder(), tree.ended()).await;
            tree.kill();
            self.bounded("killed actors", self.config.give_up_after, tree.ended()).await;
        }
        self.note_step(6, "leaving");
        let _ = tokio::time::timeout(TRACES_END, tap::end_of(self.id().uuid())).await; // a reader may be slow
        if self.identity.is_root() {
            self.descendants().end(self.config.kill_after).await;
            self.sockets.remove();
        }
        if is_of_process(self) {
            exit_callbacks::run_all();
        }
        self.lifecycle.note_ended();
    }

    /// Hands its state, if it has one, to the `stopping` of its type, while its peers can still be reached.
    async fn stop_state(self: &Arc<Self>) {
        let stopping = AssertUnwindSafe(within(self.clone(), self.state.stop(self.stop_reason()))).catch_unwind();
        // A part of what its parent allows, so that the rest of the shutdown is in time.
        self.bounded("its `stopping`", self.config.soft_reap / 2, async {
            if stopping.await.is_err() {
                let panic = panics::take_caught().message;
                error!(target: "pleach::runtime", actor = %self.id(), panic, "`stopping` panicked");
            }
        })
        .await;
    }

    fn stop_reason(&self) -> StopReason {
        match (self.lifecycle.signal(), self.lifecycle.failure(), self.lifecycle.asked_by()) {
            (Some(signal), ..) => StopReason::Signal(signal),
            (_, Some(failure), _) => StopReason::Failed(failure.clone()),
            (_, _, Some(by)) => StopReason::Requested { by: by.clone() },
            (None, None, None) => StopReason::ParentGone,
        }
    }

    /// Waits for the end of connections that have been asked to close.
    async fn all_ended(&self, channels: &[Channel]) {
        let ended = async {
            for channel in channels {
                channel.ended().await;
            }
        };
        // Each has its own bound, and reports what it cuts; this is for one whose loop is stuck.
        self.bounded("connections", self.config.peers.saturating_add(self.config.drain), ended).await;
    }

    fn split_peers(&self) -> (Vec<Channel>, Vec<Channel>) {
        let parent = self.identity.parent();
        self.peers.all().into_iter().partition(|channel| Some(channel.peer()) == parent)
    }

    fn note_step(&self, step: u8, doing: &str) {
        debug!(target: "pleach::runtime", actor = %self.id(), step, doing, "shutting down");
    }

    async fn bounded(&self, what: &str, bound: Duration, work: impl Future<Output = ()>) {
        if holds::bounded(bound, work).await.is_none() {
            warn!(target: "pleach::cancel", actor = %self.id(), what, ?bound, "did not end in time");
        }
    }
}

/// How long the last messages of an actor that is traced may take to be told.
const TRACES_END: Duration = Duration::from_millis(300);
