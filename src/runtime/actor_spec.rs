//! What a parent tells a child to be: the child's runtime is made from it.

use std::path::PathBuf;

use pleach_wire::TlsIdentity;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::connections::Contact;
use super::route::Route;
use crate::actor::ActorId;
use crate::config::{ChildOutputs, Config};
use crate::os::mark::TreeMark;
use crate::os::setup::Setup;
use crate::proto::handshake::Endpoint;
use crate::proto::membership::TreeKey;
use crate::registry::RegistrarAddr;

/// Everything that a child must know; it gets it over an inherited pipe, never as an argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ActorSpec {
    pub(crate) name: String,
    pub(crate) uuid: Uuid,
    pub(crate) parent: ActorId,
    /// Where the parent listens, for the transport that the child is to use.
    pub(crate) parent_at: Vec<Endpoint>,
    pub(crate) root: Contact,
    /// The registrars.
    pub(crate) registrars: Vec<RegistrarAddr>,
    pub(crate) tree_key: TreeKey,
    /// Modules whose functions may be called.
    pub(crate) modules: Vec<String>,
    /// The path of the type of its state, if it has one.
    #[serde(default)]
    pub(crate) state: Option<String>,
    pub(crate) config: Config,
    pub(crate) outputs: ChildOutputs,
    pub(crate) socket_dir: PathBuf,
    pub(crate) tls: Option<TlsIdentity>,
    /// Whether it was started on another host, or by an engine that may have put it there.
    #[serde(default)]
    pub(crate) remote: bool,
    /// Whether it exchanges heartbeats: it is on another host, or was started as if it were.
    #[serde(default)]
    pub(crate) heartbeats: bool,
    /// The process on its own host that starts it.
    #[serde(default)]
    pub(crate) starter: Option<u32>,
    /// The mark to put on itself, for all its descendants.
    #[serde(default)]
    pub(crate) mark: Option<TreeMark>,
    /// What it is to set up in its process before it is an actor.
    #[serde(default)]
    pub(crate) setup: Setup,
    /// The actors above it, the root first; none, if one of them can't be asked.
    #[serde(default)]
    pub(crate) ancestors: Vec<Ancestor>,
}

/// An actor above another one, and how it is asked for what needs no task of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ancestor {
    pub(crate) who: ActorId,
    /// The route to its process, from the host of the actor below.
    pub(crate) route: Route,
}

/// Where an actor comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) parent: ActorId,
    pub(super) parent_at: Vec<Endpoint>,
    pub(super) root: Contact,
    /// The registrars, as inherited from the parent.
    pub(super) registrars: Vec<RegistrarAddr>,
    /// Whether the parent is on another host, or is to be taken so.
    pub(super) heartbeats: bool,
    /// Shared by all processes of the tree.
    pub(super) mark: Option<TreeMark>,
    pub(super) ancestors: Vec<Ancestor>,
}

impl Origin {
    pub(super) fn of(spec: &ActorSpec) -> Self {
        Self {
            parent: spec.parent.clone(),
            parent_at: spec.parent_at.clone(),
            root: spec.root.clone(),
            registrars: spec.registrars.clone(),
            heartbeats: spec.heartbeats,
            mark: spec.mark,
            ancestors: spec.ancestors.clone(),
        }
    }
}
