//! The launcher for transports that can't leave the process: an actor on a thread with a runtime of its own.
//!
//! For tests, and for trees that need the structure but no processes. Such an actor shares the fate
//! of this process; killing it ends its runtime at the next await of its tasks, and code that never
//! awaits can't be stopped.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Exit, Launched, Launcher, Process, Signal};
use crate::error::{Error, Result, WaitStatus};
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;

/// Starts actors as threads of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads;

#[async_trait::async_trait]
impl Launcher for Threads {
    async fn launch(
        &self,
        runtime: &Arc<Runtime>,
        spec: &ActorSpec,
        _env: &[(String, String)],
        _given_up: &CancellationToken,
    ) -> Result<Launched> {
        let (process, exited, orders) = Process::new(Some(std::process::id()));
        let (spec, registry) = (spec.clone(), runtime.registry().clone());
        let name = spec.name.clone();
        let (killed, parent_gone) = (CancellationToken::new(), CancellationToken::new());
        let (kill, liveness) = (killed.clone(), parent_gone.clone());
        let actor = move || super::entry::run_in_thread(spec, registry, killed, liveness);
        let thread = std::thread::Builder::new().name(name.clone());
        let (done, ended) = oneshot::channel();
        let thread = thread
            .spawn(move || {
                let _ = done.send(actor()); // the keeper waits for it unless its runtime is gone
            })
            .map_err(|error| Error::Spawn { actor: name, why: format!("no thread for it: {error}") })?;
        let keeper = Box::pin(async move {
            let _parent = parent_gone.drop_guard();
            let status = until_ended(ended, orders, || kill.cancel()).await;
            // It has nothing left to do; a panic of it shows as a missing code.
            let _ = thread.join();
            exited.send_replace(Some(Exit::with(status)));
        });
        Ok(Launched { process, keeper })
    }
}

/// Waits until an actor without a process has ended, with a code if it did not panic; each order kills it.
pub(super) async fn until_ended(
    mut ended: oneshot::Receiver<i32>,
    mut orders: mpsc::Receiver<Signal>,
    kill: impl Fn(),
) -> WaitStatus {
    let mut was_killed = false;
    let code = loop {
        tokio::select! {
            biased;
            code = &mut ended => break code.ok(),
            Some(_any) = orders.recv() => {
                was_killed = true;
                kill();
            }
        }
    };
    match code {
        Some(code) if code != 0 && was_killed => WaitStatus::Signalled(SIGKILL),
        code => code.map_or(WaitStatus::Unknown, WaitStatus::Exited),
    }
}

/// The signal number of an actor that was killed.
const SIGKILL: i32 = rustix::process::Signal::KILL.as_raw();
