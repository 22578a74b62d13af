//! The launcher for hosts that `ssh` reaches.
//!
//! | file | station |
//! |---|---|
//! | this one | starting an agent there |
//! | [`sessions`] | which actors share a login |
//! | [`login`] | one `ssh` that holds the connection to a host |
//! | [`command`] | one command there, over that connection |
//! | [`program`] | this program there: found, or copied |
//!
//! The user's own `ssh` does the work: its configuration, agent, and jump hosts are used as they are. Two things are
//! not left to it: it never prompts, and it never trusts an unknown key.

mod command;
mod login;
mod program;
mod sessions;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::command::RemoteCommand;
use self::sessions::{LoginPermit, SshTarget};
use super::remote::{self, Instructions, Link, agent, apart};
use super::{Launched, Launcher, not_started};
use crate::config::Host;
use crate::error::{Cancelled, Error, Result};
use crate::runtime::Runtime;
use crate::runtime::actor_spec::ActorSpec;

/// Starts actors at one destination.
pub(super) struct Ssh {
    pub(super) host: Host,
    pub(super) destination: String,
}

#[async_trait::async_trait]
impl Launcher for Ssh {
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
        let target = SshTarget {
            destination: self.destination.clone(),
            config_file: options.config_file,
            program: options.program,
        };
        // A process started before the agent ends with its session.
        let permit = tokio::select! {
            biased;
            () = given_up.cancelled() => return Err(Error::Cancelled(Cancelled::Nursery)),
            permit = sessions::obtain(runtime, &target) => permit.map_err(failed)?,
        };
        let env = options.env.into_iter().chain(env.iter().cloned()).collect();
        let instructions = Instructions { spec: spec.clone(), env, directory: options.directory, clean_up: None };
        let link = apart::run(start_agent(permit)).await.flatten().map_err(failed)?;
        remote::converse(link, &self.host, &instructions).map_err(failed)
    }
}

/// Starts an agent, which waits for its instructions.
async fn start_agent(permit: LoginPermit) -> Result<Link, String> {
    let mut agent = RemoteCommand::start(permit.login(), "exec", &[permit.program(), agent::MARK]).await?;
    let streams = (agent.child.stdin.take(), agent.child.stdout.take(), agent.child.stderr.take());
    let (Some(input), Some(output), Some(errors)) = streams else { return Err("it has no streams".into()) };
    let over = async move { agent.end(permit.login()).await };
    Ok(Link { input: Box::new(input), output: Box::new(output), errors: Box::new(errors), over: Box::pin(over) })
}
