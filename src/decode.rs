//! Decoding the values of a peer: small ones at once, large ones away from the threads that run tasks.
//!
//! A decoder can't be interrupted. Where tasks and message loops share a thread, one large value would hold up all of
//! them: heartbeats, cancels, the calls of other peers. So it is decoded on a thread for blocking work, while its task
//! waits as for anything else. A small value costs less than the way to another thread.
//!
//! # Invariants
//! 1. Of each peer one large value at a time is being decoded, in the order in which their tasks asked: the peers share
//!    the processors, and only one of a peer's values is in memory twice.
//! 2. A value that waits for its turn, or is being decoded, needs no poll of the task that waits for it: a task may keep
//!    such a future and wait for another value of the same peer meanwhile.
//! 3. A panic of the type's own code is the panic of the task that waits for the value.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pleach_wire::{Blob, Payload, TransportError};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::panics::{self, Caught};
use crate::scope;

/// How a declared type is read.
pub(crate) struct Decoder<T> {
    here: fn(&Payload) -> Decoded<T>,
    apart: fn(Payload, &Channel) -> std::result::Result<Decoding<T>, Payload>,
}

type Decoded<T> = std::result::Result<T, TransportError>;

impl<T: DeserializeOwned + Send + 'static> Decoder<T> {
    pub(crate) const fn new() -> Self {
        Self { here: Payload::decode, apart: Decoding::begin }
    }
}

impl Decoder<bytes::Bytes> {
    /// For a byte string that travels without being copied.
    pub(crate) const fn blob() -> Self {
        fn bytes(payload: &Payload) -> Decoded<bytes::Bytes> {
            payload.decode::<Blob>().map(|blob| blob.0)
        }
        Self { here: bytes, apart: |payload, channel| Decoding::begin_with(bytes, payload, channel) }
    }
}

impl<T> Decoder<T> {
    /// Reads a value of any size on this thread.
    ///
    /// # Errors
    /// The payload is not a `T`.
    pub(crate) fn read_here(self, payload: &Payload) -> Decoded<T> {
        (self.here)(payload)
    }

    /// Reads a value that the peer of `channel` has sent.
    ///
    /// # Errors
    /// The payload is not a `T`; [`Error::Cancelled`] if the scope around is cancelled while a large one is decoded.
    ///
    /// # Cancel safety
    /// If dropped, a decoder that has begun runs to its end, and its value is dropped.
    pub(crate) async fn read(self, payload: Payload, channel: &Channel) -> Result<T> {
        let decoded = match is_large(&payload) {
            false => (self.here)(&payload),
            true => match (self.apart)(payload, channel) {
                // In a box, so that those who wait for small values have no room for it.
                Ok(decoding) => Box::pin(scope::wait(decoding)).await?,
                Err(payload) => (self.here)(&payload),
            },
        };
        decoded.map_err(Error::from)
    }
}

impl<T> Clone for Decoder<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Decoder<T> {}

/// Reads the arguments of a task, whose scope ends the wait.
///
/// # Errors
/// The payload is not a `T`.
pub(crate) async fn decode<T>(payload: Payload, channel: &Channel) -> Decoded<T>
where
    T: DeserializeOwned + Send + 'static,
{
    match Decoding::begin(payload, channel) {
        Ok(decoding) => decoding.await,
        Err(payload) => payload.decode(),
    }
}

/// A large value that is being decoded, or waits for its turn. It yields the value, or why the payload can't be read as one.
///
/// Dropping it gives up the turn; a decoder that has begun runs to its end, and its value is dropped.
pub(crate) struct Decoding<T>(Option<AbortOnDropHandle<std::result::Result<Decoded<T>, Caught>>>);

impl<T: DeserializeOwned + Send + 'static> Decoding<T> {
    /// Begins to decode a value that the peer of `channel` has sent.
    ///
    /// # Errors
    /// The payload, if it is small, or outside of a tokio runtime, where this thread is the caller's own: it is to be
    /// decoded here.
    pub(crate) fn begin(payload: Payload, channel: &Channel) -> std::result::Result<Self, Payload> {
        Self::begin_with(Payload::decode, payload, channel)
    }
}

impl<T: Send + 'static> Decoding<T> {
    fn begin_with(
        decode: fn(&Payload) -> Decoded<T>,
        payload: Payload,
        channel: &Channel,
    ) -> std::result::Result<Self, Payload> {
        let tokio = match is_large(&payload).then(Handle::try_current) {
            Some(Ok(tokio)) => tokio,
            Some(Err(_)) | None => return Err(payload),
        };
        let channel = channel.clone();
        // A task of its own: invariant 2.
        let task = tokio.clone().spawn(async move {
            let turn = channel.decoding_turn().await;
            let decoding = tokio.spawn_blocking(move || {
                let decoded = panics::caught(|| decode(&payload));
                drop((payload, turn)); // also if nothing waits for it any more
                decoded
            });
            match decoding.await {
                Ok(decoded) => decoded,
                // The tokio runtime is being dropped, and this task with it.
                Err(_cancelled) => std::future::pending().await,
            }
        });
        Ok(Self(Some(AbortOnDropHandle::new(task))))
    }
}

impl<T> Future for Decoding<T> {
    type Output = Decoded<T>;

    /// # Panics
    /// With the panic of the type's own code.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decoded<T>> {
        let Some(task) = &mut self.0 else { return Poll::Pending };
        let ended = ready!(Pin::new(task).poll(cx));
        self.0 = None;
        match ended {
            Ok(Ok(decoded)) => Poll::Ready(decoded),
            Ok(Err(panic)) => panic.resume(),
            // The tokio runtime is being dropped, and the task that polls this with it.
            Err(_cancelled) => Poll::Pending,
        }
    }
}

/// Returns whether a value is decoded apart.
pub(crate) fn is_large(payload: &Payload) -> bool {
    payload.encoded_len() > LARGE
}

/// A value of more encoded bytes is decoded apart, blobs not counted: below a millisecond in a release build even for a
/// list of small numbers, and the way to another thread costs some 50 µs.
const LARGE: usize = 64 << 10;
