//! The running actor: its identity, its peers, its tasks, its end.
//!
//! | file | station |
//! |---|---|
//! | this one | the state that the others share |
//! | [`actor_spec`] | what a parent tells a child to be |
//! | [`handle`] | an actor as the code in it sees it |
//! | [`listen`] | bound and announced addresses |
//! | [`dial`] | from an actor's addresses to a connection with it |
//! | [`server`] | accepting connections, and serving them |
//! | [`failure_policy`] | failure policy for peers that may fall silent |
//! | [`processes`] | peers on this host, whose connections end with their processes |
//! | [`admission`] | which pending connections are served, and how many |
//! | [`connections`] | connections to the parent, the root, oneself |
//! | [`registration`] | its registry, and its own entry there |
//! | [`pending_children`] | children that have been started and have not connected back |
//! | [`mod@current`] | which actor the current code belongs to |
//! | [`dispatch`] | running the functions that peers ask for |
//! | [`failure`] | failures of the runtime itself, and their way up |
//! | [`shutdown`] | the six ordered steps of an actor's end |
//!
//! # Invariants
//! 1. Every task belongs to one of three groups: `calls` (peers' functions; cancelled by their scope), `listeners`
//!    (accept loops), or `services` (connections, keepers of children; they end with the objects they serve). Shutting
//!    down waits for all.
//! 2. No lock is held across a wait; no two are held together.

pub(crate) mod actor_spec;
mod admission;
pub(crate) mod connections;
mod current;
pub(crate) mod dial;
pub(crate) mod dispatch;
mod failure;
mod failure_policy;
pub(crate) mod handle;
mod listen;
mod pending_children;
mod processes;
mod registration;
pub(crate) mod server;
pub(crate) mod shutdown;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pleach_wire::{Key, Registry, Settings, TlsIdentity};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::actor_spec::ActorSpec;
use self::connections::{Contact, SharedSlot};
use self::current::is_of_process;
pub(crate) use self::current::{claim_process, current, current_task, within};
use self::listen::Bound;
pub(crate) use self::listen::Reserved;
use self::pending_children::Entry;
use crate::actor::ActorId;
use crate::channel::{Channel, EndRequest};
use crate::config::Config;
use crate::error::{Cancelled, Error, Refusal, Result};
use crate::exports::{BoxFuture, Export, Exposed};
use crate::os::files::Refused;
use crate::os::mark::TreeMark;
use crate::os::orphans::Descendants;
use crate::os::socket_dir::SocketDir;
use crate::proto::fencing::Fenced;
use crate::proto::handshake::Endpoint;
use crate::proto::membership::TreeKey;
use crate::registry::RegistrarAddr;
use crate::registry::names::Names;
use crate::scope::CancelScope;

/// One actor, running. Shared by all its tasks.
#[derive(Debug)]
pub(crate) struct Runtime {
    id: ActorId,
    /// When it began, in milliseconds since 1970; higher each time that a peer may have declared it dead since.
    incarnation: AtomicU64,
    config: Config,
    registry: Registry,
    tree_key: TreeKey,
    exposed: RwLock<Exposed>,
    sockets: SocketDir,
    tls: OnceLock<TlsIdentity>,
    /// A child's start options; the root has none.
    origin: Option<Origin>,
    /// The peers' tasks that run here, and the scope around them all.
    calls: TaskTracker,
    calls_scope: CancelScope,
    services: TaskTracker,
    /// Whether the tokio runtime below has one thread; see `dispatch`.
    one_thread: OnceLock<bool>,
    /// Ends the accept loops, which are the `listeners`.
    server: CancellationToken,
    listeners: TaskTracker,
    stop: CancellationToken,
    /// The peer that asked it to end.
    end_request: EndRequest,
    /// A root's body has ended: the next root may be opened.
    leaving: AtomicBool,
    /// Set at the very end.
    stopped: CancellationToken,
    /// The failure of the runtime itself.
    failure: OnceLock<Error>,
    /// The signal that ended this actor, if one did before anything else.
    interrupted: OnceLock<i32>,
    listening: tokio::sync::Mutex<Vec<Bound>>,
    /// Why the last newcomer was not accepted.
    refused: Refused,
    pending_children: Mutex<BTreeMap<Uuid, Entry>>,
    /// Peers that were declared dead here. Copied on change: handshakes hold on to it.
    lost: Mutex<Arc<Fenced>>,
    peers: Mutex<BTreeMap<u64, Channel>>,
    /// The connections that were opened for portals, while one uses them.
    opened: Mutex<BTreeMap<Uuid, SharedSlot>>,
    /// How it finds others, and is found: set once it has begun to listen.
    names: OnceLock<Names>,
    next_peer: AtomicU64,
    /// The processes of its tree on this host.
    descendants: Descendants,
}

/// Where an actor comes from.
#[derive(Clone, Debug)]
struct Origin {
    parent: ActorId,
    parent_at: Vec<Endpoint>,
    root: Contact,
    /// The registrars, as inherited from the parent.
    registrars: Vec<RegistrarAddr>,
    /// Whether the parent is on another host, or is to be taken so.
    heartbeats: bool,
    /// Shared by all processes of the tree.
    mark: Option<TreeMark>,
}

impl Runtime {
    /// The first actor of a tree.
    ///
    /// # Errors
    /// [`Error::Config`] when the configured directory can't hold sockets.
    pub(crate) fn root(config: Config, registry: Registry, tree_key: TreeKey) -> Result<Arc<Self>> {
        let sockets = SocketDir::of_root(&config)?;
        let id = ActorId::new(&config.root_name);
        Ok(Self::new(id, config, registry, tree_key, Exposed::default(), sockets, None))
    }

    /// The actor that a parent has described.
    pub(crate) fn child(spec: ActorSpec, registry: Registry) -> Result<Arc<Self>> {
        crate::exports::table()?;
        let id = ActorId::with_uuid(&spec.name, spec.uuid);
        let ActorSpec { parent, parent_at, root, registrars, heartbeats, mark, .. } = spec;
        let origin = Origin { parent, parent_at, root, registrars, heartbeats, mark };
        let (exposed, sockets) = (Exposed::new(spec.modules), SocketDir::at(spec.socket_dir));
        let runtime = Self::new(id, spec.config, registry, spec.tree_key, exposed, sockets, Some(origin));
        if let Some(tls) = spec.tls {
            runtime.tls.get_or_init(|| tls);
        }
        Ok(runtime)
    }

    fn new(
        id: ActorId,
        config: Config,
        registry: Registry,
        tree_key: TreeKey,
        exposed: Exposed,
        sockets: SocketDir,
        origin: Option<Origin>,
    ) -> Arc<Self> {
        let mark = origin.as_ref().and_then(|origin| origin.mark);
        Arc::new(Self {
            id,
            incarnation: AtomicU64::new(now_in_milliseconds()),
            config: config.within_reason(),
            registry,
            tree_key,
            exposed: RwLock::new(exposed),
            sockets,
            tls: OnceLock::new(),
            origin,
            calls: TaskTracker::new(),
            calls_scope: CancelScope::new(),
            services: TaskTracker::new(),
            one_thread: OnceLock::new(),
            server: CancellationToken::new(),
            listeners: TaskTracker::new(),
            stop: CancellationToken::new(),
            end_request: EndRequest::default(),
            leaving: AtomicBool::new(false),
            stopped: CancellationToken::new(),
            failure: OnceLock::new(),
            interrupted: OnceLock::new(),
            listening: tokio::sync::Mutex::default(),
            refused: Refused::default(),
            pending_children: Mutex::default(),
            lost: Mutex::default(),
            peers: Mutex::default(),
            opened: Mutex::default(),
            names: OnceLock::new(),
            next_peer: AtomicU64::new(0),
            descendants: Descendants::of(mark),
        })
    }

    pub(crate) fn id(&self) -> &ActorId {
        &self.id
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the parent of this actor; a root has none.
    pub(crate) fn parent(&self) -> Option<&ActorId> {
        Some(&self.origin.as_ref()?.parent)
    }

    /// Returns the tasks that end with the objects they serve.
    #[cfg(feature = "etcd")]
    pub(crate) fn services(&self) -> &TaskTracker {
        &self.services
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn tree_key(&self) -> &TreeKey {
        &self.tree_key
    }

    pub(crate) fn descendants(&self) -> &Descendants {
        &self.descendants
    }

    /// Takes in the orphans of the tree's actors, until this root stops listening.
    pub(crate) async fn adopt_orphans(&self) {
        tokio::select! {
            () = self.descendants.adopt() => {}
            () = self.server.cancelled() => {}
        }
    }

    pub(crate) fn socket_dir(&self) -> PathBuf {
        self.sockets.path().to_owned()
    }

    /// The TLS identity that children get: the tree's, once it has been needed. The user's own certificates name a
    /// host, so each actor reads those of its host.
    pub(crate) fn tls_for_child(&self) -> Option<TlsIdentity> {
        self.tls.get().filter(|_| self.config.certificates.is_none()).cloned()
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
        let tls = match self.tls.get() {
            Some(tls) => Some(tls.clone()),
            None if !self.registry.find(transport)?.protocol().needs_tls() => None,
            None => {
                let (secret, certificates) = (self.tree_key.secret(), self.config.certificates.as_deref());
                let fresh = crate::transports::tls_identity(secret, certificates)?;
                fresh.map(|fresh| self.tls.get_or_init(|| fresh).clone())
            }
        };
        Ok(Settings {
            dial_timeout: self.config.dial,
            silence: self.config.lease,
            socket_dir: self.socket_dir(),
            tls: tls.map(Arc::new),
            ..Settings::default()
        })
    }

    /// Lets peers run the functions of a module.
    pub(crate) fn expose(&self, module: String) {
        self.exposed.write().unwrap_or_else(PoisonError::into_inner).enable(module);
    }

    /// Looks up a function that a peer asked for.
    fn exposed(&self, path: &str) -> Result<&'static Export, Refusal> {
        self.exposed.read().unwrap_or_else(PoisonError::into_inner).find(path)
    }

    fn is_leaving_root(&self) -> bool {
        self.origin.is_none() && self.leaving.load(Ordering::Acquire)
    }

    pub(crate) fn mark_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
        self.stop.cancel();
    }

    /// Asks this actor to end, in the name of `by`. Returns at once.
    pub(crate) fn request_end(&self, by: &ActorId) {
        self.end_request.note(by);
        self.stop.cancel();
    }

    /// Returns why the tasks of an actor that ends are cancelled.
    fn ending_cause(&self) -> Cancelled {
        self.interrupted.get().map_or(Cancelled::Actor, |signal| Cancelled::Signal(*signal))
    }

    /// Returns whether this actor was asked to end, or ends by itself.
    pub(crate) fn end_requested(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until this actor has ended.
    async fn stopped(&self) {
        self.stopped.cancelled().await;
    }

    /// Waits until this actor is asked to end.
    pub(crate) async fn until_end_requested(&self) {
        self.stop.cancelled().await;
    }
}

fn now_in_milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Spawns a task that outlives its owner; the program waits for it before it ends.
pub(crate) fn leave_to_reaper(work: BoxFuture<()>) {
    if tokio::runtime::Handle::try_current().is_ok() {
        LEFT_OVER.get_or_init(TaskTracker::new).spawn(work);
    }
}

/// Waits for everything that was left to the reaper.
pub(crate) async fn wait_for_reaper() {
    if let Some(left_over) = LEFT_OVER.get() {
        left_over.close();
        left_over.wait().await;
    }
}

static LEFT_OVER: OnceLock<TaskTracker> = OnceLock::new();
