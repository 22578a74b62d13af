//! Panics of tasks, caught where they happen: the message and backtrace become part of an error.
//!
//! The hook only takes notes and then does what the hook before it did, so the report on standard
//! error stays as users know it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::sync::Once;

use crate::telemetry::span_trace;

/// What the hook noted of a panic.
#[derive(Debug)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) backtrace: Option<String>,
    /// The spans that were entered where it happened, innermost first.
    pub(crate) span_trace: Vec<String>,
}

/// Starts to take notes; more calls do nothing.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let message = format!("{}{place}", info.payload_as_str().unwrap_or("a value that is no text"));
            let backtrace = captured(&Backtrace::capture());
            LAST.set(Some(Panic { message, backtrace, span_trace: span_trace() }));
            before(info);
        }));
    });
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

/// Returns the text of a backtrace, if backtraces are on.
pub(crate) fn captured(backtrace: &Backtrace) -> Option<String> {
    (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string())
}

thread_local! {
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}
