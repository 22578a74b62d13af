//! A worker: started, kept up, replaced when it has died or has served its time, and ended.
//!
//! ```text
//! starting ──► up ── it died ───────────────────────────────────────► starting
//!    │  ▲      ├──── it is to be recycled ── its last call ended ──► ended ──┘
//!    │  └──────┴──── the pool stops ───────────────────────────────► ended
//!    └─ it could not be started, several times ──► the pool fails
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::{Shared, inside};
use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::nursery::Nursery;
use crate::nursery::monitor::Overseer;
use crate::portal::Portal;
use crate::spawn::StartOptions;

/// Keeps one worker up.
pub(super) struct Keeper {
    pub(super) nursery: Nursery,
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) options: StartOptions,
    /// Above how many bytes of resident memory it is replaced.
    pub(super) recycle_above: Option<u64>,
}

/// A worker that has connected back.
struct Running {
    portal: Portal,
    /// Tells of a failure, and closes when the process is gone.
    failures: mpsc::Receiver<Error>,
}

/// How often in a row a worker may fail to start, after the first one was up.
const FAILED_STARTS: u32 = 5;

/// How often the memory of a worker is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(500);

/// The pauses before a start that follows one that failed, or a worker that died without having had a call.
const PAUSES: Backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1));

impl Keeper {
    /// Works until the pool stops; `ready` learns whether the first start succeeded.
    pub(super) async fn run(self, ready: oneshot::Sender<Result<()>>) {
        let mut ready = Some(ready);
        let (mut in_vain, mut failed_starts) = (0, 0);
        loop {
            let started = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return,
                started = self.start(ready.is_none()) => started,
            };
            match (started, ready.take()) {
                (Ok(running), first) => {
                    failed_starts = 0;
                    first.into_iter().for_each(|ready| drop(ready.send(Ok(())))); // the caller may have left
                    self.shared.board.set_up(self.number, running.portal.clone());
                    let was_used = self.keep(running).await;
                    in_vain = if was_used { 0 } else { in_vain + 1 };
                }
                (Err(error), Some(ready)) => return drop(ready.send(Err(error))), // as above
                (Err(error), None) => {
                    failed_starts += 1;
                    in_vain += 1;
                    if failed_starts == FAILED_STARTS {
                        return self.shared.fail(&self.nursery, error);
                    }
                    warn!(target: "pleach::runtime", %error, "a worker of a pool could not be started again");
                }
            }
            let pause = if in_vain == 0 { Duration::ZERO } else { PAUSES.wait(in_vain, 0) };
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    async fn start(&self, again: bool) -> Result<Running> {
        let (tell, failures) = mpsc::channel(1);
        let overseer = Overseer::Supervisor { failures: tell, again };
        let portal = self.nursery.clone().start_daemon(self.options.clone(), overseer).await?;
        Ok(Running { portal, failures })
    }

    /// Waits until a worker has ended, or ends it. Returns whether it has had a call.
    async fn keep(&self, Running { portal, mut failures }: Running) -> bool {
        let Shared { board, stop, progress, .. } = &*self.shared;
        let (died, failure) = tokio::select! {
            biased;
            () = stop.cancelled() => (false, None),
            failure = failures.recv() => (true, failure),
            () = self.until_recycled(&portal) => {
                board.set_down(self.number);
                debug!(target: "pleach::runtime", actor = %portal.id(), "a worker of a pool is replaced");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => (false, None),
                    failure = failures.recv() => (true, failure),
                    () = board.until_idle(self.number) => (false, None),
                }
            }
        };
        board.set_down(self.number);
        if died {
            progress.restarted();
        }
        if let Some(error) = failure {
            warn!(target: "pleach::runtime", %error, "a worker of a pool is started again");
        }
        portal.request_end();
        while let Some(error) = failures.recv().await {
            warn!(target: "pleach::runtime", %error, "a worker of a pool failed while it ended");
        }
        board.was_used(self.number)
    }

    /// Waits until a worker has served its time; for ever, if it has no limit.
    async fn until_recycled(&self, portal: &Portal) {
        let memory = async {
            let Some(most) = self.recycle_above else { return std::future::pending().await };
            loop {
                sleep(MEMORY_EVERY).await;
                // One that does not answer is about to die, or busy.
                if portal.run(inside::resident_memory()).await.is_ok_and(|resident| resident > most) {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.shared.board.until_spent(self.number) => {}
            () = memory => {}
        }
    }
}
