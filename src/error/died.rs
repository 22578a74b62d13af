//! The failed end of an actor's process, and its exit status.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::actor::ActorId;

/// How an actor's process ended, if not in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActorDied {
    /// Which actor.
    pub actor: ActorId,
    /// The exit status of its process.
    pub status: WaitStatus,
    /// The last lines that it wrote to its standard error.
    pub stderr: Vec<String>,
    /// When in its life: "before it connected back", "while it was running", "while it was ending".
    pub when: String,
}

impl fmt::Display for ActorDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.status == WaitStatus::Unknown { "was lost" } else { "died" };
        write!(f, "{} {how} {}: {}", self.actor, self.when, self.status)?;
        match self.stderr.last() {
            // Then the last output of its engine, or its own, is the only clue.
            Some(last) if self.status == WaitStatus::Unknown => write!(f, "; last output: {last}"),
            _ => Ok(()),
        }
    }
}

impl StdError for ActorDied {}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signalled(i32),
    /// Its end was not seen. An actor on another host that nothing leads to any more may still be about to end, by
    /// its lease at the latest.
    Unknown,
}

impl From<std::process::ExitStatus> for WaitStatus {
    fn from(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, Some(signal)) => Self::Signalled(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "it exited with code {code}"),
            Self::Signalled(signal) => {
                write!(f, "signal {signal} ({}) killed it", signal_name(*signal))
            }
            Self::Unknown => f.write_str("how it ended is unknown"),
        }
    }
}

/// Returns the name of a signal: "SIGTERM".
pub(crate) fn signal_name(signal: i32) -> String {
    // Its `Debug` is the name in quotes: "Signal::TERM".
    let name = rustix::process::Signal::from_named_raw(signal).map(|name| format!("{name:?}"));
    let name = name.as_ref().and_then(|name| name.trim_matches('"').strip_prefix("Signal::"));
    format!("SIG{}", name.unwrap_or("?"))
}
