//! The description of a child: how it is started, each time, when it is started again, and how it is stopped.
//!
//! It does nothing by itself; [`member`](super::member) carries it out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::health::HealthCheck;
use super::policy::Restart;
use crate::error::Result;
use crate::nursery::Nursery;
use crate::nursery::monitor::Overseer;
use crate::nursery::start::{Start, options_for};
use crate::portal::Portal;
use crate::rpc::call::Call;
use crate::spawn::StartOptions;

/// A child of a supervisor: how it is started, each time, and when it is started again.
///
/// It is given to [`Supervision::child`](crate::Supervision::child) or
/// [`Supervisor::add_child`](crate::Supervisor::add_child).
#[must_use = "add it to a `Supervision` or a `Supervisor`"]
pub struct ChildSpec {
    pub(super) name: String,
    /// Whether its name gets a number.
    pub(super) numbered: bool,
    pub(super) restart: Restart,
    pub(super) start: Starter,
    pub(super) init: Option<Init>,
    pub(super) health: Option<Arc<HealthCheck>>,
    /// How long it may take to exit once it was asked to, if not `soft_reap`.
    pub(super) soft_reap: Option<Duration>,
    /// The path of the type of its state, if it has one.
    pub(super) state: Option<String>,
}

/// Starts it; `Settings` override what it was described with.
pub(super) type Starter = Box<dyn Fn(Nursery, Settings, Overseer) -> BoxFuture<'static, Result<Portal>> + Send + Sync>;
pub(super) type Init = Box<dyn Fn(Portal) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// The start options that a supervisor decides on.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) soft_reap: Option<Duration>,
}

impl Settings {
    fn apply(self, options: StartOptions) -> StartOptions {
        StartOptions { name: self.name, soft_reap: self.soft_reap, ..options }
    }
}

impl ChildSpec {
    /// An actor that lives until it is cancelled, as [`Nursery::start_actor`] describes it.
    ///
    /// It is [`permanent`](Self::permanent) by default, and known by the actor's name. Only the
    /// description counts: nothing is started before it is supervised.
    pub fn daemon(actor: Start<Portal>) -> Self {
        Self::of_daemon(actor.options)
    }

    fn of_daemon(options: StartOptions) -> Self {
        let name = options.name.clone();
        let start: Starter = Box::new(move |nursery, settings, overseer| {
            Box::pin(nursery.start_daemon(settings.apply(options.clone()), overseer))
        });
        Self::new(name, Restart::Permanent, start)
    }

    /// An actor with a state, which is made again each time.
    pub(crate) fn with_state<P>(mut actor: Start<P>) -> Self {
        let (make, state) = (actor.make.take(), actor.options.state.clone());
        let spec = Self { state, ..Self::of_daemon(actor.options) };
        match make {
            Some(make) => spec.init(move |portal| make(portal)),
            None => spec,
        }
    }

    /// An actor that runs one function; `call` is asked for it each time.
    ///
    /// It is [`transient`](Self::transient) by default, and ends once the function has returned.
    /// The value is dropped: have the function store it, or send it somewhere.
    pub fn run_once<T, F>(name: impl Into<String>, call: F) -> Self
    where
        T: Send + 'static,
        F: Fn() -> Call<T> + Send + Sync + 'static,
    {
        let start: Starter = Box::new(move |nursery, settings, overseer| {
            let call = call();
            let options = settings.apply(options_for(&call));
            Box::pin(async move { Ok(nursery.start_one_shot(options, call, overseer).await?.without_result()) })
        });
        Self::new(name.into(), Restart::Transient, start)
    }

    fn new(name: String, restart: Restart, start: Starter) -> Self {
        Self { name, numbered: false, restart, start, init: None, health: None, soft_reap: None, state: None }
    }

    /// Starts it again whenever it has ended.
    pub fn permanent(self) -> Self {
        Self { restart: Restart::Permanent, ..self }
    }

    /// Restarts it when it failed; not when its function returned or it was cancelled.
    pub fn transient(self) -> Self {
        Self { restart: Restart::Transient, ..self }
    }

    /// Never starts it again.
    pub fn temporary(self) -> Self {
        Self { restart: Restart::Temporary, ..self }
    }

    /// Adds a number to its name and to that of its actor, such as `job-17`: one that no other child of the supervisor
    /// has had. So many children can be made of one description.
    ///
    /// [`SupervisedPortal::name`](crate::SupervisedPortal::name) tells it.
    pub fn numbered(self) -> Self {
        Self { numbered: true, ..self }
    }

    /// Sets how long it may take to exit after it has acknowledged that it is to stop, instead of
    /// [`Config::soft_reap`](crate::Config::soft_reap); then it gets SIGTERM, as everywhere.
    ///
    /// The actors below it have the same time: it has to end them within its own. A child that writes a long checkpoint
    /// gets more than the default of 3 s, and one with nothing to lose [`Duration::ZERO`].
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// # use std::time::Duration;
    /// # use pleach::ChildSpec;
    /// # fn describe(n: &Nursery) -> ChildSpec {
    /// ChildSpec::daemon(n.start_actor("database")).shutdown(Duration::from_secs(60))
    /// # }
    /// ```
    pub fn shutdown(self, within: Duration) -> Self {
        Self { soft_reap: Some(within), ..self }
    }

    /// Runs a callback each time the actor was started, before any caller gets its portal; after those that were given
    /// before, and after its state was made.
    ///
    /// An actor with one function begins with that meanwhile. If it fails or panics, the actor is stopped, and that
    /// counts as its failure. Give it a deadline ([`fail_after`](crate::fail_after)) if it may hang.
    pub fn init<F, Fut>(mut self, init: F) -> Self
    where
        F: Fn(Portal) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let before = self.init.take();
        let init = Arc::new(init);
        self.init = Some(Box::new(move |portal| {
            let (before, init) = (before.as_ref().map(|before| before(portal.clone())), init.clone());
            Box::pin(async move {
                if let Some(before) = before {
                    before.await?;
                }
                init(portal).await
            })
        }));
        self
    }

    /// Has it checked while it runs: `every` so often, after the last check or its start, `check` is to return `Ok` in
    /// this actor within `timeout`.
    ///
    /// A child that fails one, by an error, a panic or because it takes too long, is
    /// [`Unhealthy`](crate::SupervisorEvent::Unhealthy): it is stopped, by force if it does not react, and that counts
    /// as its failure. For a child that stands still as a whole [`Start::heartbeats`] is enough, which needs no function.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use std::time::Duration;
    /// use pleach::ChildSpec;
    ///
    /// #[pleach::rpc]
    /// async fn ping() -> Result<()> {
    ///     Ok(())
    /// }
    ///
    /// fn describe(n: &Nursery) -> ChildSpec {
    ///     let worker = n.start_actor("worker").enable(module_path!());
    ///     ChildSpec::daemon(worker)
    ///         .health_check(Duration::from_secs(10), Duration::from_secs(2), |portal| async move {
    ///             portal.run(ping()).await
    ///         })
    /// }
    /// ```
    pub fn health_check<F, Fut>(self, every: Duration, timeout: Duration, check: F) -> Self
    where
        F: Fn(Portal) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let check = Box::new(move |portal| Box::pin(check(portal)) as _);
        Self { health: Some(Arc::new(HealthCheck { every, timeout, check })), ..self }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("name", &self.name).field("restart", &self.restart).finish_non_exhaustive()
    }
}
