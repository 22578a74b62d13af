//! A call of a function over a portal, with its options: a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;

use super::Peer;
use crate::error::Result;
use crate::retry::{Retry, limited};
use crate::rpc::call::Call;
use crate::scope;
use crate::sync::lock;

pin_project! {
    /// A call of a function in another actor, from [`Portal::run`](crate::Portal::run): a future, which sends the call
    /// when it is first polled.
    ///
    /// # Cancel safety
    /// If dropped before it is polled, nothing was sent; after that, the peer is asked to cancel the task, without
    /// waiting for it.
    #[must_use = "a call does nothing until it is awaited"]
    pub struct PortalCall<'a, R, F> {
        #[pin]
        stage: Stage<'a, R, F>,
    }
}

pin_project! {
    #[project = StageProjection]
    #[project_replace = StageBefore]
    enum Stage<'a, R, F> {
        Unsent { unsent: Unsent<'a, R>, send: fn(Unsent<'a, R>) -> F },
        Sent { #[pin] running: F },
        Ended,
    }
}

/// A call that has not been sent, with its options.
pub(super) struct Unsent<'a, R> {
    peer: &'a Peer,
    call: Call<R>,
    /// Boxed, because most calls have none.
    options: Option<Box<Options<'a, R>>>,
}

struct Options<'a, R> {
    timeout: Option<Duration>,
    retry: Option<Retry>,
    /// Of a hidden type: the compiler proves of each call in a program that it is `Send`, and this one is deep.
    send: fn(Unsent<'a, R>) -> BoxFuture<'a, Result<R>>,
}

impl<'a, R, F> PortalCall<'a, R, F> {
    /// A call that `send` sends.
    pub(super) fn new(peer: &'a Peer, call: Call<R>, send: fn(Unsent<'a, R>) -> F) -> Self {
        Self { stage: Stage::Unsent { unsent: Unsent { peer, call, options: None }, send } }
    }
}

impl<'a, R: Send + 'a, F> PortalCall<'a, R, F> {
    /// Gives up after this time, from the first poll on, all attempts together: the function is cancelled, and the call
    /// fails with [`Error::Timeout`](crate::Error::Timeout), which names the actor, the function and the time. Without effect once it was polled.
    pub fn timeout(mut self, after: Duration) -> Self {
        if let Some(options) = self.options() {
            options.timeout = Some(after);
        }
        self
    }

    /// Repeats the call when it fails, as `retry` says. Without effect once it was polled.
    ///
    /// The portal leads to one process, so a call to an actor that has died fails again; a handle, or the portal of a
    /// supervised child, leads to the process that has taken its place.
    pub fn retry(mut self, retry: Retry) -> Self {
        if let Some(options) = self.options() {
            options.retry = Some(retry);
        }
        self
    }

    fn options(&mut self) -> Option<&mut Options<'a, R>> {
        let Stage::Unsent { unsent, .. } = &mut self.stage else { return None };
        let none =
            || Box::new(Options { timeout: None, retry: None, send: |unsent| Box::pin(send_with_options(unsent)) });
        Some(unsent.options.get_or_insert_with(none))
    }
}

impl<R, F: Future<Output = Result<R>>> Future for PortalCall<'_, R, F> {
    type Output = Result<R>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let mut stage = self.project().stage;
        if let StageProjection::Unsent { .. } = stage.as_mut().project()
            && let StageBefore::Unsent { unsent, send } = stage.as_mut().project_replace(Stage::Ended)
        {
            stage.set(Stage::Sent { running: send(unsent) });
        }
        let StageProjection::Sent { running } = stage.as_mut().project() else {
            panic!("a call was polled after it ended")
        };
        let ended = running.poll(cx);
        if ended.is_ready() {
            stage.set(Stage::Ended);
        }
        ended
    }
}

impl<R, F> fmt::Debug for PortalCall<'_, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Stage::Unsent { unsent, .. } => write!(f, "PortalCall({:?} in {})", unsent.call, unsent.peer.id()),
            Stage::Sent { .. } => f.write_str("PortalCall(sent)"),
            Stage::Ended => f.write_str("PortalCall(ended)"),
        }
    }
}

/// Sends a call, and waits for its value.
pub(super) async fn send<R>(unsent: Unsent<'_, R>) -> Result<R> {
    if let Some(options) = &unsent.options {
        return (options.send)(unsent).await;
    }
    let Unsent { peer, call, .. } = unsent;
    if !peer.ready().await? && !peer.channel().is_small(call.args()) {
        peer.ready_for_large().await?;
    }
    call.run_over(peer.channel(), peer).await
}

async fn send_with_options<R>(Unsent { peer, call, options }: Unsent<'_, R>) -> Result<R> {
    let (timeout, retry) = options.map_or((None, None), |options| (options.timeout, options.retry));
    let what = format!("`{}` in {}", call.name(), peer.id());
    let call = Mutex::new(call);
    let attempts = Box::pin(async {
        match &retry {
            Some(retry) => retry.run(&what, || send_again(peer, &call)).await,
            None => send_again(peer, &call).await,
        }
    });
    match timeout {
        Some(after) => limited(&what, after, attempts).await,
        None => attempts.await,
    }
}

/// Sends a call that may be sent again, and waits for its value. The lock is not held across a wait.
pub(super) async fn send_again<R>(peer: &Peer, call: &Mutex<Call<R>>) -> Result<R> {
    let channel = peer.channel();
    if !peer.ready().await? && !channel.is_small(lock(call).args()) {
        peer.ready_for_large().await?;
    }
    let (sent, answer) = {
        let call = lock(call);
        (call.send(channel, scope::current_deadline()), call.answer())
    };
    answer.read(sent, channel, peer).await
}
