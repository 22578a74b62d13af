//! The answer to a request: the function's value, or how it failed.
//!
//! # What must stay true
//! 1. The arguments of the request are released before it is answered.
//! 2. An [`Answer`] that is dropped has answered: with the cancellation or the panic of its task, if with nothing else.
//! 3. A value that panics while it is encoded counts as a panic of its task.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, OptionFuture};
use pleach_wire::codec::Measured;
use pleach_wire::{Cid, Encode, TransportError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::export::Export;
use crate::channel::Channel;
use crate::crash::{self, Failed};
use crate::error::{BoxError, Raised, Refusal};
use crate::fidelity;
use crate::panics::{Answered, Panic};
use crate::scope::{self, Shield};
use crate::telemetry::calls::{CallOutcome, Observed};
use crate::traces;

/// The duty to answer one request.
pub(crate) struct Answer {
    channel: Channel,
    cid: Cid,
    done: bool,
    observed: Observed,
    /// Bytes of arguments that are held for it.
    held: usize,
}

impl Answer {
    pub(crate) fn new(channel: Channel, cid: Cid) -> Self {
        Self { channel, cid, done: false, observed: Observed::default(), held: 0 }
    }

    /// Takes in the arguments of the request, of so many bytes.
    ///
    /// # Errors
    /// The connection holds as many as it may.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.held = self.channel.hold(bytes)?;
        Ok(())
    }

    /// Lets go of the arguments: the function has ended, or will not be run.
    fn release(&mut self) {
        self.channel.release_held(std::mem::take(&mut self.held));
    }

    /// Notes the end of the function where it is observed.
    pub(crate) fn observed(mut self, observed: Observed) -> Self {
        self.observed = observed;
        self
    }

    /// Returns the connection that it goes over.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Answers with the value of a function.
    fn value(mut self, value: impl Encode, export: &Export) {
        self.observed.end(CallOutcome::Returned);
        self.release();
        let value = Measured::new(&value);
        self.channel.answer(self.cid, &value);
        export.note_answer(value.len());
        self.done = true;
    }

    /// Answers with a failure once its backtrace is text; a cancelled task waits no longer for that.
    async fn failure(mut self, failure: Failure) {
        let _shield = Shield::enter(); // the failure is older than a cancellation that comes now
        let backtrace = match failure.resolve() {
            None => None,
            Some(resolved) => tokio::select! {
                biased;
                text = resolved => text,
                () = scope::cancelled() => None,
            },
        };
        self.observed.end(failure.call_outcome());
        self.release();
        match failure {
            Failure::Raised(raised) => self.channel.answer_failure(self.cid, Raised { backtrace, ..raised }),
            Failure::Panic(panic) => self.channel.answer_panic(self.cid, panic, backtrace),
        }
        self.done = true;
    }

    /// Answers with nothing but that it was done.
    pub(crate) fn acknowledge(mut self) {
        self.channel.answer(self.cid, &());
        self.done = true;
    }

    /// Answers that the arguments are not those of the function.
    #[cold]
    fn refuse_arguments(self, export: &Export, why: &TransportError) {
        let why = Refusal::BadArguments { expected: export.signature(), why: why.to_string() };
        self.refuse(export.path.to_owned(), why);
    }

    /// Answers that the function will not be run.
    pub(crate) fn refuse(mut self, function: String, why: Refusal) {
        self.observed.end(CallOutcome::Refused);
        self.release();
        self.channel.refuse(self.cid, function, why);
        self.done = true;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.done {
            self.release();
            self.channel.answer_dropped(self.cid);
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({} to {})", self.cid, self.channel.peer())
    }
}

/// The return types of exposed functions.
pub trait Outcome: Send {
    /// The value on success.
    type Value: Send;

    /// Splits it into the value, or the error and its details.
    ///
    /// # Errors
    /// The function's own error.
    fn into_outcome(self) -> Result<Self::Value, Raised>;
}

impl<T: Send, E: Into<BoxError> + Send + 'static> Outcome for Result<T, E> {
    type Value = T;

    fn into_outcome(self) -> Result<T, Raised> {
        self.map_err(Raised::new)
    }
}

/// What a function has come to, whose error keeps the name of its type.
pub(crate) struct Settled<T>(pub(crate) Result<T, Raised>);

impl<T: Send> Outcome for Settled<T> {
    type Value = T;

    fn into_outcome(self) -> Result<T, Raised> {
        self.0
    }
}

/// Runs the task of a function and answers with its result, or that its arguments could not be read.
pub(crate) fn answered<R, F, V>(
    task: F,
    export: &'static Export,
    answer: Answer,
    wrap: fn(R::Value) -> V,
) -> BoxFuture<'static, ()>
where
    F: Future<Output = Result<R, TransportError>> + Send + 'static,
    R: Outcome,
    R::Value: 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    // Not an async block, which would have room for the task twice: as what it owns, and as what it waits for.
    let conclude = move |ended| {
        let failed = match ended {
            Ok(Ok(ended)) => answer_value(Ok(ended), answer, export, wrap),
            Ok(Err(why)) => {
                answer.refuse_arguments(export, &why);
                None
            }
            Err(panic) => answer_value::<R, V>(Err(panic), answer, export, wrap),
        };
        // In a box of its own, so that successful calls do not grow.
        OptionFuture::from(failed.map(|(failure, answer)| Box::pin(answer.failure(failure))))
    };
    Box::pin(Answered::new(task).then(conclude).map(drop))
}

/// Answers with the value, or returns how the task failed. The value is gone before anything waits, so that it need not
/// be `Send` by itself.
fn answer_value<R: Outcome, V: Serialize + DeserializeOwned + 'static>(
    ended: Result<R, Panic>,
    answer: Answer,
    export: &Export,
    wrap: fn(R::Value) -> V,
) -> Option<(Failure, Answer)> {
    match ended.map(Outcome::into_outcome) {
        Ok(Ok(value)) => {
            let value = wrap(value);
            fidelity::check(&value);
            answer.value(value, export);
            None
        }
        Ok(Err(raised)) => {
            if raised.cancellation().is_none() {
                crash::failed(|| Failed { type_name: raised.type_name, error: Some(raised.error()) });
            }
            Some((Failure::Raised(raised), answer))
        }
        Err(panic) => Some((Failure::Panic(panic), answer)),
    }
}

/// How a task failed.
enum Failure {
    Raised(Raised),
    Panic(Panic),
}

impl Failure {
    fn call_outcome(&self) -> CallOutcome {
        match self {
            Self::Raised(raised) if raised.cancellation().is_some() => CallOutcome::Cancelled,
            Self::Raised(_) => CallOutcome::Failed,
            Self::Panic(_) => CallOutcome::Panicked,
        }
    }

    /// Returns the text of its backtrace, to be made while that is awaited; `None` if it has none.
    fn resolve(&self) -> Option<BoxFuture<'static, Option<String>>> {
        match self {
            Self::Raised(raised) => Some(Box::pin(traces::text(raised.traced()?, |error| error.backtrace()))),
            Self::Panic(panic) => Some(Box::pin(traces::text(panic.backtrace.clone()?, |backtrace| backtrace))),
        }
    }
}
