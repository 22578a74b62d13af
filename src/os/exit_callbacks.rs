//! Exit callbacks: they run when the process's actor has ended.
//!
//! There is one stack for the process, not one for each actor, so it can be filled before the process
//! knows which actor it will be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::panics;
use crate::sync::lock;

/// Has `callback` run at the end of this process's actor, after all its tasks and connections are gone.
///
/// Callbacks run last in, first out, each once; one that panics is logged, and the others still run. They run on the
/// actor's thread and delay its end, so they should be short: a child's nursery gives it
/// [`soft_reap`](crate::Config::soft_reap) for all of them. The async runtime has already ended. A callback that ends
/// the process otherwise than with exit code 0 fails that nursery. One that is added outside of an actor waits for the
/// next one: call this before [`init`](crate::init) or [`open_root`](crate::open_root), or any time later.
///
/// They run in each process that added some: in a child that ends, whether it was asked, lost its parent,
/// or got a signal ([which](crate::manual::signals)); and in the root's process whenever a root that was opened there ends. Of several actors
/// in one process (over `mem`, or several roots) the first runs them. They do *not* run when the process
/// is killed, calls `std::process::exit`, or is interrupted twice.
///
/// ```
/// # use pleach::prelude::*;
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// pleach::on_exit(|| println!("the tree is gone"));
/// pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await
/// # }
/// ```
pub fn on_exit(callback: impl FnOnce() + Send + 'static) {
    lock(&CALLBACKS).push(Box::new(callback));
}

/// Runs all callbacks, those included that are added meanwhile.
pub(crate) fn run_all() {
    // Taken one at a time, so that the lock is free while one runs.
    while let Some(callback) = take_last() {
        if catch_unwind(AssertUnwindSafe(callback)).is_err() {
            let panic = panics::take_caught().message;
            error!(target: "pleach::runtime", panic, "a callback of `on_exit` panicked; the others go on");
        }
    }
}

fn take_last() -> Option<Callback> {
    lock(&CALLBACKS).pop()
}

type Callback = Box<dyn FnOnce() + Send>;

static CALLBACKS: Mutex<Vec<Callback>> = Mutex::new(Vec::new());
