//! The other side of a spawn: this process (or thread) becomes an actor.
//!
//! It reads its spec, connects back to its parent, and serves until it is asked to end or its parent has ended.
//! `#[pleach::main]` enters here before anything else of the program runs.

use std::fs::File;
#[cfg(feature = "testing")]
use std::future::poll_fn;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
#[cfg(feature = "testing")]
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pleach_wire::{Address, Registry};
use serde::de::DeserializeOwned;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::remote::agent;
use super::watchdog::Watchdog;
use crate::actor::Place;
use crate::discovery;
use crate::error::{Error, Result};
use crate::inspect::listener::Listener;
use crate::os::signals::{self, Signals, Whose};
use crate::os::{files, ties};
use crate::proto::handshake::Endpoint;
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;
use crate::task_group::TaskGroup;
use crate::telemetry::{last_words, stderr};

/// Makes this process an actor if it was started as one; otherwise returns at once.
///
/// `#[pleach::main]` calls it. A program with a `main` of its own calls it first thing there, before
/// it starts threads or reads its arguments. In a child process it never returns.
///
/// # Panics
/// Never; a child that can't become an actor, or has to stop, says why on standard error and exits with code 1.
pub fn init() {
    let entered = match tokio::runtime::Handle::try_current() {
        Ok(_) => Entered::InRuntime,
        Err(_) => Entered::Well,
    };
    ENTERED.get_or_init(|| entered);
    match std::env::args_os().nth(1) {
        Some(mark) if mark == ties::ACTOR => end_as(|| {
            require_entry().map_err(Error::Usage)?;
            run_process()
        }),
        Some(mark) if mark == agent::MARK => end_as(|| agent::run().map(|()| None)),
        _ => {
            #[cfg(feature = "otel")]
            crate::telemetry::otel::install();
        }
    }
}

/// Runs a role of this process, which returns the signal that has ended it, if one has; then ends the process.
#[expect(clippy::disallowed_methods, reason = "a child process has nothing of the program's to clean up")]
pub(super) fn end_as(role: impl FnOnce() -> Result<Option<i32>>) -> ! {
    let code = match role() {
        Ok(Some(signal)) => {
            last_words::wait_at_end();
            signals::die_of(signal)
        }
        Ok(None) => 0,
        Err(error) => {
            stderr::offer(format!("this actor can't go on: {error:?}\n").into());
            1
        }
    };
    std::process::exit(code);
}

/// Checks that other processes of this program become actors by its `main`.
///
/// # Errors
/// Says how to fix `main`.
pub(crate) fn require_entry() -> Result<(), String> {
    match ENTERED.get() {
        Some(Entered::Well) => Ok(()),
        Some(Entered::InRuntime) => Err(IN_RUNTIME.into()),
        None => Err(NO_ENTRY.into()),
    }
}

/// Returns the arguments with which a process of this program becomes an actor.
///
/// # Errors
/// Says how to fix `main`.
pub(super) fn arguments() -> Result<Vec<String>, String> {
    #[cfg(feature = "testing")]
    if ENTERED.get().is_none()
        && let Some(arguments) = super::tested::arguments()
    {
        return Ok(arguments);
    }
    require_entry().map(|()| vec![ties::ACTOR.to_owned()])
}

/// Says what is wrong with a process that can't become an actor, or start one for another host.
pub(super) fn unusable(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::Usage(format!("{what}: {error}"))
}

/// Runs the actor that this process was started as; returns the signal that ended it, if one did.
pub(super) fn run_process() -> Result<Option<i32>> {
    ties::die_with_parent();
    let mut parent = take_stdin().map_err(unusable("standard input can't be taken over"))?;
    let read = read_message::<ActorSpec>(&mut parent);
    let spec = read.map_err(unusable("no spec on standard input; actors are started by their parents"))?;
    let starter = match spec.starter {
        Some(starter) => ties::hold_on_to(starter).map_err(unusable("it has no parent"))?,
        None => None,
    };
    if let Some(mark) = spec.mark {
        mark.put_on().map_err(|error| unusable("it can't be marked as part of its tree")(error.into()))?;
    }
    name_process(&spec.name);
    pleach_wire::log::set_process_origin(&spec.name);
    files::raise_limit();
    spec.setup.carry_out()?;
    // Before a sandbox would refuse these, and after the process has the user that it is to have.
    let inspection = Listener::of_process();
    let _known = Place::here();
    #[cfg(feature = "crashes")]
    crate::os::crash_stack::handler::install();
    spec.setup.confine(|| ports_of(&spec.parent_at))?;
    let signals = Signals::take(Whose::Actor);
    crate::telemetry::init_actor(spec.config.log_level.as_deref(), spec.config.log_format);
    crate::panics::install_hook();
    let parent_gone = CancellationToken::new();
    let watchdog = Watchdog::start(parent, starter, inspection, parent_gone.clone(), &spec);
    let watchdog = watchdog.map_err(unusable("no thread for the watchdog"))?;
    let tokio = async_runtime(spec.config.multi_thread, None).map_err(unusable("no async runtime"))?;
    let registry = crate::transports::registry(spec.config.allow_non_loopback);
    let served = tokio.block_on(async {
        let runtime = Runtime::child(spec, registry, None)?;
        crate::runtime::claim_process(&runtime);
        #[cfg(feature = "prometheus")]
        crate::metrics::prometheus::record(runtime.id(), runtime.config())?;
        #[cfg(feature = "debugger")]
        crate::debug::prepare(&runtime);
        serve(runtime, parent_gone, Some(watchdog), Some(signals)).await
    });
    tokio.shutdown_timeout(Duration::ZERO);
    served
}

/// The ports at these addresses.
fn ports_of(at: &[Endpoint]) -> Vec<u16> {
    let addresses = at.iter().filter_map(|at| at.address.parse::<Address>().ok());
    addresses.filter_map(|at| Some(at.host_port()?.port)).collect()
}

/// Runs an actor from the current thread until it ends; returns its exit code.
pub(super) fn run_in_thread(
    spec: ActorSpec,
    registry: Registry,
    killed: CancellationToken,
    parent_gone: CancellationToken,
) -> i32 {
    pleach_wire::log::set_thread_origin(spec.name.as_str().into());
    let Ok(tokio) = async_runtime(spec.config.multi_thread, None) else { return 1 };
    let code = tokio.block_on(run_without_process(spec, registry, None, killed.cancelled(), parent_gone));
    // It ends when its threads do. One with a blocking task that still runs can't be stopped, and must not delay the
    // end of this actor.
    tokio.shutdown_timeout(THREADS_END);
    code
}

/// Runs an actor whose tasks are a group, until it ends or its group is killed; returns its exit code.
#[cfg(feature = "testing")]
pub(super) async fn run_in_group(
    spec: ActorSpec,
    registry: Registry,
    group: TaskGroup,
    parent_gone: CancellationToken,
) -> i32 {
    let mut actor = pin!(run_without_process(spec, registry, Some(group.clone()), group.until_killed(), parent_gone));
    poll_fn(|cx| {
        let _named = group.named();
        actor.as_mut().poll(cx)
    })
    .await
}

async fn run_without_process(
    spec: ActorSpec,
    registry: Registry,
    group: Option<TaskGroup>,
    killed: impl Future<Output = ()>,
    parent_gone: CancellationToken,
) -> i32 {
    let name = spec.name.clone();
    let actor = async {
        let runtime = Runtime::child(spec, registry, group)?;
        #[cfg(feature = "debugger")]
        crate::debug::prepare(&runtime);
        serve(runtime, parent_gone, None, None).await
    };
    let served = tokio::select! {
        biased;
        () = killed => Err(Error::Usage("it was killed".into())),
        served = actor => served,
    };
    match served {
        Ok(_) => 0,
        Err(error) => {
            warn!(target: "pleach::runtime", actor = name, %error, "actor failed");
            1
        }
    }
}

/// Returns the signal that ended it, if one did. Without `signals`, those of the process are not this actor's.
async fn serve(
    runtime: Arc<Runtime>,
    parent_gone: CancellationToken,
    watchdog: Option<Watchdog>,
    mut signals: Option<Signals>,
) -> Result<Option<i32>> {
    #[cfg(feature = "metrics")]
    crate::metrics::actor_begins();
    crate::runtime::within(runtime.clone(), async move {
        let joined = async {
            // A caller that awaited the start of this actor may look it up at once: it is registered before its parent
            // hears of it.
            discovery::join_as_child(&runtime).await?;
            runtime.connect_to_parent().await
        };
        let parent = tokio::select! {
            biased;
            joined = joined => joined?,
            signal = Signals::first_of(&mut signals) => return Ok(Some(signal)),
        };
        if let Some(watchdog) = watchdog {
            watchdog.watch_lease(&parent);
        }
        let mut ended = Ok(None);
        let why = tokio::select! {
            // Who has asked counts before what follows from that.
            biased;
            () = runtime.lifecycle.until_end_requested() => Why::Asked,
            signal = Signals::first_of(&mut signals) => {
                runtime.interrupt(signal);
                ended = Ok(runtime.lifecycle.signal());
                Why::Signal
            }
            () = parent.ended() => {
                if parent.fell_silent() {
                    ended = Err(parent.gone());
                }
                Why::Disconnected
            }
            () = parent_gone.cancelled() => Why::ParentGone,
        };
        runtime.shut_down().await;
        #[cfg(feature = "metrics")]
        crate::metrics::actor_ended();
        note_end(&runtime, why);
        match runtime.lifecycle.failure() {
            Some(failure) => Err(failure.clone()),
            None => ended,
        }
    })
    .await
}

/// What ends an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Asked,
    Signal,
    Disconnected,
    ParentGone,
}

/// Records the end of this actor: its own part of it.
fn note_end(runtime: &Runtime, why: Why) {
    let (actor, took) = (runtime.id(), runtime.lifecycle.ending_for());
    match (why, runtime.lifecycle.asked_by()) {
        // It has said so when the signal came.
        (Why::Signal, _) if runtime.lifecycle.signal().is_some() => {}
        (Why::Asked, Some(by)) if by != actor => {
            debug!(target: "pleach::cancel", ?took, %by, "this actor was asked to end, and has")
        }
        (why, _) => {
            let why = match why {
                Why::Asked => "it has ended itself",
                Why::Signal => "its process got a signal",
                Why::Disconnected => "the connection to its parent is gone",
                Why::ParentGone => "its parent is gone",
            };
            debug!(target: "pleach::cancel", ?took, %why, "this actor has ended")
        }
    }
}

/// Makes the tokio runtime of an actor: on one thread by default, on several on request.
///
/// One thread is the fast choice for an actor with few connections: no wake-up crosses a core, and
/// a process starts sooner.
///
/// # Errors
/// When the system refuses a resource that it needs.
pub(crate) fn async_runtime(multi_thread: bool, workers: Option<usize>) -> io::Result<tokio::runtime::Runtime> {
    let mut builder = if multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    // Its threads belong to the same actor as this one.
    if let Some(actor) = pleach_wire::log::thread_origin() {
        builder.on_thread_start(move || pleach_wire::log::set_thread_origin(actor.clone()));
    }
    builder.enable_all().build()
}

/// Takes the pipe off standard input, so that nothing else in this process reads it.
pub(super) fn take_stdin() -> io::Result<File> {
    let pipe: OwnedFd = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(pipe.into())
}

/// Reads the first thing that a parent says.
pub(super) fn read_message<T: DeserializeOwned>(pipe: &mut File) -> io::Result<T> {
    let mut length = [0; 4];
    pipe.read_exact(&mut length)?;
    let mut encoded = vec![0; (u32::from_le_bytes(length) as usize).min(MAX_SPEC)];
    pipe.read_exact(&mut encoded)?;
    rmp_serde::from_slice(&encoded).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Shows the actor's name in `ps` and `top`, where the kernel keeps 15 bytes.
pub(super) fn name_process(name: &str) {
    let short: String = format!("{NAME_PREFIX}{name}").chars().filter(char::is_ascii_graphic).take(15).collect();
    if let Ok(short) = std::ffi::CString::new(short) {
        let _ = rustix::thread::set_name(&short); // only for display
    }
}

/// How [`init`] was called, if it was: whether a child of this program would become an actor.
static ENTERED: OnceLock<Entered> = OnceLock::new();

enum Entered {
    Well,
    /// Inside of an async runtime, where that of an actor can't be started.
    InRuntime,
}

const NO_ENTRY: &str = "this program's main would not become an actor: mark it `#[pleach::main]`, or call \
     `pleach::init()` first in it; in a test of `cargo test`, mark the test `#[pleach::test]` (pleach's feature \
     `testing`), whose actors are processes of this host";

const IN_RUNTIME: &str = "`pleach::init()` was called inside of an async runtime, where a process can't become an actor: \
     put `#[pleach::main]` in place of `#[tokio::main]`; or write `fn main`, call `pleach::init()` first in it, and build \
     the runtime after that";

/// How long the other threads of an actor without a process may take to end.
const THREADS_END: Duration = Duration::from_millis(500);

/// The prefix of the short names of actor processes.
const NAME_PREFIX: &str = "pl:";

/// As much as a parent's pipe takes at once.
const MAX_SPEC: usize = 64 << 10;
