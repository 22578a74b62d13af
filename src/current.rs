//! Which actor the running task belongs to, for those who have to hand that on without knowing what an actor is.
//!
//! A process may hold several: its own, and those that are started in memory. What an actor is, and which one code
//! belongs to that is in none of its tasks, is for [`crate::runtime`] to say.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

type Current = Option<Arc<dyn Any + Send + Sync>>;

/// Runs `body` as a part of an actor: code in it finds that with [`get`].
pub(crate) fn within<A: Any + Send + Sync, F: Future>(actor: Arc<A>, body: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(Some(actor), body)
}

/// Returns the actor that the running task belongs to, if it has been said.
pub(crate) fn get<A: Any + Send + Sync>() -> Option<Arc<A>> {
    CURRENT.try_with(Clone::clone).ok().flatten()?.downcast().ok()
}

/// Has a task that is started here belong to the same actor as the code that starts it.
pub(crate) fn inherited<F: Future>(task: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(CURRENT.try_with(Clone::clone).ok().flatten(), task)
}

tokio::task_local! {
    static CURRENT: Current;
}
