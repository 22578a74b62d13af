//! The cause of a cancellation: for the cancelled code ([`Cancelled`]), and for a caller in another actor that waits
//! for it ([`ContextCancelled`]).

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::signal_name;
use crate::actor::ActorId;

/// The source of a cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cancelled {
    /// A cancel scope around the code.
    Scope,
    /// The deadline of a scope around the code, or of the caller.
    Deadline,
    /// Another task of the same nursery failed or left.
    Nursery,
    /// The actor is being shut down, by itself or on request.
    Actor,
    /// The caller of the function asked for it, or went away.
    Caller(Option<ActorId>),
    /// The actor got this signal, and ends.
    Signal(i32),
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope => f.write_str("the enclosing scope was cancelled"),
            Self::Deadline => f.write_str("its deadline has passed"),
            Self::Nursery => f.write_str("its nursery is closing"),
            Self::Actor => f.write_str("its actor is shutting down"),
            Self::Caller(Some(actor)) => write!(f, "its caller {actor} cancelled it"),
            Self::Caller(None) => f.write_str("its caller went away"),
            Self::Signal(signal) => write!(f, "its process got {}", signal_name(*signal)),
        }
    }
}

/// The end of a function that ran in another actor and was cancelled there.
///
/// A block of [`Portal::open_context`](crate::Portal::open_context) absorbs it if the block itself has
/// called [`OpenContext::cancel`](crate::OpenContext::cancel), and raises it otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextCancelled {
    /// The actor that asked for it: the function's caller, the one that ended the function's actor, or that actor
    /// itself. None if it is unknown, or if it was a signal.
    pub canceller: Option<ActorId>,
    /// The number of the signal that ended the function's actor, if one did.
    #[serde(default)]
    pub by_signal: Option<i32>,
    /// Whether that was by a deadline: the caller's, or one that the function has set for itself.
    pub by_deadline: bool,
    /// The actor in which the function ran.
    pub actor: ActorId,
    /// The actors that passed it on, the first hop first.
    pub relay_path: Vec<ActorId>,
}

impl ContextCancelled {
    /// A function was cancelled in the actor `here`.
    pub(crate) fn at(here: &ActorId, canceller: Option<ActorId>) -> Self {
        Self { canceller, by_signal: None, by_deadline: false, actor: here.clone(), relay_path: Vec::new() }
    }

    /// Something inside a function in the actor `here` was cancelled: by that actor, unless a caller did it.
    pub(crate) fn inside(here: &ActorId, cause: &Cancelled) -> Self {
        let (canceller, by_signal) = match cause {
            Cancelled::Caller(caller) => (caller.clone(), None),
            Cancelled::Signal(signal) => (None, Some(*signal)),
            Cancelled::Scope | Cancelled::Deadline | Cancelled::Nursery | Cancelled::Actor => {
                (Some(here.clone()), None)
            }
        };
        Self { by_signal, by_deadline: *cause == Cancelled::Deadline, ..Self::at(here, canceller) }
    }

    /// Returns whether the actor in which the function ran has cancelled it by itself.
    pub fn is_by_itself(&self) -> bool {
        self.canceller.as_ref() == Some(&self.actor)
    }
}

impl fmt::Display for ContextCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a function that ran in {} was cancelled", self.actor)?;
        match (&self.canceller, self.by_signal) {
            _ if self.by_deadline => f.write_str(": its deadline has passed"),
            (_, Some(signal)) => write!(f, ": its process got {}", signal_name(signal)),
            (Some(_), None) if self.is_by_itself() => f.write_str(" by itself"),
            (Some(canceller), None) => write!(f, " by {canceller}"),
            (None, None) => f.write_str("; the canceller is unknown"),
        }
    }
}

impl StdError for ContextCancelled {}
