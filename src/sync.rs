//! Locks and wake-ups.
//!
//! `tests/loom` compiles the small pieces whose interleavings are all tried a second time, with loom's versions of
//! these types.

pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use pleach_wire::sync::lock;
pub(crate) use tokio::sync::Notify;
