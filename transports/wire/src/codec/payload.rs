//! A value as it has arrived: still encoded, until the task that knows its type reads it.

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Format, custom, json, msgpack};
use crate::error::TransportError;

/// A received value that is still encoded: a slice of its frame, and the blobs that came with it.
#[derive(Clone)]
pub struct Payload {
    format: Format,
    body: Bytes,
    parts: Bytes,
}

impl Payload {
    /// Wraps encoded bytes; codecs and tests make payloads this way.
    pub fn new(format: Format, body: Bytes, parts: Bytes) -> Self {
        Self { format, body, parts }
    }

    /// Encodes `value` into a payload of its own, as if it had been received.
    ///
    /// # Errors
    /// [`TransportError::Encode`] when the value can't be written.
    pub fn of<T: Serialize>(format: Format, value: &T) -> Result<Self, TransportError> {
        let mut body = BytesMut::new();
        format.encode(value, &mut body)?;
        Ok(Self::new(format, body.freeze(), Bytes::new()))
    }

    /// Reads the value. May be called any number of times.
    ///
    /// # Errors
    /// [`TransportError::Value`] when the bytes are not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, TransportError> {
        let read = match self.format {
            Format::Msgpack => msgpack::decode_value(&self.body, &self.parts),
            Format::Json => json::decode_value(&self.body),
            Format::Custom(format) => custom::decode_value(format, &self.body),
        };
        read.map_err(|why| TransportError::Value { codec: self.format.name(), why })
    }

    /// Returns the size in bytes, blobs included.
    pub fn len(&self) -> usize {
        self.body.len() + self.parts.len()
    }

    /// Returns how many bytes a decoder has to go through: blobs that travel beside the value are not among them.
    pub fn encoded_len(&self) -> usize {
        self.body.len()
    }

    /// Returns whether the payload has no byte at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} payload of {} bytes", self.format.name(), self.len())
    }
}

/// The bytes of a payload, and of its blobs.
#[cfg(fuzzing)]
pub(crate) fn bytes_of(payload: &Payload) -> (Bytes, Bytes) {
    (payload.body.clone(), payload.parts.clone())
}
