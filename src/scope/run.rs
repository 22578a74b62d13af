//! The future that polls a body under a scope, and drops it when that is due.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::body::{self, Around, Body, CURRENT, Placement};
use super::dump::{self, Place};
use super::shield::Shield;
use super::tree::Node;
use crate::error::{Error, Result};
use crate::task_local::within;

pin_project! {
    #[project = RunProjection]
    /// A body that runs under a [`CancelScope`](super::CancelScope).
    ///
    /// Dropping it drops the body at once, shields or not.
    #[must_use = "the body does not run unless this is awaited"]
    pub struct Run<F> {
        #[pin]
        body: Option<F>,
        // What code in the body finds as its own.
        current: Option<Around>,
        state: Arc<Body>,
        // Made when the body waits for the first time; boxed, because many never do.
        watch: Option<Pin<Box<Watch>>>,
        // Boxed, because most bodies have none.
        clock: Option<Pin<Box<Sleep>>>,
        // Released after the body is gone: invariant 2.
        around: Option<Shield>,
        place: Place,
    }

    impl<F> PinnedDrop for Run<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.body.is_some() {
                within(&CURRENT, this.current, || this.body.set(None));
            }
        }
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
        let current = Some(Some(state.clone()));
        Self { body: Some(body), current, state, watch: None, clock: None, around: None, place: Place::new() }
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
        let placement = match this.watch.is_none() {
            true => Some(this.begin()),
            false => None,
        };
        this.expire_if_due(cx);
        if let Some(placement) = placement {
            // A body that ends at once needs no watch. A cancellation that comes meanwhile is found right after.
            let may_begin = !placement.is_cancelled(this.state.asked());
            let polled = if may_begin { this.poll_body(cx) } else { Poll::Pending };
            if polled.is_ready() {
                return this.end(polled);
            }
            *this.watch = Some(Box::pin(Watch::new(placement, this.state)));
            return if this.is_over(cx) { this.end(Poll::Ready(None)) } else { Poll::Pending };
        }
        // Both questions in there register this task, so a cancellation or a release that comes while the body is
        // polled brings it back here.
        let polled = if this.is_over(cx) { Poll::Ready(None) } else { this.poll_body(cx) };
        this.end(polled)
    }
}

impl<F: Future> RunProjection<'_, F> {
    /// Finds the body's place. Not sooner: the body is where it is first polled, not where it was written.
    fn begin(&mut self) -> Placement {
        *self.around = Some(Shield::enter());
        self.place.enter();
        let around = body::current_node();
        let limit = around.as_ref().and_then(|around| around.deadline());
        let placement = self.state.enter(around);
        // A deadline that is also that of the body around is on its clock.
        let nearer = |at: &Instant| limit.is_none_or(|limit| *at < limit);
        *self.clock = self.state.node().deadline().filter(nearer).map(|at| Box::pin(sleep_until(at)));
        placement
    }

    fn expire_if_due(&mut self, cx: &mut Context<'_>) {
        if let Some(clock) = self.clock
            && dump::in_background(|| clock.as_mut().poll(cx)).is_ready()
        {
            let now = clock.deadline();
            self.state.asked().expire(now);
            self.state.node().expire(now);
            *self.clock = None;
        }
    }

    /// Returns whether the body is to be dropped; if not, this task will be woken when it may have to be.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let watch = self.watch.as_mut().expect("it is set once the body has begun").as_mut();
        dump::in_background(|| watch.is_over(self.state.node(), cx) && self.state.may_close(cx.waker()))
    }

    /// Polls the body; `None` is one that has seen its cancellation and returned only an echo of it (invariant 4).
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let body = self.body.as_mut().as_pin_mut().expect("a run is not polled after it ended");
        let polled = within(&CURRENT, self.current, || self.place.poll(body, cx, self.state));
        polled.map(|value| Some(value).filter(|_| !self.state.was_told()))
    }

    fn end(&mut self, polled: Poll<Option<F::Output>>) -> Poll<Result<F::Output>> {
        let node = self.state.node();
        let ended = ready!(polled).ok_or_else(|| {
            node.catch();
            self.state.asked().catch();
            body::tell_if_cancelled();
            Error::Cancelled(node.cause())
        });
        within(&CURRENT, self.current, || self.body.set(None));
        *self.around = None;
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
        // Where the body runs in a scope of its own, the one that was asked for. Boxed, because most do not.
        asked: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        asked_node: Arc<Node>,
    }
}

impl Watch {
    fn new(place: Placement, state: &Body) -> Self {
        let asked_node = state.asked().clone();
        let (own, asked) = match place {
            Placement::Asked(node) => (node, None),
            Placement::Elsewhere(node) => (node, Some(Box::pin(asked_node.token().clone().cancelled_owned()))),
            Placement::Shielded(node) => (node, Some(Box::pin(asked_node.own_token().cancelled_owned()))),
        };
        Self { own: own.token().clone().cancelled_owned(), asked, asked_node }
    }

    /// Returns whether the body's scope, `node`, is cancelled; if not, this task will be woken.
    fn is_over(self: Pin<&mut Self>, node: &Node, cx: &mut Context<'_>) -> bool {
        let this = self.project();
        if let Some(asked) = this.asked
            && !node.is_token_cancelled()
            && asked.as_mut().poll(cx).is_ready()
        {
            node.cancel(this.asked_node.cause());
        }
        // Polled once it's ready it stays ready: a cancelled token has no other state.
        this.own.poll(cx).is_ready()
    }
}
