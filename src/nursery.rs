//! A nursery: child actors that live inside a block of code, and fail and end together.
//!
//! ```text
//! Open ── body returned ──► Joining ── all children have ended ──► Closed
//!   │                          │
//!   └── body or a child failed, or the scope around was cancelled ──► Cancelling ──► Closed
//! ```
//! In `Joining`, actors with one function are ended once it has returned; daemons are waited for.
//! In `Cancelling`, every child is asked, waited for, and made to end ([`crate::spawn::reap`]).
//!
//! # Invariants
//! 1. Each member has one monitor task, which ends when the member's process has.
//! 2. A failure is recorded before the body is cancelled, so that whoever sees the cancellation finds the reason.
//! 3. Leaving the nursery in any way, a drop included, brings every member to its end.

use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::Call;
use crate::channel::{Explain as _, Pending};
use crate::config::Config;
use crate::error::{Cancelled, Error, Result, ScopeError, WaitStatus, boxed};
use crate::exports::BoxFuture;
use crate::portal::{FinalResult, Member, Portal};
use crate::runtime::root::open_root;
use crate::runtime::{Runtime, current, leave_to_reaper};
use crate::scope::{self, CancelScope, shield};
use crate::spawn::reap::reap;
use crate::spawn::{self, Exit, Order};

/// Opens a nursery, runs `body` in it, and waits until every actor started in it has ended.
///
/// Outside an actor, it first boots the root of a tree with [`Config::load`].
///
/// When `body` returns a value, actors with one function are waited for; daemons are waited for too,
/// so cancel them first. When `body` or a child fails, or the scope around is cancelled, all children
/// are cancelled. Nothing that was started here is alive when this returns.
///
/// # Errors
/// What `body` returned, as it was. What the runtime found comes through `From<Error>`: a child that
/// died unasked or whose function failed, a cancellation. Several are a group.
///
/// # Cancel safety
/// If dropped, `body` is dropped and the children are brought to their end in the background; the
/// program does not exit before that is done.
pub async fn open_nursery<T, E, F, Fut>(body: F) -> Result<T, E>
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
    let nursery = Nursery(Arc::new(Inner {
        runtime,
        scope: CancelScope::new(),
        state: Mutex::default(),
        joining: CancellationToken::new(),
        tasks: TaskTracker::new(),
    }));
    let guard = CancelOnDrop(Some(nursery.clone()));
    // In a shield, so that the code around is not told of its cancellation yet: what the children report
    // meanwhile would then count as an echo of it. The nursery's own scope sees the cancellation.
    let (ended, joined) = shield(async {
        let ended = nursery.0.scope.run(body(nursery.clone())).await;
        let joined = nursery.close(!matches!(ended, Ok(Ok(_)))).await;
        (ended, joined)
    })
    .await;
    guard.disarm();
    match nursery.outcome(ended) {
        // The body had returned, but its children were not let finish.
        Ok(_) if !joined => {
            scope::checkpoint()?;
            Err(Error::Cancelled(Cancelled::Scope).into())
        }
        outcome => outcome,
    }
}

/// A handle on an open nursery, with which its body starts actors. Dropping it does nothing.
#[derive(Clone)]
pub struct Nursery(Arc<Inner>);

struct Inner {
    runtime: Arc<Runtime>,
    /// Around the body; cancelled when a child fails.
    scope: CancelScope,
    state: Mutex<State>,
    /// The body has returned: actors whose function is over may go.
    joining: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    closed: bool,
    members: Vec<Arc<Member>>,
    errors: Vec<Error>,
}

impl Nursery {
    /// Starts an actor that lives until it is cancelled.
    ///
    /// Await the returned [`Start`], after saying more about the actor if need be.
    pub fn start_actor(&self, name: impl Into<String>) -> Start<Portal> {
        Start::new(self, Order { name: name.into(), ..Order::default() }, Box::new(start_daemon))
    }

    /// Starts an actor that runs one function; its module is enabled there.
    ///
    /// It is named after the function unless [`Start::name`] says otherwise, and ends once the function
    /// has returned and the nursery's body has too.
    pub fn run_in_actor<T: Send + 'static>(&self, call: Call<T>) -> Start<Portal<T>> {
        let order = Order { name: call.name().into(), modules: vec![call.module().into()], ..Order::default() };
        Start::new(self, order, Box::new(|nursery, order| Box::pin(nursery.run_one(order, call))))
    }

    async fn run_one<T>(self, order: Order, call: Call<T>) -> Result<Portal<T>> {
        let member = self.start(order).await?;
        let pending = member.child.channel.call(call.target(), call.export().schema, call.args());
        let (settle, result) = watch::channel(None);
        let portal = Portal::one_shot(member.clone(), result, call.decoder());
        let monitor = self.clone();
        self.0.tasks.spawn(async move { monitor.watch_one_shot(member, pending, settle).await });
        Ok(portal)
    }

    /// Starts a process and enters it among the members.
    async fn start(&self, order: Order) -> Result<Arc<Member>> {
        scope::checkpoint()?;
        self.check_open()?;
        let child = spawn::start(&self.0.runtime, &self.0.tasks, order).await?;
        let member = Member::new(child, self.0.runtime.clone());
        let entered = {
            let mut state = self.state();
            if !state.closed {
                state.members.push(member.clone());
            }
            !state.closed
        };
        if !entered {
            // It was closed in the meantime: the child must not outlive it.
            self.reap(&member).await;
        }
        self.check_open()?;
        Ok(member)
    }

    fn check_open(&self) -> Result<()> {
        match self.state().closed {
            false => Ok(()),
            true => Err(Error::Usage("this nursery is closed: start actors while its body runs".into())),
        }
    }

    /// Waits for a daemon's end.
    async fn watch_daemon(self, member: Arc<Member>) {
        tokio::select! {
            biased;
            exit = member.ended() => self.judge_end(&member, exit).await,
            () = member.asked() => self.reap(&member).await,
        }
    }

    /// Waits for the function's result, then for the nursery's body, then ends the actor.
    async fn watch_one_shot(self, member: Arc<Member>, pending: Result<Pending>, settle: watch::Sender<FinalResult>) {
        let outcome = match pending {
            Ok(mut pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(value) => {
                settle.send_replace(Some(Ok(value)));
                tokio::select! {
                    biased;
                    () = self.0.joining.cancelled() => {}
                    exit = member.ended() => return self.judge_end(&member, exit).await,
                }
            }
            Err(error) => {
                let error = member.explain(error).await;
                settle.send_replace(Some(Err(error.clone())));
                let echo = match &error {
                    Error::Disconnected { .. } => true,
                    other => other.is_cancelled(),
                };
                if !(member.was_asked() && echo) {
                    self.fail(error);
                }
            }
        }
        self.reap(&member).await;
    }

    /// Records the end of a member as a failure if nobody had asked for it; `exit` is how its process
    /// ended, and `None` if it is alive without a connection: then it can't be supervised any more.
    async fn judge_end(&self, member: &Member, exit: Option<Exit>) {
        let in_order = member.left_in_order() && exit.as_ref().is_some_and(|exit| exit.status == WaitStatus::Exited(0));
        if !member.was_asked() && !in_order {
            self.fail(match &exit {
                Some(exit) => member.child.death(exit),
                None => member.child.channel.gone(),
            });
        }
        if exit.is_none() {
            self.reap(member).await;
        }
    }

    /// Brings a member to its end.
    async fn reap(&self, member: &Member) {
        member.mark_asked();
        reap(&member.child, self.0.runtime.config()).await;
    }

    /// Records a failure and cancels the body (invariant 2).
    fn fail(&self, error: Error) {
        tracing::debug!(target: "pleach::cancel", %error, "a child failed: cancelling its nursery");
        self.state().errors.push(error);
        self.0.scope.cancel_because(Cancelled::Nursery);
    }

    /// Brings all members to their end: at once if `failed`, or when something fails while they are
    /// waited for. Returns whether they came to it by themselves.
    async fn close(&self, failed: bool) -> bool {
        self.0.joining.cancel();
        self.0.tasks.close();
        let joined = !failed
            && tokio::select! {
                biased;
                // Watches for the nursery's own failure and, as its scope is a child of it, the scope around.
                () = self.0.scope.token().cancelled_owned() => false,
                () = self.0.tasks.wait() => true,
            };
        let members = {
            let mut state = self.state();
            state.closed = true;
            state.members.clone()
        };
        for member in members.into_iter().filter(|member| !member.child.process.has_exited()) {
            let nursery = self.clone();
            self.0.tasks.spawn(async move { nursery.reap(&member).await });
        }
        self.0.tasks.wait().await;
        joined
    }

    /// Makes one result of what the body returned and what the monitors found.
    fn outcome<T, E: ScopeError>(&self, ended: Result<Result<T, E>>) -> Result<T, E> {
        let mut errors = std::mem::take(&mut self.state().errors);
        match ended {
            Ok(Ok(value)) if errors.is_empty() => return Ok(value),
            Ok(Err(own)) if errors.is_empty() => return Err(own),
            Ok(Err(own)) => {
                let own = Error::from_boxed(boxed(own));
                // The body may have seen what its monitors saw.
                if !own.is_cancelled() && !errors.iter().any(|found| found.is_same_failure(&own)) {
                    errors.insert(0, own);
                }
            }
            Err(cancelled) if errors.is_empty() => {
                scope::checkpoint()?;
                return Err(cancelled.into());
            }
            Ok(Ok(_)) | Err(_) => {}
        }
        Err(Error::join(errors).expect_err("there is at least one").into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Nursery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let members = state.members.iter().map(|member| &member.child.id);
        f.debug_struct("Nursery").field("closed", &state.closed).field("members", &members.collect::<Vec<_>>()).finish()
    }
}

/// An actor about to be started: say more about it, then await it.
///
/// Dropping it starts nothing.
///
/// # Errors
/// Awaiting it fails with [`Error::Spawn`] when the process can't be started or does not connect back
/// in time, with [`Error::ActorDied`] when it ends before, with [`Error::Usage`] when the nursery is
/// closed. Nothing is left running then.
///
/// # Cancel safety
/// If dropped while it is awaited, what has been started is killed and reaped.
#[must_use = "an actor starts when this is awaited"]
pub struct Start<P> {
    nursery: Nursery,
    order: Order,
    start: Starter<P>,
}

type Starter<P> = Box<dyn FnOnce(Nursery, Order) -> BoxFuture<Result<P>> + Send>;

fn start_daemon(nursery: Nursery, order: Order) -> BoxFuture<Result<Portal>> {
    Box::pin(async move {
        let member = nursery.start(order).await?;
        let (monitor, watched) = (nursery.clone(), member.clone());
        nursery.0.tasks.spawn(async move { monitor.watch_daemon(watched).await });
        Ok(Portal::daemon(member))
    })
}

impl<P> Start<P> {
    fn new(nursery: &Nursery, order: Order, start: Starter<P>) -> Self {
        Self { nursery: nursery.clone(), order, start }
    }

    /// Names the actor.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.order.name = name.into();
        self
    }

    /// Lets the actor's callers run the functions of a module; `module_path!()` is this one.
    pub fn enable(mut self, module: impl Into<String>) -> Self {
        self.order.modules.push(module.into());
        self
    }

    /// Connects the actor over this protocol instead of the configured one, e.g. `"quic"`.
    pub fn transport(mut self, protocol: impl Into<String>) -> Self {
        self.order.transport = Some(protocol.into());
        self
    }

    /// Connects the actor with this codec instead of the configured one, e.g. `"json"`.
    pub fn codec(mut self, codec: impl Into<String>) -> Self {
        self.order.codec = Some(codec.into());
        self
    }

    /// Gives the actor an async runtime with several threads, or with one.
    pub fn multi_thread(mut self, several: bool) -> Self {
        self.order.multi_thread = Some(several);
        self
    }

    /// Sets an environment variable for the actor's process.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.order.env.push((name.into(), value.into()));
        self
    }
}

impl<P> IntoFuture for Start<P> {
    type Output = Result<P>;
    type IntoFuture = BoxFuture<Result<P>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.start)(self.nursery, self.order)
    }
}

impl<P> fmt::Debug for Start<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Start({:?})", self.order)
    }
}

/// Invariant 3, for a nursery that is dropped instead of left.
struct CancelOnDrop(Option<Nursery>);

impl CancelOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(nursery) = self.0.take() {
            nursery.state().closed = true;
            leave_to_reaper(Box::pin(async move {
                nursery.close(true).await;
            }));
        }
    }
}
