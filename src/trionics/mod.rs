//! Helpers for tasks of one actor, which need scopes and neither processes nor connections; and one for many
//! actors at once.
//!
//! | item | |
//! |---|---|
//! | [`broadcast()`] | one source, several consumers, each at its own pace |
//! | [`gather_contexts`] | several blocks entered at once, left together |
//! | [`Publisher`] | one running source for all subscribers of its topics |
//! | [`open_actor_cluster`] | identical actors on all hosts, by name |
//!
//! The name is that of the Python project's package for the same things.

mod cluster;
mod gather;
mod pubsub;

pub use self::cluster::{Cluster, open_actor_cluster};
pub use self::gather::{Gate, gather_contexts};
pub use self::pubsub::{Feed, Publisher};
pub use crate::broadcast::{BroadcastReceiver, broadcast};

/// One stream, many consumers: [`broadcast()`](broadcast::broadcast) and its types.
pub mod broadcast {
    pub use crate::broadcast::{BroadcastReceiver, Statistics, broadcast};
}
