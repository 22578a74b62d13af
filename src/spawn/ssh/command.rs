//! One command at a host, over the connection of a [`Login`].
//!
//! An `ssh` of its own runs it: it finds the connection by the control socket, hands its standard streams over, waits,
//! and ends with the command's status.
//!
//! # Invariants
//! 1. That `ssh` makes no connection itself, and reads no configuration: what the user wants has been done at the
//!    login.
//! 2. It does not outlive this process, and is ended when its [`RemoteCommand`] is dropped.

use std::process::{Command, Output, Stdio};

use tokio::process::Child;

use super::login::Login;
use crate::os::orphans::OwnChild;
use crate::os::process::spawn_bound;

/// A command that runs. Dropping it cuts its session, and the command sees the end of its input.
pub(super) struct RemoteCommand {
    /// The `ssh`: its streams are the command's.
    pub(super) child: Child,
    _own: OwnChild,
}

impl RemoteCommand {
    /// Starts one: the host's shell gets `program` as it stands, and each argument as one word.
    ///
    /// # Errors
    /// Says why no `ssh` can be started.
    pub(super) async fn start(login: &Login, program: &str, arguments: &[&str]) -> Result<Self, String> {
        let words = arguments.iter().map(|word| format!(" {}", quoted(word)));
        let line = program.to_owned() + &words.collect::<String>();
        let started = spawn_bound(over(login, &line)).await;
        let (child, own) = started.map_err(|error| format!("`ssh` can't be started: {error}"))?;
        Ok(Self { child, _own: own })
    }

    /// Waits for its end; says how it came.
    pub(super) async fn end(mut self, login: &Login) -> String {
        match self.child.wait().await.map(|status| (status, status.code())) {
            Ok((_, Some(NO_STATUS))) => format!("ssh: {}", login.explain(CUT.into()).await),
            Ok((status, Some(_))) => format!("the remote program has ended: {status}"),
            Ok((status, None)) => format!("ssh: its own process has ended: {status}"),
            Err(error) => format!("ssh: {error}"),
        }
    }

    /// Waits for its end; returns its status and what is left of its outputs.
    ///
    /// # Errors
    /// Says why the host does not answer, or runs nothing.
    pub(super) async fn output(self, login: &Login) -> Result<Output, String> {
        let Self { child, _own } = self;
        let output = login.bounded(child.wait_with_output()).await?.map_err(|error| error.to_string())?;
        if output.status.code() != Some(NO_STATUS) {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        let why = login.explain(if said.is_empty() { CUT.into() } else { said }).await;
        Err(format!("the host runs nothing: {why}"))
    }
}

/// The `ssh` that runs a command line over the connection of a login.
fn over(login: &Login, line: &str) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-T", "-S"]).arg(login.control());
    // Where there is no connection any more, it would make one.
    command.args(["-o", "ProxyCommand=false", "--", login.destination(), line]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns a text as one word of a shell; also of a C shell, where an exclamation mark stands for more than itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''").replace('!', r"'\!'"))
}

/// What `ssh` ends with if the command has no status of its own.
const NO_STATUS: i32 = 255;

/// The reasons for that, as long as `ssh` itself gives none.
const CUT: &str = "the remote program was killed, or its session was cut";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_quoted_text_for_one_word() {
        for word in ["", "a b", "it's", "'", "\"$HOME\" `id` \\", "wow!", "a\nb", "*"] {
            let line = format!("printf %s {}", quoted(word));
            let printed = Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), word);
        }
    }
}
