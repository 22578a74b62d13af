//! The end of a connection: all that wait for its peer are woken, and a record says how it went.
//!
//! # Invariants
//! 1. A message loop does not end without this, however it ends.

use pleach_wire::{EndReason, TransportClosed, TransportError};

use super::Channel;
use super::dialog::Wake;
use super::life::Stage;
use crate::error::Cancelled;
use crate::log::Limit;

/// Ends a channel with its loop, also when that panics or is dropped: no task waits on it for ever.
pub(super) struct Ending<'a> {
    pub(super) channel: &'a Channel,
    /// Why, as far as it is known; otherwise the loop was dropped.
    pub(super) end: Option<TransportError>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let channel = self.channel;
        let end = self.end.take();
        let end = end.unwrap_or_else(|| TransportClosed::by_us(EndReason::Dropped).into());
        channel.transport().abort();
        channel.life().note_end(end);
        channel.note_lost_calls();
        let left = channel.session().close();
        left.tasks.iter().for_each(|task| task.scope.cancel_because(Cancelled::Caller(None)));
        left.dialogs.iter().for_each(Wake::end);
        drop(left);
        channel.0.unsent.close();
        channel.life().reach(Stage::Ended);
        channel.log_left_out();
        log_end(channel);
    }
}

/// A peer may come and go as often as it likes: this is limited for all connections together.
fn log_end(channel: &Channel) {
    static CLOSED: Limit = Limit::new();
    static LOST: Limit = Limit::new();
    match channel.end() {
        Some(TransportError::Closed(closed)) => {
            let Some(count) = CLOSED.count() else { return };
            debug!(target: "pleach::transport", peer = %channel.peer(), %closed, count, "connection closed");
        }
        Some(fault) if channel.ends_with_actor(fault) => {
            let Some(count) = CLOSED.count() else { return };
            debug!(target: "pleach::transport", peer = %channel.peer(), %fault, count, "connection ended with its actor");
        }
        Some(fault) => {
            let Some(count) = LOST.count() else { return };
            warn!(target: "pleach::transport", peer = %channel.peer(), %fault, count, "connection lost");
        }
        None => {}
    }
}
