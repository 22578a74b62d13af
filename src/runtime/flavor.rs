//! Which tokio runtime carries an actor: one thread by default, several on request.
//!
//! One thread is the fast choice for an actor with few connections: no wake-up crosses a core, and
//! a process starts sooner.

use std::io;

use tokio::runtime::{Builder, Runtime};

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

/// Makes the tokio runtime of an actor.
///
/// # Errors
/// When the system refuses a resource that it needs.
pub(crate) fn build(multi_thread: bool, workers: Option<usize>) -> io::Result<Runtime> {
    let mut builder = if multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}
