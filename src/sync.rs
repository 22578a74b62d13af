//! Locks and wake-ups for the small pieces whose interleavings are all tried.
//!
//! `tests/loom` compiles those pieces a second time, with loom's versions of these types.

pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use tokio::sync::Notify;
