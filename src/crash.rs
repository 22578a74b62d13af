//! Who is asked before a crash goes its way: the debugger, once an actor of this process runs in debug mode.
//!
//! A panic is shown in the panic hook, before anything unwinds, so that its frames are still there. It counts as ours
//! if one of our tasks would end with it: a program's own `catch_unwind` in between makes it the program's business.
//!
//! # Invariants
//! 1. Without debug mode, a poll of a task costs one thread-local value more, and a crash asks no one.

use std::cell::Cell;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::PanicHookInfo;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// What is called for each crash, on the thread that has crashed; it may block that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    /// A task panics; the frames below this address belong to it.
    pub(crate) panicked: fn(&PanicHookInfo<'_>, StackAddress),
    /// A task has failed.
    pub(crate) failed: fn(Failed<'_>),
}

/// An address on a thread's stack, which grows downwards.
pub(crate) type StackAddress = usize;

/// An error that a task ends with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed<'a> {
    /// The name of its type.
    pub(crate) type_name: &'static str,
    /// The error, where that is known.
    pub(crate) error: Option<&'a (dyn StdError + 'static)>,
}

/// Has a handler called from now on; a second one is ignored.
pub(crate) fn handle_with(handler: Handler) {
    let _ = HANDLER.set(handler);
}

/// Tells the handler of a panic, if it happens in a task of ours.
pub(crate) fn panicked(info: &PanicHookInfo<'_>) {
    if let (Some(handler), below @ 1..) = (HANDLER.get(), TASK.get()) {
        (handler.panicked)(info, below);
    }
}

/// Tells the handler of an error; it is made only if there is a handler.
pub(crate) fn failed<'a>(error: impl FnOnce() -> Failed<'a>) {
    if let Some(handler) = HANDLER.get() {
        (handler.failed)(error());
    }
}

pin_project! {
    /// Runs a future as one of our tasks: its panic is shown to the handler.
    pub(crate) struct Watched<F> {
        #[pin]
        task: F,
    }
}

/// Runs a future as one of our tasks. Where its panic is caught, this is to be inside.
pub(crate) fn watched<F: Future>(task: F) -> Watched<F> {
    Watched { task }
}

impl<F: Future> Future for Watched<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        within_task(|| self.project().task.poll(cx))
    }
}

/// Runs a part of one of our tasks: its panic is shown to the handler.
pub(crate) fn within_task<T>(part: impl FnOnce() -> T) -> T {
    let restored = Restored { before: TASK.get() };
    TASK.set(&raw const restored as StackAddress);
    part()
}

/// Puts the address back that was there before, also while it unwinds.
struct Restored {
    before: StackAddress,
}

impl Drop for Restored {
    fn drop(&mut self) {
        TASK.set(self.before);
    }
}

thread_local! {
    /// Where the innermost task that this thread polls begins on the stack; 0 outside of any.
    static TASK: Cell<StackAddress> = const { Cell::new(0) };
}

static HANDLER: OnceLock<Handler> = OnceLock::new();
