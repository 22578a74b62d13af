//! Supervision: members of a nursery that are started again when they end.
//!
//! | file | station |
//! |---|---|
//! | this one | the description of a supervision, and its start |
//! | [`spec`] | the description of a child |
//! | [`handle`] | the handle on a supervisor: its children as they are now, those to add and remove, its end |
//! | [`portal`] | the handle on one child, whichever process it is |
//! | [`call`] | a call of such a child, with its options |
//! | [`roster`] | the children, as the supervisor's task and the handles share them |
//! | [`policy`] | the decisions: which children to stop and start, how soon, when to give up |
//! | [`run`] | the supervisor's task: from the start of all children to the end of all |
//! | [`group`] | children that are restarted together: events one by one |
//! | [`member`], [`health`] | one child: start, checks, end |
//! | [`events`] | the events that a supervisor emits |
//!
//! A supervisor is asked for ([`Nursery::supervise`]). Without one, a nursery keeps its rule: one child
//! fails, all are cancelled. A supervisor that gives up is such a failure.

mod call;
mod events;
mod group;
mod handle;
mod health;
mod member;
mod policy;
mod portal;
mod roster;
mod run;
mod spec;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use self::call::SupervisedCall;
pub use self::events::{SupervisorEvent, SupervisorEvents};
pub(crate) use self::handle::WeakSupervisor;
pub use self::handle::{ChildInfo, ChildState, Supervisor};
pub use self::portal::SupervisedPortal;
pub use self::spec::ChildSpec;

use self::events::Announcer;
use self::member::Member;
use self::policy::{Rules, Strategy};
use self::roster::{Entry, Roster};
use self::run::Runner;
use super::Nursery;
use super::stage::Stage;
use crate::backoff::Backoff;
use crate::error::{Cancelled, Error, Result};
use crate::runtime::Runtime;
use crate::scope;

/// Which actors a supervisor keeps up, and by which rules; for [`Nursery::supervise`].
///
/// The strategy says which others are restarted with a child: none ([`one_for_one`](Self::one_for_one)), all
/// ([`one_for_all`](Self::one_for_all)), or those after it ([`rest_for_one`](Self::rest_for_one)). Children are started
/// in the order in which they were added, and stopped in the opposite one, each by the same steps as everywhere: asked,
/// then SIGTERM, then SIGKILL. Others can be added and removed later: see
/// [`Supervisor::add_child`](crate::Supervisor::add_child). For many that come and go there is
/// [`dynamic`](Self::dynamic). [`manual::supervision`](crate::manual::supervision) tells all of it.
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

    /// Keeps up any number of children that are independent of each other and come and go: one for each connection,
    /// job or customer.
    ///
    /// It is [`one_for_one`](Self::one_for_one) and [stays open](Self::stay_open); a child that has ended for good is
    /// forgotten at once, and the end of all children is not in order, but at the same time. It costs no more for each
    /// child the more there are.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// use pleach::{ChildSpec, Supervision};
    ///
    /// #[pleach::rpc]
    /// async fn resize(image: String) -> Result<()> {
    ///     println!("{image} is done");
    ///     Ok(())
    /// }
    ///
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let jobs = n.supervise(Supervision::dynamic()).await?;
    ///     let mut running = Vec::new();
    ///     for image in ["cat.png", "dog.png"] {
    ///         // Tried again until it works, within the supervisor's intensity.
    ///         let job = ChildSpec::run_once("resize", move || resize(image.to_owned())).numbered();
    ///         running.push(jobs.add_child(job).await?);
    ///     }
    ///     for job in running {
    ///         job.ended().await?;
    ///     }
    ///     jobs.shutdown().await;
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub const fn dynamic() -> Self {
        let mut dynamic = Self::one_for_one().stay_open();
        dynamic.rules.dynamic = true;
        dynamic
    }

    const fn new(strategy: Strategy) -> Self {
        let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1));
        let rules =
            Rules { strategy, restarts: 3, within: Duration::from_secs(5), backoff, stays: false, dynamic: false };
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

    /// Lets the supervisor begin with no children, and go on when none is left, because others will be added: until
    /// [`Supervisor::shutdown`](crate::Supervisor::shutdown), or the end of its nursery.
    pub const fn stay_open(mut self) -> Self {
        self.rules.stays = true;
        self
    }

    /// Adds a child.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        let mut named = self.children.iter().filter(|child| !child.numbered);
        match named.find(|child| !names.insert(&child.name)) {
            Some(twice) => Err(twice_named(&twice.name)),
            None if self.children.is_empty() && !self.rules.stays => {
                Err(Error::Usage("nothing to supervise: add a child, or `stay_open()` if they are added later".into()))
            }
            None => Ok(()),
        }
    }
}

fn twice_named(name: &str) -> Error {
    Error::Usage(format!("two supervised children are named `{name}`: rename one"))
}

impl Nursery {
    /// Starts actors and keeps them up: those that end are started again, by the rules that they come with.
    ///
    /// Returns once each was started, one after the other. The nursery then waits for the supervisor, as for a daemon:
    /// until [`Supervisor::shutdown`], [`Nursery::cancel`], or until all children have ended, unless it
    /// [stays open](Supervision::stay_open). After too many restarts
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
    /// two children have one name, when there is no child and the supervision does not
    /// [stay open](Supervision::stay_open), or when the nursery is closed.
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
            roster: Roster::default(),
            outcome: watch::Sender::new(None),
            announcer: Announcer::new(),
        }));
        let (ready, started) = oneshot::channel();
        let members = children.into_iter().map(|spec| match supervisor.0.roster.enter(&spec) {
            Some(entry) => Ok(Member::new(entry, spec)),
            None => Err(twice_named(&spec.name)), // one is numbered, the other has that number in its name
        });
        let members = members.collect::<Result<_>>()?;
        let runner = Runner::new(self.clone(), supervisor.0.clone(), rules);
        // An `init` is code of this actor.
        self.spawn(runner.run(members, ready));
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
    roster: Roster,
    outcome: watch::Sender<Option<Result<()>>>,
    announcer: Announcer,
}

impl Shared {
    /// Has a child stopped and forgotten. Returns whether it is forgotten already, because no process of it was there.
    fn request_removal(&self, entry: &Arc<Entry>) -> bool {
        let is_done = self.roster.request_removal(entry);
        if is_done {
            self.forget(entry);
        }
        is_done
    }

    /// Frees the name of a child of which no process is left.
    fn forget(&self, entry: &Arc<Entry>) {
        if self.roster.forget(entry) {
            self.announcer.announce(SupervisorEvent::Removed { child: entry.name.clone() });
        }
    }
}
