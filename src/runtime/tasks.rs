//! The tasks of an actor, in three groups.
//!
//! # Invariants
//! 1. `calls` are peers' functions, cancelled by the scope around them all; `listeners` are accept loops;
//!    `services` are connections and keepers of children, which end with the objects they serve. Shutting down waits
//!    for all, in that order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Runtime, within};
use crate::current::Within;
use crate::error::{Cancelled, Error};
use crate::panics;
use crate::scope::CancelScope;
#[cfg(feature = "testing")]
use crate::task_group::Groups;
use crate::task_group::{Grouped, TaskGroup, grouped};

/// What runs in an actor.
#[derive(Debug)]
pub(crate) struct Tasks {
    calls: TaskTracker,
    /// Around all calls.
    scope: CancelScope,
    listeners: TaskTracker,
    /// Ends the accept loops.
    listen_no_more: CancellationToken,
    services: TaskTracker,
    /// All of them, if this actor has no async runtime of its own.
    group: Option<TaskGroup>,
    /// The actors of this tree that have no async runtime of their own.
    #[cfg(feature = "testing")]
    tree: Groups,
    /// Whether the tokio runtime below has one thread.
    one_thread: OnceLock<bool>,
}

impl Tasks {
    pub(super) fn new(group: Option<TaskGroup>) -> Self {
        #[cfg(feature = "testing")]
        let tree = group.as_ref().map(TaskGroup::tree).cloned().unwrap_or_default();
        Self {
            calls: TaskTracker::new(),
            scope: CancelScope::new(),
            listeners: TaskTracker::new(),
            listen_no_more: CancellationToken::new(),
            services: TaskTracker::new(),
            group,
            #[cfg(feature = "testing")]
            tree,
            one_thread: OnceLock::new(),
        }
    }

    /// Makes the scope of a call.
    pub(super) fn call_scope(&self, deadline: Option<Instant>) -> CancelScope {
        match deadline {
            Some(at) => self.scope.child_with_deadline(at),
            None => self.scope.child(),
        }
    }

    /// Starts a call. It may move once it has been polled, so that one that ends at once needs no box.
    pub(super) fn start_call(&self, mut call: impl Future<Output = ()> + Send + Unpin + 'static) {
        if !(self.has_one_thread() && ends_at_once(Pin::new(&mut call))) {
            match &self.group {
                None => self.calls.spawn(call),
                Some(group) => self.calls.spawn(grouped(Some(group), call)),
            };
        }
    }

    fn has_one_thread(&self) -> bool {
        *self.one_thread.get_or_init(|| Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread)
    }

    /// Cancels all calls, and waits for them.
    ///
    /// # Cancel safety
    /// They stay cancelled.
    pub(super) async fn end_calls(&self, cause: Cancelled) {
        self.scope.cancel_because(cause);
        self.calls.close();
        self.calls.wait().await;
    }

    /// Returns how many there are.
    #[cfg(feature = "testing")]
    pub(crate) fn count(&self) -> usize {
        self.calls.len() + self.listeners.len() + self.services.len()
    }

    pub(super) fn listeners(&self) -> &TaskTracker {
        &self.listeners
    }

    /// Waits until this actor listens no more.
    pub(crate) async fn until_listeners_end(&self) {
        self.listen_no_more.cancelled().await;
    }

    /// Ends the listeners, and waits for them.
    ///
    /// # Cancel safety
    /// They end all the same.
    pub(super) async fn end_listeners(&self) {
        self.listen_no_more.cancel();
        self.listeners.close();
        self.listeners.wait().await;
    }

    /// Returns the group that these are, if this actor has no async runtime of its own.
    pub(crate) fn group(&self) -> Option<&TaskGroup> {
        self.group.as_ref()
    }

    /// Returns the actors of this tree that have no async runtime of their own. They may outlive their parents, and the
    /// root waits for them.
    #[cfg(feature = "testing")]
    pub(crate) fn tree(&self) -> &Groups {
        &self.tree
    }

    /// Returns the tasks that end with the objects they serve.
    pub(crate) fn services(&self) -> &TaskTracker {
        &self.services
    }

    /// Waits for the services.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn services_ended(&self) {
        self.services.close();
        self.services.wait().await;
    }
}

impl Runtime {
    /// Runs a future that lives as long as the object it serves (invariant 1). Its panic is the actor's failure.
    pub(crate) fn keep(self: &Arc<Self>, service: impl Future<Output = ()> + Send + 'static) {
        self.keep_among(self.tasks.services(), service);
    }

    pub(super) fn keep_among(
        self: &Arc<Self>,
        tasks: &TaskTracker,
        service: impl Future<Output = ()> + Send + 'static,
    ) {
        let runtime = self.clone();
        let guarded = async move {
            if AssertUnwindSafe(service).catch_unwind().await.is_err() {
                let panic = panics::take_caught().message;
                runtime.fail(Error::Panicked(format!("{panic}, in the runtime of {}", runtime.id())));
            }
        };
        match self.tasks.group() {
            None => tasks.spawn(guarded),
            Some(_) => tasks.spawn(self.task(guarded)),
        };
    }

    /// Makes a task one of this actor's, which ends with it. Its owner spawns it, and waits for it.
    pub(crate) fn task<F: Future<Output = ()>>(self: &Arc<Self>, task: F) -> Grouped<Within<F>> {
        grouped(self.tasks.group(), within(self.clone(), task))
    }
}

/// Polls a task where it was asked for; returns whether that was all of it, and no task need be started.
///
/// This is for runtimes of one thread: there, the task would be polled next anyway, and nothing runs
/// meanwhile. Wake-ups of this first poll are not noted: it is polled again as a task of its own.
fn ends_at_once(task: Pin<&mut impl Future<Output = ()>>) -> bool {
    let polled = catch_unwind(AssertUnwindSafe(|| task.poll(&mut Context::from_waker(Waker::noop()))));
    !matches!(polled, Ok(Poll::Pending))
}

/// Spawns a task that outlives its owner; the program waits for it before it ends.
pub(crate) fn leave_to_reaper(work: BoxFuture<'static, ()>) {
    if Handle::try_current().is_ok() {
        LEFT_OVER.get_or_init(TaskTracker::new).spawn(work);
    }
}

/// Waits for everything that was left to the reaper.
pub(crate) async fn wait_for_reaper() {
    if let Some(left_over) = LEFT_OVER.get() {
        left_over.close();
        left_over.wait().await;
    }
}

static LEFT_OVER: OnceLock<TaskTracker> = OnceLock::new();
