//! Cancel scopes: which code a cancellation stops, and which may finish first.
//!
//! tokio cancels a future by dropping it, and a drop can't wait. A [`CancelScope`] polls its body instead, and when it
//! is cancelled it drops the body *only while no shield is held inside*. Code that owes clean-up that takes time (a
//! nursery with children to reap, a call with a peer to notify) holds a shield for its whole life, watches the scope by
//! itself, cleans up when it is cancelled, and then returns [`Error::Cancelled`], which user code passes on with `?`.
//! So clean-up nests inside-out.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use pleach::scope::{CancelScope, shield};
//!
//! let scope = CancelScope::new();
//! let outcome = scope
//!     .run(async {
//!         shield(async {
//!             scope.cancel();
//!             // Shielded code still runs to its end…
//!             tokio::task::yield_now().await;
//!         })
//!         .await;
//!         // …and then the body is dropped at its next wait.
//!         std::future::pending::<()>().await;
//!     })
//!     .await;
//! assert!(outcome.is_err_and(|error| error.is_cancelled()));
//! # }
//! ```
//!
//! A scope spawns no task and waits only for its body. [`open_task_nursery`] spawns: its tasks run beside the body, and
//! fail and end together with it. There is no I/O here and no process; the module works in any tokio program, on both
//! runtime flavours.
//!
//! # Cancellation is level-triggered
//! A cancelled scope stays cancelled. Code in it that goes on all the same, because it ignored an
//! `Err`, meets the cancellation again at its next wait. [`checkpoint`] asks without waiting.
//!
//! # Invariants
//! 1. The scope that a body runs under descends from the scope of the body around it, so cancelling
//!    an outer one reaches all inner ones.
//! 2. A body that runs under a scope shields the body around it until it has ended.
//! 3. Shields are counted per body, not per scope: a shield in one task doesn't hold up another.
//! 4. A body that ends after it was handed the cancellation as an error was cancelled; one that ends
//!    without having noticed keeps its value.
//! 5. The last shield of a cancelled body wakes the task that polls the body, wherever it is released.
//! 6. A deadline's scope is where its body is first polled, not where it was written. A scope of the user is where it
//!    was made; a body of it in a shield sees its own cancellation, and not one from beyond the shield.

use std::future::poll_fn;
use std::pin::pin;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

mod apart;
mod body;
mod deadline;
pub(crate) mod dump;
mod ended;
mod erased;
mod on_drop;
mod run;
mod shield;
mod shields;
mod task;
mod task_nursery;
#[cfg(test)]
mod tests;
mod tree;
mod wait;

pub(crate) use apart::apart;
pub(crate) use ended::{Ended, run_for_result, run_to_end, run_until};
pub(crate) use erased::Erased;
pub(crate) use on_drop::OnDrop;
pub(crate) use wait::{CancelWatch, cancellation, wait};

pub use deadline::{FailAfter, Fallible, MoveOnAfter, fail_after, fail_after_value, move_on_after};
pub use run::Run;
pub use shield::{Shield, Shielded, shield};
pub use task::Task;
pub use task_nursery::{TaskNursery, open_task_nursery};
pub use tree::CancelScope;

/// Returns `Err` if the code that asks is in a cancelled scope, and not in a shield.
///
/// Long computations that never wait call it now and then. Primitives that have cleaned up call it for the error that
/// they return. A body that got its cancellation in this way counts as cancelled: whatever it returns then, its scope
/// reports the cancellation.
///
/// # Errors
/// [`Error::Cancelled`], to be passed on with `?`. Outside of any scope it is always `Ok`.
pub fn checkpoint() -> Result<()> {
    match body::current_node() {
        Some(node) if body::tell_if_cancelled() => Err(Error::Cancelled(node.cause())),
        _ => Ok(()),
    }
}

/// Returns the token that is cancelled when the scope of the code that asks is.
///
/// It is for primitives that hold a [`Shield`] and have to see the cancellation themselves. Outside
/// of any scope, and in a shield, the token is never cancelled. Cancelling the token itself
/// cancels the scope.
pub fn current_token() -> CancellationToken {
    body::current_node().map(|node| node.token().clone()).unwrap_or_default()
}

/// Returns the deadline of the code that asks; none outside of any scope, and in a shield.
pub fn current_deadline() -> Option<Instant> {
    body::current_node()?.deadline()
}

/// Returns the error of this code's own cancellation, if there is one and `error` only echoes it.
///
/// A deadline that travelled with a call passes on both sides at once, so the answer to the call may
/// say so before this side's clock does. The code that set the deadline should learn of it from that.
pub(crate) fn own_cancellation_or(error: Error) -> Error {
    match error.is_cancelled() {
        true => checkpoint().err().unwrap_or(error),
        false => error,
    }
}

/// Waits until the scope of the code that waits is cancelled.
///
/// Outside of any scope, and in a shield, it waits forever. Without a [`Shield`] around, the scope
/// drops the body before anything after this line runs.
///
/// # Cancel safety
/// It changes nothing; drop it and wait again as often as you like.
pub async fn cancelled() {
    let Some(node) = body::current_node() else { return std::future::pending().await };
    let mut cancelled = pin!(node.token().cancelled());
    poll_fn(|cx| dump::in_background(|| cancelled.as_mut().poll(cx))).await;
}
