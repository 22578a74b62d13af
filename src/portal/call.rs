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
use crate::retry::{Options, Retry};
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
        unsent: Option<Unsent<'a, R>>,
        send: fn(Unsent<'a, R>) -> F,
        // Not behind a pointer, as the calls of handles and pools are: a call costs no allocation for it.
        #[pin]
        sent: Option<F>,
    }
}

/// A call that has not been sent, with its options.
pub(super) struct Unsent<'a, R> {
    peer: &'a Peer,
    call: Call<R>,
    /// Boxed, because most calls have none.
    with: Option<Box<With<'a, R>>>,
}

struct With<'a, R> {
    options: Options,
    /// Of a hidden type: the compiler proves of each call in a program that it is `Send`, and this one is deep.
    send: fn(Unsent<'a, R>) -> BoxFuture<'a, Result<R>>,
}

impl<'a, R, F> PortalCall<'a, R, F> {
    /// A call that `send` sends.
    pub(super) fn new(peer: &'a Peer, call: Call<R>, send: fn(Unsent<'a, R>) -> F) -> Self {
        Self { unsent: Some(Unsent { peer, call, with: None }), send, sent: None }
    }
}

impl<'a, R: Send + 'a, F> PortalCall<'a, R, F> {
    /// Gives up after this time, from the first poll on, all attempts together: the function is cancelled, and the call
    /// fails with [`Error::Timeout`](crate::Error::Timeout), which names the actor, the function and the time. Without
    /// effect once it was polled.
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

    fn options(&mut self) -> Option<&mut Options> {
        let none =
            || Box::new(With { options: Options::default(), send: |unsent| Box::pin(send_with_options(unsent)) });
        self.unsent.as_mut().map(|unsent| &mut unsent.with.get_or_insert_with(none).options)
    }
}

impl<R, F: Future<Output = Result<R>>> Future for PortalCall<'_, R, F> {
    type Output = Result<R>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let mut this = self.project();
        if let Some(unsent) = this.unsent.take() {
            this.sent.set(Some((this.send)(unsent)));
        }
        let sent = this.sent.as_mut().as_pin_mut().expect("a call is unsent or sent, until it has ended");
        let ended = sent.poll(cx);
        if ended.is_ready() {
            this.sent.set(None);
        }
        ended
    }
}

impl<R, F> fmt::Debug for PortalCall<'_, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unsent {
            Some(unsent) => write!(f, "PortalCall({:?} in {})", unsent.call, unsent.peer.id()),
            None => f.write_str("PortalCall(sent)"),
        }
    }
}

/// Sends a call, and waits for its value.
pub(super) async fn send<R>(unsent: Unsent<'_, R>) -> Result<R> {
    if let Some(with) = &unsent.with {
        return (with.send)(unsent).await;
    }
    let Unsent { peer, call, .. } = unsent;
    if !peer.ready().await? && !peer.channel().is_small(call.args()) {
        peer.ready_for_large().await?;
    }
    call.run_over(peer.channel(), peer).await
}

async fn send_with_options<R>(Unsent { peer, call, with }: Unsent<'_, R>) -> Result<R> {
    let options = with.map_or_else(Options::default, |with| with.options);
    let call = Mutex::new(call);
    options.run(|| format!("`{}` in {}", lock(&call).name(), peer.id()), || send_again(peer, &call)).await
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
