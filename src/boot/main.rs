//! The program around a tree: the expansion of `#[pleach::main]`, and which tokio runtime carries it.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt as _;

use crate::error::{Cancelled, Error, signal_name};
use crate::os::signals::{Signals, Whose};
use crate::runtime::wait_for_reaper;
use crate::scope::CancelScope;
use crate::spawn::entry::async_runtime;
use crate::telemetry::{fallback, stderr};

/// How `#[pleach::main]` runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Flavor {
    /// On the main thread alone.
    #[default]
    CurrentThread,
    /// On several threads.
    MultiThread {
        /// How many; one for each core if not given.
        workers: Option<usize>,
    },
}

impl Flavor {
    /// Returns whether it has several threads, and how many, if that is given.
    pub(super) fn threads(self) -> (bool, Option<usize>) {
        match self {
            Self::CurrentThread => (false, None),
            Self::MultiThread { workers } => (true, workers),
        }
    }
}

/// Runs a program's body; `#[pleach::main]` calls this.
///
/// SIGINT, SIGTERM, SIGHUP and SIGQUIT cancel the body; when everything below it has ended, the process exits
/// with 128 plus the signal's number. A second one ends the process at once, whatever it does. After a panic,
/// everything below the body is brought to its end before the panic goes on. See [`crate::manual::signals`].
///
/// # Panics
/// When the system refuses a resource that an async runtime needs.
#[expect(clippy::disallowed_methods, reason = "the body and everything below it have ended")]
pub fn run_main<T>(flavor: Flavor, body: impl Future<Output = T>) -> T {
    fallback::install();
    let mut signals = Signals::take(Whose::Program);
    let (multi_thread, workers) = flavor.threads();
    let tokio = async_runtime(multi_thread, workers).expect("a program can't start without an async runtime");
    let ended = tokio.block_on(async {
        let ended = AssertUnwindSafe(run_until_signal(&mut signals, body)).catch_unwind().await;
        // The body has handled its signals; one that comes later must not be lost.
        let of_body = signals.came();
        // Also after a panic: children are asked to end before the program does.
        wait_for_reaper().await;
        match signals.came() {
            Some(signal) if of_body.is_none() => Ok(Err(signal)),
            _ => ended,
        }
    });
    // From here on there is nothing to ask: a signal ends the process, also while the runtime is dropped.
    drop(signals);
    match ended {
        Ok(Ok(value)) => value,
        Ok(Err(signal)) => {
            stderr::offer(format!("interrupted by {}\n", signal_name(signal)).into());
            std::process::exit(128 + signal)
        }
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs the body; the first signal cancels it.
async fn run_until_signal<T>(signals: &mut Signals, body: impl Future<Output = T>) -> Result<T, i32> {
    let scope = CancelScope::new();
    // In a scope of its own, so that nothing in it gets hold of this one.
    let mut running = std::pin::pin!(scope.run(async { CancelScope::new().run(Box::pin(body)).await }));
    let signal = tokio::select! {
        biased;
        signal = signals.first() => signal,
        ended = running.as_mut() => return ended.and_then(|ended| ended).or_else(|cancelled| give_up(&cancelled)),
    };
    scope.cancel_because(Cancelled::Signal(signal));
    debug!(target: "pleach::cancel", signal = signal_name(signal), "cancelling the tree");
    running.await.and_then(|ended| ended).map_err(|_cancelled| signal)
}

/// Ends a program whose body has cancelled itself, so that it has no value to return.
#[expect(clippy::disallowed_methods, reason = "the body and everything below it have ended")]
fn give_up<T>(cancelled: &Error) -> Result<T, i32> {
    stderr::offer(format!("the program's body was cancelled from inside: {cancelled}\n").into());
    std::process::exit(1)
}
