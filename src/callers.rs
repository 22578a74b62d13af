//! The calls of methods that wait for the running code, the outermost first.
//!
//! They travel with the arguments of each call that a method makes by a handle, and pass to the tasks that it
//! starts in a nursery. An actor that is asked on behalf of one of them, while that one has its state, would wait for
//! itself: see [`Slot`](crate::rpc::method::cell::Slot).

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};

use crate::task_local;

/// A call of a method, anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(u64);

impl CallId {
    /// Returns one that no other call has, here or, as far as chance goes, elsewhere.
    pub(crate) fn next() -> Self {
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0)));
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The calls that wait for some code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<CallId>", into = "Vec<CallId>")]
pub struct Callers(Vec<CallId>);

impl Callers {
    /// Returns those of the running code.
    pub fn current() -> Self {
        task_local::look(&CURRENT, Clone::clone).unwrap_or_default()
    }

    /// Returns whether there are none.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, call: CallId) -> bool {
        self.0.contains(&call)
    }

    /// Adds the call that is the next to wait.
    pub(crate) fn joined_by(mut self, call: CallId) -> Self {
        self.0.push(call);
        Self::from(self.0)
    }

    /// Runs code that they wait for.
    pub(crate) fn around<F>(self, body: F) -> Around<F> {
        Around { body, callers: Some(self) }
    }
}

impl From<Vec<CallId>> for Callers {
    /// A peer may send any number of them: the last ones count.
    fn from(mut calls: Vec<CallId>) -> Self {
        calls.drain(..calls.len().saturating_sub(MOST));
        Self(calls)
    }
}

impl From<Callers> for Vec<CallId> {
    fn from(callers: Callers) -> Self {
        callers.0
    }
}

pin_project! {
    /// A future that calls wait for.
    pub(crate) struct Around<F> {
        #[pin]
        body: F,
        callers: Option<Callers>,
    }
}

impl<F: Future> Future for Around<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        task_local::within(&CURRENT, this.callers, || this.body.poll(cx))
    }
}

thread_local! {
    static CURRENT: Cell<Option<Callers>> = const { Cell::new(None) };
}

/// How many are known. An actor that is asked by way of more others than this is not found to wait for itself.
const MOST: usize = 64;
