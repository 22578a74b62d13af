//! Child actors: starting a process, waiting until it has connected back, and its end.
//!
//! | file | station |
//! |---|---|
//! | this one | start options, the [`Launcher`] seam, and a started process |
//! | [`start`] | from start options to a child that has connected back |
//! | [`process`] | the launcher for a process on this machine |
//! | [`thread`] | the launcher for transports that can't leave the process |
//! | `one_clock` | the launcher for tests whose time is paused |
//! | [`commands`] | other programs, run to their end |
//! | [`remote`] | the common part of the launchers for other hosts |
//! | [`ssh`] | the launcher for hosts that `ssh` reaches |
//! | [`slurm`] | the launcher for the nodes of a cluster |
//! | [`entry`] | the other side: the new process becomes an actor |
//! | `tested` | the same for a process of a test program |
//! | [`reap`] | ask, wait, escalate: how a child is ended |
//! | [`judge`] | the meaning of a child's end for its nursery |
//! | [`watchdog`] | ends a child whose parent has died, whatever the kernel does |
//!
//! # Invariants
//! 1. A started process always has a keeper task, which waits for its end even if all handles were dropped.
//! 2. A child whose start was dropped before it has connected back is killed and waited for.

mod commands;
pub(crate) mod entry;
pub(crate) mod judge;
#[cfg(feature = "testing")]
pub(crate) mod one_clock;
pub(crate) mod process;
pub(crate) mod reap;
mod remote;
mod slurm;
#[cfg(feature = "ssh")]
mod ssh;
pub(crate) mod start;
#[cfg(feature = "testing")]
pub(crate) mod tested;
mod thread;
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::actor::ActorId;
use crate::channel::Channel;
use crate::config::{ChildOutput, Host};
use crate::error::{ActorDied, ActorPhase, Error, Result, WaitStatus};
#[cfg(feature = "crashes")]
use crate::os::crash_stack;
use crate::os::process::{is_dead, raw_pid};
use crate::os::setup::Setup;
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;

/// A nursery's request to start an actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct StartOptions {
    pub(crate) name: String,
    pub(crate) host: Host,
    pub(crate) modules: Vec<String>,
    /// The path of the type of its state, if it has one.
    pub(crate) state: Option<String>,
    pub(crate) transport: Option<String>,
    pub(crate) codec: Option<String>,
    pub(crate) multi_thread: Option<bool>,
    /// Whether its crashes are shown in the debugger.
    pub(crate) debug_mode: Option<bool>,
    pub(crate) env: Vec<(String, String)>,
    /// Exchange heartbeats although it is on this host.
    pub(crate) heartbeats: bool,
    /// The log filter of it and all below it.
    pub(crate) log_level: Option<String>,
    pub(crate) stdout: Option<ChildOutput>,
    pub(crate) stderr: Option<ChildOutput>,
    pub(crate) setup: Setup,
    /// Whether its nursery ends it when the body has returned, instead of waiting for it.
    pub(crate) ends_with_body: bool,
    /// How long it may take to exit once it was asked to.
    pub(crate) soft_reap: Option<Duration>,
}

/// Starts actors somewhere: as a process here, as a thread, on another host.
#[async_trait::async_trait]
pub(crate) trait Launcher: Send + Sync {
    /// Starts one that will connect back as `spec` says, unless it is `given_up` before it is there.
    ///
    /// # Errors
    /// [`Error::Spawn`]; [`Error::Cancelled`] when the start was cancelled. Nothing is left running then.
    ///
    /// # Cancel safety
    /// If dropped, a process may be left running.
    async fn launch(
        &self,
        runtime: &Arc<Runtime>,
        spec: &ActorSpec,
        env: &[(String, String)],
        given_up: &CancellationToken,
    ) -> Result<Launched>;
}

/// The error of an actor that was not started, on whatever host.
fn not_started(actor: &str, host: &Host, why: String) -> Error {
    let why = if host.is_local() { why } else { format!("at {host}: {why}") };
    Error::Spawn { actor: actor.to_owned(), why }
}

/// A process that has just been started.
pub(crate) struct Launched {
    pub(crate) process: Process,
    /// Must be polled until it ends: it waits for the process and relays its outputs.
    pub(crate) keeper: BoxFuture<'static, ()>,
}

/// A started process, as all but its keeper see it. Dropping all handles leaves it running.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pid: Option<u32>,
    exit: watch::Receiver<Option<Exit>>,
    signals: mpsc::Sender<Signal>,
    /// Whether it was sent a signal that ends it.
    signalled: Arc<AtomicBool>,
}

/// How a process ended, or was lost sight of.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) status: WaitStatus,
    /// The last lines of its standard error, as far as they passed through this process.
    pub(crate) stderr: Vec<String>,
    /// Where it was when a signal killed it, if it has said so.
    pub(crate) stack: Vec<String>,
    /// Where the kernel has put a core dump of it, if it has.
    pub(crate) core_dump: Option<String>,
    /// Whether its end was seen. If not, only the engine here that led to it has ended, and it may live.
    pub(crate) seen: bool,
    /// Whether this is all that there will be to say; if not, names for its stack are being looked for.
    is_all: bool,
}

impl Exit {
    /// Returns an end that was seen.
    fn with(status: WaitStatus) -> Self {
        Self { status, stderr: Vec::new(), stack: Vec::new(), core_dump: None, seen: true, is_all: true }
    }
}

/// Reports an end; and, if a signal has killed the process and it has said where, which functions those places are in.
/// `is_ours` says whether the process has run this program.
#[cfg_attr(not(feature = "crashes"), expect(clippy::unused_async, unused_variables, reason = "there are no places"))]
async fn report(exited: &watch::Sender<Option<Exit>>, exit: Exit, is_ours: bool) {
    #[cfg(feature = "crashes")]
    let exit = {
        let mut exit = exit;
        let places = crash_stack::take_from(&mut exit.stderr);
        if !places.is_empty() {
            exited.send_replace(Some(Exit { is_all: false, ..exit.clone() }));
            exit.stack = crash_stack::names::of(places, is_ours).await;
        }
        exit
    };
    exited.send_replace(Some(exit));
}

/// The commands of a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ask it to end.
    Terminate,
    /// End it.
    Kill,
    /// Tell it that its parent has died.
    Release,
}

impl Process {
    /// Makes the two ends: the handle, and the keeper's.
    fn new(pid: Option<u32>) -> (Self, watch::Sender<Option<Exit>>, mpsc::Receiver<Signal>) {
        let (exited, exit) = watch::channel(None);
        let (signals, orders) = mpsc::channel(4);
        (Self { pid, exit, signals, signalled: Arc::default() }, exited, orders)
    }

    /// Waits until it has ended and all is said of that, or its end will never be reported.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let _ = exit.wait_for(|exit| exit.as_ref().is_some_and(|exit| exit.is_all)).await; // or its keeper was dropped
        self.exit().unwrap_or_else(|| Exit::with(WaitStatus::Unknown)) // killed by that
    }

    /// Waits as [`exited`](Self::exited) does, for `notice` until it has ended; `None` if it has not.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn exited_within(&self, notice: Duration) -> Option<Exit> {
        match timeout(notice, self.exited()).await {
            Ok(exit) => Some(exit),
            Err(_) if self.exit().is_some() => Some(self.exited().await),
            Err(_) => None,
        }
    }

    /// Waits until it has ended; for ever, if its end will never be reported.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn ended(&self) -> Exit {
        match self.exited().await {
            exit if exit.seen => exit,
            _lost => std::future::pending().await,
        }
    }

    /// Returns whether it is known to have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.exit.borrow().as_ref().is_some_and(|exit| exit.seen)
    }

    /// Returns whether it is dead at this moment, also if its keeper has not noticed that yet.
    pub(crate) fn is_dead(&self) -> bool {
        let pid = self.pid.filter(|pid| *pid != std::process::id()).and_then(raw_pid);
        self.has_ended() || pid.is_some_and(is_dead)
    }

    /// Returns whether its end will never be reported.
    pub(crate) fn is_lost(&self) -> bool {
        self.exit.borrow().as_ref().is_some_and(|exit| !exit.seen)
    }

    /// Returns how it ended or was lost sight of, if it has.
    pub(crate) fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Returns whether it was sent SIGTERM or SIGKILL from here.
    pub(crate) fn was_signalled(&self) -> bool {
        self.signalled.load(Ordering::Acquire)
    }

    /// Sends a signal, unless it has ended. More than a few unread ones are the same as one.
    pub(crate) fn signal(&self, signal: Signal) {
        if signal != Signal::Release {
            self.signalled.store(true, Ordering::Release);
        }
        let _ = self.signals.try_send(signal); // full: the keeper has the same order already; closed: it has ended
    }

    /// Kills it as something outside would: it counts as not signalled from here.
    #[cfg(feature = "testing")]
    pub(crate) fn crash(&self) {
        let _ = self.signals.try_send(Signal::Kill); // as in `signal`
    }

    /// Returns its process id; for a thread, that of this process; nothing for one on another host.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }
}

/// An actor that was started here and has connected back.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) id: ActorId,
    pub(crate) channel: Channel,
    pub(crate) process: Process,
    /// How long it may take to exit once it was asked to, if not as the configuration says.
    pub(crate) soft_reap: Option<Duration>,
}

impl Child {
    /// The error of a child that died: the report of its runtime, or its exit status.
    ///
    /// `asked` is how long ago it was asked to end, if it was.
    pub(crate) fn death(&self, exit: &Exit, when: ActorPhase, asked: Option<Duration>) -> Error {
        let reported = self.channel.peer_failure().cloned();
        reported.unwrap_or_else(|| {
            let calls = self.channel.lost_calls().to_vec();
            Error::ActorDied(Box::new(ActorDied { calls, asked, ..died(&self.id, exit, when) }))
        })
    }

    /// The error of a child that can't be supervised any more, although its process lives on.
    pub(crate) fn lost(&self) -> Error {
        self.channel.peer_failure().cloned().unwrap_or_else(|| self.channel.gone())
    }
}

/// What the exit of its process tells of an actor's death.
fn died(actor: &ActorId, exit: &Exit, when: ActorPhase) -> ActorDied {
    let Exit { status, stderr, stack, core_dump, .. } = exit.clone();
    ActorDied { stderr, stack, core_dump, ..ActorDied::new(actor.clone(), status, when) }
}
