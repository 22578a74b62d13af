//! An actor as the code in it sees it: which one that is, and a handle on it.
//!
//! Peers are reached through a [`Portal`](crate::Portal), also the parent and the root: see
//! [`Actor::parent`] and [`get_root`](crate::get_root).

use std::sync::{Arc, Mutex, Weak};

use pleach_wire::Address;
use tokio::runtime::Handle;

use super::{Runtime, here};
use crate::actor::ActorId;
use crate::config::Config;
use crate::current;
use crate::registry::Registry;
use crate::scope;
use crate::sync::lock;

/// A handle on an actor that runs here. Dropping it does nothing.
#[derive(Clone, Debug)]
pub struct Actor(Arc<Runtime>);

/// Returns the actor that the current code runs in, if there is one.
///
/// Tasks of an actor know theirs. Other code, such as that of `tokio::spawn`, belongs to the actor that began in the same
/// tokio runtime, which is the root where a test has [paused](crate::manual::testing#time) the time; in a process that was
/// started as an actor, to that one; and outside of any tokio runtime to the root of the process, unless it has several.
pub fn current_actor() -> Option<Actor> {
    current().map(Actor)
}

impl Actor {
    pub(crate) fn new(runtime: Arc<Runtime>) -> Self {
        Self(runtime)
    }

    /// Returns its identity.
    pub fn id(&self) -> &ActorId {
        self.0.id()
    }

    /// Returns the configuration that it runs with.
    pub fn config(&self) -> &Config {
        self.0.config()
    }

    /// Returns where it listens now. A root listens nowhere until it has started a child, unless its configuration
    /// says where. While it opens a listener this waits; in a cancelled scope it returns nothing instead.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn addresses(&self) -> Vec<Address> {
        scope::wait(self.0.addresses()).await.unwrap_or_default()
    }

    /// Returns whether it keeps the names of its tree: a root does, unless it has joined another registrar.
    pub fn is_registrar(&self) -> bool {
        self.0.table().is_some()
    }

    /// Returns the registry in which it and all others of its tree are entered.
    ///
    /// [`find_actor`](crate::find_actor) and its siblings are the usual way; this is for custom entries, and for tools.
    /// `None` while the actor is still starting.
    pub fn registry(&self) -> Option<Arc<dyn Registry>> {
        self.0.names().map(|names| names.registry())
    }

    /// Lets the other actors of the tree run the functions of a module here; `module_path!()` is this one.
    ///
    /// A child's modules are set with [`Start::enable`](crate::Start::enable) when it is started; this is for the root,
    /// and for a child that decides by itself. By default, nothing is exposed.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// #[pleach::rpc]
    /// async fn record(line: String) -> Result<()> {
    ///     println!("{line}");
    ///     Ok(())
    /// }
    ///
    /// #[pleach::rpc]
    /// async fn work() -> Result<()> {
    ///     pleach::get_root().await?.run(record("done".into())).await
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_root(Config::default(), async |actor| {
    ///     actor.enable(module_path!());
    ///     pleach::open_nursery(async |n| n.run_in_actor(work()).await?.result().await).await
    /// })
    /// .await
    /// # }
    /// ```
    pub fn enable(&self, module: impl Into<String>) {
        self.0.expose(module.into());
    }

    /// Asks this actor to end, with everything below it. Returns at once; callable from any thread.
    ///
    /// It has the effect of a cancel request from a peer: a child ends in order, and in the root the body of
    /// [`open_root`](crate::open_root) is cancelled. Asking again changes nothing.
    pub fn cancel_soon(&self) {
        self.0.request_end(self.0.id());
    }

    /// Returns whether it has been asked to end, by whomever, or is ending by itself.
    pub fn cancel_called(&self) -> bool {
        self.0.lifecycle.end_requested()
    }

    /// Waits until it has ended: its tasks, its connections, its children, its exit callbacks.
    ///
    /// This is for code outside of the actor, such as another thread that shows progress. Code inside has to end first
    /// itself, so it never gets past this, except in a cancelled scope, where this returns at once.
    ///
    /// # Cancel safety
    /// Nothing is lost; ask again.
    pub async fn cancel_complete(&self) {
        let _ = scope::wait(self.0.lifecycle.ended()).await; // it has no error to return
    }

    pub(crate) fn runtime(&self) -> Arc<Runtime> {
        self.0.clone()
    }
}

/// Runs `body` as a part of this actor: code in it finds it with [`current()`].
pub(crate) fn within<F: Future>(runtime: Arc<Runtime>, body: F) -> current::Within<F> {
    let group = runtime.tasks.group().cloned();
    current::within(runtime, group, body)
}

/// Returns the actor that the current code belongs to.
///
/// Tasks that the runtime starts know theirs. Other code belongs to the actor that began in its async runtime; without
/// one, to that which the process was started as; and code outside of any async runtime to the root of the process, if
/// it has one only. A root that is shutting down is no longer current: the next one may be opened meanwhile.
pub(crate) fn current() -> Option<Arc<Runtime>> {
    current_task().or_else(|| match Handle::try_current() {
        Ok(tokio) => here::began_in(tokio.id(), |actor| !is_leaving_root(actor)).or_else(process_is),
        Err(_outside) => only_one(&lock(&OF_PROCESS)),
    })
}

/// Returns the actor that this process was started as.
fn process_is() -> Option<Arc<Runtime>> {
    lock(&OF_PROCESS).iter().find_map(Weak::upgrade).filter(|actor| !actor.identity.is_root())
}

fn only_one(of_process: &[Weak<Runtime>]) -> Option<Arc<Runtime>> {
    let mut open = of_process.iter().filter_map(Weak::upgrade).filter(|actor| !is_leaving_root(actor));
    open.next().filter(|_| open.next().is_none())
}

/// Returns the actor whose task the current code is, if the runtime started that task.
pub(crate) fn current_task() -> Option<Arc<Runtime>> {
    current::get()
}

/// Returns whether this is the actor of the process: of several roots, the first.
pub(super) fn is_of_process(runtime: &Arc<Runtime>) -> bool {
    lock(&OF_PROCESS).first().is_some_and(|first| std::ptr::eq(first.as_ptr(), Arc::as_ptr(runtime)))
}

/// Makes this the actor of the process, or one more root in it.
pub(crate) fn claim_process(runtime: &Arc<Runtime>) {
    let mut holders = lock(&OF_PROCESS);
    holders.retain(|holder| holder.upgrade().is_some_and(|actor| !is_leaving_root(&actor)));
    if holders.is_empty() {
        pleach_wire::log::set_process_origin(runtime.id().name());
    }
    holders.push(Arc::downgrade(runtime));
}

/// A root that leaves makes room for the next one.
fn is_leaving_root(actor: &Runtime) -> bool {
    actor.identity.is_root() && actor.lifecycle.is_leaving()
}

static OF_PROCESS: Mutex<Vec<Weak<Runtime>>> = Mutex::new(Vec::new());
