//! A peer's request for a function: its arguments are decoded, and its task is made.
//!
//! The kinds differ in what their functions are given besides the arguments, and in what these return.

use futures_util::future::BoxFuture;
use pleach_wire::{Payload, TransportError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Outcome, answered};
use crate::channel::dialog::DialogHandle;

/// A peer's request to run a function: its arguments, still encoded, its dialog if it has one, and where the answer
/// goes.
#[derive(Debug)]
pub struct Request<D = ()> {
    pub(crate) args: Payload,
    pub(crate) dialog: D,
    pub(crate) answer: Answer,
}

/// A request for a context or a stream.
pub type DialogRequest = Request<DialogHandle>;

/// The result of a request: a task to run, or arguments that do not fit.
pub type Invoked = Result<BoxFuture<'static, ()>, (TransportError, Answer)>;

impl<D> Request<D> {
    /// Decodes the arguments and makes the task, which answers with what `wrap` makes of the function's value.
    ///
    /// # Errors
    /// The arguments do not fit.
    pub(super) fn start<A, R, F, V>(self, run: impl FnOnce(D, A) -> F, wrap: fn(R::Value) -> V) -> Invoked
    where
        A: DeserializeOwned,
        F: Future<Output = R> + Send + 'static,
        R: Outcome,
        R::Value: 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        let Self { args, dialog, answer } = self;
        match args.decode() {
            Ok(args) => Ok(answered(run(dialog, args), answer, wrap)),
            Err(why) => Err((why, answer)),
        }
    }
}
