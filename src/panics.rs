//! Panics of tasks, caught where they happen: the message and backtrace become part of an error.
//!
//! The hook takes notes and then calls the previous hook, so the report on standard error stays as users know it. Only
//! where a peer is answered the thread must go on: there, the output of the standard hook is printed in parts, the
//! backtrace as soon as [`traces`] has resolved it. The program's own hook is called as before.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::crash;
use crate::telemetry::{span_trace, stderr};
use crate::traces;

/// The hook's notes of a panic.
#[derive(Debug)]
pub(crate) struct Panic {
    pub(crate) message: String,
    /// Where it happened, if backtraces are on.
    pub(crate) backtrace: Option<Arc<Backtrace>>,
    /// The spans that were entered where it happened, innermost first.
    pub(crate) span_trace: Vec<String>,
}

/// A hook, as `std` has it.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;

/// Starts to take notes; more calls do nothing.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (before, is_standard) = hook_before();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let message = format!("{}{place}", info.payload_as_str().unwrap_or("a panic payload that is not text"));
            let backtrace = Some(Backtrace::capture()).filter(traces::is_captured).map(Arc::new);
            match &backtrace {
                Some(backtrace) if is_standard && ANSWERED.get() => report(info, backtrace.clone()),
                _ => before(info),
            }
            LAST.set(Some(Panic { message, backtrace, span_trace: span_trace() }));
            crash::panicked(info);
        }));
    });
}

/// Takes the hook that there is; returns also whether it is the one of `std`, which resolves backtraces at once.
fn hook_before() -> (Hook, bool) {
    let before = std::panic::take_hook();
    // Now there is none, which is how `std` says that there is its own.
    let standard = std::panic::take_hook();
    let is_standard = std::ptr::eq(&raw const *before, &raw const *standard);
    (before, is_standard)
}

/// Prints the message of the standard hook, the backtrace later.
fn report(info: &PanicHookInfo<'_>, backtrace: Arc<Backtrace>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    stderr::offer(format!("\nthread '{name}' {info}\n").into());
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    traces::later(move || {
        let text = traces::bounded(backtrace.to_string());
        stderr::offer(format!("stack backtrace of the panic at {place}:\n{text}\n").into());
    });
}

pin_project! {
    /// Runs a future whose panic is an answer to a peer.
    pub(crate) struct Answered<F> {
        #[pin]
        task: F,
    }
}

impl<F: Future> Answered<F> {
    pub(crate) fn new(task: F) -> Self {
        Self { task }
    }
}

impl<F: Future> Future for Answered<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = ANSWERED.replace(true);
        // The task is not used after it has panicked.
        let polled = catch_unwind(AssertUnwindSafe(|| crash::within_task(|| self.project().task.poll(cx))));
        ANSWERED.set(before);
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_noted) => Poll::Ready(Err(take_caught())),
        }
    }
}

/// A panic on its way to the thread that waits for the one where it happened.
pub(crate) struct Caught {
    payload: Box<dyn Any + Send>,
    note: Option<Panic>,
}

/// Runs `work`, and catches its panic.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Caught> {
    // What it has used is dropped with it.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Caught { payload, note: LAST.take() })
}

impl Caught {
    /// Goes on with the panic on this thread.
    pub(crate) fn resume(self) -> ! {
        LAST.set(self.note);
        resume_unwind(self.payload)
    }
}

/// Returns the panic from which this thread is unwinding, if it is.
pub(crate) fn take_current() -> Option<Panic> {
    std::thread::panicking().then(take_caught)
}

/// Returns the panic that was caught on this thread just now.
pub(crate) fn take_caught() -> Panic {
    let without_note = || Panic { message: "a panic without a note".into(), backtrace: None, span_trace: Vec::new() };
    LAST.take().unwrap_or_else(without_note)
}

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };

    /// Whether the running code answers a peer, and the thread goes on after its panic.
    static ANSWERED: Cell<bool> = const { Cell::new(false) };
}
