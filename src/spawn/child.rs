//! The other side of a spawn: this process (or thread) becomes an actor.
//!
//! It reads its spec, connects back to its parent, and serves until it is told to stop or its parent
//! is gone. `#[pleach::main]` comes here before anything else of the program runs.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pleach_wire::Registry;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::remote::keeper;
use super::watchdog::Watchdog;
use super::{ChildSpec, ties};
use crate::discovery;
use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::telemetry::stderr;

/// Makes this process an actor if it was started as one; otherwise returns at once.
///
/// `#[pleach::main]` calls it. A program with a `main` of its own calls it first thing there, before
/// it starts threads or reads its arguments. In a child process it never returns.
///
/// # Panics
/// Never; a child that can't become an actor, or has to stop, says why on standard error and exits with code 1.
#[expect(clippy::disallowed_methods, reason = "a child process has nothing of the program's to clean up")]
pub fn init() {
    ENTERED.store(true, Ordering::Release);
    let role = match std::env::args_os().nth(1) {
        Some(mark) if mark == MARK => {
            ties::die_with_parent();
            run_process
        }
        Some(mark) if mark == keeper::MARK => keeper::run,
        _ => return,
    };
    let code = match role() {
        Ok(()) => 0,
        Err(error) => {
            stderr::offer(format!("this actor can't go on: {error:?}\n").into());
            1
        }
    };
    std::process::exit(code);
}

/// Checks that children started by this program will become actors.
///
/// # Errors
/// Says what `main` has to do.
pub(crate) fn require_entry() -> Result<(), String> {
    if ENTERED.load(Ordering::Acquire) {
        return Ok(());
    }
    Err("this program's main would not become an actor: mark it `#[pleach::main]`, or call `pleach::init()` first in it"
        .into())
}

fn run_process() -> Result<()> {
    let usage = |what: &'static str| move |error: io::Error| Error::Usage(format!("{what}: {error}"));
    let mut parent = take_stdin().map_err(usage("standard input can't be taken over"))?;
    let read = read_message::<ChildSpec>(&mut parent);
    let spec = read.map_err(usage("no spec on standard input; actors are started by their parents"))?;
    let starter = match spec.starter {
        Some(starter) => ties::hold_on_to(starter).map_err(usage("it has no parent"))?,
        None => None,
    };
    if let Some(mark) = spec.mark {
        mark.put_on().map_err(|error| usage("it can't be marked as part of its tree")(error.into()))?;
    }
    name_process(&spec.name);
    crate::runtime::files::raise_limit();
    crate::telemetry::init(spec.config.log_level.as_deref());
    crate::panics::install_hook();
    let parent_gone = CancellationToken::new();
    let watchdog = Watchdog::start(parent, starter, parent_gone.clone(), &spec);
    let watchdog = watchdog.map_err(usage("no thread for the watchdog"))?;
    let tokio = crate::runtime::flavor::build(spec.config.multi_thread, None).map_err(usage("no async runtime"))?;
    let registry = crate::transports::registry(spec.config.allow_non_loopback);
    let served = tokio.block_on(async {
        let runtime = Runtime::child(spec, registry)?;
        crate::runtime::claim_process(&runtime);
        serve(runtime, parent_gone, Some(watchdog), terminated()).await
    });
    tokio.shutdown_timeout(Duration::ZERO);
    served
}

/// Runs an actor from the current thread until it ends; returns its exit code.
pub(super) fn run_in_thread(
    spec: ChildSpec,
    registry: Registry,
    killed: CancellationToken,
    parent_gone: CancellationToken,
) -> i32 {
    let Ok(tokio) = crate::runtime::flavor::build(spec.config.multi_thread, None) else { return 1 };
    let name = spec.name.clone();
    let served = tokio.block_on(async {
        let actor = async { serve(Runtime::child(spec, registry)?, parent_gone, None, std::future::pending()).await };
        tokio::select! {
            biased;
            () = killed.cancelled() => Err(Error::Usage("it was killed".into())),
            served = actor => served,
        }
    });
    // It is gone when its threads are. One with a blocking task that still runs can't be stopped, and must
    // not hold up whoever waits for this actor.
    tokio.shutdown_timeout(THREADS_END);
    match served {
        Ok(()) => 0,
        Err(error) => {
            warn!(target: "pleach::runtime", actor = name, %error, "actor failed");
            1
        }
    }
}

async fn serve(
    runtime: Arc<Runtime>,
    parent_gone: CancellationToken,
    watchdog: Option<Watchdog>,
    terminated: impl Future<Output = ()>,
) -> Result<()> {
    crate::runtime::within(runtime.clone(), async move {
        // Whoever awaits the start of this actor may look it up at once: it is entered when its parent hears of it.
        discovery::join_as_child(&runtime).await?;
        let parent = runtime.connect_to_parent().await?;
        if let Some(watchdog) = watchdog {
            watchdog.watch_lease(&parent);
        }
        let mut ended = Ok(());
        tokio::select! {
            () = runtime.stop_requested() => {}
            () = terminated => ended = Err(Error::Usage("it was terminated by a signal".into())),
            () = parent.ended() => {
                if parent.fell_silent() {
                    ended = Err(parent.gone());
                }
                debug!(target: "pleach::cancel", "the connection to the parent is gone: stopping");
            }
            () = parent_gone.cancelled() => {
                debug!(target: "pleach::cancel", "the parent is gone: stopping");
            }
        }
        runtime.shut_down().await;
        match runtime.failure() {
            Some(failure) => Err(failure.clone()),
            None => ended,
        }
    })
    .await
}

/// Takes SIGTERM, at once; the future waits for it: a parent whose patience is over sends it, and so may
/// anybody else as soon as this actor has connected.
fn terminated() -> impl Future<Output = ()> {
    let taken = signal(SignalKind::terminate());
    async move {
        match taken {
            Ok(mut came) => drop(came.recv().await),
            Err(error) => {
                debug!(target: "pleach::cancel", %error, "SIGTERM keeps its default action");
                std::future::pending().await
            }
        }
    }
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

/// Whether [`init`] has run: whether a child of this program would become an actor.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// The only argument of an actor process; everything else comes over the pipe.
pub(crate) const MARK: &str = "--pleach-actor";

/// How long the other threads of an actor without a process may take to end.
const THREADS_END: Duration = Duration::from_millis(500);

/// What the short names of actor processes begin with.
const NAME_PREFIX: &str = "pl:";

/// As much as a parent's pipe takes at once.
const MAX_SPEC: usize = 64 << 10;
