//! Helpers for tasks of one actor: they need scopes, and neither processes nor connections.
//!
//! | file | what it has |
//! |---|---|
//! | [`broadcast()`] | one source, several consumers, each at its own pace |
//! | `gather.rs` | [`gather_contexts`]: several blocks entered at once, left together |
//! | `pubsub.rs` | [`Publisher`]: one running source for all who want its topics |
//!
//! The name is that of the Python project's package for the same things.

pub mod broadcast;
mod gather;
mod pubsub;

pub use self::broadcast::{BroadcastReceiver, broadcast};
pub use self::gather::{Gate, gather_contexts};
pub use self::pubsub::{Feed, Publisher};
