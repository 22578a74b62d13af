//! The calls of a handle's methods, each with its options.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::route::Way;
use crate::current::{self, Here};
use crate::error::{Result, ScopeError};
use crate::lazy::Lazy;
use crate::retry::Retry;
use crate::rpc::call::RemoteCall;
use crate::rpc::context::{ContextCall, OpenContext};
use crate::rpc::stream_call::StreamCall;
use crate::stream::{Lag, StreamReceiver};

/// A call of a method of a [`Handle`](crate::Handle): a future, which sends the call when it is first polled.
///
/// # Errors
/// It resolves to the method's own error, or as [`Portal::run`](crate::Portal::run);
/// [`Error::Closed`](crate::Error::Closed) when the state is gone, because the actor ends or a method has panicked while
/// it changed it; [`Error::Usage`](crate::Error::Usage) when the call would wait for itself, because a method that has
/// the state waits for it.
///
/// # Cancel safety
/// If dropped before it is polled, nothing was sent; after that, the actor is asked to cancel the method. A cancelled
/// method lets go of the state at its next wait, with what it has changed until then.
#[must_use = "a call does nothing until it is awaited"]
pub struct MethodCall<T>(Lazy<'static, Unsent<T>, Result<T>>);

struct Unsent<T> {
    way: Arc<Way>,
    state: &'static str,
    call: RemoteCall<T>,
    /// The actor that has made it: it is its call, also in a task that belongs to none.
    made: Here,
}

impl<T: Send + 'static> MethodCall<T> {
    pub(super) fn new(way: Arc<Way>, state: &'static str, call: RemoteCall<T>) -> Self {
        Self(Lazy::new(Unsent { way, state, call, made: current::here() }))
    }

    /// Gives up after this time, from the first poll on, all attempts together: the method is cancelled, and the call
    /// fails with [`Error::Timeout`](crate::Error::Timeout), which names the actor, the method and the time. Without
    /// effect once it was polled.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.0.set_timeout(after);
        self
    }

    /// Repeats the call when it fails, as `retry` says. Without effect once it was polled.
    ///
    /// Each attempt goes to the process that has the actor's place then, so calls of supervised actors wait out a
    /// restart. The state there is new. Calls that were made meanwhile may take effect before the repeated one.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.set_retry(retry);
        self
    }
}

impl<T: Send + 'static> Future for MethodCall<T> {
    type Output = Result<T>;

    /// # Panics
    /// When polled again after it ended.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.poll(cx, |Unsent { way, state, call, made }, options| {
            call.note_callers();
            Box::pin(made.around(async move {
                let what = || format!("`{state}::{}` of {way}", call.name());
                options.run(what, || way.run(call.clone())).await
            }))
        })
    }
}

impl<T> Unpin for MethodCall<T> {}

impl<T> fmt::Debug for MethodCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.unsent() {
            Some(Unsent { way, state, call, .. }) => write!(f, "MethodCall({state}::{} of {way})", call.name()),
            None => f.write_str("MethodCall(sent)"),
        }
    }
}

/// A stream of a method of a [`Handle`](crate::Handle), which [`open`](Self::open) starts. Dropping it does nothing.
#[must_use = "a stream does nothing until it is opened"]
pub struct MethodStream<T> {
    way: Arc<Way>,
    call: StreamCall<T>,
}

impl<T> MethodStream<T> {
    pub(super) fn new(way: Arc<Way>, call: StreamCall<T>) -> Self {
        Self { way, call }
    }

    /// Buffers this many messages here, at least one; see [`OpenStream::buffer`](crate::OpenStream::buffer).
    pub fn buffer(self, messages: u32) -> Self {
        Self { call: self.call.buffer(messages), ..self }
    }

    /// Buffers this many bytes of messages here; see [`OpenStream::buffer_bytes`](crate::OpenStream::buffer_bytes).
    pub fn buffer_bytes(self, bytes: usize) -> Self {
        Self { call: self.call.buffer_bytes(bytes), ..self }
    }

    /// Sets the policy for messages that arrive while the buffer is full; by default, the method waits.
    pub fn lag(self, lag: Lag) -> Self {
        Self { call: self.call.lag(lag), ..self }
    }

    /// Starts the method and runs `body` with its messages; leaving the block cancels the method.
    ///
    /// # Errors
    /// As [`Portal::open_stream_from`](crate::Portal::open_stream_from).
    ///
    /// # Cancel safety
    /// As [`Portal::open_stream_from`](crate::Portal::open_stream_from).
    pub async fn open<X, E, F, Fut>(self, body: F) -> Result<X, E>
    where
        E: ScopeError,
        F: FnOnce(StreamReceiver<T>) -> Fut,
        Fut: Future<Output = Result<X, E>>,
    {
        let portal = self.way.portal().await?;
        portal.open_stream_from(self.call, body).await
    }
}

impl<T> fmt::Debug for MethodStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MethodStream({:?} of {})", self.call, self.way)
    }
}

/// A context of a method of a [`Handle`](crate::Handle), which [`open`](Self::open) opens. Dropping it does nothing.
#[must_use = "a context does nothing until it is opened"]
pub struct MethodContext<S, R, T, O> {
    way: Arc<Way>,
    call: ContextCall<S, R, T, O>,
}

impl<S, R, T, O> MethodContext<S, R, T, O> {
    pub(super) fn new(way: Arc<Way>, call: ContextCall<S, R, T, O>) -> Self {
        Self { way, call }
    }

    /// Opens the context and runs `body` in it, with this side of it and its first value.
    ///
    /// # Errors
    /// As [`Portal::open_context`](crate::Portal::open_context).
    ///
    /// # Cancel safety
    /// As [`Portal::open_context`](crate::Portal::open_context).
    pub async fn open<X, E, F, Fut>(self, body: F) -> Result<X, E>
    where
        E: ScopeError,
        F: FnOnce(OpenContext<S, R, T, O>, S) -> Fut,
        Fut: Future<Output = Result<X, E>>,
    {
        let portal = self.way.portal().await?;
        portal.open_context(self.call, body).await
    }
}

impl<S, R, T, O> fmt::Debug for MethodContext<S, R, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MethodContext({:?} of {})", self.call, self.way)
    }
}
