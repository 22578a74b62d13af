//! Errors on the wire: how one is packed where it is raised, and unpacked by the caller.

use std::error::Error as StdError;

use serde::{Deserialize, Serialize};

use super::{BoxError, Error, Refusal, RemoteError};
use crate::actor::ActorId;

/// An error as it crosses a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Packed {
    /// A function or its actor failed.
    Remote(RemoteError),
    /// The peer's runtime did not run the function.
    Refused { function: String, why: Refusal },
}

impl Packed {
    /// Packs an error that was raised in, or is passed on by, the actor `here`.
    pub(crate) fn new(error: BoxError, type_name: &str, here: &ActorId) -> Self {
        match error.downcast::<Error>() {
            Ok(error) => match *error {
                Error::Remote(mut remote) => {
                    remote.relay_path.push(here.clone());
                    Self::Remote(*remote)
                }
                Error::Local(inner) => Self::describe(&*inner, type_name, here),
                other => Self::describe(&other, variant_name(&other), here),
            },
            Err(other) => Self::describe(&*other, type_name, here),
        }
    }

    /// Packs a panic.
    pub(crate) fn panic(message: String, backtrace: Option<String>, here: &ActorId) -> Self {
        Self::Remote(RemoteError {
            type_name: "panic".into(),
            message: format!("panicked: {message}"),
            chain: Vec::new(),
            backtrace,
            src: here.clone(),
            relay_path: Vec::new(),
        })
    }

    fn describe(error: &(dyn StdError + 'static), type_name: &str, here: &ActorId) -> Self {
        let mut chain = Vec::new();
        if let Some(Error::Group(group)) = error.downcast_ref::<Error>() {
            chain.extend(group.errors.iter().map(ToString::to_string));
        }
        let causes = std::iter::successors(error.source(), |cause: &&(dyn StdError + 'static)| (*cause).source());
        chain.extend(causes.take(MAX_CHAIN).map(ToString::to_string));
        Self::Remote(RemoteError {
            type_name: type_name.to_owned(),
            message: error.to_string(),
            chain,
            backtrace: None,
            src: here.clone(),
            relay_path: Vec::new(),
        })
    }

    /// Makes the caller's error of it; `peer` is who sent it.
    pub(crate) fn unpack(self, peer: &ActorId) -> Error {
        match self {
            Self::Remote(remote) => Error::Remote(Box::new(remote)),
            Self::Refused { function, why } => Error::Refused { actor: peer.to_string(), function, why },
        }
    }
}

fn variant_name(error: &Error) -> &'static str {
    match error {
        Error::Cancelled(_) => CANCELLED,
        Error::Timeout { .. } => "pleach::Error::Timeout",
        Error::Remote(_) => "pleach::Error::Remote",
        Error::ActorDied(_) => "pleach::Error::ActorDied",
        Error::Spawn { .. } => "pleach::Error::Spawn",
        Error::Refused { .. } => "pleach::Error::Refused",
        Error::ActorTooSlow { .. } => "pleach::Error::ActorTooSlow",
        Error::Disconnected { .. } => "pleach::Error::Disconnected",
        Error::StreamOverrun(_) => "pleach::Error::StreamOverrun",
        Error::Transport(_) => "pleach::Error::Transport",
        Error::Config(_) => "pleach::Error::Config",
        Error::Usage(_) => "pleach::Error::Usage",
        Error::Panicked(_) => "pleach::Error::Panicked",
        Error::Local(_) => "pleach::Error::Local",
        Error::Group(_) => "pleach::Error::Group",
    }
}

/// The type name of a cancellation.
pub(super) const CANCELLED: &str = "pleach::Error::Cancelled";

/// Causes beyond this many are cut off: a chain may be as long as its author likes.
const MAX_CHAIN: usize = 32;
