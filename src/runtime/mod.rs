//! The running actor: its identity, its peers, its tasks, its end.
//!
//! | file | station |
//! |---|---|
//! | this one | [`Runtime`]: the parts that the stations share |
//! | [`identity`] | [`Identity`]: who this actor is |
//! | [`peers`] | [`Peers`]: its connections, children that have not connected back, those declared dead |
//! | [`tasks`] | [`Tasks`]: what runs in it |
//! | [`lifecycle`] | [`Lifecycle`]: how far it is, and why it ends |
//! | [`actor_spec`] | what a parent tells a child to be |
//! | [`here`] | the actors of this process |
//! | [`handle`] | an actor as the code in it sees it, and which actor that is |
//! | [`listen`] | bound and announced addresses |
//! | [`dial`] | from an actor's addresses to a connection with it |
//! | [`server`] | accepting connections, and serving them |
//! | [`failure_policy`] | failure policy for peers that may fall silent |
//! | [`processes`] | peers on this host, whose connections end with their processes |
//! | [`admission`] | which pending connections are served, and how many |
//! | [`connections`] | connections to the parent, the root, oneself |
//! | [`registration`] | its registry, and its own entry there |
//! | [`dispatch`] | running the functions that peers ask for |
//! | [`shutdown`] | the six ordered steps of an actor's end |
//! | [`route`] | the route to a process that is asked, on this host or another |
//!
//! # Invariants
//! 1. Every task belongs to one of the groups of [`Tasks`]. Shutting down waits for all.
//! 2. No lock is held across a wait; no two are held together.

pub(crate) mod actor_spec;
mod admission;
pub(crate) mod connections;
pub(crate) mod dial;
pub(crate) mod dispatch;
mod failure_policy;
pub(crate) mod handle;
mod here;
pub(crate) mod identity;
pub(crate) mod lifecycle;
mod listen;
mod peers;
mod processes;
mod registration;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod shutdown;
pub(crate) mod tasks;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::Instant;

use pleach_wire::{ByteStr, Key, Registry, Settings, TlsIdentity};

use self::actor_spec::ActorSpec;
use self::failure_policy::NETWORK_SILENCE;
pub(crate) use self::handle::{claim_process, current, current_task, within};
pub(crate) use self::here::actors_here;
#[cfg(feature = "testing")]
pub(crate) use self::here::actors_in;
use self::identity::Identity;
use self::lifecycle::Lifecycle;
use self::listen::Bound;
pub(crate) use self::listen::Reserved;
use self::peers::Peers;
use self::tasks::Tasks;
pub(crate) use self::tasks::{leave_to_reaper, wait_for_reaper};
use crate::actor::ActorId;
use crate::config::Config;
use crate::error::{Error, Refusal, Result};
use crate::os::files::Refused;
use crate::os::orphans::Descendants;
use crate::os::socket_dir::SocketDir;
use crate::proto::membership::TreeKey;
use crate::registry::names::Names;
use crate::rpc::allow_list::AllowList;
use crate::rpc::export::Export;
use crate::rpc::method::cell::{Owner, StateCell};
use crate::task_group::TaskGroup;

/// One actor, running. Shared by all its tasks.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) identity: Identity,
    peers: Peers,
    pub(crate) tasks: Tasks,
    pub(crate) lifecycle: Lifecycle,
    config: Config,
    /// The transports and codecs.
    registry: Registry,
    /// The state that its methods work on, if it has one.
    state: StateCell,
    /// The functions that peers may run.
    allowed: RwLock<AllowList>,
    sockets: SocketDir,
    listening: tokio::sync::Mutex<Vec<Bound>>,
    /// Why the last newcomer was not accepted.
    refused: Refused,
    /// How it finds others, and is found: set once it has begun to listen.
    names: OnceLock<Names>,
    /// The processes of its tree on this host.
    descendants: Descendants,
}

impl Runtime {
    /// The first actor of a tree.
    ///
    /// # Errors
    /// [`Error::Config`] when the configured directory can't hold sockets.
    pub(crate) fn root(config: Config, registry: Registry, tree_key: TreeKey) -> Result<Arc<Self>> {
        let sockets = SocketDir::of_root(&config)?;
        let identity = Identity::root(&config.root_name, tree_key);
        Ok(Self::new(identity, config, registry, AllowList::default(), StateCell::new(None), sockets, None))
    }

    /// The actor that a parent has described. Its tasks are a `group` if it has no async runtime of its own.
    pub(crate) fn child(spec: ActorSpec, registry: Registry, group: Option<TaskGroup>) -> Result<Arc<Self>> {
        crate::rpc::export::table()?;
        let identity = Identity::child(&spec);
        let allowed = AllowList::new(spec.modules.into_iter().chain(spec.state.clone()));
        let (state, sockets) = (StateCell::new(spec.state), SocketDir::at(spec.socket_dir));
        Ok(Self::new(identity, spec.config, registry, allowed, state, sockets, group))
    }

    fn new(
        identity: Identity,
        config: Config,
        registry: Registry,
        allowed: AllowList,
        state: StateCell,
        sockets: SocketDir,
        group: Option<TaskGroup>,
    ) -> Arc<Self> {
        let mark = identity.origin().and_then(|origin| origin.mark);
        let runtime = Arc::new(Self {
            identity,
            peers: Peers::new(config.max_connections),
            tasks: Tasks::new(group),
            lifecycle: Lifecycle::default(),
            config: config.within_reason(),
            registry,
            state,
            allowed: RwLock::new(allowed),
            sockets,
            listening: tokio::sync::Mutex::default(),
            refused: Refused::default(),
            names: OnceLock::new(),
            descendants: Descendants::of(mark),
        });
        let owner: Weak<Self> = Arc::downgrade(&runtime);
        runtime.state.belongs_to(owner);
        here::note(&runtime);
        runtime
    }

    pub(crate) fn id(&self) -> &ActorId {
        self.identity.id()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn descendants(&self) -> &Descendants {
        &self.descendants
    }

    /// Takes in the orphans of the tree's actors, until this root stops listening.
    pub(crate) async fn adopt_orphans(&self) {
        tokio::select! {
            () = self.descendants.adopt() => {}
            () = self.tasks.until_listeners_end() => {}
        }
    }

    pub(crate) fn socket_dir(&self) -> PathBuf {
        self.sockets.path().to_owned()
    }

    /// The directory of sockets that is this tree's alone.
    #[cfg(feature = "testing")]
    pub(crate) fn own_socket_dir(&self) -> Option<PathBuf> {
        self.sockets.is_ours().then(|| self.socket_dir())
    }

    /// The TLS identity that children get: the tree's, once it has been needed. The user's own certificates name a
    /// host, so each actor reads those of its host.
    pub(crate) fn tls_for_child(&self) -> Option<TlsIdentity> {
        self.identity.known_tls().filter(|_| self.config.certificates.is_none()).cloned()
    }

    /// Returns why a connection was not accepted since then, if one was not.
    pub(crate) fn not_accepted_since(&self, begun: Instant) -> Option<String> {
        self.refused.since(begun)
    }

    /// Waits until connections could not be accepted for a while since then, because files had run out.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn accepts_none(&self, begun: Instant) {
        self.refused.lasting(begun).await;
    }

    /// The settings of the transports.
    ///
    /// # Errors
    /// When a TLS identity is needed and can't be made or read.
    fn settings(&self, transport: &Key) -> Result<Settings> {
        let tls = match self.identity.known_tls() {
            None if self.registry.find(transport)?.protocol().needs_tls() => {
                self.identity.tls(self.config.certificates.as_deref())?
            }
            known => known.cloned(),
        };
        Ok(Settings {
            dial_timeout: self.config.dial,
            silence: NETWORK_SILENCE,
            socket_dir: self.socket_dir(),
            tls: tls.map(Arc::new),
            shm_ring: self.config.shm_ring,
            shm_spin: self.config.shm_spin,
            ..Settings::default()
        })
    }

    /// Lets peers run the functions of a module.
    pub(crate) fn expose(&self, module: String) {
        self.allowed.write().unwrap_or_else(PoisonError::into_inner).enable(module);
    }

    /// Looks up a function that a peer asked for, and how it knows it to be declared.
    fn find_function(&self, path: &ByteStr, schema: u64) -> Result<&'static Export, Refusal> {
        let allowed = self.allowed.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(export) = allowed.called(path, schema) {
            return Ok(export);
        }
        let export = allowed.find(path)?;
        drop(allowed);
        if schema == export.schema() {
            self.allowed.write().unwrap_or_else(PoisonError::into_inner).note_called(export);
        }
        Ok(export)
    }
}

impl Owner for Runtime {
    fn id(&self) -> &ActorId {
        self.identity.id()
    }

    fn parent(&self) -> Option<&ActorId> {
        self.identity.parent()
    }

    fn fail(&self, failure: Error) {
        Self::fail(self, failure);
    }
}
