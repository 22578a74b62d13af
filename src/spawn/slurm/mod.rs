//! The launcher for Slurm: `srun` starts an agent (see [`remote`]) on a node of the cluster.
//!
//! | file | station |
//! |---|---|
//! | this one | starting an agent, and waiting until it runs |
//! | [`job`] | one job, or one step of the job that this process is in: its `srun`, its state, its end |
//!
//! Outside a job, each actor gets one of its own; inside, one step of that. Only Slurm's commands are used, with
//! the user's configuration.
//!
//! # What ends the job
//! 1. The agent ends when its actor has; `srun` then gives the allocation back.
//! 2. SIGTERM to `srun`: it ends the job, whether that runs or waits. It comes from here when the start was dropped,
//!    and from the kernel when this process is killed.
//! 3. When `srun` is killed, a second process of its own has the job cancelled.
//! 4. However `srun` has ended, the job is cancelled afterwards.
//!
//! 5. When this whole machine fails, the actor ends by its lease, and the agent cancels the job from the node.

mod job;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::job::Srun;
use super::remote::{self, Instructions, agent};
use super::{Launched, Launcher, not_started};
use crate::config::Host;
use crate::error::{Cancelled, Error, Result};
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;

/// Starts actors in a cluster.
pub(super) struct Slurm {
    pub(super) host: Host,
    pub(super) partition: Option<String>,
}

#[async_trait::async_trait]
impl Launcher for Slurm {
    async fn launch(
        &self,
        runtime: &Arc<Runtime>,
        spec: &ActorSpec,
        env: &[(String, String)],
        given_up: &CancellationToken,
    ) -> Result<Launched> {
        let failed = |why| not_started(&spec.name, &self.host, why);
        super::entry::require_entry().map_err(failed)?;
        let options = self.host.options.clone();
        let program = match options.program {
            Some(program) => program,
            None => std::env::current_exe().map_err(|error| failed(format!("this program's file: {error}")))?,
        };
        let env = options.env.into_iter().chain(env.iter().cloned()).collect();
        let srun = Srun::new(spec, self.partition.clone(), options.job);
        let instructions =
            Instructions { spec: spec.clone(), env, directory: options.directory, clean_up: srun.clean_up() };
        let command = srun.command(&program, agent::MARK);
        let close = CancellationToken::new();
        let link = srun.start(runtime, command, &close).await.map_err(failed)?;
        let Launched { process, mut keeper } = remote::converse(link, &self.host, &instructions).map_err(failed)?;
        // The agent is polled here, too: it reads why `srun` could not do it.
        let why = tokio::select! {
            biased;
            () = &mut keeper => return Ok(Launched { process, keeper: Box::pin(std::future::ready(())) }),
            () = given_up.cancelled() => None,
            begun = srun.begun() => match begun {
                Ok(()) => return Ok(Launched { process, keeper }),
                Err(why) => Some(why),
            },
        };
        close.cancel();
        keeper.await;
        Err(why.map_or(Error::Cancelled(Cancelled::Nursery), failed))
    }
}
