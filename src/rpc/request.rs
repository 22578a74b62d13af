//! A peer's request for a function: its task decodes the arguments, runs the function, and answers.
//!
//! The kinds differ in what their functions are given besides the arguments, and in what these return. No code of the
//! user runs before the task is polled: the message loop only makes it.

use futures_util::future::BoxFuture;
use pleach_wire::Payload;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Outcome, answered};
use super::export::Export;
use super::method::cell::StateCell;
use crate::channel::dialog::DialogHandle;
use crate::decode::decode;

/// A peer's request to run a function: its arguments, still encoded, its dialog if it has one, and where the answer
/// goes.
#[derive(Debug)]
pub struct Request<'a, D = ()> {
    pub(crate) export: &'static Export,
    pub(crate) args: Payload,
    pub(crate) dialog: D,
    pub(crate) answer: Answer,
    /// The state of the actor that is asked.
    pub(crate) state: &'a StateCell,
}

/// A request for a context or a stream.
pub type DialogRequest<'a> = Request<'a, DialogHandle>;

/// The task of a request, which ends with an answer.
pub type Invoked = BoxFuture<'static, ()>;

impl<D: Send + 'static> Request<'_, D> {
    /// Makes the task, which answers with what `wrap` makes of the function's value, or that the arguments do not fit.
    pub(super) fn start<A, R, F, V>(
        self,
        run: impl FnOnce(D, A) -> F + Send + 'static,
        wrap: fn(R::Value) -> V,
    ) -> Invoked
    where
        A: DeserializeOwned + Send + 'static,
        F: Future<Output = R> + Send + 'static,
        R: Outcome + 'static,
        R::Value: 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        let Self { export, args, dialog, answer, .. } = self;
        let channel = answer.channel().clone();
        let task = async move {
            if channel.answers_pile_up() {
                let small = !export.answers_large();
                Box::pin(channel.room_for_answer(small)).await;
            }
            let args = decode(args, &channel).await?;
            drop(channel);
            Ok(run(dialog, args).await)
        };
        answered(task, export, answer, wrap)
    }
}
