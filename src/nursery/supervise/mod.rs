//! Supervision: members of a nursery that are started again when they end.
//!
//! | file | station |
//! |---|---|
//! | this one | the description of a supervision, and its start |
//! | [`handle`] | the handle on a supervisor: the portals of its children, its end |
//! | [`policy`] | the decisions: which children to stop and start, how soon, when to give up |
//! | [`run`] | the supervisor's task, which carries them out |
//! | [`events`] | the events that a supervisor emits |
//!
//! A supervisor is asked for ([`Nursery::supervise`]). Without one, a nursery keeps its rule: one child
//! fails, all are cancelled. A supervisor that gives up is such a failure.

mod events;
mod handle;
mod policy;
mod run;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use self::events::{SupervisorEvent, SupervisorEvents};
pub use self::handle::Supervisor;
pub(crate) use self::handle::WeakSupervisor;

use self::events::Announcer;
use self::policy::{Restart, Rules, Strategy};
use self::run::Runner;
use super::Nursery;
use super::monitor::Overseer;
use super::stage::Stage;
use super::start::{Start, options_for};
use crate::backoff::Backoff;
use crate::error::{Cancelled, Error, Result};
use crate::portal::Portal;
use crate::rpc::call::Call;
use crate::runtime::{Runtime, within};
use crate::scope;
use crate::spawn::StartOptions;

/// Which actors a supervisor keeps up, and by which rules; for [`Nursery::supervise`].
///
/// The strategy says which others are restarted with a child: none ([`one_for_one`](Self::one_for_one)), all
/// ([`one_for_all`](Self::one_for_all)), or those after it ([`rest_for_one`](Self::rest_for_one)). Children are started
/// in the order in which they were added, and stopped in the opposite one, each by the same steps as everywhere: asked,
/// then SIGTERM, then SIGKILL.
#[derive(Debug)]
#[must_use = "give it to `Nursery::supervise`"]
pub struct Supervision {
    rules: Rules,
    children: Vec<ChildSpec>,
}

impl Supervision {
    /// Starts again only the child that has ended: the children do without each other.
    pub const fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// Stops all others and starts all again: none of the children can do without the others.
    pub const fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// Stops those that were added after the one that has ended, and starts it and them again: children
    /// use those before them.
    pub const fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    const fn new(strategy: Strategy) -> Self {
        let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1));
        let rules = Rules { strategy, restarts: 3, within: Duration::from_secs(5), backoff };
        Self { rules, children: Vec::new() }
    }

    /// Sets how many restarts there may be within a time, for all children together; on the next one
    /// the supervisor gives up.
    ///
    /// Default: 3 within 5 s. A child that can't work ends up here soon, and one that dies once a day never.
    pub const fn intensity(mut self, restarts: u32, within: Duration) -> Self {
        self.rules.restarts = restarts;
        self.rules.within = within;
        self
    }

    /// Sets how long to wait before a restart. Default: 10 ms, doubled each time, up to 1 s.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = backoff;
        self
    }

    /// Adds a child.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    fn check(&self) -> Result<()> {
        let mut names: Vec<_> = self.children.iter().map(|child| &child.name).collect();
        names.sort();
        match names.windows(2).find(|two| two[0] == two[1]) {
            Some(twice) => Err(Error::Usage(format!("two supervised children are named `{}`: rename one", twice[0]))),
            None if names.is_empty() => Err(Error::Usage("nothing to supervise: add a child".into())),
            None => Ok(()),
        }
    }
}

/// A child of a supervisor: how it is started, each time, and when it is started again.
#[must_use = "add it to a `Supervision`"]
pub struct ChildSpec {
    name: Arc<str>,
    restart: Restart,
    start: Starter,
    init: Option<Init>,
    /// The path of the type of its state, if it has one.
    state: Option<String>,
}

type Starter = Box<dyn Fn(Nursery, Overseer) -> BoxFuture<'static, Result<Portal>> + Send + Sync>;
type Init = Box<dyn Fn(Portal) -> BoxFuture<'static, Result<()>> + Send + Sync>;

impl ChildSpec {
    /// An actor that lives until it is cancelled, as [`Nursery::start_actor`] describes it.
    ///
    /// It is [`permanent`](Self::permanent) by default, and known by the actor's name. Only the
    /// description counts: nothing is started before it is supervised.
    pub fn daemon(actor: Start<Portal>) -> Self {
        Self::of_daemon(actor.options)
    }

    fn of_daemon(options: StartOptions) -> Self {
        let name = options.name.as_str().into();
        let start: Starter =
            Box::new(move |nursery, overseer| Box::pin(nursery.start_daemon(options.clone(), overseer)));
        Self { name, restart: Restart::Permanent, start, init: None, state: None }
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
        let name: String = name.into();
        let known_as = name.as_str().into();
        let start: Starter = Box::new(move |nursery, overseer| {
            let call = call();
            let mut options = options_for(&call);
            options.name.clone_from(&name);
            Box::pin(async move { Ok(nursery.start_one_shot(options, call, overseer).await?.without_result()) })
        });
        Self { name: known_as, restart: Restart::Transient, start, init: None, state: None }
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

    /// Runs a callback each time the actor was started, before any caller gets its portal; after those that were given
    /// before, and after its state was made.
    ///
    /// An actor with one function begins with that meanwhile. If it fails, the actor is stopped, and that
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
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("name", &self.name).field("restart", &self.restart).finish_non_exhaustive()
    }
}

impl Nursery {
    /// Starts actors and keeps them up: those that end are started again, by the rules that they come with.
    ///
    /// Returns once each was started, one after the other. The nursery then waits for the supervisor, as for a daemon:
    /// until [`Supervisor::shutdown`], [`Nursery::cancel`], or until all children have ended. After too many restarts
    /// it gives up, and the nursery fails.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use std::time::Duration;
    /// use pleach::{Backoff, ChildSpec, Supervision};
    ///
    /// #[pleach::rpc]
    /// async fn add(a: i64, b: i64) -> Result<i64> {
    ///     Ok(a + b)
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let supervision = Supervision::one_for_one()
    ///         .intensity(3, Duration::from_secs(5))
    ///         .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)))
    ///         .child(ChildSpec::daemon(n.start_actor("adder").enable(module_path!())))
    ///         .child(ChildSpec::run_once("once", || add(2, 2)));
    ///     let supervisor = n.supervise(supervision).await?;
    ///     // Whichever process it is now:
    ///     let adder = supervisor.portal("adder").await?;
    ///     assert_eq!(adder.run(add(1, 2)).await?, 3);
    ///     supervisor.shutdown().await;
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of the first start that failed; the children before it have been stopped then. [`Error::Usage`] when
    /// two children have one name, when there is no child, or when the nursery is closed.
    ///
    /// # Cancel safety
    /// If dropped, the started children are stopped.
    pub async fn supervise(&self, supervision: Supervision) -> Result<Supervisor> {
        scope::checkpoint()?;
        supervision.check()?;
        let admitted = self.admit()?;
        let stop = self.0.stages.token(Stage::Ending).child_token();
        let waiting = stop.clone().drop_guard();
        let Supervision { rules, children } = supervision;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let supervisor = Supervisor(Arc::new(Shared {
            key: NEXT.fetch_add(1, Ordering::Relaxed),
            home: self.0.runtime.clone(),
            stop,
            children: children.iter().map(|child| (child.name.clone(), watch::Sender::new(Status::Down))).collect(),
            states: children.iter().filter_map(|child| Some((child.name.clone(), child.state.clone()?))).collect(),
            outcome: watch::Sender::new(None),
            announcer: Announcer::new(),
        }));
        let (ready, started) = oneshot::channel();
        let runner = Runner::new(self.clone(), supervisor.0.clone(), rules, &children);
        // An `init` is code of this actor.
        self.0.tasks.spawn(within(self.0.runtime.clone(), runner.run(children, ready)));
        drop(admitted);
        // The task is lost only together with the async runtime below it.
        scope::wait(started).await?.unwrap_or(Err(Error::Cancelled(Cancelled::Actor)))?;
        drop(waiting.disarm());
        Ok(supervisor)
    }
}

/// State shared by a supervisor and its handles.
struct Shared {
    /// Tells it from the others of this process.
    key: u64,
    /// The actor that it is in.
    home: Arc<Runtime>,
    stop: CancellationToken,
    children: BTreeMap<Arc<str>, watch::Sender<Status>>,
    /// The paths of the types of their states, of those that have one.
    states: BTreeMap<Arc<str>, String>,
    outcome: watch::Sender<Option<Result<()>>>,
    announcer: Announcer,
}

/// The state of a child, for those that wait for it.
#[derive(Clone)]
enum Status {
    /// It is being started.
    Down,
    Up(Portal),
    /// It is not started any more.
    Over,
    /// Because the supervisor has failed.
    Failed(Error),
}
