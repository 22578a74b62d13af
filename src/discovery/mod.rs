//! Discovery: which actors there are, by name, and where they can be reached.
//!
//! [`Registry`] is the seam: an actor's view of the store of names. Here is how an actor comes to its registry, and
//! what the registries are. Looking an actor up and connecting to it is the business of `find_actor` and its
//! siblings.
//!
//! | file | station |
//! |---|---|
//! | this one | asking a registrar |
//! | `join` | how an actor finds its registry: a root by election, a child by inheritance |
//! | `election` | is there a registrar already, or does this root become it? |
//! | [`registrar`] | the functions of a registrar |
//! | `remote_registry` | the registry as the members of a tree see it |
//! | `registrar_link` | one connection to a registrar, held and re-established |
//! | `external` | a registry outside of the tree |
//! | `etcd` | with the feature `etcd`: the registry in an etcd |
//!
//! By default the root of a tree is its registrar. Being connected to the registrar is being registered:
//! an entry lasts as long as the connection that made it.
//!
//! # What must stay true
//! 1. Names may repeat; a uuid does not. Of two entries with one uuid, the one with the higher
//!    incarnation counts.
//! 2. An entry ends with its actor: the registry notices that an actor has ended, also without a goodbye.
//! 3. An address is compared, and taken as unused, only at the place of its actor: two hosts or networks may use the
//!    same one.

mod election;
#[cfg(feature = "etcd")]
pub mod etcd;
mod external;
mod join;
pub mod registrar;
mod registrar_link;
mod remote_registry;

use crate::channel::Channel;
use crate::channel::explain::with_declaration;
pub(crate) use crate::discovery::join::{join_as_child, join_as_root};
use crate::error::Result;
pub use crate::proto::handshake::Endpoint;
pub use crate::registry::{Registered, Registration, Registry};
use crate::rpc::call::Call;

/// Runs one of the registrar's functions at the other end of a connection.
async fn ask<T>(channel: &Channel, call: Call<T>) -> Result<T> {
    let (decoder, export) = (call.decoder(), call.export());
    let sent = call.send(channel, None);
    drop(call); // it can't be held across a wait
    let answer = sent?.outcome().await.map_err(|error| with_declaration(error, || export.shown()))?;
    decoder.read(answer, channel).await
}
