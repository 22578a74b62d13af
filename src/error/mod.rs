//! All errors, one variant per family: the actor that failed, where, and what to do.
//!
//! A failure in another actor arrives as a [`RemoteError`]; local findings of the runtime (a dead actor, a refused
//! call, a lost connection) are variants of their own. Errors that cross a hop keep their source and collect the hops;
//! [`Error::origin`] is the error at the source.
//!
//! | file | station |
//! |---|---|
//! | this one | [`Error`] and its variants |
//! | `boxed`, `wire` | from a function's own error to its wire form, and back |
//! | `remote` | errors that arrive, with their payload |
//! | `register`, `downcast` | error types that come back as themselves |
//! | `wrapped` | a `pleach::Error` wrapped in a foreign type, and the same failure seen twice |
//! | `findings`, `refusal`, `cancelled` | findings of the runtime that have parts |
//! | `report` | an error for humans |
//! | `ok` | no error |
//! | `saved` | an error for machines |
//!
//! A new variant is a line of the enum, with its text in `Display` and its name in the list of names: the compiler
//! demands each, and `tests::variants` an example that comes back from another process.

pub(crate) mod boxed;
mod cancelled;
mod downcast;
mod findings;
mod mismatch;
pub(crate) mod ok;
mod refusal;
pub(crate) mod register;
mod remote;
mod report;
mod saved;
#[cfg(test)]
mod tests;
mod wire;
mod wrapped;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pleach_wire::TransportError;
use serde::{Deserialize, Serialize};

pub(crate) use self::boxed::{Raised, boxed};
pub use self::cancelled::{Cancelled, ContextCancelled};
pub(crate) use self::findings::signal_name;
pub use self::findings::{ActorDied, ActorPhase, ErrorGroup, GaveUp, Poison, WaitStatus};
pub use self::refusal::Refusal;
pub use self::remote::{EncodedError, RemoteError};
pub use self::report::Report;
pub(crate) use self::wire::Packed;
use crate::actor::{ActorId, shown};
use crate::telemetry::calls::CallOutcome;

/// `Result` with this crate's [`Error`] by default.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error that can be sent between threads; exposed functions may return whatever converts into it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Errors that the bodies of nurseries and other scopes may return.
///
/// Implemented for every type with both conversions: [`Error`] itself, `anyhow::Error`,
/// `Box<dyn Error + Send + Sync>`, and an enum of your own with `#[from] pleach::Error`.
pub trait ScopeError: From<Error> + Into<BoxError> + Send + 'static {}

impl<E: From<Error> + Into<BoxError> + Send + 'static> ScopeError for E {}

/// An error of the runtime or of a remote function.
#[derive(Clone, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Error {
    /// The scope around this was cancelled. Pass it on with `?`.
    Cancelled(#[serde(with = "saved::cause")] Cancelled),
    /// A deadline passed.
    Timeout {
        /// The awaited event.
        what: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// A function ran in another actor and failed there, for whatever reason: see [`Error::origin`].
    Remote(Box<RemoteError>),
    /// A function ran in another actor and was cancelled there.
    ContextCancelled(Box<ContextCancelled>),
    /// An actor's process has ended unexpectedly.
    ActorDied(Box<ActorDied>),
    /// A process could not be started, or did not connect back in time.
    Spawn {
        /// The name that the actor was to have.
        actor: String,
        /// What happened, and what to do about it.
        why: String,
    },
    /// A supervised child ended too often.
    GaveUp(Box<GaveUp>),
    /// Workers of a pool die of a call.
    Poison(Box<Poison>),
    /// The peer refused to run a function.
    Refused {
        /// The actor that refused.
        actor: String,
        /// The path of the function.
        function: String,
        /// Why, and how to fix it.
        why: Refusal,
    },
    /// An actor did not acknowledge a cancel request in time.
    ActorTooSlow {
        /// The actor that was asked.
        actor: Box<ActorId>,
        /// How long was waited.
        waited: Duration,
    },
    /// The connection to a peer ended while something waited on it.
    Disconnected {
        /// The actor at the other end.
        actor: Box<ActorId>,
        /// How the connection ended.
        end: TransportError,
    },
    /// The registry of actors failed.
    Registry {
        /// Where it is.
        address: String,
        /// The request, and why it failed.
        why: String,
    },
    /// No actor of this name is registered.
    NotFound {
        /// The name that was looked up.
        name: String,
    },
    /// A stream message was not sent: the peer's buffer is full, and it does not let senders wait.
    StreamOverrun(#[serde(with = "saved::why")] String),
    /// Messages were lost because their receiver was slower than their sender. Receiving goes on with the
    /// oldest message that was kept.
    Lagged {
        /// How many.
        lost: u64,
    },
    /// Something was used after it had been closed.
    Closed(#[serde(with = "saved::what")] String),
    /// A transport fault outside a conversation: dialling, listening, encoding.
    Transport(#[serde(with = "saved::fault")] TransportError),
    /// The configuration can't be used.
    Config(#[serde(with = "saved::why")] String),
    /// Something was used in a way that can't work.
    Usage(#[serde(with = "saved::why")] String),
    /// A task of this actor panicked.
    Panicked(#[serde(with = "saved::panic")] String),
    /// A local function failed with an error of its own.
    Local(#[serde(with = "saved::texts")] Arc<dyn StdError + Send + Sync>),
    /// Several things failed at once, here or in another actor.
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
            _ => Err(Self::Group(ErrorGroup::new(errors, 0))),
        }
    }

    /// Returns whether this is only the echo of a cancellation, which hides no failure.
    pub fn is_cancelled(&self) -> bool {
        match &*self.ours() {
            Self::Cancelled(_) | Self::ContextCancelled(_) => true,
            Self::Group(group) => group.left_out == 0 && group.errors.iter().all(Self::is_cancelled),
            _ => false,
        }
    }
}

impl Error {
    /// Returns how a call has ended that failed with this error, for those who observe calls. A panic of the callee is
    /// a failure like others here.
    pub(crate) fn call_outcome(&self) -> CallOutcome {
        match self {
            Self::Refused { .. } => CallOutcome::Refused,
            Self::Disconnected { .. } | Self::ActorDied(_) => CallOutcome::Lost,
            error if error.is_cancelled() => CallOutcome::Cancelled,
            _ => CallOutcome::Failed,
        }
    }
}

/// Gives variants their names: `Debug` shows them, and errors that cross carry them.
macro_rules! names {
    ($($variant:ident)+) => {
        impl Error {
            fn variant(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)+
                }
            }
        }
    };
}

names! {
    Cancelled ContextCancelled Timeout Remote ActorDied Spawn GaveUp Poison Refused ActorTooSlow Disconnected Registry NotFound
    StreamOverrun Lagged Closed Transport Config Usage Panicked Local Group
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        wrapped::notice(self);
        match self {
            Self::Cancelled(cause) => write!(f, "cancelled: {cause}"),
            Self::Timeout { what, after } => write!(f, "{what} took longer than {after:?}"),
            Self::Remote(remote) => remote.fmt(f),
            Self::ContextCancelled(cancelled) => cancelled.fmt(f),
            Self::ActorDied(died) => died.fmt(f),
            Self::GaveUp(gave_up) => gave_up.fmt(f),
            Self::Poison(poison) => poison.fmt(f),
            Self::Spawn { actor, why } => write!(f, "actor `{}` did not start: {why}", shown(actor)),
            Self::Refused { actor, function, why } => write!(f, "{actor} refuses to run `{function}`: {why}"),
            Self::ActorTooSlow { actor, waited } => {
                write!(f, "{actor} did not acknowledge the cancel request within {waited:?}; it may be busy or stopped")
            }
            Self::Disconnected { actor, end: TransportError::Closed(closed) } if closed.peer_has_exited() => {
                write!(f, "{actor} has exited")
            }
            Self::Disconnected { actor, end } => write!(f, "the connection to {actor} is gone: {end}"),
            Self::Registry { address, why } => write!(f, "the registry at {address} {why}"),
            Self::NotFound { name } => write!(
                f,
                "there is no actor `{}`; start one of that name, wait for it with `wait_for_actor`, or list the actors \
                 with `registrar::list`",
                shown(name)
            ),
            Self::StreamOverrun(why) => write!(f, "stream overrun: {why}"),
            Self::Lagged { lost } => {
                write!(f, "{lost} messages were lost: the receiver was slower than their sender")
            }
            Self::Closed(what) => f.write_str(what),
            Self::Transport(fault) => fault.fmt(f),
            Self::Config(why) => write!(f, "configuration: {why}"),
            Self::Usage(why) => f.write_str(why),
            Self::Panicked(panic) => write!(f, "a task panicked: {panic}"),
            Self::Local(error) => error.fmt(f),
            Self::Group(group) => group.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Disconnected { end, .. } => Some(end),
            // These print the error that they wrap, so it is not their cause.
            Self::Remote(remote) => remote.source(),
            Self::GaveUp(gave_up) => gave_up.source(),
            Self::Poison(poison) => poison.source(),
            Self::Transport(fault) => fault.source(),
            Self::Local(error) => error.source(),
            _ => None,
        }
    }
}

impl From<TransportError> for Error {
    fn from(fault: TransportError) -> Self {
        Self::Transport(fault)
    }
}

/// An error and its causes, the outermost first.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}
