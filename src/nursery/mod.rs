//! A nursery: child actors that live inside a block of code, and fail and end together.
//!
//! | file | station |
//! |---|---|
//! | this one | the block, its handle, its cancellation, its result |
//! | [`start`] | starting members |
//! | [`setup`] | what a start says about the process |
//! | [`monitor`] | watching members: their results, their ends |
//! | [`stage`] | how far it has come |
//! | [`report`] | how members came to their end |
//! | [`supervise`] | members that are started again |
//! | [`pool`] | members that share calls |
//!
//! ```text
//! open ── body returned ──► Joining ── all members have ended ──► closed
//!   │                          │
//!   └── body or a member failed, the scope around was cancelled, or cancel() ──► Ending ──► closed
//!                                                                     kill() ──► Killing ─► closed
//! ```
//! In `Joining`, actors with one function are ended once it has returned; daemons are waited for.
//! In `Ending`, every member is asked, waited for, and made to end ([`crate::spawn::reap`]); in `Killing`, none is
//! asked.
//!
//! # Invariants
//! 1. Each member has one monitor task, which ends when the member's process has.
//! 2. A failure is recorded before the body is cancelled, so that code that sees the cancellation finds the reason.
//! 3. Leaving the nursery in any way, a drop included, ends every member.
//! 4. Whether the nursery is closed, and whether an actor may be started, is decided under one lock: no
//!    member comes after the last one that was waited for.

mod monitor;
pub(crate) mod pool;
mod report;
mod setup;
mod stage;
mod start;
pub(crate) mod supervise;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use uuid::Uuid;

pub use self::report::EndingReport;
pub(crate) use self::start::Make;
pub use self::start::Start;

use self::report::{Ledger, Reason};
use self::stage::{Stage, Stages};
use crate::actor::ActorId;
use crate::boot::root::open_root;
use crate::config::Config;
use crate::error::{Cancelled, Error, Result, ScopeError};
use crate::runtime::{Runtime, current, leave_to_reaper};
use crate::scope::{self, CancelScope, Ended, Erased, OnDrop, run_to_end, shield};
use crate::sync::lock;

/// Opens a nursery, runs `body` in it, and waits until every actor started in it has ended.
///
/// Outside an actor, it first boots the root of a tree with [`Config::load`].
///
/// When `body` returns a value, actors with one function are waited for; daemons are waited for too,
/// so cancel them first, each one or all with [`Nursery::cancel`]; after 2 s a warning names those that were not. When `body` or a child fails, or the
/// scope around is cancelled, all children are cancelled. Nothing that was started here is alive when
/// this returns.
///
/// ```
/// # use pleach::prelude::*;
/// #[pleach::rpc]
/// async fn double(n: u32) -> Result<u32> {
///     Ok(2 * n)
/// }
///
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// let failed: Result<u32> = pleach::open_nursery(async |n| {
///     n.start_actor("idle").await?; // it would live for ever…
///     let doubling = n.run_in_actor(double(4)).await?;
///     assert_eq!(doubling.result().await?, 8);
///     Err(Error::Usage("enough".into())) // …but a failure ends them all
/// })
/// .await;
/// assert_eq!(failed.unwrap_err().to_string(), "enough");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The error of `body`, unchanged. Findings of the runtime come through `From<Error>`: a child that died or whose
/// function failed, a cancellation. Several errors are a group, `body`'s first. A panic of `body` is
/// [`Error::Panicked`], after the children have ended.
///
/// # Cancel safety
/// If dropped, `body` is dropped and the children are brought to their end in the background; the
/// program does not exit before that is done.
#[expect(unsafe_code, reason = "see `Erased`")]
pub fn open_nursery<'a, T, E, F, Fut>(body: F) -> impl Future<Output = Result<T, E>> + use<'a, T, E, F, Fut>
where
    T: 'a,
    E: ScopeError,
    F: FnOnce(Nursery) -> Fut + 'a,
    Fut: Future<Output = Result<T, E>> + 'a,
{
    // SAFETY: that is what `is_send` checks.
    unsafe { Erased::<Result<T, E>, F, Fut>::new(open(body)) }
}

#[expect(dead_code, reason = "the compiler has it")]
fn is_send<T, E, F, Fut>(body: F) -> impl Send
where
    T: Send,
    E: ScopeError,
    F: FnOnce(Nursery) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
{
    open(body)
}

async fn open<T, E, F, Fut>(body: F) -> Result<T, E>
where
    E: ScopeError,
    F: FnOnce(Nursery) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    match current() {
        Some(runtime) => open_in(runtime, body).await,
        None => {
            let config = Config::load()?;
            open_root(config, async move |actor| open_in(actor.runtime(), body).await).await
        }
    }
}

async fn open_in<T, E, F, Fut>(runtime: Arc<Runtime>, body: F) -> Result<T, E>
where
    E: ScopeError,
    F: FnOnce(Nursery) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    scope::checkpoint()?;
    let nursery = Nursery::new(runtime);
    let dropped = nursery.clone();
    let guard = OnDrop::new(move || dropped.abandon());
    // In a shield, so that the enclosing code does not see its cancellation yet: the children's reports would then
    // count as an echo of it. The nursery's own scope sees the cancellation.
    let (ended, joined) = shield(async {
        let ended = run_to_end(&nursery.0.scope, async { body(nursery.clone()).await }).await;
        let why = match &ended {
            Ended::Returned(Ok(_)) => None,
            Ended::Returned(Err(_)) => Some(Reason::Failed),
            Ended::Cancelled(_) => Some(Reason::Around),
            Ended::Panicked(_) => Some(Reason::Panicked),
        };
        let joined = nursery.close(why).await;
        (ended, joined)
    })
    .await;
    guard.disarm();
    nursery.0.exited.cancel();
    let errors = std::mem::take(&mut nursery.state().errors);
    // The body may have seen the same failure as its monitors: a function's result is the very same error.
    let known = errors.clone();
    let is_known = |own: &Error| known.iter().any(|found| found.came_back_as(own));
    ended.settle(&nursery.0.scope, joined, errors, is_known)
}

/// A handle on an open nursery, with which its body starts actors. Dropping it does nothing.
#[derive(Clone)]
pub struct Nursery(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    /// Around the body; cancelled when a child fails.
    scope: CancelScope,
    state: Mutex<State>,
    stages: Stages,
    /// The block has been left, and nothing of it is there any more.
    exited: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    closed: bool,
    /// Whether it has been recorded that all members are ended.
    cancel_recorded: bool,
    members: BTreeMap<Uuid, ActorId>,
    /// The members that live until they are cancelled, and have not been.
    daemons: BTreeSet<Uuid>,
    /// How many supervisors go on without children.
    open_supervisors: usize,
    errors: Vec<Error>,
    ledger: Ledger,
}

impl Nursery {
    fn new(runtime: Arc<Runtime>) -> Self {
        Self(Arc::new(Inner {
            runtime,
            scope: CancelScope::of_primitive(),
            state: Mutex::default(),
            stages: Stages::default(),
            exited: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Ends all actors of this nursery, supervised ones too, and waits until they have ended.
    ///
    /// Each is asked to end; one that does not acknowledge or exit in time gets SIGTERM, then SIGKILL.
    /// [`report`](Self::report) tells the escalations.
    ///
    /// That is not a failure, so the nursery ends with what its body returns; functions that were cut short report so
    /// through [`Portal::result`](crate::Portal::result). The body goes on, but can't start any more actors. An actor
    /// that fails during its clean-up for another reason than the cancellation still fails the nursery. It takes no
    /// longer than [`Config::ladder`]; actors that one supervisor ends in order take that long each.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// let value = pleach::open_nursery(async |n| {
    ///     n.start_actor("one").await?;
    ///     n.start_actor("two").await?;
    ///     n.cancel().await;
    ///     Ok::<_, Error>(7)
    /// })
    /// .await?;
    /// assert_eq!(value, 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// If dropped once it was polled, the actors are ended all the same.
    pub async fn cancel(&self) {
        self.end_all(Stage::Ending, Reason::Cancel).await;
    }

    /// As [`cancel`](Self::cancel), but no actor is asked: all get SIGTERM at once, and SIGKILL after
    /// [`kill_after`](Config::kill_after); also those that an earlier `cancel` only asked.
    ///
    /// # Cancel safety
    /// If dropped once it was polled, the actors are ended all the same.
    pub async fn kill(&self) {
        self.end_all(Stage::Killing, Reason::Kill).await;
    }

    /// Has all members ended, by their monitors, and waits for that.
    async fn end_all(&self, stage: Stage, why: Reason) {
        self.end_members(stage, why);
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Returns whether the actors of this nursery are being ended, or have been, all at once.
    ///
    /// By [`cancel`](Self::cancel), because the body or a child failed, or because the scope around was
    /// cancelled.
    pub fn cancel_called(&self) -> bool {
        self.0.stages.has_reached(Stage::Ending) || self.0.scope.cancel_called()
    }

    /// Returns whether no further actor can be started here, because the block was left or cancelled.
    pub fn closed(&self) -> bool {
        self.state().closed || self.cancel_called()
    }

    /// Waits until the block has been left and nothing that was started in it is alive.
    ///
    /// For code outside of the block: inside, it would wait for itself. In a cancelled scope it returns at once.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn exited(&self) {
        let _ = scope::wait(self.0.exited.cancelled()).await; // it has no error to return
    }

    /// Returns how the actors that have ended came to their end; also after the block was left.
    pub fn report(&self) -> EndingReport {
        self.state().ledger.report()
    }

    /// Returns the actors that are alive in this nursery.
    pub fn children(&self) -> Vec<ActorId> {
        self.state().members.values().cloned().collect()
    }

    /// Finds the nursery that an actor lives in, if it was started by this process and is alive.
    pub fn of(child: &ActorId) -> Option<Self> {
        managed().get(&child.uuid()).and_then(Weak::upgrade).map(Self)
    }

    /// Starts a task of this nursery: code of its actor.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(self.0.runtime.task(task));
    }

    /// Lets an actor be started (invariant 4). Leaving the nursery waits for the token.
    fn admit(&self) -> Result<TaskTrackerToken> {
        let state = self.state();
        if state.closed {
            return Err(Error::Usage("this nursery is closed: start actors while its body runs".into()));
        }
        match self.0.stages.has_reached(Stage::Ending) {
            false => Ok(self.0.tasks.token()),
            true => Err(Error::Cancelled(Cancelled::Nursery)),
        }
    }

    /// Records a failure, cancels the body (invariant 2), and has the other members ended: a body that holds a shield
    /// is not waited for.
    fn fail(&self, error: Error) {
        {
            let mut state = self.state();
            state.errors.push(error.clone());
            state.cancel_recorded = true;
        }
        self.0.scope.cancel_because(Cancelled::Nursery);
        self.0.stages.reach(Stage::Ending);
        debug!(target: "pleach::cancel", %error, "a child failed: cancelled its nursery");
    }

    /// Has all members ended by their monitors. The first reason is recorded, unless that was the failure of one.
    fn end_members(&self, stage: Stage, why: Reason) {
        let children = {
            let mut state = self.state();
            let is_first = !std::mem::replace(&mut state.cancel_recorded, true);
            if is_first { state.members.len() } else { 0 }
        };
        self.0.stages.reach(stage);
        if children == 0 {
            return;
        }
        match (why, self.0.scope.cause()) {
            (Reason::Around, Some(why)) => {
                debug!(target: "pleach::cancel", children, %why, "cancelled a nursery");
            }
            (why, _) => debug!(target: "pleach::cancel", children, %why, "cancelled a nursery"),
        }
    }

    /// Brings all members to their end: at once if there is a reason, or when something fails while they are
    /// waited for. Returns whether they came to it by themselves, or by `cancel`.
    async fn close(&self, why: Option<Reason>) -> bool {
        self.0.stages.reach(Stage::Joining);
        self.0.tasks.close();
        let joined = why.is_none()
            && tokio::select! {
                biased;
                // Watches for the nursery's own failure and, as its scope is a child of it, the scope around.
                () = self.0.scope.token().cancelled_owned() => false,
                () = self.join_all() => true,
                never = self.tell_what_it_waits_for() => never,
            };
        if !joined {
            self.end_members(Stage::Ending, why.unwrap_or(Reason::Around));
            self.join_all().await;
        }
        joined
    }

    /// Waits for all members, and for those that are started meanwhile, and closes the nursery.
    async fn join_all(&self) {
        loop {
            self.0.tasks.wait().await;
            let mut state = self.state();
            // Invariant 4: the code around may have a handle too, and have started an actor since.
            if self.0.tasks.is_empty() {
                state.closed = true;
                return;
            }
        }
    }

    /// Invariant 3, for a nursery that is dropped instead of left.
    fn abandon(self) {
        self.0.stages.reach(Stage::Ending);
        leave_to_reaper(Box::pin(async move {
            self.close(Some(Reason::Dropped)).await;
            self.0.exited.cancel();
            for error in std::mem::take(&mut self.state().errors) {
                warn!(target: "pleach::cancel", %error, "a child failed, and its nursery was dropped");
            }
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl fmt::Debug for Nursery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let members = state.members.values().collect::<Vec<_>>();
        f.debug_struct("Nursery").field("closed", &state.closed).field("members", &members).finish()
    }
}

/// The nurseries of this process by the actors that live in them.
fn managed() -> MutexGuard<'static, BTreeMap<Uuid, Weak<Inner>>> {
    static MANAGED: Mutex<BTreeMap<Uuid, Weak<Inner>>> = Mutex::new(BTreeMap::new());
    lock(&MANAGED)
}
