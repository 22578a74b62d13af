//! Calls of the methods of an actor's state: sent in the order in which they were first polled.
//!
//! A call that finds no room waits in a task of its own, before which others can't be sent. The task needs no poll of the
//! caller: one that keeps such a call and waits for something else holds up nothing.

use std::sync::Mutex;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::Portal;
use crate::channel::{Channel, Pending};
use crate::error::Result;
use crate::rpc::call::{Constructor, RemoteAnswer, RemoteCall};
use crate::rpc::method::turn::queued;
use crate::scope;
use crate::sync::lock;

impl Portal {
    /// Runs a method of the actor's state.
    pub(crate) async fn run_method<R: Send + 'static>(&self, call: RemoteCall<R>) -> Result<R> {
        scope::checkpoint()?;
        let answer = call.answer();
        let sent = self.send_method(call, scope::current_deadline()).await?;
        self.read_method(answer, sent).await
    }

    /// Sends a call of a method. It has its place from the first poll on.
    pub(crate) async fn send_method<R: Send + 'static>(
        &self,
        call: RemoteCall<R>,
        deadline: Option<Instant>,
    ) -> Result<Result<Pending>> {
        let channel = self.peer.channel();
        match send_now(&call, channel, deadline) {
            Some(sent) => Ok(sent),
            None => Box::pin(send_in_turn(call, channel, deadline)).await,
        }
    }

    /// Waits for the value of a method.
    pub(crate) async fn read_method<R>(&self, answer: RemoteAnswer<R>, sent: Result<Pending>) -> Result<R> {
        answer.read(sent, self.peer.channel(), &self.peer).await
    }

    /// Has the actor make its state. The lock is not held across a wait.
    pub(crate) async fn make<S>(&self, state: &Mutex<Constructor<S>>) -> Result<()> {
        let channel = self.peer.channel();
        if !self.peer.ready().await? && !channel.is_small(lock(state).args()) {
            self.peer.ready_for_large().await?;
        }
        let (sent, made) = {
            let state = lock(state);
            (state.send(channel), state.answer())
        };
        made.read(sent, channel, &self.peer).await
    }

    /// Returns whether the actor is not reached by this portal any more, or is about to end.
    pub(crate) fn is_gone(&self) -> bool {
        self.peer.is_gone()
    }
}

/// Sends a call if none is before it, and there is room.
fn send_now<R>(call: &RemoteCall<R>, channel: &Channel, deadline: Option<Instant>) -> Option<Result<Pending>> {
    let _first = channel.order_of_sent_methods().try_lock().ok()?;
    let fits_large = channel.small_room().now_or_never()?;
    (fits_large || call.is_small(channel)).then(|| call.send(channel, deadline))
}

/// Sends a call once all before it were sent, and there is room.
async fn send_in_turn<R: Send + 'static>(
    call: RemoteCall<R>,
    channel: &Channel,
    deadline: Option<Instant>,
) -> Result<Result<Pending>> {
    let before = queued(channel.order_of_sent_methods().clone().lock_owned());
    let channel = channel.clone();
    let sending = async move {
        let turn = before.await;
        let fits_large = channel.small_room().await;
        let is_small = fits_large || call.is_small(&channel);
        if !is_small {
            channel.room().await;
        }
        let sent = call.send(&channel, deadline);
        drop(turn);
        sent
    };
    scope::apart(sending).await
}
