//! The tasks of an actor that shares an async runtime with other actors: they are named, and ended, together.
//!
//! Most actors have an async runtime of their own, and dropping that ends their tasks: they are in no such group. It is
//! for those that share the runtime, and the clock, of a test: see `spawn::one_clock`.
//!
//! # Invariants
//! 1. Once a group is killed, none of its tasks is polled again; each is dropped, where its actor is the current one.
//! 2. A group has ended when all of its tasks have been dropped.

use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::OnceLock;
#[cfg(feature = "testing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use pleach_wire::log;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The tasks of one actor.
#[derive(Clone, Debug)]
pub(crate) struct TaskGroup(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The actor's name.
    name: Arc<str>,
    killed: CancellationToken,
    tasks: TaskTracker,
    #[cfg(feature = "testing")]
    tree: Groups,
}

/// All groups of a tree: each is an actor, and has a task that lives as long as that.
#[cfg(feature = "testing")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    actors: TaskTracker,
    killed: CancellationToken,
    schedule: Arc<OnceLock<Schedule>>,
}

/// The seed of a tree's schedule, and how many others were made of it.
#[cfg(feature = "testing")]
#[derive(Debug)]
struct Schedule {
    seed: u64,
    made: AtomicU64,
}

#[cfg(feature = "testing")]
impl Groups {
    /// Makes the group of an actor of that name.
    pub(crate) fn add(&self, name: &str) -> TaskGroup {
        let (killed, tasks) = (self.killed.child_token(), TaskTracker::new());
        TaskGroup(Arc::new(Inner { name: name.into(), killed, tasks, tree: self.clone() }))
    }

    /// Starts the task of an actor.
    pub(crate) fn start(&self, actor: impl Future<Output = ()> + Send + 'static) {
        self.actors.spawn(actor);
    }

    /// Waits until all actors have ended.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn ended(&self) {
        self.actors.close();
        self.actors.wait().await;
    }

    /// Sets the seed of the schedule; returns whether there was none.
    pub(crate) fn set_seed(&self, seed: u64) -> bool {
        self.schedule.set(Schedule { seed, made: AtomicU64::new(0) }).is_ok()
    }

    /// Makes another seed of that of the schedule, if there is one: for the next connection.
    pub(crate) fn next_seed(&self) -> Option<u64> {
        let Schedule { seed, made } = self.schedule.get()?;
        Some(seed.rotate_left(32) ^ made.fetch_add(1, Ordering::Relaxed))
    }

    /// Kills all groups, also those that are yet to come.
    pub(crate) fn kill(&self) {
        self.killed.cancel();
    }
}

impl TaskGroup {
    /// Returns all groups of the tree.
    #[cfg(feature = "testing")]
    pub(crate) fn tree(&self) -> &Groups {
        &self.0.tree
    }

    /// Ends all tasks at their next poll, which this brings about.
    #[cfg(feature = "testing")]
    pub(crate) fn kill(&self) {
        self.0.killed.cancel();
    }

    /// Waits until it is killed.
    #[cfg(feature = "testing")]
    pub(crate) async fn until_killed(&self) {
        self.0.killed.cancelled().await;
    }

    /// Waits until all tasks have ended.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    #[cfg(feature = "testing")]
    pub(crate) async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Has the records that this thread makes bear the actor's name, until the guard is dropped.
    pub(crate) fn named(&self) -> NamedThread {
        NamedThread { around: log::replace_thread_origin(Some(self.0.name.clone())) }
    }
}

/// Makes a task one of a group, if its actor has one.
pub(crate) fn grouped<F: Future<Output = ()>>(group: Option<&TaskGroup>, task: F) -> Grouped<F> {
    Grouped {
        body: Some(task),
        in_group: group.map(|group| {
            let killed = Box::pin(group.0.killed.clone().cancelled_owned());
            InGroup { killed, _counted: group.0.tasks.token() }
        }),
    }
}

/// The thread makes records of the actor around again when this is dropped.
pub(crate) struct NamedThread {
    around: Option<Arc<str>>,
}

impl Drop for NamedThread {
    fn drop(&mut self) {
        log::replace_thread_origin(self.around.take());
    }
}

struct InGroup {
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Dropped after the body: invariant 2.
    _counted: TaskTrackerToken,
}

pin_project! {
    /// A task that ends with its group.
    pub(crate) struct Grouped<F> {
        #[pin]
        body: Option<F>,
        in_group: Option<InGroup>,
    }
}

impl<F: Future<Output = ()>> Future for Grouped<F> {
    type Output = ();

    /// # Panics
    /// When polled again after it ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(in_group) = this.in_group
            && in_group.killed.as_mut().poll(cx).is_ready()
        {
            this.body.set(None);
            return Poll::Ready(());
        }
        this.body.as_pin_mut().expect("it is not polled after it ended").poll(cx)
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::future::pending;

    use super::*;

    fn group(name: &str) -> TaskGroup {
        Groups::default().add(name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_ends_when_the_last_of_its_tasks_was_dropped() {
        let (group, kept) = (group("worker"), Arc::new(()));
        let tasks = TaskTracker::new();
        for _ in 0..3 {
            let kept = kept.clone();
            tasks.spawn(grouped(Some(&group), async move {
                let _kept = kept;
                pending().await
            }));
        }
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&kept), 4);
        group.kill();
        group.ended().await;
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    #[tokio::test]
    async fn a_task_that_begins_after_the_end_is_not_polled() {
        let group = group("worker");
        group.kill();
        grouped(Some(&group), async { panic!("it is polled") }).await;
    }

    #[test]
    fn a_thread_gets_back_the_name_that_it_had() {
        let [outer, inner] = ["outer", "inner"].map(group);
        let _outer = outer.named();
        drop(inner.named());
        assert_eq!(log::thread_origin().as_deref(), Some("outer"));
    }
}
