//! Keys in JSON, where all keys are text: a number comes back as a number, and a text that looks like one as text.
//!
//! `serde_json` turns the key `5` into `"5"`, and back where the type of the map is known. In a tagged, untagged or
//! flattened type it is not: serde buffers the map first, and then a text is not a number. So the writer escapes the
//! first byte of a *text* that looks like a number or a boolean (`"\u0035"`, the same text for every reader of JSON),
//! and where a reader does not say what it wants, a key without escapes that looks like a number is one.

use std::fmt;
use std::io;

use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};
use serde_json::ser::Formatter;

use super::wide;

/// Writes JSON without spaces, with such keys.
#[derive(Default)]
pub(super) struct Keys {
    /// A key begins, and it may be text.
    in_key: bool,
}

impl Formatter for Keys {
    #[inline]
    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.in_key = true;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    #[inline]
    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.in_key = false;
        writer.write_all(b":")
    }

    #[inline]
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if std::mem::take(&mut self.in_key) && (Scalar::of(fragment).is_some() || fragment == wide::KEY) {
            write!(writer, "\\u{:04x}", fragment.as_bytes()[0])?;
            return writer.write_all(&fragment.as_bytes()[1..]);
        }
        writer.write_all(fragment.as_bytes())
    }

    #[inline]
    fn write_i128<W: io::Write + ?Sized>(&mut self, writer: &mut W, number: i128) -> io::Result<()> {
        self.write_wide(writer, &number)
    }

    #[inline]
    fn write_u128<W: io::Write + ?Sized>(&mut self, writer: &mut W, number: u128) -> io::Result<()> {
        self.write_wide(writer, &number)
    }
}

impl Keys {
    fn write_wide<W: io::Write + ?Sized>(&self, writer: &mut W, number: &dyn fmt::Display) -> io::Result<()> {
        if self.in_key { write!(writer, "{number}") } else { write!(writer, "{{\"{}\":\"{number}\"}}", wide::KEY) }
    }
}

/// The kind of value that a text looks like.
enum Scalar {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl Scalar {
    fn of(text: &str) -> Option<Self> {
        match text.as_bytes().first()? {
            b't' | b'f' => text.parse().ok().map(Self::Bool),
            b'0'..=b'9' => text.parse().map(Self::Unsigned).ok().or_else(|| Self::float(text)),
            b'-' => text.parse().map(Self::Signed).ok().or_else(|| Self::float(text)),
            _ => None,
        }
    }

    fn float(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::Float)
    }
}

/// Reads a key.
pub(super) struct KeySeed<S> {
    pub(super) inner: S,
    /// It names a field.
    pub(super) is_name: bool,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Key { inner: reader, is_name: self.is_name })
    }
}

/// A deserializer of a key, or its visitor.
struct Key<T> {
    inner: T,
    /// It is text in any case.
    is_name: bool,
}

/// Hands a request on: the type says what it wants.
macro_rules! deserialize {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($name,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Key<D> {
    type Error = D::Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Key { inner: visitor, is_name: false })
    }

    /// The names of fields are text, but a flattened structure asks for those of its maps in this way too.
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_identifier(Key { inner: visitor, is_name: self.is_name })
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(Key { inner: visitor, is_name: true })
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_string(Key { inner: visitor, is_name: true })
    }

    deserialize! {
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128() deserialize_f32()
        deserialize_f64() deserialize_char() deserialize_bytes()
        deserialize_byte_buf() deserialize_option() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Key<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<V::Value, E> {
        if text == wide::KEY {
            return Err(wide::can_t_be_read());
        }
        match if self.is_name { None } else { Scalar::of(text) } {
            None => self.inner.visit_borrowed_str(text),
            Some(Scalar::Bool(value)) => self.inner.visit_bool(value),
            Some(Scalar::Unsigned(number)) => self.inner.visit_u64(number),
            Some(Scalar::Signed(number)) => self.inner.visit_i64(number),
            Some(Scalar::Float(number)) => self.inner.visit_f64(number),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<V::Value, E> {
        self.inner.visit_str(text)
    }

    fn visit_string<E: Error>(self, text: String) -> Result<V::Value, E> {
        self.inner.visit_string(text)
    }
}
