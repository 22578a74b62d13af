//! An error that was raised in another actor, with everything that is known of it here: its texts, its way, and the
//! error itself ([`EncodedError`]), encoded where it was raised and decoded where it is asked for.
//!
//! That is written as `msgpack` writes values, whatever the codec of the connection, so that actors on the way pass it
//! on as it is, and so that it comes back through a codec that could not carry it. In JSON it is a base64 text.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use pleach_wire::{Blob, Format, Payload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Error, register};
use crate::actor::ActorId;
use crate::log::Limit;

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
    /// Tells it from other errors of its actor, wherever it is seen.
    pub(super) id: u64,
    #[serde(skip)]
    pub(super) causes: OnceLock<Option<Box<Text>>>,
}

impl RemoteError {
    /// An error that is raised in this process, in the actor `here`.
    pub(super) fn raised(here: &ActorId, type_name: String, message: String) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            type_name,
            message,
            chain: Vec::new(),
            context: Vec::new(),
            backtrace: None,
            span_trace: Vec::new(),
            src: here.clone(),
            relay_path: Vec::new(),
            payload: None,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            causes: OnceLock::new(),
        }
    }

    /// Returns whether both are one and the same, seen from two places.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.src.uuid(), self.id) == (other.src.uuid(), other.id)
    }

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
        let first = self.causes.get_or_init(|| Text::chain(self.chain.clone()));
        first.as_deref().map(|first| first as _)
    }
}

/// An encoded error of a registered type, or a finding of the runtime.
#[derive(Clone, Serialize, Deserialize)]
pub struct EncodedError {
    is: Encoded,
    encoded: Blob,
    #[serde(skip)]
    value: OnceLock<Option<Decoded>>,
}

/// What is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoded {
    /// A finding of the runtime: an [`Error`].
    Finding,
    /// An error of the type that the [`RemoteError`] names, which is registered.
    Registered,
}

/// A decoded error of whatever type it is registered as.
pub(super) type Decoded = Arc<dyn Any + Send + Sync>;

impl EncodedError {
    /// Encodes an error.
    ///
    /// # Errors
    /// In words, when the error's own `Serialize` fails, or it would not come back.
    pub(super) fn of<T: Serialize>(is: Encoded, error: &T) -> Result<Self, String> {
        let mut encoded = BytesMut::new();
        Format::Msgpack.encode(error, &mut encoded).map_err(|why| why.to_string())?;
        Ok(Self { is, encoded: encoded.freeze().into(), value: OnceLock::new() })
    }

    /// Decodes it once more.
    ///
    /// # Errors
    /// Says why it is not a `T`.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        let encoded = Payload::new(Format::Msgpack, self.encoded.0.clone(), Bytes::new());
        encoded.decode().map_err(|why| why.to_string())
    }

    /// Returns the error, if the type of that name is a `T`.
    pub(super) fn get<T: 'static>(&self, type_name: &str) -> Option<&T> {
        let value = self.value.get_or_init(|| match self.decode_as(type_name)? {
            Ok(value) => Some(value),
            Err(why) => {
                static LIMIT: Limit = Limit::new();
                if let Some(count) = LIMIT.count() {
                    warn!(target: "pleach::runtime", type_name, why, count, "a remote error can't be read as its type");
                }
                None
            }
        });
        value.as_ref()?.downcast_ref()
    }

    /// Decodes it, if this program has its type.
    fn decode_as(&self, type_name: &str) -> Option<Result<Decoded, String>> {
        match self.is {
            Encoded::Finding => Some(self.decode::<Error>().map(|error| Arc::new(error) as Decoded)),
            Encoded::Registered => register::decode(type_name, self),
        }
    }

    /// Returns whether both say the same, byte by byte.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        self.encoded.0 == other.encoded.0
    }
}

impl fmt::Debug for EncodedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payload of {} bytes", self.encoded.len())
    }
}

/// An error of which only the text has come here, and its cause.
#[derive(Clone, Debug)]
pub(super) struct Text {
    text: String,
    cause: Option<Box<Self>>,
}

impl Text {
    /// Makes a chain of texts, the outermost first.
    pub(super) fn chain(texts: Vec<String>) -> Option<Box<Self>> {
        texts.into_iter().rev().fold(None, |cause, text| Some(Box::new(Self { text, cause })))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Text {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
