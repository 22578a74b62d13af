//! Helpers for tasks of one actor: they need scopes, and neither processes nor connections.
//!
//! | file | what it has |
//! |---|---|
//! | `gather.rs` | [`gather_contexts`]: several blocks entered at once, left together |
//! | `pubsub.rs` | [`Publisher`]: one running source for all who want its topics |
//!
//! The name is that of the Python project's package for the same things.

mod gather;
mod pubsub;

pub use gather::{Gate, gather_contexts};
pub use pubsub::{Feed, Publisher};
