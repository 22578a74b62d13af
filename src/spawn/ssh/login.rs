//! A login: one `ssh` that holds the connection to a host, and through which commands are run there.
//!
//! Each command is run by another `ssh`, which finds the connection by its control socket: `command.rs`.
//!
//! # Invariants
//! 1. The task that keeps the `ssh` waits for its end, and removes the directory of its control socket.
//! 2. It does not outlive this process: the parent-death signal. The directory is then swept up by the next root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::os::orphans::OwnChild;
use crate::os::process::{KillGroupOnDrop, raw_pid, spawn_bound};
use crate::os::relay::{Lines, Relay, ToStderr};
use crate::os::socket_dir::SocketDir;
use crate::runtime::Runtime;

/// A connection to a host. Dropping it ends the connection, and the processes started over it see the end of file.
#[derive(Debug)]
pub(super) struct Login {
    destination: String,
    control: PathBuf,
    /// How long the host may take to answer.
    patience: Duration,
    /// The last output of `ssh`.
    ended: watch::Receiver<Option<Vec<String>>>,
    _open: DropGuard,
}

impl Login {
    /// Logs in.
    ///
    /// # Errors
    /// Says why it failed, and what to do.
    ///
    /// # Cancel safety
    /// If dropped, `ssh` is ended.
    pub(super) async fn open(
        runtime: &Arc<Runtime>,
        destination: &str,
        config_file: Option<&Path>,
    ) -> Result<Self, String> {
        let patience = runtime.config().connect_back;
        let dir = ControlDir::new().map_err(|error| format!("no directory for its control socket: {error}"))?;
        let control = dir.0.path().join("control");
        let started = spawn_bound(command(destination, config_file, &control, patience)).await;
        let (mut ssh, own) = started.map_err(|error| format!("`ssh` can't be started: {error}"))?;
        let output = ssh.stdout.take();
        let close = CancellationToken::new();
        let open = close.clone().drop_guard();
        let (tell, ended) = watch::channel(None);
        let name = format!("ssh to {destination}");
        runtime.keep(async move {
            let words = keep(ssh, &own, &name, close).await;
            drop((own, dir));
            tell.send_replace(Some(words));
        });
        let login = Self { destination: destination.into(), control, patience, ended, _open: open };
        match timeout(patience, is_ready(output)).await {
            Ok(true) => Ok(login),
            Ok(false) => Err(advice(destination, &login.last_words().await)),
            Err(_late) => Err(format!("`ssh {destination}` got no answer within {patience:?} (`connect_back`)")),
        }
    }

    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) fn is_open(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// The socket by which others find the connection.
    pub(super) fn control(&self) -> &Path {
        &self.control
    }

    /// Waits for an answer of the host.
    ///
    /// # Errors
    /// Says that it did not come in time.
    pub(super) async fn bounded<T>(&self, answer: impl Future<Output = T>) -> Result<T, String> {
        let late = |_| format!("{} did not answer within {:?} (`connect_back`)", self.destination, self.patience);
        timeout(self.patience, answer).await.map_err(late)
    }

    /// Says why a command failed that may have failed with the whole connection: the last words of the connection's
    /// `ssh`, or `otherwise`.
    pub(super) async fn explain(&self, otherwise: String) -> String {
        // The control socket breaks a little before `ssh` has told why.
        match timeout(AT_ONCE, self.last_words()).await {
            Ok(words) => words.last().cloned().unwrap_or_else(|| "the connection's own `ssh` was killed".into()),
            Err(_it_goes_on) => otherwise,
        }
    }

    /// Waits for the end of the connection's `ssh`; returns the last lines that it wrote.
    async fn last_words(&self) -> Vec<String> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(words) => words.clone().unwrap_or_default(),
            Err(_keeper_is_gone) => Vec::new(),
        }
    }
}

/// The `ssh` that holds the connection. Other options are left to the user's configuration.
fn command(destination: &str, config_file: Option<&Path>, control: &Path, patience: Duration) -> Command {
    let mut command = Command::new("ssh");
    command.args(config_file.map(|file| [Path::new("-F"), file]).into_iter().flatten());
    // No command, no terminal, and no input.
    command.args(["-N", "-T", "-n", "-M", "-S"]).arg(control);
    let seconds = patience.as_secs().max(1);
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        &format!("ConnectTimeout={seconds}"),
        // A host that is gone is noticed after three of them.
        &format!("ServerAliveInterval={}", seconds.div_ceil(3)),
        "ServerAliveCountMax=3",
        "ControlPersist=no",
        "ForkAfterAuthentication=no",
        // It runs once the control socket is there.
        "PermitLocalCommand=yes",
        &format!("LocalCommand=echo {READY}"),
    ] {
        command.args(["-o", option]);
    }
    command.arg("--").arg(destination).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until `ssh` says that it is ready, or has ended.
async fn is_ready(output: Option<impl AsyncRead + Unpin>) -> bool {
    let mut said = [0; READY.len()];
    match output {
        Some(mut output) => output.read_exact(&mut said).await.is_ok() && said == *READY.as_bytes(),
        None => false,
    }
}

/// Waits for the end of `ssh`, or brings it about; returns its last lines.
async fn keep(mut ssh: tokio::process::Child, own: &OwnChild, name: &str, close: CancellationToken) -> Vec<String> {
    let mut relay = Relay::new(ssh.stderr.take(), Lines::named(name, ToStderr));
    let group = KillGroupOnDrop(own.pid());
    let leave = async {
        close.cancelled().await;
        // Not its group: it ends its own process for a jump host, which complains if it is killed first.
        if let Some(pid) = raw_pid(own.pid()) {
            let _ = kill_process(pid, Signal::TERM); // it may have ended just now
        }
        sleep(TAKE_LEAVE).await;
    };
    tokio::select! {
        biased;
        _ended = ssh.wait() => {}
        () = leave => {}
        () = relay.run() => {}
    }
    drop(group);
    if let Err(error) = ssh.wait().await {
        warn!(target: "pleach::runtime", name, %error, "its end was not seen");
    }
    relay.finish().await
}

/// Says why the login failed, and what to do about it.
fn advice(destination: &str, words: &[String]) -> String {
    let said = words.join("\n");
    let last = words.last().map_or("ssh did not say why", String::as_str);
    let advice = match () {
        () if said.contains("IDENTIFICATION HAS CHANGED") => format!(
            "it shows another key than the known one, so it may be another machine; if its key was changed \
             on purpose, forget the old one with `ssh-keygen -R` and log in once by hand: `ssh {destination}`"
        ),
        () if said.contains("Host key verification failed") => {
            format!("its key is not known; log in once by hand and compare the fingerprint: `ssh {destination}`")
        }
        () if said.contains("Permission denied") => {
            format!("pleach never prompts for a password; make sure that `ssh -o BatchMode=yes {destination}` works")
        }
        () => return last.into(),
    };
    format!("{last} {advice}")
}

/// The directory of a control socket, for this user only. It is removed when this is dropped.
struct ControlDir(SocketDir);

impl ControlDir {
    fn new() -> std::io::Result<Self> {
        let dir = SocketDir::new();
        dir.hold()?;
        Ok(Self(dir))
    }
}

impl Drop for ControlDir {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// The output of `ssh` once commands can be run.
const READY: &str = "pleach";

/// How long `ssh` may take to close the connection in order.
const TAKE_LEAVE: Duration = Duration::from_secs(2);

/// How long after the end of its control socket `ssh` may take to say why, and to end.
const AT_ONCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_kept_and_advice_added() {
        let advice = |said: &str| advice("node2", &said.lines().map(str::to_owned).collect::<Vec<_>>());
        let changed = advice("@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.");
        assert!(changed.starts_with("Host key verification failed. it shows another key than the known"), "{changed}");
        let unknown = advice("No ED25519 host key is known for x\nHost key verification failed.");
        assert!(unknown.contains("log in once by hand and compare the fingerprint: `ssh node2`"), "{unknown}");
        assert!(advice("me@x: Permission denied (publickey).").contains("never prompts for a password"));
        assert_eq!(advice("ssh: Could not resolve hostname x"), "ssh: Could not resolve hostname x");
        assert_eq!(advice(""), "ssh did not say why");
    }
}
