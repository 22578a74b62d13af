//! Helpers for structured concurrency that need no actor; they work in any tokio program.

pub mod broadcast;

pub use self::broadcast::{BroadcastReceiver, broadcast};
