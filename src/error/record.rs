//! Errors for machines: every error as a flat record of stable names, and read back from it.
//!
//! ```text
//! {"kind":"timeout","what":"the answer","after":{"secs":1,"nanos":0},"message":"the answer took longer than 1s"}
//! {"kind":"remote","type_name":"app::TooBig","message":"7 is too big","chain":[],"src":{…},"relay_path":[…],…}
//! {"kind":"group","errors":[{…},{…}],"left_out":0,"message":"2 errors: …"}
//! ```
//! Findings of the runtime also cross connections in this form, as the payload of a
//! [`RemoteError`]. A local error is read back as its text.

use std::sync::Arc;
use std::time::Duration;

use pleach_wire::TransportError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::told::Told;
use super::{ActorDied, Cancelled, ContextCancelled, Error, ErrorGroup, GaveUp, Refusal, RemoteError, causes};
use crate::actor::ActorId;

/// An [`Error`] as plain data.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Record {
    Cancelled {
        cause: Cancelled,
    },
    Timeout {
        what: String,
        after: Duration,
    },
    Remote(Box<RemoteError>),
    ContextCancelled(Box<ContextCancelled>),
    ActorDied(Box<ActorDied>),
    Spawn {
        actor: String,
        why: String,
    },
    GaveUp(Box<GaveUp>),
    Refused {
        actor: String,
        function: String,
        why: Refusal,
    },
    ActorTooSlow {
        actor: Box<ActorId>,
        waited: Duration,
    },
    Disconnected {
        actor: Box<ActorId>,
        end: TransportError,
    },
    Registry {
        address: String,
        why: String,
    },
    NotFound {
        name: String,
    },
    StreamOverrun {
        why: String,
    },
    Lagged {
        lost: u64,
    },
    Closed {
        what: String,
    },
    Transport {
        fault: TransportError,
    },
    Config {
        why: String,
    },
    Usage {
        why: String,
    },
    Panicked {
        panic: String,
    },
    Local {
        /// Its message and those of its causes.
        texts: Vec<String>,
    },
    Group {
        errors: Vec<Error>,
        left_out: usize,
    },
}

impl From<Error> for Record {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled(cause) => Self::Cancelled { cause },
            Error::Timeout { what, after } => Self::Timeout { what, after },
            Error::Remote(remote) => Self::Remote(remote),
            Error::ContextCancelled(cancelled) => Self::ContextCancelled(cancelled),
            Error::ActorDied(died) => Self::ActorDied(died),
            Error::Spawn { actor, why } => Self::Spawn { actor, why },
            Error::GaveUp(gave_up) => Self::GaveUp(gave_up),
            Error::Refused { actor, function, why } => Self::Refused { actor, function, why },
            Error::ActorTooSlow { actor, waited } => Self::ActorTooSlow { actor, waited },
            Error::Disconnected { actor, end } => Self::Disconnected { actor, end },
            Error::Registry { address, why } => Self::Registry { address, why },
            Error::NotFound { name } => Self::NotFound { name },
            Error::StreamOverrun(why) => Self::StreamOverrun { why },
            Error::Lagged { lost } => Self::Lagged { lost },
            Error::Closed(what) => Self::Closed { what },
            Error::Transport(fault) => Self::Transport { fault },
            Error::Config(why) => Self::Config { why },
            Error::Usage(why) => Self::Usage { why },
            Error::Panicked(panic) => Self::Panicked { panic },
            Error::Local(error) => Self::Local { texts: causes(&*error).map(ToString::to_string).collect() },
            Error::Group(ErrorGroup { errors, left_out }) => Self::Group { errors, left_out },
        }
    }
}

impl From<Record> for Error {
    fn from(record: Record) -> Self {
        match record {
            Record::Cancelled { cause } => Self::Cancelled(cause),
            Record::Timeout { what, after } => Self::Timeout { what, after },
            Record::Remote(remote) => Self::Remote(remote),
            Record::ContextCancelled(cancelled) => Self::ContextCancelled(cancelled),
            Record::ActorDied(died) => Self::ActorDied(died),
            Record::Spawn { actor, why } => Self::Spawn { actor, why },
            Record::GaveUp(gave_up) => Self::GaveUp(gave_up),
            Record::Refused { actor, function, why } => Self::Refused { actor, function, why },
            Record::ActorTooSlow { actor, waited } => Self::ActorTooSlow { actor, waited },
            Record::Disconnected { actor, end } => Self::Disconnected { actor, end },
            Record::Registry { address, why } => Self::Registry { address, why },
            Record::NotFound { name } => Self::NotFound { name },
            Record::StreamOverrun { why } => Self::StreamOverrun(why),
            Record::Lagged { lost } => Self::Lagged { lost },
            Record::Closed { what } => Self::Closed(what),
            Record::Transport { fault } => Self::Transport(fault),
            Record::Config { why } => Self::Config(why),
            Record::Usage { why } => Self::Usage(why),
            Record::Panicked { panic } => Self::Panicked(panic),
            Record::Local { texts } => match Told::chain(texts) {
                Some(told) => Self::Local(Arc::new(*told)),
                None => Self::Local(Arc::from(super::BoxError::from("an error without a text"))),
            },
            Record::Group { errors, left_out } => Self::Group(ErrorGroup::new(errors, left_out)),
        }
    }
}

/// A record, and the text for readers that don't know its kind.
#[derive(Serialize)]
struct WithMessage {
    #[serde(flatten)]
    record: Record,
    /// A remote error has a message of its own, without the actor in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = (!matches!(self, Self::Remote(_))).then(|| self.to_string());
        WithMessage { record: self.clone().into(), message }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Record::deserialize(deserializer).map(Self::from)
    }
}
