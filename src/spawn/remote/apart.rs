//! An async runtime apart from those of the actors, for the conversations with other hosts: an actor that stands still
//! under the debugger must not hold up what is said over its links, which may be its own commands.
//!
//! It has one thread, and is there from the first start at another host to the end of the process.

use std::panic::resume_unwind;
use std::sync::Mutex;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

use crate::sync::lock;

/// Runs something there, and waits for it.
///
/// # Errors
/// When the system gives no thread.
///
/// # Cancel safety
/// It is dropped, too.
pub(in crate::spawn) async fn run<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, String> {
    let running = AbortOnDropHandle::new(runtime()?.spawn(work));
    running.await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(error) => error.to_string(),
    })
}

/// Makes something that belongs there, such as a connection.
///
/// # Errors
/// When the system gives no thread, or it can't be made.
pub(in crate::spawn) fn make<T>(make: impl FnOnce() -> std::io::Result<T>) -> Result<T, String> {
    let _inside = runtime()?.enter();
    make().map_err(|error| error.to_string())
}

fn runtime() -> Result<&'static Runtime, String> {
    let mut runtime = lock(&RUNTIME);
    if let Some(runtime) = *runtime {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread().worker_threads(1).thread_name("pleach-links").enable_all().build();
    let made = made.map_err(|error| format!("no thread for what is said to other hosts: {error}"))?;
    Ok(runtime.insert(Box::leak(Box::new(made))))
}

static RUNTIME: Mutex<Option<&'static Runtime>> = Mutex::new(None);
