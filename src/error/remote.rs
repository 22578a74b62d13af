//! An error that was raised in another actor, with everything that is known of it here.

use std::error::Error as StdError;
use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::encoded::EncodedError;
use super::told::Told;
use crate::actor::ActorId;

/// An error of a function that ran in another actor.
///
/// It keeps its source over any number of hops: actors that pass it on add themselves to
/// [`relay_path`](Self::relay_path), and their context to [`context`](Self::context).
/// [`Error::downcast_ref`](super::Error::downcast_ref) and [`Error::origin`](super::Error::origin) return the error
/// that it was made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteError {
    /// The Rust type of the error where it was raised. An error that came out of a box of unknown content
    /// has the type of the box.
    pub type_name: String,
    /// Its message.
    pub message: String,
    /// The messages of its causes, nearest first; at most 32.
    pub chain: Vec<String>,
    /// The context that actors on the way have added, the last first.
    pub context: Vec<String>,
    /// Where it was raised: of a panic, and of an `anyhow::Error`, if backtraces are on there.
    pub backtrace: Option<String>,
    /// The names of the `tracing` spans that were entered where it panicked, or where the function's error
    /// was packed, innermost first. Empty without a subscriber on `tracing_subscriber`'s registry.
    pub span_trace: Vec<String>,
    /// The actor in which it was raised.
    pub src: ActorId,
    /// The actors that passed it on, the first hop first.
    pub relay_path: Vec<ActorId>,
    /// The error itself, if it is of a registered type or a finding of the runtime.
    pub payload: Option<EncodedError>,
    #[serde(skip)]
    pub(super) causes: OnceLock<Option<Box<Told>>>,
}

impl RemoteError {
    /// Returns the error that it was made of, if that is a `T`.
    pub(super) fn payload_as<T: 'static>(&self) -> Option<&T> {
        self.payload.as_ref()?.get(&self.type_name)
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.context.iter().try_for_each(|context| write!(f, "{context}: "))?;
        write!(f, "{}: {}", self.src, self.message)
    }
}

impl StdError for RemoteError {
    /// Its chain, as far as it is known: texts.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let first = self.causes.get_or_init(|| Told::chain(self.chain.clone()));
        first.as_deref().map(|first| first as _)
    }
}
