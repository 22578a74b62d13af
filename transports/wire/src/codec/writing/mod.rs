//! A value on its way into a format: a part that would not come back is an error here, at its sender.
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

mod counting;

use std::marker::PhantomData;

use serde::ser::{Error, Serialize, Serializer};

use self::counting::Counting;
use super::MAX_DEPTH;
use super::place::{Notes, Step, Trail};
use crate::blob;

/// The limits of a format.
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
/// Those of `writer`, and when the value would not come back. The notes lead to the place.
#[inline]
pub(super) fn write<T: Serialize + ?Sized, S: Serializer, N: Notes, L: Limits>(
    value: &T,
    writer: S,
    notes: N,
    _: L,
) -> Result<S::Ok, S::Error> {
    let at = At::<N, L> { notes, left: MAX_DEPTH as u8, within: Within::Other, limits: PhantomData };
    value.serialize(Writing { inner: writer, at })
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

/// The surroundings of a value.
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
#[derive(Clone, Copy)]
struct At<N, L> {
    notes: N,
    /// How many levels may come below.
    left: u8,
    within: Within,
    limits: PhantomData<L>,
}

impl<N: Notes, L: Limits> At<N, L> {
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
    fn part<T: ?Sized>(self, value: &T) -> Part<'_, T, N, L> {
        Part { value, at: self }
    }

    /// Fails if a `Some` is around.
    #[inline]
    fn nothing<E: Error>(self) -> Result<(), E> {
        if L::ONE_NOTHING && self.within == Within::Some { Err(lost_some()) } else { Ok(()) }
    }

    /// An integer of 128 bits is an object in JSON, and so a level of its own.
    #[inline]
    fn room_for_wide<E: Error>(self) -> Result<(), E> {
        if L::IS_JSON { self.below(1).map(drop) } else { Ok(()) }
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
    E::custom(format_args!("{number} is not a JSON number; send it as text, or use `msgpack`"))
}

/// A value inside another one.
struct Part<'a, T: ?Sized, N, L> {
    value: &'a T,
    at: At<N, L>,
}

impl<T: Serialize + ?Sized, N: Notes, L: Limits> Serialize for Part<'_, T, N, L> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Writing { inner: serializer, at: self.at })
    }
}

/// A serializer, and where in the whole value it is.
struct Writing<S, N, L> {
    inner: S,
    at: At<N, L>,
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

impl<S: Serializer, N: Notes, L: Limits> Serializer for Writing<S, N, L> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Counting<S::SerializeSeq, N, L>;
    type SerializeTuple = Counting<S::SerializeTuple, N, L>;
    type SerializeTupleStruct = Counting<S::SerializeTupleStruct, N, L>;
    type SerializeTupleVariant = Counting<S::SerializeTupleVariant, N, L>;
    type SerializeMap = Counting<S::SerializeMap, N, L>;
    type SerializeStruct = Counting<S::SerializeStruct, N, L>;
    type SerializeStructVariant = Counting<S::SerializeStructVariant, N, L>;

    plain! {
        serialize_bool(value: bool) serialize_i8(value: i8) serialize_i16(value: i16) serialize_i32(value: i32)
        serialize_i64(value: i64) serialize_u8(value: u8) serialize_u16(value: u16) serialize_u32(value: u32)
        serialize_u64(value: u64) serialize_char(value: char) serialize_bytes(value: &[u8])
        serialize_unit_variant(name: &'static str, at: u32, variant: &'static str)
    }

    #[inline]
    fn serialize_i128(self, value: i128) -> Result<S::Ok, S::Error> {
        self.at.room_for_wide()?;
        self.inner.serialize_i128(value)
    }

    #[inline]
    fn serialize_u128(self, value: u128) -> Result<S::Ok, S::Error> {
        self.at.room_for_wide()?;
        self.inner.serialize_u128(value)
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
            self.at.notes.note(|| Step::named(variant));
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
        Ok(Counting::of_variant(variant, inner, below, len))
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
        Ok(Counting::of_variant(variant, inner, below, len))
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
