//! What can go wrong, one variant per family: who failed, where, and what to do.
//!
//! A function's own error crosses processes as a [`RemoteError`]; the runtime's findings (a dead
//! actor, a refused call, a lost connection) are variants of their own, on whichever side they are
//! found. Errors that cross a hop keep their source and collect the hops.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::TransportError;
use serde::{Deserialize, Serialize};

use crate::actor::ActorId;

mod packed;

pub(crate) use self::packed::Packed;

/// `Result` with this crate's [`Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error that can be sent between threads; exposed functions may return whatever converts into it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What the bodies of nurseries and other scopes may return as their error.
///
/// Implemented for every type with both conversions: [`Error`] itself, `anyhow::Error`,
/// `Box<dyn Error + Send + Sync>`, and an enum of your own with `#[from] pleach::Error`.
pub trait ScopeError: From<Error> + Into<BoxError> + Send + 'static {}

impl<E: From<Error> + Into<BoxError> + Send + 'static> ScopeError for E {}

/// Boxes an error so that an [`Error`] inside can be found again.
///
/// `anyhow::Error` hides what it was made of when it is boxed, so it is asked first.
pub(crate) fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    let mut slot = Some(error);
    if let Some(slot) = (&mut slot as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>() {
        return match slot.take().map(anyhow::Error::downcast::<Error>) {
            Some(Ok(error)) => Box::new(error),
            Some(Err(other)) => other.into(),
            None => unreachable!("it was put there above"),
        };
    }
    slot.expect("only an `anyhow::Error` was taken out").into()
}

/// What the runtime or a remote function reports.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The scope around this was cancelled. Pass it on with `?`.
    #[error("cancelled: {0}")]
    Cancelled(Cancelled),
    /// A deadline passed.
    #[error("{what} took longer than {after:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// A function ran in another actor and failed there.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// An actor's process is gone, and nobody had asked it to go.
    #[error(transparent)]
    ActorDied(Box<ActorDied>),
    /// A process could not be started, or did not connect back in time.
    #[error("actor `{actor}` did not start: {why}")]
    Spawn {
        /// The name that the actor was to have.
        actor: String,
        /// What happened, and what to do about it.
        why: String,
    },
    /// The peer refused to run a function.
    #[error("{actor} refuses to run `{function}`: {why}")]
    Refused {
        /// Who refused.
        actor: String,
        /// The path of the function.
        function: String,
        /// Why, and how to fix it.
        why: Refusal,
    },
    /// An actor did not acknowledge a cancel request in time.
    #[error("{actor} did not acknowledge the cancel request within {waited:?}; it may be busy or stopped")]
    ActorTooSlow {
        /// Who was asked.
        actor: Box<ActorId>,
        /// How long was waited.
        waited: Duration,
    },
    /// The connection to a peer ended while something waited on it.
    #[error("the connection to {actor} is gone: {end}")]
    Disconnected {
        /// Who was at the other end.
        actor: Box<ActorId>,
        /// How the connection ended.
        #[source]
        end: TransportError,
    },
    /// A stream message was not sent: the peer's buffer is full, and it does not let senders wait.
    #[error("stream overrun: {0}")]
    StreamOverrun(String),
    /// A transport fault outside a conversation: dialling, listening, encoding.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The configuration can't be used.
    #[error("configuration: {0}")]
    Config(String),
    /// Something was used in a way that can't work.
    #[error("{0}")]
    Usage(String),
    /// A task of this actor panicked.
    #[error("a task panicked: {0}")]
    Panicked(String),
    /// A local function failed with an error of its own.
    #[error(transparent)]
    Local(Arc<dyn StdError + Send + Sync>),
    /// Several things failed at once.
    #[error(transparent)]
    Group(ErrorGroup),
}

impl Error {
    /// Wraps any error; one that is an [`Error`] already comes back as it was.
    pub fn from_boxed(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => *error,
            Err(other) => Self::Local(other.into()),
        }
    }

    /// Joins errors: none is `Ok`, a single one stays bare, several become a group.
    ///
    /// # Errors
    /// The joined error, if there was any.
    pub fn join(mut errors: Vec<Self>) -> Result<()> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Group(ErrorGroup { errors })),
        }
    }

    /// Returns whether both report one and the same failure, seen from two places.
    pub(crate) fn is_same_failure(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ActorDied(one), Self::ActorDied(other)) => one.actor == other.actor,
            (Self::Remote(one), Self::Remote(other)) => {
                (&one.src, &one.type_name, &one.message) == (&other.src, &other.type_name, &other.message)
            }
            _ => false,
        }
    }

    /// Returns whether this is only the echo of a cancellation, which hides no failure.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled(_) => true,
            Self::Group(group) => group.errors.iter().all(Self::is_cancelled),
            _ => false,
        }
    }
}

impl fmt::Debug for Error {
    /// Prints for humans: the message, and the chain of causes a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match self {
            Self::Group(group) => group.errors.iter().try_for_each(|error| write!(f, "\n  - {error:?}")),
            Self::Remote(remote) => remote.fmt_details(f),
            Self::ActorDied(died) => died.fmt_details(f),
            other => {
                let mut source = other.source();
                let mut said = self.to_string();
                while let Some(cause) = source {
                    let text = cause.to_string();
                    // Some messages end with their cause.
                    if !said.contains(&text) {
                        write!(f, "\n  caused by: {text}")?;
                    }
                    said = text;
                    source = cause.source();
                }
                Ok(())
            }
        }
    }
}

/// Who or what cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cancelled {
    /// A cancel scope around the code, or its deadline.
    Scope,
    /// Another task of the same nursery failed or left.
    Nursery,
    /// The actor is being shut down, by itself or on request.
    Actor,
    /// The caller of the function asked for it, or went away.
    Caller(Option<ActorId>),
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope => f.write_str("the scope around it was cancelled"),
            Self::Nursery => f.write_str("its nursery is closing"),
            Self::Actor => f.write_str("its actor is shutting down"),
            Self::Caller(Some(actor)) => write!(f, "its caller {actor} cancelled it"),
            Self::Caller(None) => f.write_str("its caller went away"),
        }
    }
}

/// Why a peer refused to run a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The function exists, but its module was not enabled for that actor.
    #[error(
        "module `{module}` is not exposed there; start the actor with `.enable(\"{module}\")`, or `.enable(module_path!())` in that module"
    )]
    ModuleNotExposed {
        /// The module that was not enabled.
        module: String,
    },
    /// There is no such function in the peer's program.
    #[error("there is no such function{}; is it marked `#[pleach::rpc]`, and do both sides run the same program?", similar(.like))]
    UnknownFunction {
        /// A function of nearly the same name, if there is one.
        like: Option<String>,
    },
    /// The arguments do not fit the function.
    #[error("the arguments do not fit `{expected}`: {why}")]
    BadArguments {
        /// The function's arguments, as declared.
        expected: String,
        /// What the decoder found.
        why: String,
    },
    /// A context was called as a plain function, or the other way round.
    #[error("{}", wrong_kind(.context))]
    WrongKind {
        /// Whether the function is a context.
        context: bool,
    },
    /// The peer has as many tasks of this caller as it takes.
    #[error("{limit} tasks of this caller run there already; wait for some, or raise `max_tasks`")]
    Overloaded {
        /// How many it takes at once.
        limit: usize,
    },
}

fn wrong_kind(context: &bool) -> &'static str {
    match context {
        true => "it is a context: use `portal.open_context`",
        false => "it is no context: use `portal.run`",
    }
}

fn similar(like: &Option<String>) -> String {
    like.as_ref().map(|like| format!(" (did you mean `{like}`?)")).unwrap_or_default()
}

/// An error of a function that ran in another actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteError {
    /// The Rust type of the error where it was raised.
    pub type_name: String,
    /// Its message.
    pub message: String,
    /// The messages of its causes, nearest first.
    pub chain: Vec<String>,
    /// The panic's backtrace, where there was a panic and backtraces are on.
    pub backtrace: Option<String>,
    /// The actor in which it was raised.
    pub src: ActorId,
    /// The actors that passed it on, the first hop first.
    pub relay_path: Vec<ActorId>,
}

impl RemoteError {
    /// Returns whether the remote task ended because it was cancelled, by whomever.
    pub fn is_cancelled(&self) -> bool {
        self.type_name == packed::CANCELLED
    }

    fn fmt_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chain.iter().try_for_each(|cause| write!(f, "\n  caused by: {cause}"))?;
        write!(f, "\n  raised in {} as {}", self.src, self.type_name)?;
        self.relay_path.iter().try_for_each(|actor| write!(f, "\n  relayed by {actor}"))?;
        match &self.backtrace {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.src, self.message)
    }
}

impl StdError for RemoteError {}

/// How an actor's process ended, unasked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActorDied {
    /// Which actor.
    pub actor: ActorId,
    /// What its process ended with.
    pub status: WaitStatus,
    /// The last lines that it wrote to its standard error.
    pub stderr: Vec<String>,
    /// When in its life: "before it connected back", "while it was running".
    pub when: String,
}

impl ActorDied {
    fn fmt_details(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stderr.is_empty() {
            return Ok(());
        }
        write!(f, "\n  its last words:")?;
        self.stderr.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

impl fmt::Display for ActorDied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} died {}: {}", self.actor, self.when, self.status)
    }
}

impl StdError for ActorDied {}

/// What a process ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WaitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Signalled(i32),
    /// It ended in a way that the launcher could not learn.
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
                // Its `Debug` is the name in quotes: "Signal::KILL".
                let name = rustix::process::Signal::from_named_raw(*signal).map(|name| format!("{name:?}"));
                let name = name.as_ref().and_then(|name| name.trim_matches('"').strip_prefix("Signal::"));
                write!(f, "signal {signal} (SIG{}) killed it", name.unwrap_or("?"))
            }
            Self::Unknown => f.write_str("how it ended is unknown"),
        }
    }
}

/// Several errors of one scope.
#[derive(Clone, Debug)]
pub struct ErrorGroup {
    /// The members, in the order in which they were found; at least two.
    pub errors: Vec<Error>,
}

impl fmt::Display for ErrorGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} errors: ", self.errors.len())?;
        for (at, error) in self.errors.iter().enumerate() {
            write!(f, "{}[{}] {error}", if at == 0 { "" } else { "; " }, at + 1)?;
        }
        Ok(())
    }
}

impl StdError for ErrorGroup {}
