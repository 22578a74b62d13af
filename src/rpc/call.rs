//! A call that has not been made yet: the return value of an exposed function.

use std::fmt;
use std::future::IntoFuture;

use bytes::Bytes;
use pleach_wire::{Blob, ByteStr, Encode, Payload, TransportError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::fidelity;
use crate::rpc::export::{BoxFuture, Export, Outcome};

/// A function of `#[pleach::rpc]` together with its arguments, ready to run anywhere.
///
/// Awaiting it runs it here, in the current task. [`Portal::run`](crate::Portal::run) runs it in
/// another actor, [`Nursery::run_in_actor`](crate::Nursery::run_in_actor) in a new one. Dropping it
/// does nothing.
///
/// ```
/// #[pleach::rpc]
/// async fn add(a: i64, b: i64) -> pleach::Result<i64> {
///     Ok(a + b)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let call: pleach::Call<i64> = add(1, 2);
/// assert_eq!(call.await?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a call does nothing until it is awaited or given to a portal"]
pub struct Call<T> {
    export: &'static Export,
    body: Box<dyn Body<T>>,
    decode: Decode<T>,
}

/// How the value that comes back is read.
pub(crate) type Decode<T> = fn(&Payload) -> std::result::Result<T, TransportError>;

trait Body<T>: Send {
    fn args(&self) -> &dyn Encode;
    fn run(self: Box<Self>) -> BoxFuture<Result<T>>;
}

struct Prepared<A, F> {
    args: A,
    run: F,
}

impl<A, F, Fut, R> Body<R::Value> for Prepared<A, F>
where
    A: Serialize + DeserializeOwned + Send,
    F: FnOnce(A) -> Fut + Send,
    Fut: Future<Output = R> + Send + 'static,
    R: Outcome,
{
    fn args(&self) -> &dyn Encode {
        fidelity::check(&self.args);
        &self.args
    }

    fn run(self: Box<Self>) -> BoxFuture<Result<R::Value>> {
        let task = (self.run)(self.args);
        Box::pin(async move { task.await.into_outcome().map_err(|raised| Error::from_boxed(raised.into_error())) })
    }
}

impl<T> Call<T> {
    /// Returns the module of the function, as in `.enable(…)`.
    pub fn module(&self) -> &'static str {
        self.export.module()
    }

    /// Returns the name of the function.
    pub fn name(&self) -> &'static str {
        self.export.name
    }

    pub(crate) fn target(&self) -> ByteStr {
        ByteStr::from_static(self.export.path)
    }

    pub(crate) fn export(&self) -> &'static Export {
        self.export
    }

    pub(crate) fn args(&self) -> &dyn Encode {
        self.body.args()
    }

    pub(crate) fn decoder(&self) -> Decode<T> {
        self.decode
    }
}

impl<T> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = BoxFuture<Result<T>>;

    fn into_future(self) -> Self::IntoFuture {
        self.body.run()
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({})", self.export.path)
    }
}

/// Prepares a call; `#[pleach::rpc]` calls this.
pub fn call<A, F, Fut, R>(export: &'static Export, args: A, run: F) -> Call<R::Value>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: Outcome,
    R::Value: DeserializeOwned,
{
    Call { export, body: Box::new(Prepared { args, run }), decode: Payload::decode }
}

/// As [`call`], for a function that returns a byte string.
pub fn call_blob<A, F, Fut, R>(export: &'static Export, args: A, run: F) -> Call<Bytes>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: Outcome<Value = Bytes>,
{
    let decode = |payload: &Payload| payload.decode::<Blob>().map(|blob| blob.0);
    Call { export, body: Box::new(Prepared { args, run }), decode }
}
