//! Which actor the current code belongs to.

use std::sync::{Arc, Mutex, Weak};

use super::Runtime;
use crate::sync::lock;

/// Runs `body` as a part of this actor: code in it finds it with [`current`].
pub(crate) fn within<F: Future>(runtime: Arc<Runtime>, body: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(runtime, body)
}

/// Returns the actor that the current code belongs to.
///
/// Tasks that the runtime starts know theirs; code elsewhere belongs to the actor of the process. A root that is
/// shutting down is no longer current: the next one may be opened meanwhile.
pub(crate) fn current() -> Option<Arc<Runtime>> {
    current_task().or_else(|| lock(&OF_PROCESS).upgrade().filter(|actor| !actor.is_leaving_root()))
}

/// Returns the actor whose task the current code is, if the runtime started that task.
pub(crate) fn current_task() -> Option<Arc<Runtime>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Returns whether this is the actor of the process.
pub(super) fn is_of_process(runtime: &Arc<Runtime>) -> bool {
    std::ptr::eq(lock(&OF_PROCESS).as_ptr(), Arc::as_ptr(runtime))
}

/// Makes this the actor of the process, unless there is one.
pub(crate) fn claim_process(runtime: &Arc<Runtime>) {
    let mut holder = lock(&OF_PROCESS);
    if holder.upgrade().is_none_or(|actor| actor.is_leaving_root()) {
        *holder = Arc::downgrade(runtime);
    }
}

tokio::task_local! {
    static CURRENT: Arc<Runtime>;
}

static OF_PROCESS: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());
