//! A nursery of tasks: futures that run beside a block of code, and fail and end together with it.
//!
//! ```text
//! Open ── body returned ──► Joining ── all tasks have ended ──► Closed
//!   │                          │
//!   └── body or a task failed, or the scope around was cancelled ──► Cancelling ──► Closed
//! ```
//! Tasks may start further ones until the nursery is cancelled or closed. Processes are the business
//! of [`open_nursery`](crate::open_nursery), which fails and ends by the same rules.
//!
//! # Invariants
//! 1. A failure is recorded before the nursery is cancelled, so that code that sees the cancellation finds the reason.
//! 2. Whether the nursery is closed, and whether a task is admitted, is decided under one lock: no task comes after the
//!    last one that was waited for.
//! 3. The nursery's own code runs in a shield and so never sees a cancellation; the enclosing code sees it only if it
//!    gets nothing worse. Otherwise the enclosing scope would take a failure for an echo of the cancellation, and drop
//!    it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::checkpoint;
use super::ended::{Ended, run_to_end};
use super::erased::Erased;
use super::on_drop::OnDrop;
use super::shield::shield;
use super::task::Task;
use super::tree::CancelScope;
use crate::callers::Callers;
use crate::current;
use crate::error::{BoxError, Cancelled, Error, Result, ScopeError, boxed};
use crate::sync::lock;
use crate::telemetry::calls::in_current_span;

/// Opens a nursery for tasks, runs `body` in it, and waits until every task started in it has ended.
///
/// When `body` or a task fails, or the scope around is cancelled, `body` and all tasks are cancelled.
/// They are dropped as under any [`CancelScope`]: at once, or when no shield is held in them any more.
/// Nothing that was started here is left when this returns.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> pleach::Result<()> {
/// use pleach::{Error, open_task_nursery};
///
/// let sum = open_task_nursery(async |t| {
///     let one = t.spawn(async { Ok::<_, Error>(1) })?;
///     let two = t.spawn(async { "2".parse::<i32>() })?; // any error type
///     Ok::<_, Error>(one.join().await? + two.join().await?)
/// })
/// .await?;
/// assert_eq!(sum, 3);
///
/// let failed = open_task_nursery(async |t| {
///     t.spawn(async { "two".parse::<i32>() })?; // not joined, and still its failure is not lost
///     std::future::pending::<pleach::Result<()>>().await
/// })
/// .await;
/// assert_eq!(failed.unwrap_err().to_string(), "invalid digit found in string");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of `body`, unchanged. Errors of tasks come through `From<Error>`. Several failures are a group, `body`'s
/// first; a failure that was joined and passed on counts once. Errors that only echo the nursery's cancellation are
/// dropped. A panic, of a task or of `body`, is [`Error::Panicked`].
///
/// If nothing failed but the nursery was cancelled, it is [`Error::Cancelled`], to be passed on with
/// `?`; also when `body` has returned and only a task was cut short, as its work is missing then. A
/// foreign error that a cancelled `body` returns is wrapped as [`Error::Local`].
///
/// # Cancel safety
/// If dropped, `body` is dropped and the tasks are cancelled. Shielded code in them goes on in the background, without
/// being waited for, and its failures are only logged.
#[expect(unsafe_code, reason = "see `Erased`")]
pub fn open_task_nursery<'a, T, E, F, Fut>(body: F) -> impl Future<Output = Result<T, E>> + use<'a, T, E, F, Fut>
where
    T: 'a,
    E: ScopeError,
    F: FnOnce(TaskNursery) -> Fut + 'a,
    Fut: Future<Output = Result<T, E>> + 'a,
{
    // SAFETY: that is what `is_send` checks.
    unsafe { Erased::<Result<T, E>, F, Fut>::new(open(body)) }
}

#[expect(dead_code, reason = "the compiler has it")]
fn is_send<T, E, F, Fut>(body: F) -> impl Send
where
    T: Send,
    E: ScopeError,
    F: FnOnce(TaskNursery) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
{
    open(body)
}

async fn open<T, E, F, Fut>(body: F) -> Result<T, E>
where
    E: ScopeError,
    F: FnOnce(TaskNursery) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    checkpoint()?;
    let inner = Inner { scope: CancelScope::of_primitive(), tasks: TaskTracker::new(), state: Mutex::default() };
    let nursery = TaskNursery(Arc::new(inner));
    let dropped = nursery.clone();
    let guard = OnDrop::new(move || dropped.abandon());
    // Invariant 3.
    let ended = shield(async {
        let ended = run_to_end(&nursery.0.scope, async { body(nursery.clone()).await }).await;
        if !matches!(ended, Ended::Returned(Ok(_))) {
            nursery.0.scope.cancel_because(Cancelled::Nursery);
        }
        nursery.join_all().await;
        ended
    })
    .await;
    guard.disarm();
    nursery.outcome(ended)
}

/// A handle on an open nursery, with which its body and its tasks start tasks. Dropping it does nothing.
#[derive(Clone)]
pub struct TaskNursery(Arc<Inner>);

struct Inner {
    /// Around the body and all tasks; cancelled when one of them fails.
    scope: CancelScope,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// A task was cancelled before it came to its end.
    cut_short: bool,
    failures: Vec<Failure>,
}

struct Failure {
    error: Error,
    /// The task had a handle, so the error may turn up a second time.
    joinable: bool,
}

impl TaskNursery {
    /// Starts a task. It begins at the caller's next wait, or at once on another thread.
    ///
    /// The caller bounds their number. The task runs under the nursery's scope, wherever
    /// the caller is, a shield included. Like every task it owns what it uses, and takes over no
    /// task-locals of the program's own. It belongs to the actor that the caller belongs to.
    ///
    /// Let the handle go if only the task's failure matters; that one the nursery reports itself.
    ///
    /// # Errors
    /// [`Error::Usage`] when the nursery is closed, because it was left or dropped;
    /// [`Error::Cancelled`] when the nursery or the caller is cancelled. The task was dropped then.
    ///
    /// # Panics
    /// When called outside of a tokio runtime.
    pub fn spawn<T, E, F>(&self, task: F) -> Result<Task<T>>
    where
        T: Send + 'static,
        E: Into<BoxError> + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        checkpoint()?;
        let admitted = self.admit()?;
        let (settle, result) = oneshot::channel();
        let nursery = self.clone();
        let run = async move {
            let task = async { task.await.map_err(|error| Error::from_boxed(boxed(error))) };
            let ended = run_to_end(&nursery.0.scope, task).await;
            let result = nursery.judge(ended, !settle.is_closed());
            // Without a receiver the task was not to be joined.
            let _ = settle.send(result);
        };
        // What waits for the code that starts it waits for the task, too.
        self.0.tasks.spawn(in_current_span(current::task(Callers::current().around(run))));
        drop(admitted);
        Ok(Task::new(result))
    }

    /// Admits a task (invariant 2). Leaving the nursery waits for the token.
    fn admit(&self) -> Result<TaskTrackerToken> {
        let state = self.state();
        if state.closed {
            return Err(Error::Usage("this task nursery is closed: spawn while its body or a task runs".into()));
        }
        match self.0.scope.cancel_called() {
            false => Ok(self.0.tasks.token()),
            true => Err(self.0.scope.error()),
        }
    }

    /// Makes a task's result of how it ended, and records it if that was a failure.
    fn judge<T>(&self, ended: Ended<Result<T>>, joinable: bool) -> Result<T> {
        let error = match ended {
            Ended::Returned(Ok(value)) => return Ok(value),
            Ended::Returned(Err(error)) | Ended::Cancelled(Some(Err(error))) | Ended::Panicked(error) => error,
            Ended::Cancelled(_) => self.0.scope.error(),
        };
        if self.0.scope.cancel_called() && error.is_cancelled() {
            self.state().cut_short = true;
            self.note_cut_short();
            return Err(self.0.scope.error());
        }
        self.fail(Failure { error: error.clone(), joinable });
        Err(error)
    }

    /// Records the end of a task that was cancelled; it is named as tokio names it.
    fn note_cut_short(&self) {
        let took = self.0.scope.cancelled_since().map(|since| since.elapsed());
        let (task, why) = (tokio::task::try_id(), self.0.scope.cause());
        if let (Some(task), Some(took), Some(why)) = (task, took, why) {
            debug!(target: "pleach::cancel", %task, ?took, %why, "a task of a nursery was cancelled");
        }
    }

    /// Records a failure and cancels everything (invariant 1).
    fn fail(&self, failure: Failure) {
        let error = failure.error.clone();
        let (too_late, is_new) = {
            let mut state = self.state();
            let is_new = !state.closed && !Failure::is_among(&state.failures, &error);
            if is_new {
                state.failures.push(failure);
            }
            (state.closed, is_new)
        };
        self.0.scope.cancel_because(Cancelled::Nursery);
        if too_late {
            warn!(target: "pleach::cancel", %error, "a task failed after its nursery was dropped");
        } else if is_new {
            debug!(target: "pleach::cancel", %error, "a task failed: cancelled its nursery");
        }
    }

    /// Waits for all tasks, and for those that they start meanwhile, and closes the nursery.
    async fn join_all(&self) {
        self.0.tasks.close();
        loop {
            self.0.tasks.wait().await;
            let mut state = self.state();
            // Invariant 2: the code around has a handle too, and may have got a task in since.
            if self.0.tasks.is_empty() {
                state.closed = true;
                return;
            }
        }
    }

    /// Makes one result of the body's end and the tasks' failures.
    fn outcome<T, E: ScopeError>(&self, ended: Ended<Result<T, E>>) -> Result<T, E> {
        let (failures, cut_short) = {
            let mut state = self.state();
            (std::mem::take(&mut state.failures), state.cut_short)
        };
        let found = failures.iter().map(|failure| failure.error.clone()).collect();
        ended.settle(&self.0.scope, !cut_short, found, |own| Failure::is_among(&failures, own))
    }

    /// Cancels the tasks of a nursery that is dropped instead of left.
    fn abandon(&self) {
        let failures = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.failures)
        };
        self.0.scope.cancel_because(Cancelled::Nursery);
        for Failure { error, .. } in failures {
            warn!(target: "pleach::cancel", %error, "a task failed, and its nursery was dropped");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl fmt::Debug for TaskNursery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (closed, tasks) = (self.state().closed, self.0.tasks.len());
        f.debug_struct("TaskNursery").field("closed", &closed).field("tasks", &tasks).finish()
    }
}

impl Failure {
    /// Returns whether an error is recorded already, and comes back by way of a handle.
    fn is_among(failures: &[Self], error: &Error) -> bool {
        // On its way it may have changed its type.
        failures.iter().any(|Self { error: found, joinable }| match joinable {
            true => found.came_back_as(error),
            false => found.is_same_failure(error),
        })
    }
}
