//! The future that polls a body under a scope, and drops it when that is due.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::body::{self, Body, CURRENT, Placement};
use super::dump::{self, Place};
use super::shield::Shield;
use super::tree::Node;
use crate::error::{Error, Result};

pin_project! {
    /// A body that runs under a [`CancelScope`](super::CancelScope).
    ///
    /// Dropping it drops the body at once, shields or not.
    #[must_use = "the body does not run unless this is awaited"]
    pub struct Run<F> {
        #[pin]
        body: Option<TaskLocalFuture<Option<Arc<Body>>, F>>,
        state: Arc<Body>,
        #[pin]
        watch: Option<Watch>,
        // Boxed, because most bodies have none.
        clock: Option<Pin<Box<Sleep>>>,
        // Released after the body is gone: invariant 2.
        around: Option<Shield>,
        place: Place,
    }
}

impl<F: Future> Run<F> {
    pub(super) fn new(asked: Arc<Node>, body: F) -> Self {
        Self::with_state(Body::new(Some(asked)), body)
    }

    /// A body whose scope is made, with [`place`](Self::place), when it is first polled.
    pub(super) fn without_scope(body: F) -> Self {
        Self::with_state(Body::new(None), body)
    }

    /// Says which scope the body runs under, before it is first polled.
    pub(super) fn place(&self, scope: Arc<Node>) {
        self.state.place(scope);
    }

    /// Returns whether the deadline of the scope that was asked for has cancelled it.
    pub(super) fn has_expired(&self) -> bool {
        self.state.asked().has_expired()
    }

    fn with_state(state: Arc<Body>, body: F) -> Self {
        let body = Some(CURRENT.scope(Some(state.clone()), body));
        Self { body, state, watch: None, clock: None, around: None, place: Place::new() }
    }

    /// Returns whether there is no body left to poll.
    pub(super) fn has_ended(&self) -> bool {
        self.body.is_none()
    }
}

impl<F: Future> Future for Run<F> {
    type Output = Result<F::Output>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.watch.is_none() {
            // Not sooner: the body is where it is first polled, not where it was written.
            *this.around = Some(Shield::enter());
            this.place.enter();
            let around = body::current_node();
            let limit = around.as_ref().and_then(|around| around.deadline());
            this.watch.set(Some(Watch::new(this.state.enter(around), this.state)));
            // A deadline that is also that of the body around is on its clock.
            let nearer = |at: &Instant| limit.is_none_or(|limit| *at < limit);
            *this.clock = this.state.node().deadline().filter(nearer).map(|at| Box::pin(sleep_until(at)));
        }
        let node = this.state.node();
        if let Some(clock) = this.clock
            && dump::in_background(|| clock.as_mut().poll(cx)).is_ready()
        {
            let now = clock.deadline();
            this.state.asked().expire(now);
            node.expire(now);
            *this.clock = None;
        }
        let watch = this.watch.as_mut().as_pin_mut().expect("set above");
        // Both questions register this task, so a cancellation or a release that comes while the body
        // is polled brings it back here.
        let over = dump::in_background(|| watch.is_over(node, cx) && this.state.may_close(cx.waker()));
        let value = if over {
            None
        } else {
            let body = this.body.as_mut().as_pin_mut().expect("a run is not polled after it ended");
            // Invariant 4: a body that has seen its cancellation returns only an echo of it.
            Some(ready!(this.place.poll(body, cx, this.state))).filter(|_| !this.state.was_told())
        };
        let ended = value.ok_or_else(|| {
            node.catch();
            this.state.asked().catch();
            body::tell_if_cancelled();
            Error::Cancelled(node.cause())
        });
        this.body.set(None);
        *this.around = None;
        Poll::Ready(ended)
    }
}

impl<F> fmt::Debug for Run<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("ended", &self.body.is_none()).finish_non_exhaustive()
    }
}

pin_project! {
    /// The cancellations that can end a body.
    struct Watch {
        #[pin]
        own: WaitForCancellationFutureOwned,
        // Where the body runs in a scope of its own, the one that was asked for.
        #[pin]
        asked: Option<WaitForCancellationFutureOwned>,
        asked_node: Arc<Node>,
    }
}

impl Watch {
    fn new(place: Placement, state: &Body) -> Self {
        let asked_node = state.asked().clone();
        let (own, asked) = match place {
            Placement::Asked(node) => (node, None),
            Placement::Elsewhere(node) => (node, Some(asked_node.token.clone().cancelled_owned())),
            Placement::Shielded(node) => (node, Some(asked_node.own_token().cancelled_owned())),
        };
        Self { own: own.token.clone().cancelled_owned(), asked, asked_node }
    }

    /// Returns whether the body's scope, `node`, is cancelled; if not, this task will be woken.
    fn is_over(self: Pin<&mut Self>, node: &Node, cx: &mut Context<'_>) -> bool {
        let this = self.project();
        if let Some(asked) = this.asked.as_pin_mut()
            && !node.token.is_cancelled()
            && asked.poll(cx).is_ready()
        {
            node.cancel(this.asked_node.cause());
        }
        // Polled once it's ready it stays ready: a cancelled token has no other state.
        this.own.poll(cx).is_ready()
    }
}
