//! Errors on the wire: how one is packed where it is raised, passed on, and unpacked by the caller.
//!
//! | a function's error | its caller's error |
//! |---|---|
//! | an error of its own | [`RemoteError`], with the error itself if its type is registered |
//! | a finding of the runtime ([`Error::ActorDied`], …) | [`RemoteError`], with the finding itself |
//! | an error from another actor | the same one, with one more hop |
//! | nothing, because it was cancelled, or [`Error::Cancelled`] | [`ContextCancelled`] |
//! | one of these inside an error of a foreign type | the same, with the foreign texts as its context |
//! | a group | a group of the same |

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::boxed::{Held, Raised};
use super::remote::{Encoded, EncodedError};
use super::{ContextCancelled, Error, ErrorGroup, Refusal, RemoteError, causes, register, wrapped};
use crate::actor::ActorId;
use crate::log::Limit;
use crate::panics::Panic;
use crate::telemetry::span_trace;

/// An error as it crosses a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Packed {
    /// A function or its actor failed.
    Remote(Box<RemoteError>),
    /// A function was cancelled.
    ContextCancelled(Box<ContextCancelled>),
    /// The peer's runtime did not run the function.
    Refused { function: String, why: Refusal },
    /// Several things failed.
    Group { members: Vec<Self>, left_out: usize },
}

impl Packed {
    /// Packs an error that was raised in, or is passed on by, the actor `here`.
    pub(crate) fn new(raised: Raised, here: &ActorId) -> Self {
        let Raised { held, type_name, backtrace } = raised;
        let mut packer = Packer { here, room: MAX_MEMBERS };
        match held {
            Held::Boxed(error) => match error.downcast::<Error>() {
                Ok(error) => packer.pack(*error, 0),
                Err(foreign) => packer.pack_foreign(&*foreign, type_name, backtrace, 0),
            },
            Held::Traced(traced) => {
                // As plain `dyn Error`: an `anyhow::Error` would also find one of ours below its contexts.
                let error: &(dyn StdError + 'static) = &**traced;
                match error.downcast_ref::<Error>() {
                    Some(ours) => packer.pack(ours.clone(), 0),
                    None => packer.pack_foreign(error, type_name, backtrace, 0),
                }
            }
        }
    }

    /// Packs an error of the runtime.
    pub(crate) fn of(error: Error, here: &ActorId) -> Self {
        Packer { here, room: MAX_MEMBERS }.pack(error, 0)
    }

    /// Packs the end of a function that was cancelled.
    pub(crate) fn cancelled(cancelled: ContextCancelled) -> Self {
        Self::ContextCancelled(Box::new(cancelled))
    }

    /// Packs a panic, with the text of its backtrace.
    pub(crate) fn panic(panic: Panic, backtrace: Option<String>, here: &ActorId) -> Self {
        let Panic { message, span_trace, .. } = panic;
        let remote = RemoteError::raised(here, "panic".into(), format!("panicked: {message}"));
        Self::Remote(Box::new(RemoteError { backtrace, span_trace, ..remote }))
    }

    /// Makes the caller's error of it; `peer` sent it.
    pub(crate) fn unpack(self, peer: &ActorId) -> Error {
        match self {
            Self::Remote(remote) => Error::Remote(remote),
            Self::ContextCancelled(cancelled) => Error::ContextCancelled(cancelled),
            Self::Refused { function, why } => Error::Refused { actor: peer.to_string(), function, why },
            Self::Group { members, left_out } => {
                let errors = members.into_iter().map(|member| member.unpack(peer)).collect();
                Error::Group(ErrorGroup::new(errors, left_out))
            }
        }
    }

    /// Returns whether it is a failure that is reported nowhere else: unlike a requested cancellation, or a refused
    /// call, which did not run.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Remote(_) => true,
            Self::ContextCancelled(_) | Self::Refused { .. } => false,
            Self::Group { members, left_out } => *left_out > 0 || members.iter().any(Self::is_failure),
        }
    }

    /// Notes the context that an actor on the way has added.
    fn add_context(&mut self, texts: &[String]) {
        match self {
            Self::Remote(remote) => drop(remote.context.splice(..0, texts.iter().cloned())),
            Self::ContextCancelled(_) | Self::Refused { .. } => {}
            Self::Group { members, .. } => members.iter_mut().for_each(|member| member.add_context(texts)),
        }
    }
}

impl fmt::Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(remote) => remote.fmt(f),
            Self::ContextCancelled(cancelled) => cancelled.fmt(f),
            Self::Refused { function, why } => write!(f, "`{function}` was refused: {why}"),
            Self::Group { members, left_out } => {
                let members: Vec<_> = members.iter().map(ToString::to_string).collect();
                write!(f, "several errors, {left_out} of them left out: {}", members.join("; "))
            }
        }
    }
}

/// Packs one error, which may be a tree of groups.
struct Packer<'a> {
    here: &'a ActorId,
    /// How many more members may be packed.
    room: usize,
}

impl Packer<'_> {
    fn pack(&mut self, error: Error, depth: usize) -> Packed {
        match error {
            Error::Remote(mut remote) => {
                remote.relay_path.push(self.here.clone());
                Packed::Remote(remote)
            }
            Error::ContextCancelled(mut cancelled) => {
                cancelled.relay_path.push(self.here.clone());
                Packed::ContextCancelled(cancelled)
            }
            Error::Cancelled(cause) => Packed::cancelled(ContextCancelled::inside(self.here, &cause)),
            Error::Group(group) => self.pack_group(group, depth),
            Error::Local(error) => self.pack_foreign(&*error, UNKNOWN_TYPE, None, depth),
            finding => self.pack_finding(&finding),
        }
    }

    /// Packs as many members as there is room for, and counts the others.
    fn pack_group(&mut self, group: ErrorGroup, depth: usize) -> Packed {
        let (mut members, mut left_out) = (Vec::new(), group.left_out);
        for error in group.errors {
            match &error {
                Error::Group(inner) if self.room == 0 || depth + 1 >= MAX_DEPTH => left_out += inner.count(),
                Error::Group(_) => members.push(self.pack(error, depth + 1)),
                _ if self.room == 0 => left_out += 1,
                _ => {
                    self.room -= 1;
                    members.push(self.pack(error, depth + 1));
                }
            }
        }
        Packed::Group { members, left_out }
    }

    /// Packs an error of a type that is not ours. If it wraps one of ours, that one is passed on, and the outer errors
    /// are only its context; unless a registered type comes first.
    fn pack_foreign(
        &mut self,
        error: &(dyn StdError + 'static),
        type_name: &str,
        backtrace: Option<String>,
        depth: usize,
    ) -> Packed {
        let before_ours = causes(error).take(MAX_CHAIN).take_while(|cause| !cause.is::<Error>());
        let around: Vec<_> = before_ours.collect();
        if let Some((type_name, payload)) = around.iter().find_map(|cause| register::encode(*cause)) {
            return self.describe(error, type_name, backtrace, Some(payload));
        }
        match wrapped::find(error) {
            Some(ours) => {
                let context = context(&around, &ours);
                let mut packed = self.pack(ours, depth);
                packed.add_context(&context);
                packed
            }
            None => self.describe(error, type_name, backtrace, None),
        }
    }

    fn pack_finding(&self, finding: &Error) -> Packed {
        let type_name = format!("pleach::Error::{}", finding.variant());
        let payload = EncodedError::of(Encoded::Finding, finding).map_err(|why| {
            static LIMIT: Limit = Limit::new();
            if let Some(count) = LIMIT.count() {
                warn!(target: "pleach::runtime", type_name, why, count, "a finding can't be sent as itself");
            }
        });
        self.describe(finding, &type_name, None, payload.ok())
    }

    fn describe(
        &self,
        error: &(dyn StdError + 'static),
        type_name: &str,
        backtrace: Option<String>,
        payload: Option<EncodedError>,
    ) -> Packed {
        let mut chain: Vec<_> = causes(error).skip(1).take(MAX_CHAIN + 1).map(ToString::to_string).collect();
        if let Some(beyond) = chain.get_mut(MAX_CHAIN) {
            *beyond = "more causes were left out".into();
        }
        let remote = RemoteError::raised(self.here, type_name.to_owned(), error.to_string());
        Packed::Remote(Box::new(RemoteError { chain, backtrace, payload, span_trace: span_trace(), ..remote }))
    }
}

/// The texts of the errors `around` one of ours, without its own text: many messages end with their cause.
fn context(around: &[&(dyn StdError + 'static)], ours: &Error) -> Vec<String> {
    let mut texts: Vec<_> = around.iter().map(ToString::to_string).collect();
    let own = ours.to_string();
    // Behind the last one that prints it there are only its own causes.
    if let Some(at) = texts.iter().rposition(|text| text.ends_with(&own)) {
        texts.truncate(at + 1);
    }
    texts.push(own);
    let pairs = texts.windows(2).map(|pair| {
        let own = pair[0].strip_suffix(pair[1].as_str()).unwrap_or(&pair[0]);
        own.trim_end_matches([':', ' ']).to_owned()
    });
    pairs.filter(|own| !own.is_empty()).collect()
}

/// The type name of an error of which only a box has come here.
const UNKNOWN_TYPE: &str = "dyn std::error::Error";

/// Causes beyond this many are cut off: a chain may be as long as its author likes.
const MAX_CHAIN: usize = 32;

/// Members of one group, inner groups included, that cross a connection: more would not help.
const MAX_MEMBERS: usize = 64;

/// How deep groups may be nested when they cross: decoders have their limits.
const MAX_DEPTH: usize = 8;
