//! Starting members: the options of an actor, and the task that starts it.
//!
//! # Invariants
//! 1. An actor is started in a task of the nursery, never in the caller's, which may be dropped at any moment: before
//!    the process is there, before it has connected back, before any caller has its portal.
//! 2. A start that its caller or its nursery gave up leaves no actor behind.
//! 3. An actor with state is given out once its state is made; one whose state can't be made is ended.

use std::fmt;
use std::future::IntoFuture;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use super::Nursery;
use super::monitor::{Monitor, Overseer};
use super::stage::Stage;
use crate::actor::ActorId;
use crate::config::{ChildOutput, Host};
use crate::error::{Cancelled, Error, Result};
use crate::events::{self, ActorEventKind};
use crate::panics::take_caught;
use crate::portal::{ChildHandle, Portal};
use crate::rpc::call::Call;
use crate::scope::{self, OnDrop};
use crate::spawn::{self, Child, StartOptions};
use crate::telemetry::calls::in_current_span;

impl Nursery {
    /// Starts an actor that lives until it is cancelled.
    ///
    /// Await the returned [`Start`], after saying more about the actor if need be.
    pub fn start_actor(&self, name: impl Into<String>) -> Start<Portal> {
        let options = StartOptions { name: name.into(), ..StartOptions::default() };
        Start::new(
            self,
            options,
            Box::new(|nursery, options| Box::pin(nursery.start_daemon(options, Overseer::Nursery))),
        )
    }

    /// Starts an actor that runs one function; its module is enabled there.
    ///
    /// It is named after the function unless [`Start::name`] says otherwise, and ends once the function
    /// has returned and the nursery's body has too.
    pub fn run_in_actor<T: Send + 'static>(&self, call: Call<T>) -> Start<Portal<T>> {
        let options = options_for(&call);
        let start = |nursery: Self, options| Box::pin(nursery.start_one_shot(options, call, Overseer::Nursery)) as _;
        Start::new(self, options, Box::new(start))
    }

    /// Starts an actor with a state that `make` makes; the actor is given out once that has returned.
    pub(crate) fn start_with_state<P: Send + 'static>(
        &self,
        options: StartOptions,
        make: Make,
        wrap: impl FnOnce(Portal) -> P + Send + 'static,
    ) -> Start<P> {
        let made_by = make.clone();
        let start = |nursery: Self, options| {
            Box::pin(async move {
                let portal = nursery.start_daemon(options, Overseer::Nursery).await?;
                let unmade = OnDrop::new({
                    let portal = portal.clone();
                    move || portal.request_end()
                });
                if let Err(failed) = made_by(portal.clone()).await {
                    drop(unmade);
                    return Err(failed);
                }
                unmade.disarm();
                Ok(wrap(portal))
            }) as _
        };
        Start { make: Some(make), ..Start::new(self, options, Box::new(start)) }
    }

    pub(super) async fn start_daemon(self, options: StartOptions, overseer: Overseer) -> Result<Portal> {
        let ends_with_body = options.ends_with_body;
        let enter = move |nursery: &Self, member: Arc<ChildHandle>, overseer| {
            let monitor = Monitor::enter(nursery, member.clone(), overseer);
            nursery.spawn(monitor.watch_daemon(ends_with_body));
            Portal::daemon(member)
        };
        self.start_member(options, overseer, enter).await
    }

    pub(super) async fn start_one_shot<T>(
        self,
        options: StartOptions,
        call: Call<T>,
        overseer: Overseer,
    ) -> Result<Portal<T>>
    where
        T: Send + 'static,
    {
        let enter = move |nursery: &Self, member: Arc<ChildHandle>, overseer| {
            // Not the caller's deadline: that is for the start, and the function lives as long as the nursery.
            let deadline = nursery.0.scope.deadline();
            // The arguments' own code runs here. Its panic is a failure of the function, like its other errors.
            let call_it = AssertUnwindSafe(|| call.send(&member.child.channel, deadline));
            let pending = catch_unwind(call_it).unwrap_or_else(|_| Err(Error::Panicked(take_caught().message)));
            let (settle, result) = watch::channel(None);
            let monitor = Monitor::enter(nursery, member.clone(), overseer);
            nursery.spawn(monitor.watch_one_shot(pending, settle));
            Portal::one_shot(member, result, call.decoder())
        };
        self.start_member(options, overseer, enter).await
    }

    /// Starts an actor, registers it among the members, and returns the result of the registration.
    async fn start_member<P, F>(&self, options: StartOptions, overseer: Overseer, enter: F) -> Result<P>
    where
        P: Send + 'static,
        F: FnOnce(&Self, Arc<ChildHandle>, Overseer) -> P + Send + 'static,
    {
        scope::checkpoint()?;
        let admitted = self.admit()?;
        let given_up = self.0.stages.token(Stage::Ending).child_token();
        let waiting = given_up.clone().drop_guard();
        let (done, started) = oneshot::channel();
        let nursery = self.clone();
        let start = async move {
            let (name, kind) = (options.name.clone(), overseer.kind_of_start());
            let started = spawn::start::start(&nursery.0.runtime, options, &given_up).await;
            note_start(nursery.0.runtime.id(), &name, kind, &started);
            let started = started.map(|child| {
                // A supervisor ends its own in order, unless there is a hurry.
                let ending = nursery.0.stages.token(match overseer {
                    Overseer::Nursery => Stage::Ending,
                    Overseer::Supervisor { .. } => Stage::Killing,
                });
                let member =
                    ChildHandle::new(child, nursery.0.runtime.clone(), ending, nursery.0.stages.token(Stage::Killing));
                let unclaimed = member.clone();
                (OnDrop::new(move || unclaimed.mark_end_requested()), enter(&nursery, member, overseer))
            });
            // A caller that has left meanwhile drops it, and so ends the actor.
            match done.send(started) {
                Err(Err(error)) if !error.is_cancelled() => {
                    warn!(target: "pleach::runtime", %error, "a start failed after it was cancelled");
                }
                _ => {}
            }
        };
        // A one-function actor is called by the code that starts it.
        self.spawn(in_current_span(start));
        drop(admitted);
        let started = scope::wait(started).await?;
        drop(waiting.disarm());
        // The task is lost only together with the async runtime below it.
        let (unclaimed, portal) = started.unwrap_or(Err(Error::Cancelled(Cancelled::Actor)))?;
        unclaimed.disarm();
        Ok(portal)
    }
}

/// Notes the start of an actor, or why there was none.
fn note_start(parent: &ActorId, name: &str, kind: ActorEventKind, started: &Result<Child>) {
    match started {
        Ok(child) => events::note(kind, parent, &child.id, None),
        Err(error) if error.is_cancelled() => {}
        Err(error) => {
            let actor = ActorId::new(name).in_process(0);
            events::note(ActorEventKind::NotStarted, parent, &actor, Some(error.to_string()));
        }
    }
}

/// The options of a one-function actor.
pub(super) fn options_for<T>(call: &Call<T>) -> StartOptions {
    StartOptions { name: call.name().into(), modules: vec![call.module().into()], ..StartOptions::default() }
}

/// An actor about to be started: say more about it, then await it.
///
/// Dropping it starts nothing.
///
/// # Errors
/// Awaiting it fails with [`Error::Spawn`] when the process can't be started or does not connect back
/// in time, with [`Error::ActorDied`] when it ends before, with [`Error::Usage`] when the nursery is
/// closed, with [`Error::Cancelled`] when it is cancelled. Nothing is left running then.
///
/// # Cancel safety
/// If dropped while it is awaited, the started process is killed and reaped.
#[must_use = "an actor starts when this is awaited"]
pub struct Start<P> {
    pub(super) nursery: Nursery,
    pub(super) options: StartOptions,
    start: Starter<P>,
    /// Makes the state of the actor once it is there, if it is to have one.
    pub(super) make: Option<Make>,
}

/// Makes the state of an actor; each time that the actor is started.
pub(crate) type Make = Arc<dyn Fn(Portal) -> BoxFuture<'static, Result<()>> + Send + Sync>;

type Starter<P> = Box<dyn FnOnce(Nursery, StartOptions) -> BoxFuture<'static, Result<P>> + Send>;

impl<P> Start<P> {
    fn new(nursery: &Nursery, options: StartOptions, start: Starter<P>) -> Self {
        Self { nursery: nursery.clone(), options, start, make: None }
    }

    /// Names the actor.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = name.into();
        self
    }

    /// Lets the actor's callers run the functions of a module; `module_path!()` is this one.
    pub fn enable(mut self, module: impl Into<String>) -> Self {
        self.options.modules.push(module.into());
        self
    }

    /// Connects the actor over this protocol instead of the configured one, e.g. `"quic"`.
    pub fn transport(mut self, protocol: impl Into<String>) -> Self {
        self.options.transport = Some(protocol.into());
        self
    }

    /// Connects the actor with this codec instead of the configured one, e.g. `"json"`.
    pub fn codec(mut self, codec: impl Into<String>) -> Self {
        self.options.codec = Some(codec.into());
        self
    }

    /// Has the nursery end the actor once its body has returned, as if it were cancelled then; otherwise an actor without
    /// a function of its own lives until it is cancelled, and the nursery waits for that.
    ///
    /// ```
    /// # use pleach::prelude::*;
    /// # #[pleach::main]
    /// # async fn main() -> Result<()> {
    /// pleach::open_nursery(async |n| {
    ///     let helper = n.start_actor("helper").until_body_ends().await?;
    ///     println!("{} helps", helper.id());
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub fn until_body_ends(mut self) -> Self {
        self.options.ends_with_body = true;
        self
    }

    /// Gives the actor an async runtime with several threads, or with one.
    pub fn multi_thread(mut self, several: bool) -> Self {
        self.options.multi_thread = Some(several);
        self
    }

    /// Shows the crashes of this actor, and of those below it, at the debugger's prompt; or not. Otherwise its parent's
    /// [`Config::debug_mode`](crate::Config::debug_mode) counts.
    pub fn debug_mode(mut self, shown: bool) -> Self {
        self.options.debug_mode = Some(shown);
        self
    }

    /// Starts the actor on a host, instead of as a process of this one.
    ///
    /// There it is started by an engine that exists already, and by the same program, which is copied there if need be.
    /// It connects to its parent over the network, and ends with everything below it when its parent has ended.
    pub fn on(mut self, host: Host) -> Self {
        self.options.host = host;
        self
    }

    /// Monitors the actor as if it ran on another host: with heartbeats and a lease ([`Config::lease`]).
    ///
    /// Actors on other hosts always have one. An actor on this host does not need one to be found dead when its process
    /// ends; with one, it is also declared dead, and ends itself, when a task of it blocks its thread for longer than
    /// the lease, or when it is stopped under a debugger.
    ///
    /// [`Config::lease`]: crate::Config::lease
    pub fn heartbeats(mut self) -> Self {
        self.options.heartbeats = true;
        self
    }

    /// Sets the log filter of the actor and of all actors below it, e.g. `"cancel"`; see
    /// [`telemetry::init`](crate::telemetry::init). Default: the one that its parent has, from `PLEACH_LOG` or
    /// [`Config::log_level`].
    ///
    /// An actor on a thread (`mem`) has the filter of its process.
    ///
    /// [`Config::log_level`]: crate::Config::log_level
    pub fn log_level(mut self, filter: impl Into<String>) -> Self {
        self.options.log_level = Some(filter.into());
        self
    }

    /// Sets what becomes of the standard output of the actor's process, instead of [`Config::stdout`].
    ///
    /// [`Config::stdout`]: crate::Config::stdout
    pub fn stdout(mut self, output: ChildOutput) -> Self {
        self.options.stdout = Some(output);
        self
    }

    /// Sets what becomes of the standard error of the actor's process, instead of [`Config::stderr`].
    ///
    /// [`Config::stderr`]: crate::Config::stderr
    pub fn stderr(mut self, output: ChildOutput) -> Self {
        self.options.stderr = Some(output);
        self
    }

    /// Sets an environment variable for the actor's process. A name that is empty or has `=` in it, and a zero byte in
    /// either, are errors of the start.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.env.push((name.into(), value.into()));
        self
    }
}

impl<P> IntoFuture for Start<P> {
    type Output = Result<P>;
    type IntoFuture = BoxFuture<'static, Result<P>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.start)(self.nursery, self.options)
    }
}

impl<P> fmt::Debug for Start<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Start({:?})", self.options)
    }
}
