//! A value on its way into a format: what would not come back is an error here, at its sender.
//!
//! This wraps any serializer, and everything that a value hands to it. It looks for what formats take and give back as
//! something else, or not at all:
//!
//! - a `Some` around what is written as nothing (`Some(None)`, `Some(())`): it would come back as `None`;
//! - sequences and maps of another length than they have announced;
//! - numbers that a format has no word for (NaN in JSON);
//! - values that are nested deeper than a reader goes.
//!
//! Nothing is allocated, and nothing is kept but for a failure: see [`super::place`].

use std::marker::PhantomData;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::MAX_DEPTH;
use super::place::{Step, Trail};
use crate::blob;

/// What a format can't carry.
pub(super) trait Limits: Copy {
    /// Nothing (`()`, `None`) is written in one way, so that a `Some` around it is lost.
    const ONE_NOTHING: bool;
    /// It is JSON: there is no form of NaN and the infinities, and a text may be passed on as it is.
    const IS_JSON: bool;
    /// Byte strings may be put aside as blobs.
    const BLOBS: bool;
}

/// Writes `value` into `writer`.
///
/// # Errors
/// Those of `writer`, and when the value would not come back. The trail leads to the place.
pub(super) fn write<T: Serialize + ?Sized, S: Serializer, L: Limits>(
    value: &T,
    writer: S,
    trail: &Trail,
    _: L,
) -> Result<S::Ok, S::Error> {
    value.serialize(whole::<S, L>(writer, trail))
}

fn whole<S, L: Limits>(inner: S, trail: &Trail) -> Writing<'_, S, L> {
    Writing { inner, at: At { trail, left: MAX_DEPTH as u8, within: Within::Other, limits: PhantomData } }
}

/// A value that a format of another crate writes: it does not see the serializer.
pub(super) struct Whole<'a, T: ?Sized, L> {
    pub(super) value: &'a T,
    pub(super) trail: &'a Trail,
    pub(super) limits: L,
}

impl<T: Serialize + ?Sized, L: Limits> Serialize for Whole<'_, T, L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.value, serializer, self.trail, self.limits)
    }
}

/// What is around a value.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// `Some`, and structures of one value between.
    Some,
    /// `Some`, and in it a JSON text that is passed on as it is.
    SomeRaw,
    /// A blob: it decides by itself how it is written.
    Blob,
    Other,
}

/// The place of a value.
struct At<'a, L> {
    trail: &'a Trail,
    /// How many levels may come below.
    left: u8,
    within: Within,
    limits: PhantomData<L>,
}

impl<L> Clone for At<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for At<'_, L> {}

impl<'a, L: Limits> At<'a, L> {
    /// The place of what is `levels` further down.
    #[inline]
    fn below<E: Error>(self, levels: u8) -> Result<Self, E> {
        match self.left.checked_sub(levels) {
            Some(left) => Ok(Self { left, within: Within::Other, ..self }),
            None => Err(too_deep()),
        }
    }

    #[inline]
    fn inside(self, within: Within) -> Self {
        Self { within, ..self }
    }

    #[inline]
    fn part<'p, T: ?Sized>(&'p self, value: &'p T) -> Part<'p, T, L> {
        Part { value, at: self }
    }

    /// Fails if a `Some` is around.
    #[inline]
    fn nothing<E: Error>(self) -> Result<(), E> {
        if L::ONE_NOTHING && self.within == Within::Some { Err(lost_some()) } else { Ok(()) }
    }

    #[inline]
    fn finite<E: Error>(self, is_finite: bool, number: f64) -> Result<(), E> {
        if L::IS_JSON && !is_finite { Err(not_finite(number)) } else { Ok(()) }
    }
}

#[cold]
fn too_deep<E: Error>() -> E {
    E::custom(format_args!("it is nested more than {MAX_DEPTH} levels deep"))
}

#[cold]
fn lost_some<E: Error>() -> E {
    E::custom(
        "a `Some` around nothing, such as `Some(None)` or `Some(())`, would come back as `None`; \
         write an enum of your own instead of the outer `Option`",
    )
}

#[cold]
fn not_finite<E: Error>(number: f64) -> E {
    E::custom(format_args!("{number} is no number of JSON; send it as text, or use `msgpack`"))
}

#[cold]
fn wrong_length<E: Error>(announced: usize, written: usize) -> E {
    E::custom(format_args!("its `Serialize` announces {announced} elements and writes {written}"))
}

/// A value inside another one.
struct Part<'a, T: ?Sized, L> {
    value: &'a T,
    at: &'a At<'a, L>,
}

impl<T: Serialize + ?Sized, L: Limits> Serialize for Part<'_, T, L> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Writing { inner: serializer, at: *self.at })
    }
}

/// A serializer, and where in the whole value it is.
struct Writing<'a, S, L> {
    inner: S,
    at: At<'a, L>,
}

/// Hands a plain value on.
macro_rules! plain {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(self, $($name: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($name),*)
        }
    )*};
}

impl<'a, S: Serializer, L: Limits> Serializer for Writing<'a, S, L> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Counting<'a, S::SerializeSeq, L>;
    type SerializeTuple = Counting<'a, S::SerializeTuple, L>;
    type SerializeTupleStruct = Counting<'a, S::SerializeTupleStruct, L>;
    type SerializeTupleVariant = Counting<'a, S::SerializeTupleVariant, L>;
    type SerializeMap = Counting<'a, S::SerializeMap, L>;
    type SerializeStruct = Counting<'a, S::SerializeStruct, L>;
    type SerializeStructVariant = Counting<'a, S::SerializeStructVariant, L>;

    plain! {
        serialize_bool(value: bool) serialize_i8(value: i8) serialize_i16(value: i16) serialize_i32(value: i32)
        serialize_i64(value: i64) serialize_i128(value: i128) serialize_u8(value: u8) serialize_u16(value: u16)
        serialize_u32(value: u32) serialize_u64(value: u64) serialize_u128(value: u128) serialize_char(value: char)
        serialize_bytes(value: &[u8])
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.at.finite(value.is_finite(), value.into())?;
        self.inner.serialize_f32(value)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.at.finite(value.is_finite(), value)?;
        self.inner.serialize_f64(value)
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        if self.at.within == Within::SomeRaw && value.trim() == "null" {
            return Err(lost_some());
        }
        self.inner.serialize_str(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.at.nothing()?;
        self.inner.serialize_none()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let at = self.at.inside(Within::Some);
        self.inner.serialize_some(&at.part(value))
    }

    #[inline]
    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.at.nothing()?;
        self.inner.serialize_unit()
    }

    /// Where there is only one nothing, it is that: readers that buffer values take no other form for such a structure.
    #[inline]
    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.at.nothing()?;
        if L::ONE_NOTHING { self.inner.serialize_unit() } else { self.inner.serialize_unit_struct(name) }
    }

    #[inline]
    fn serialize_unit_variant(self, name: &'static str, at: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.at.below(1)?;
        self.inner.serialize_unit_variant(name, at, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        if L::BLOBS && name == blob::NAME {
            let at = self.at.inside(Within::Blob);
            return blob::ask(|| self.inner.serialize_newtype_struct(name, &at.part(value)));
        }
        self.inner.serialize_newtype_struct(name, &self.at.part(value))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let below = self.at.below(1)?;
        let written = self.inner.serialize_newtype_variant(name, at, variant, &below.part(value));
        if written.is_err() {
            self.at.trail.note(Step::named(variant));
        }
        written
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let at = self.at.below(1)?;
        Ok(Counting::new(self.inner.serialize_seq(len)?, at, len))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        let at = self.at.below(1)?;
        Ok(Counting::new(self.inner.serialize_tuple(len)?, at, Some(len)))
    }

    #[inline]
    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        let at = self.at.below(1)?;
        Ok(Counting::new(self.inner.serialize_tuple_struct(name, len)?, at, Some(len)))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let below = self.at.below(2)?;
        let inner = self.inner.serialize_tuple_variant(name, at, variant, len)?;
        Ok(Counting { variant: Some(variant), ..Counting::new(inner, below, Some(len)) })
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        let at = self.at.below(1)?;
        Ok(Counting::new(self.inner.serialize_map(len)?, at, len))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        let mut at = self.at.below(1)?;
        if L::IS_JSON && self.at.within == Within::Some && name == RAW_JSON {
            at.within = Within::SomeRaw;
        }
        Ok(Counting::new(self.inner.serialize_struct(name, len)?, at, Some(len)))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let below = self.at.below(2)?;
        let inner = self.inner.serialize_struct_variant(name, at, variant, len)?;
        Ok(Counting { variant: Some(variant), ..Counting::new(inner, below, Some(len)) })
    }

    #[inline]
    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.at.within != Within::Blob && self.inner.is_human_readable()
    }
}

/// As `serde_json` calls a text that it passes on as it is.
pub(super) const RAW_JSON: &str = "$serde_json::private::RawValue";

/// Several values in a row, and how many there should be.
struct Counting<'a, C, L> {
    inner: C,
    at: At<'a, L>,
    written: usize,
    announced: Option<usize>,
    /// Of an enum, whose name is a step of its own.
    variant: Option<&'static str>,
}

impl<'a, C, L: Limits> Counting<'a, C, L> {
    #[inline]
    fn new(inner: C, at: At<'a, L>, announced: Option<usize>) -> Self {
        Self { inner, at, written: 0, announced, variant: None }
    }

    /// Counts one value; where it failed is noted.
    #[inline]
    fn counted<E: Error>(&mut self, written: Result<(), E>, key: Option<&'static str>) -> Result<(), E> {
        if written.is_err() {
            self.note(key.map_or(Step::Element(self.written), Step::named));
        }
        self.written += 1;
        written
    }

    #[cold]
    #[inline(never)]
    fn note(&self, step: Step) {
        self.at.trail.note(step);
        if let Some(variant) = self.variant {
            self.at.trail.note(Step::named(variant));
        }
    }

    #[inline]
    fn check<E: Error>(&self) -> Result<(), E> {
        match self.announced {
            Some(announced) if announced != self.written => Err(wrong_length(announced, self.written)),
            _ => Ok(()),
        }
    }
}

/// The four that take one unnamed value after the other.
macro_rules! elements {
    ($($compound:ident $method:ident)*) => {$(
        impl<C: $compound, L: Limits> $compound for Counting<'_, C, L> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let written = self.inner.$method(&self.at.part(value));
                self.counted(written, None)
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.check::<C::Error>()?;
        self.inner.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// The two that take fields.
macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl<C: $compound, L: Limits> $compound for Counting<'_, C, L> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), C::Error> {
                let written = self.inner.serialize_field(key, &self.at.part(value));
                self.counted(written, Some(key))
            }

            #[inline]
            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.check::<C::Error>()?;
        self.inner.end()
            }
        }
    )*};
}

fields!(SerializeStruct SerializeStructVariant);

impl<C: SerializeMap, L: Limits> SerializeMap for Counting<'_, C, L> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&self.at.part(key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let written = self.inner.serialize_value(&self.at.part(value));
        self.counted(written, None)
    }

    #[inline]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), C::Error> {
        let written = self.inner.serialize_entry(&self.at.part(key), &self.at.part(value));
        if written.is_err() {
            self.note(key_text(key).map_or(Step::Element(self.written), Step::Named));
        }
        self.written += 1;
        written
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.check::<C::Error>()?;
        self.inner.end()
    }
}

/// A key as people write it, if it is a text or a number.
#[cold]
fn key_text<K: Serialize + ?Sized>(key: &K) -> Option<String> {
    match serde_json::to_value(key).ok()? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
