//! An error itself as it crosses, beside its text: encoded where it is raised, decoded where it is asked for.
//!
//! It is written as `msgpack` writes values, whatever the codec of the connection, so that actors on the way pass it on
//! as it is, and so that it comes back through a codec that could not carry it. In JSON it is a base64 text.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use pleach_wire::{Blob, Format, Payload as Encoded};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::register;
use crate::log::Limit;

/// An encoded error of a registered type, or a finding of the runtime.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncodedError {
    encoded: Blob,
    #[serde(skip)]
    value: OnceLock<Option<Decoded>>,
}

/// A decoded error of whatever type it is registered as.
pub(super) type Decoded = Arc<dyn Any + Send + Sync>;

impl EncodedError {
    /// Encodes an error.
    ///
    /// # Errors
    /// In words, when the error's own `Serialize` fails, or it would not come back.
    pub(super) fn of<T: Serialize>(error: &T) -> Result<Self, String> {
        let mut encoded = BytesMut::new();
        Format::Msgpack.encode(error, &mut encoded).map_err(|why| why.to_string())?;
        Ok(Self { encoded: encoded.freeze().into(), value: OnceLock::new() })
    }

    /// Decodes it once more.
    ///
    /// # Errors
    /// Says why it is not a `T`.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, String> {
        let encoded = Encoded::new(Format::Msgpack, self.encoded.0.clone(), Bytes::new());
        encoded.decode().map_err(|why| why.to_string())
    }

    /// Returns the error, if the type of that name is a `T`.
    pub(super) fn get<T: 'static>(&self, type_name: &str) -> Option<&T> {
        let value = self.value.get_or_init(|| match register::decode(type_name, self)? {
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
}

impl fmt::Debug for EncodedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "payload of {} bytes", self.encoded.len())
    }
}
