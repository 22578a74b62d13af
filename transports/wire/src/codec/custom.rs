//! Codecs from outside: a [`CustomFormat`] says how values are written, and [`CustomCodec`] makes a codec of it.
//!
//! ```
//! # use bytes::BytesMut;
//! use pleach_wire::codec::{CustomCodec, CustomFormat};
//!
//! /// Values as JSON over several lines.
//! struct Pretty;
//!
//! impl CustomFormat for Pretty {
//!     fn name(&self) -> &'static str {
//!         "pretty"
//!     }
//!
//!     fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut BytesMut) -> Result<(), String> {
//!         let text = serde_json::to_vec_pretty(value).map_err(|error| error.to_string())?;
//!         out.extend_from_slice(&text);
//!         Ok(())
//!     }
//!
//!     fn decode(
//!         &self,
//!         bytes: &[u8],
//!         read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
//!     ) -> Result<(), String> {
//!         let mut json = serde_json::Deserializer::from_slice(bytes);
//!         read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(|error| error.to_string())
//!     }
//! }
//!
//! static PRETTY: CustomCodec = CustomCodec::new(&Pretty);
//! ```
//! The format need not describe itself: what the runtime sends asks for no more than the types say. What user types ask
//! for (`untagged`, `flatten`, …) is theirs to know.

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

use super::place::Trail;
use super::reading::{self, Forms};
use super::wide::Form;
use super::writing::{Limits, Whole};
use super::{Codec, Format, FrameBuf, envelope, items};
use crate::error::TransportError;
use crate::msg::{Msg, Outgoing};

/// How values are written by a codec from outside this crate.
pub trait CustomFormat: Send + Sync {
    /// The name of the codec, for messages and for the registry.
    fn name(&self) -> &'static str;

    /// Appends one value.
    ///
    /// # Errors
    /// In words, when the value can't be written.
    fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut BytesMut) -> Result<(), String>;

    /// Hands a deserializer over `bytes` to `read`, once.
    ///
    /// # Errors
    /// The error of `read`, or why the bytes are not a value.
    fn decode(
        &self,
        bytes: &[u8],
        read: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), String>;
}

/// The codec of a [`CustomFormat`]: messages as with [`Msgpack`](super::Msgpack), the values in them in that format.
#[derive(Clone, Copy)]
pub struct CustomCodec(&'static dyn CustomFormat);

impl CustomCodec {
    /// Makes a codec that writes values in this format, and has its name.
    pub const fn new(format: &'static dyn CustomFormat) -> Self {
        Self(format)
    }
}

impl std::fmt::Debug for CustomCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomCodec({})", self.0.name())
    }
}

impl Codec for CustomCodec {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn format(&self) -> Format {
        Format::Custom(self.0)
    }

    fn encode(&self, msg: &Outgoing<'_>, frame: &mut FrameBuf<'_>) -> Result<(), TransportError> {
        envelope::write(self.format(), msg, frame)
    }

    fn decode(&self, body: Bytes) -> Result<Msg, TransportError> {
        envelope::read(self.format(), body)
    }

    fn shares_frames(&self) -> bool {
        true
    }

    #[inline]
    fn decode_items(&self, body: &Bytes, messages: &mut Vec<Msg>) -> Option<Result<(), TransportError>> {
        items::read(self.format(), body, messages)
    }
}

/// Nothing is known about the format: its author decides what it can carry.
#[derive(Clone, Copy)]
struct Unknown;

impl Limits for Unknown {
    const ONE_NOTHING: bool = false;
    const IS_JSON: bool = false;
    const BLOBS: bool = false;
}

impl Forms for Unknown {
    const KEYS_ARE_TEXT: bool = false;
    const RAW_JSON_IS_MAP: bool = false;
    const WIDE: Form = Form::OfTheFormat;
}

pub(super) fn encode_value<T: Serialize>(
    format: &dyn CustomFormat,
    value: &T,
    out: &mut BytesMut,
) -> Result<(), String> {
    let trail = Trail::default();
    let whole = Whole { value, trail: &trail, limits: Unknown };
    format.encode(&whole, out).map_err(|why| trail.explain::<T>(&why, |steps| steps))
}

pub(super) fn decode_value<T: DeserializeOwned>(format: &dyn CustomFormat, body: &[u8]) -> Result<T, String> {
    let (mut value, trail) = (None, Trail::default());
    let read = format.decode(body, &mut |reader| {
        value = Some(reading::read(reader, &trail, Unknown).map_err(erased_serde::Error::custom)?);
        Ok(())
    });
    read.map_err(|why| trail.explain::<T>(&why, |steps| steps))?;
    value.ok_or_else(|| "the format read no value".to_owned())
}
