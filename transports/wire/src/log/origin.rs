//! The origin of records: the name of the actor whose code makes them.
//!
//! Most processes are one actor, so the process has a name. Where several actors share a process, each has threads of
//! its own, whose name overrides that of the process; those that share a thread name it while their code runs. A record
//! takes its origin along, because the thread that hands it over belongs to no actor.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Names the actor that this process is.
pub fn set_process_origin(name: &str) {
    *lock(&OF_PROCESS) = Some(name.into());
}

/// Names the actor that this thread belongs to.
pub fn set_thread_origin(name: Arc<str>) {
    drop(replace_thread_origin(Some(name)));
}

/// Returns the name of the actor that this thread belongs to, if it has one of its own.
pub fn thread_origin() -> Option<Arc<str>> {
    // A record may be made while the thread ends.
    OF_THREAD.try_with(|name| name.borrow().clone()).ok().flatten()
}

/// Returns the origin of the record that is being handed over here, or else of those that this thread makes.
pub fn origin() -> Option<Arc<str>> {
    thread_origin().or_else(|| lock(&OF_PROCESS).clone())
}

/// Has this thread make, or hand over, records of another origin; returns the former one.
pub fn replace_thread_origin(name: Option<Arc<str>>) -> Option<Arc<str>> {
    OF_THREAD.try_with(|current| current.replace(name)).ok().flatten()
}

static OF_PROCESS: Mutex<Option<Arc<str>>> = Mutex::new(None);

thread_local! {
    static OF_THREAD: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}
