//! Which actor the running task belongs to, for those who have to hand that on without knowing what an actor is.
//!
//! A process may hold several: its own, and those that are started in memory. What an actor is, and which one code
//! belongs to that is in none of its tasks, is for [`crate::runtime`] to say.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::task_group::{Grouped, NamedThread, TaskGroup, grouped};
use crate::task_local;

type Current = Option<Home>;

/// What belongs to an actor.
#[derive(Clone)]
struct Home {
    actor: Arc<dyn Any + Send + Sync>,
    /// That of the actor's tasks, if there is one.
    group: Option<TaskGroup>,
}

/// Runs `body` as a part of an actor: code in it finds that with [`get`]. The tasks of the actor may be a `group`.
pub(crate) fn within<A, F>(actor: Arc<A>, group: Option<TaskGroup>, body: F) -> Within<F>
where
    A: Any + Send + Sync,
    F: Future,
{
    Within { body: Some(body), actor: Some(Some(Home { actor, group })) }
}

/// Returns the actor that the running task belongs to, if it has been said.
pub(crate) fn get<A: Any + Send + Sync>() -> Option<Arc<A>> {
    current()?.actor.downcast().ok()
}

/// Has a task that is started here belong to the same actor as the code that starts it.
pub(crate) fn inherited<F: Future>(task: F) -> Within<F> {
    Within { body: Some(task), actor: Some(current()) }
}

/// Makes a task that is started here one of the same actor's, which ends with that.
pub(crate) fn task<F: Future<Output = ()>>(task: F) -> Grouped<Within<F>> {
    let current = current();
    let group = current.as_ref().and_then(|home| home.group.clone());
    grouped(group.as_ref(), Within { body: Some(task), actor: Some(current) })
}

/// Returns the actor of the running code, for a task that may be polled elsewhere.
pub(crate) fn here() -> Here {
    Here(current())
}

/// The actor of some code, if it has been said.
pub(crate) struct Here(Current);

impl Here {
    /// Has a task belong to that actor; if none has been said, to that of the running code.
    pub(crate) fn around<F: Future>(self, task: F) -> Within<F> {
        Within { body: Some(task), actor: Some(self.0.or_else(current)) }
    }
}

fn current() -> Current {
    task_local::look(&CURRENT, Clone::clone).flatten()
}

/// Has records bear the name of the actor whose part is about to be polled or dropped, where a thread has several.
fn named(part: &Option<Current>) -> Option<NamedThread> {
    part.as_ref()?.as_ref()?.group.as_ref().map(TaskGroup::named)
}

pin_project! {
    /// A future that is a part of an actor.
    pub(crate) struct Within<F> {
        #[pin]
        body: Option<F>,
        actor: Option<Current>,
    }

    impl<F> PinnedDrop for Within<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.body.is_some() {
                let _named = named(this.actor);
                task_local::within(&CURRENT, this.actor, || this.body.set(None));
            }
        }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    /// # Panics
    /// When polled again after it ended.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _named = named(this.actor);
        task_local::within(&CURRENT, this.actor, || {
            let body = this.body.as_mut().as_pin_mut().expect("it is not polled after it ended");
            let polled = body.poll(cx);
            if polled.is_ready() {
                this.body.set(None);
            }
            polled
        })
    }
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}
