//! Findings of the runtime that have parts: a death, a supervisor that gave up, several errors at once.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::actor::{ActorId, shown};

/// How an actor's process ended, if not in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorDied {
    /// Which actor.
    pub actor: ActorId,
    /// The exit status of its process.
    pub status: WaitStatus,
    /// The last lines that it wrote to its standard error.
    pub stderr: Vec<String>,
    /// When in its life.
    pub when: ActorPhase,
    /// The functions that ran there for its parent, each once, the first called first. There are at most 16 here.
    #[serde(default)]
    pub calls: Vec<String>,
    /// Where the kernel has put a core dump of its process, if it has: a path on its host, in which `*` stands for
    /// what only the kernel knows, or the program that got it.
    #[serde(default)]
    pub core_dump: Option<String>,
    /// How long its parent had waited for its end, if it had asked it to end.
    #[serde(default)]
    pub asked: Option<Duration>,
    /// Where its process was when a signal killed it: the functions on the stack of that thread, the innermost first,
    /// with their source lines. Only with the feature `crashes`, and if its standard error passes through its parent, as it
    /// does by default. A function that has no name in its parent is a place in a file.
    #[serde(default)]
    pub stack: Vec<String>,
}

impl ActorDied {
    /// Returns a death of which no more is known.
    pub(crate) fn new(actor: ActorId, status: WaitStatus, when: ActorPhase) -> Self {
        Self {
            actor,
            status,
            stderr: Vec::new(),
            when,
            calls: Vec::new(),
            core_dump: None,
            asked: None,
            stack: Vec::new(),
        }
    }
}

impl fmt::Display for ActorDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, status, stderr, when, calls, core_dump, .. } = self;
        // Most die while they run: that goes without saying.
        let when = if *when == ActorPhase::Running { String::new() } else { format!(" {when}") };
        let running = running(calls);
        if *status != WaitStatus::Unknown {
            let core = if core_dump.is_some() { ", core dumped" } else { "" };
            return write!(f, "{actor} {status}{core}{when}{running}");
        }
        write!(f, "{actor} was lost{when}{running}: {status}")?;
        // The last output of its engine, or its own, is the only clue.
        stderr.last().map_or(Ok(()), |last| write!(f, "; last output: {last}"))
    }
}

/// Names the first functions that ran, for one line.
fn running(calls: &[String]) -> String {
    const NAMED: usize = 3;
    let named: Vec<_> = calls.iter().take(NAMED).map(|call| format!("`{}`", shown(call))).collect();
    match calls.len() {
        0 => String::new(),
        few if few <= NAMED => format!(", with {} running", named.join(" and ")),
        many => format!(", with {} and {} others running", named.join(", "), many - NAMED),
    }
}

impl StdError for ActorDied {}

/// When in the life of an actor its process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ActorPhase {
    /// Its parent was still waiting for it to connect back.
    Starting,
    /// It was running.
    Running,
    /// It had begun to end, by itself or on request.
    Ending,
}

impl fmt::Display for ActorPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "before it connected back",
            Self::Running => "while it was running",
            Self::Ending => "while it was ending",
        })
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WaitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signalled(i32),
    /// The kernel killed it: its control group ([`Cgroup`](crate::Cgroup)) had used more memory than it may.
    OutOfMemory,
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
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "was killed by signal {signal} ({})", signal_name(*signal)),
            Self::OutOfMemory => f.write_str("was killed for using more memory than its control group may"),
            Self::Unknown => f.write_str("how it ended is unknown"),
        }
    }
}

/// A supervisor's child ended more often than it may: the supervisor has stopped all its children.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GaveUp {
    /// The child that ended once too often.
    pub child: String,
    /// How many restarts are allowed, for all children of the supervisor together…
    pub restarts: u32,
    /// …within this time.
    pub within: Duration,
    /// The last failure of the child; none if it ended without one.
    pub last: Option<Error>,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { child, restarts, within, last } = self;
        let child = shown(child);
        write!(f, "gave up on `{child}`: no more than {restarts} restarts are allowed within {within:?}")?;
        match last {
            Some(last) => write!(f, "; the last failure: {last}"),
            None => f.write_str("; it ended without a failure"),
        }
    }
}

impl StdError for GaveUp {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.last.as_ref().map(|last| last as _)
    }
}

/// A call of a pool of which workers die.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Poison {
    /// The function.
    pub function: String,
    /// How often it was run; each time, the worker died.
    pub attempts: u32,
    /// The death of the last worker.
    pub last: Error,
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, attempts, last } = self;
        write!(
            f,
            "gave up on a call of `{}`: workers died in {attempts} attempts; the last time: {last}",
            shown(function)
        )
    }
}

impl StdError for Poison {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.last)
    }
}

/// Several errors of one scope.
///
/// It crosses to other actors as a group: its members arrive as they would alone, each with its own chain, payload and
/// hops. At most 64 members cross at once, of groups at most eight deep; the rest is counted in
/// [`left_out`](Self::left_out).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorGroup {
    /// The members, in the order in which they were found.
    pub errors: Vec<Error>,
    /// How many more there were where the group comes from.
    pub left_out: usize,
}

impl ErrorGroup {
    pub(crate) fn new(errors: Vec<Error>, left_out: usize) -> Self {
        Self { errors, left_out }
    }

    /// Returns how many errors there are, those of inner groups and those left out included.
    pub fn count(&self) -> usize {
        let inner = |error: &Error| match error {
            Error::Group(group) => group.count(),
            _ => 1,
        };
        self.left_out + self.errors.iter().map(inner).sum::<usize>()
    }

    /// Mentions the members that were left out, if any.
    pub(super) fn missing(&self) -> Option<String> {
        (self.left_out > 0).then(|| format!("{} more were left out on the way here", self.left_out))
    }
}

impl fmt::Display for ErrorGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} errors: ", self.count())?;
        let members = self.errors.iter().enumerate().map(|(at, error)| format!("[{}] {error}", at + 1));
        f.write_str(&members.chain(self.missing()).collect::<Vec<_>>().join("; "))
    }
}

impl StdError for ErrorGroup {}

/// Returns the name of a signal: "SIGTERM".
pub(crate) fn signal_name(signal: i32) -> &'static str {
    NAMES.iter().find(|(number, _)| *number == signal).map_or("SIG?", |(_, name)| name)
}

macro_rules! names {
    ($($name:ident)+) => { &[$((libc::$name, stringify!($name))),+] };
}

const NAMES: &[(i32, &str)] = names! {
    SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM
    SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGSYS
};

#[cfg(test)]
mod tests {
    use pleach_wire::{EndReason, TransportClosed};

    use super::*;

    #[test]
    fn an_end_is_told_in_one_sentence() {
        let actor = ActorId::new("w");
        let died = |status, when| {
            let stderr = vec!["the last line".into()];
            ActorDied { stderr, ..ActorDied::new(actor.clone(), status, when) }
        };
        let text = |died: ActorDied| died.to_string().strip_prefix(&actor.to_string()).unwrap().to_owned();
        let said = |status, when| text(died(status, when));
        assert_eq!(said(WaitStatus::Signalled(11), ActorPhase::Running), " was killed by signal 11 (SIGSEGV)");
        assert_eq!(said(WaitStatus::Exited(3), ActorPhase::Running), " exited with code 3");
        assert_eq!(said(WaitStatus::Exited(3), ActorPhase::Starting), " exited with code 3 before it connected back");
        assert_eq!(
            said(WaitStatus::Signalled(6), ActorPhase::Ending),
            " was killed by signal 6 (SIGABRT) while it was ending"
        );
        assert_eq!(
            said(WaitStatus::Unknown, ActorPhase::Running),
            " was lost: how it ended is unknown; last output: the last line"
        );
        let with = |calls: &[&str], core_dump: Option<&str>| {
            let (calls, core_dump) = (calls.iter().map(ToString::to_string).collect(), core_dump.map(str::to_owned));
            text(ActorDied { calls, core_dump, ..died(WaitStatus::Signalled(11), ActorPhase::Running) })
        };
        assert_eq!(
            with(&["a::b", "a::c"], Some("/core")),
            " was killed by signal 11 (SIGSEGV), core dumped, with `a::b` and `a::c` running"
        );
        assert_eq!(
            with(&["a", "b", "c", "d", "e"], None),
            " was killed by signal 11 (SIGSEGV), with `a`, `b`, `c` and 2 others running"
        );
    }

    #[test]
    fn a_peer_that_has_exited_is_not_told_as_a_lost_connection() {
        let gone = |closed: TransportClosed| {
            let error = Error::Disconnected { actor: Box::new(ActorId::new("w")), end: closed.into() };
            error.to_string().split_once(") ").unwrap().1.to_owned()
        };
        assert_eq!(gone(TransportClosed::by_peer(EndReason::ActorEnded).after_goodbye()), "has exited");
        assert_eq!(gone(TransportClosed::by_peer(EndReason::ProcessEnded)), "has exited");
        assert_eq!(
            gone(TransportClosed::by_peer(EndReason::Unused).after_goodbye()),
            "is gone: the connection was closed by the peer: it is no longer used"
        );
    }
}
