//! One-way streams: a function sends for as long as its caller takes.
//!
//! ```text
//! caller: portal.open_stream_from(f(args), body)     callee: f(out, args)
//!    body(stream)                        ◄─────────     out.send(message)
//!    the body has returned               ─────────►     is cancelled, and cleans up
//!    the block is left                   ◄─────────     has ended
//! ```
//! It is the smaller sibling of a context: there is no first value, no way back, and no result.

use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;

use futures_util::{Stream, StreamExt as _};
use pleach_wire::Encode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Outcome, Settled};
use super::block::settle;
use super::export::Export;
use super::request::{DialogRequest, Invoked};
use crate::channel::Channel;
use crate::channel::explain::Explain;
use crate::channel::opened::OpenedDialog;
use crate::error::{Raised, Result, ScopeError};
use crate::fidelity::{self, Reads};
use crate::scope::{self, CancelScope, Shield, run_for_result, shield};
use crate::stream::buffer::Buffer;
use crate::stream::{Lag, StreamReceiver, StreamSender};

/// A function of `#[pleach::stream]` with its arguments, ready to be started by
/// [`Portal::open_stream_from`](crate::Portal::open_stream_from). Dropping it does nothing.
#[must_use = "a stream does nothing until a portal opens it"]
pub struct StreamCall<T> {
    export: &'static Export,
    args: Box<dyn Encode + Send>,
    buffer: Buffer,
    types: PhantomData<fn() -> T>,
}

impl<T> StreamCall<T> {
    /// Returns the module of the function, as in `.enable(…)`.
    pub fn module(&self) -> &'static str {
        self.export.module()
    }

    /// Buffers this many messages here, at least one; see [`OpenStream::buffer`](crate::OpenStream::buffer).
    pub fn buffer(mut self, messages: u32) -> Self {
        self.buffer = self.buffer.messages(messages);
        self
    }

    /// Buffers this many bytes of messages here; see [`OpenStream::buffer_bytes`](crate::OpenStream::buffer_bytes).
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer = self.buffer.bytes(bytes);
        self
    }

    /// Sets the policy for messages that arrive while the buffer is full; by default, the function waits.
    pub fn lag(mut self, lag: Lag) -> Self {
        self.buffer = self.buffer.lag(lag);
        self
    }

    /// Returns the arguments.
    pub(crate) fn args(&self) -> &dyn Encode {
        &*self.args
    }

    /// Starts the function over `channel` and runs `body`; `peer` explains why the connection was lost.
    pub(crate) async fn open<X, E, F, Fut>(self, channel: &Channel, peer: &impl Explain, body: F) -> Result<X, E>
    where
        E: ScopeError,
        F: FnOnce(StreamReceiver<T>) -> Fut,
        Fut: Future<Output = Result<X, E>>,
    {
        let _shield = Shield::enter();
        let Self { export, args, buffer, .. } = self;
        let intake = buffer.intake(channel.stream_window());
        let terms = export.terms(scope::current_deadline());
        let opened = match OpenedDialog::pull(channel, export.target(), &*args, terms, intake) {
            Ok(opened) => opened,
            Err(error) => return Err(Box::pin(export.told(error, peer)).await.into()),
        };
        drop(args);
        let dialog = opened.handle();
        let stream = StreamReceiver::new(dialog.clone(), intake);
        let scope = CancelScope::of_primitive();
        // In boxes of their own, as in a context: what waits takes no memory for all that may come.
        let body = Box::pin(body(stream));
        // In a shield, so that the enclosing code sees its cancellation only when this is settled.
        let ended = shield(run_for_result(&scope, body)).await;
        if let Ok(Ok(_)) = ended {
            // From here on the peer may be lost: there is nothing more to get from it.
            dialog.note_cancel();
        }
        Box::pin(settle(dialog, export, peer, ended)).await
    }
}

impl<T> fmt::Debug for StreamCall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamCall({})", self.export.path)
    }
}

/// Prepares a stream; `#[pleach::stream]` calls this.
pub fn stream_call<T, A>(export: &'static Export, args: A) -> StreamCall<T>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    T: DeserializeOwned,
{
    fidelity::check(&args);
    StreamCall { export, args: Box::new(args), buffer: Buffer::new(), types: PhantomData }
}

/// Invokes a function of `#[pleach::stream]` that is given its sender; the macro calls this.
pub fn invoke_stream<T, A, R, F>(
    request: DialogRequest<'_>,
    run: impl FnOnce(StreamSender<T>, A) -> F + Send + 'static,
) -> Invoked
where
    T: DeserializeOwned,
    A: DeserializeOwned + Send + 'static,
    F: Future<Output = R> + Send + 'static,
    R: Outcome<Value = ()> + 'static,
{
    request.start(|dialog, args| run(StreamSender::new(dialog, Reads::declared()), args), |()| ())
}

/// As [`invoke_stream`], for a function that returns its messages as a stream.
pub fn invoke_generator<T, A, R, S>(request: DialogRequest<'_>, run: impl FnOnce(A) -> S + Send + 'static) -> Invoked
where
    T: Serialize + DeserializeOwned + Send + 'static,
    A: DeserializeOwned + Send + 'static,
    S: Stream<Item = R> + Send + 'static,
    R: Outcome<Value = T> + 'static,
{
    invoke_stream(request, |out, args| send_all(run(args), out))
}

/// Sends all messages of a stream, up to its first error.
pub(super) async fn send_all<T: Serialize, R: Outcome<Value = T>>(
    stream: impl Stream<Item = R>,
    out: StreamSender<T>,
) -> Settled<()> {
    let mut stream = pin!(stream);
    while let Some(item) = stream.next().await {
        let sent = match item.into_outcome() {
            Ok(message) => out.send(message).await,
            Err(failed) => return Settled(Err(failed)),
        };
        if let Err(failed) = sent {
            return Settled(Err(Raised::new(failed)));
        }
    }
    Settled(Ok(()))
}
