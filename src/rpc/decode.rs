//! Decoding the values of a peer: small ones at once, large ones away from the threads that run tasks.
//!
//! A decoder can't be interrupted. Where tasks and message loops share a thread, one large value would hold up all of
//! them: heartbeats, cancels, the calls of other peers. So it is decoded on a thread for blocking work, while its task
//! waits as for anything else. A small value costs less than the way to another thread.
//!
//! # Invariants
//! 1. Of each peer one large value at a time is being decoded, in the order in which their tasks asked: the peers share
//!    the processors, and only one of a peer's values is in memory twice.
//! 2. A panic of the type's own code is the panic of the task that waits for the value.

use futures_util::future::BoxFuture;
use pleach_wire::{Blob, Payload, TransportError};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::panics;
use crate::scope;

/// How a declared type is read.
pub(crate) struct Decoder<T> {
    here: fn(&Payload) -> Decoded<T>,
    apart: fn(Payload, Channel) -> BoxFuture<'static, Decoded<T>>,
}

type Decoded<T> = std::result::Result<T, TransportError>;

impl<T: DeserializeOwned + Send + 'static> Decoder<T> {
    pub(crate) const fn new() -> Self {
        Self { here: Payload::decode, apart: |payload, channel| Box::pin(decode_apart(payload, channel)) }
    }
}

impl Decoder<bytes::Bytes> {
    /// For a byte string that travels without being copied.
    pub(crate) const fn blob() -> Self {
        Self {
            here: |payload| payload.decode::<Blob>().map(|blob| blob.0),
            apart: |payload, channel| {
                Box::pin(async { decode_apart::<Blob>(payload, channel).await.map(|blob| blob.0) })
            },
        }
    }
}

impl<T> Decoder<T> {
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
            true => scope::wait((self.apart)(payload, channel.clone())).await?,
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
pub(super) async fn decode<T>(payload: Payload, channel: &Channel) -> Decoded<T>
where
    T: DeserializeOwned + Send + 'static,
{
    if !is_large(&payload) {
        return payload.decode();
    }
    // In a box of its own, so that tasks with small arguments do not grow.
    Box::pin(decode_apart(payload, channel.clone())).await
}

fn is_large(payload: &Payload) -> bool {
    payload.encoded_len() > LARGE
}

async fn decode_apart<T>(payload: Payload, channel: Channel) -> Decoded<T>
where
    T: DeserializeOwned + Send + 'static,
{
    // Outside of a tokio runtime, the thread is the caller's own.
    let Ok(tokio) = Handle::try_current() else { return payload.decode() };
    let turn = channel.decoding_turn().await;
    let decoding = tokio.spawn_blocking(move || {
        let decoded = panics::caught(|| payload.decode());
        drop((payload, turn)); // also if the task no longer waits
        decoded
    });
    match decoding.await {
        Ok(Ok(decoded)) => decoded,
        Ok(Err(panic)) => panic.resume(),
        // The tokio runtime is being dropped, and this task with it.
        Err(_cancelled) => std::future::pending().await,
    }
}

/// A value of more encoded bytes is decoded apart, blobs not counted: below a millisecond in a release build even for a
/// list of small numbers, and the way to another thread costs some 50 µs.
const LARGE: usize = 64 << 10;
