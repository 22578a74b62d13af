//! The Slurm options of an actor's job. Only names and numbers; the launcher is in `spawn`.

use std::num::NonZero;
use std::time::Duration;

/// The options of an actor's job; unset ones are left to Slurm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) account: Option<String>,
    /// How long the job may run.
    pub(crate) time: Option<Duration>,
    /// How many processors the actor has.
    pub(crate) cpus: Option<NonZero<u32>>,
    /// More arguments for `srun`.
    pub(crate) arguments: Vec<String>,
    /// How long the job may wait until it runs.
    pub(crate) queue: Option<Duration>,
}

impl Job {
    /// How long it is waited for.
    pub(crate) fn patience(&self) -> Duration {
        self.queue.unwrap_or(QUEUE)
    }
}

/// Long enough for a lightly loaded cluster; users of a busy one set their own.
const QUEUE: Duration = Duration::from_secs(600);
