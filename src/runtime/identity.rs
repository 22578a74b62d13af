//! Who this actor is: to its tree, to its peers, and to the transports that prove it.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use pleach_wire::TlsIdentity;

use super::actor_spec::{ActorSpec, Ancestor, Origin};
use crate::actor::ActorId;
use crate::epoch;
use crate::error::Result;
use crate::proto::membership::TreeKey;
use crate::registry::RegistrarAddr;

/// An actor's id, its incarnation, and its place in the tree.
#[derive(Debug)]
pub(crate) struct Identity {
    id: ActorId,
    /// When it began, in milliseconds since 1970; higher each time that a peer may have declared it dead since.
    incarnation: AtomicU64,
    began_ms: u64,
    tree_key: TreeKey,
    tls: OnceLock<TlsIdentity>,
    /// The root has none.
    origin: Option<Origin>,
}

impl Identity {
    /// That of the first actor of a tree.
    pub(super) fn root(name: &str, tree_key: TreeKey) -> Self {
        Self::new(ActorId::new(name), tree_key, OnceLock::new(), None)
    }

    /// That of the actor that a parent has described.
    pub(super) fn child(spec: &ActorSpec) -> Self {
        let origin = Origin::of(spec);
        let tls = spec.tls.clone().map_or_else(OnceLock::new, OnceLock::from);
        Self::new(ActorId::with_uuid(&spec.name, spec.uuid), spec.tree_key.clone(), tls, Some(origin))
    }

    fn new(id: ActorId, tree_key: TreeKey, tls: OnceLock<TlsIdentity>, origin: Option<Origin>) -> Self {
        let began = epoch::millis(SystemTime::now());
        Self { id, incarnation: AtomicU64::new(began), began_ms: began, tree_key, tls, origin }
    }

    /// Goes on as a newer incarnation: a peer may have declared the former one dead.
    pub(super) fn renew(&self) {
        self.incarnation.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns the TLS identity; makes or reads it when it is first needed.
    ///
    /// # Errors
    /// When it can't be made or read.
    pub(super) fn tls(&self, certificates: Option<&Path>) -> Result<Option<TlsIdentity>> {
        if let Some(tls) = self.tls.get() {
            return Ok(Some(tls.clone()));
        }
        let fresh = crate::transports::tls_identity(self.tree_key.secret(), certificates)?;
        Ok(fresh.map(|fresh| self.tls.get_or_init(|| fresh).clone()))
    }

    /// Returns the TLS identity, if it has been needed.
    pub(super) fn known_tls(&self) -> Option<&TlsIdentity> {
        self.tls.get()
    }

    pub(crate) fn id(&self) -> &ActorId {
        &self.id
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// Returns when it began, in milliseconds since 1970.
    pub(crate) fn began_ms(&self) -> u64 {
        self.began_ms
    }

    pub(crate) fn tree_key(&self) -> &TreeKey {
        &self.tree_key
    }

    /// Returns the parent of this actor; a root has none.
    pub(crate) fn parent(&self) -> Option<&ActorId> {
        Some(&self.origin.as_ref()?.parent)
    }

    /// Returns the uuid of the root of its tree, which tells the tree from others.
    #[cfg(any(feature = "prometheus", feature = "testing"))]
    pub(crate) fn tree(&self) -> uuid::Uuid {
        self.origin.as_ref().map_or(&self.id, |origin| &origin.root.who).uuid()
    }

    /// Returns the actors above this one, the root first: none for a root, or if one of them can't be asked.
    pub(crate) fn ancestors(&self) -> &[Ancestor] {
        self.origin.as_ref().map_or(&[], |origin| &origin.ancestors)
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Returns the registrars that were inherited from the parent.
    pub(crate) fn inherited_registrars(&self) -> &[RegistrarAddr] {
        self.origin.as_ref().map_or(&[], |origin| &origin.registrars)
    }

    pub(crate) fn is_root(&self) -> bool {
        self.origin.is_none()
    }
}
