//! The side of a type: a deserializer that asks a [`Source`]. This is what is compiled for each type.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Answer, Asked, Elements, Entries, Failure, Seed, Sink, Source, Variant};

/// Reads a value.
///
/// # Errors
/// Those of the source, and those of the type.
pub(in crate::codec) fn read<'de, T: Deserialize<'de>>(source: &mut dyn Source<'de>) -> Result<T, Failure> {
    T::deserialize(Reader(source))
}

/// A deserializer that asks a source.
struct Reader<'s, 'de>(&'s mut dyn Source<'de>);

impl<'de> Reader<'_, 'de> {
    fn ask<V: Visitor<'de>>(self, asked: Asked, visitor: V) -> Result<V::Value, Failure> {
        take(visitor, |sink| self.0.answer(asked, sink))
    }
}

fn take<'de, V: Visitor<'de>>(
    visitor: V,
    answer: impl FnOnce(&mut dyn Sink<'de>) -> Result<(), Failure>,
) -> Result<V::Value, Failure> {
    let mut slot = VisitorSlot { visitor: Some(visitor), value: None };
    answer(&mut slot)?;
    slot.value.ok_or_else(Failure::misused)
}

fn seeded<'de, S: DeserializeSeed<'de>, T>(
    seed: S,
    read: impl FnOnce(&mut dyn Seed<'de>) -> Result<T, Failure>,
) -> Result<(T, Option<S::Value>), Failure> {
    let mut slot = SeedSlot { seed: Some(seed), value: None };
    Ok((read(&mut slot)?, slot.value))
}

macro_rules! ask {
    ($($method:ident($($name:ident: $type:ty),*) $asked:expr;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Failure> {
            self.ask($asked, visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_, 'de> {
    type Error = Failure;

    ask! {
        deserialize_any() Asked::Any;
        deserialize_bool() Asked::Bool;
        deserialize_i8() Asked::I8;
        deserialize_i16() Asked::I16;
        deserialize_i32() Asked::I32;
        deserialize_i64() Asked::I64;
        deserialize_i128() Asked::I128;
        deserialize_u8() Asked::U8;
        deserialize_u16() Asked::U16;
        deserialize_u32() Asked::U32;
        deserialize_u64() Asked::U64;
        deserialize_u128() Asked::U128;
        deserialize_f32() Asked::F32;
        deserialize_f64() Asked::F64;
        deserialize_char() Asked::Char;
        deserialize_str() Asked::Str;
        deserialize_string() Asked::Text;
        deserialize_bytes() Asked::Bytes;
        deserialize_byte_buf() Asked::ByteBuf;
        deserialize_option() Asked::Option;
        deserialize_unit() Asked::Unit;
        deserialize_unit_struct(name: &'static str) Asked::UnitStruct(name);
        deserialize_newtype_struct(name: &'static str) Asked::Newtype(name);
        deserialize_seq() Asked::Seq;
        deserialize_tuple(len: usize) Asked::Tuple(len);
        deserialize_tuple_struct(name: &'static str, len: usize) Asked::TupleStruct(name, len);
        deserialize_map() Asked::Map;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) Asked::Struct(name, fields);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) Asked::Enum(name, variants);
        deserialize_identifier() Asked::Identifier;
        deserialize_ignored_any() Asked::Ignored;
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

struct VisitorSlot<V, T> {
    visitor: Option<V>,
    value: Option<T>,
}

impl<'de, V: Visitor<'de>> Sink<'de> for VisitorSlot<V, V::Value> {
    fn take(&mut self, answer: Answer<'_, 'de>) -> Result<(), Failure> {
        let visitor = self.visitor.take().ok_or_else(Failure::misused)?;
        let value = match answer {
            Answer::Bool(value) => visitor.visit_bool(value),
            Answer::I8(value) => visitor.visit_i8(value),
            Answer::I16(value) => visitor.visit_i16(value),
            Answer::I32(value) => visitor.visit_i32(value),
            Answer::I64(value) => visitor.visit_i64(value),
            Answer::I128(value) => visitor.visit_i128(value),
            Answer::U8(value) => visitor.visit_u8(value),
            Answer::U16(value) => visitor.visit_u16(value),
            Answer::U32(value) => visitor.visit_u32(value),
            Answer::U64(value) => visitor.visit_u64(value),
            Answer::U128(value) => visitor.visit_u128(value),
            Answer::F32(value) => visitor.visit_f32(value),
            Answer::F64(value) => visitor.visit_f64(value),
            Answer::Char(value) => visitor.visit_char(value),
            Answer::Str(value) => visitor.visit_str(value),
            Answer::BorrowedStr(value) => visitor.visit_borrowed_str(value),
            Answer::Text(value) => visitor.visit_string(value),
            Answer::Bytes(value) => visitor.visit_bytes(value),
            Answer::BorrowedBytes(value) => visitor.visit_borrowed_bytes(value),
            Answer::ByteBuf(value) => visitor.visit_byte_buf(value),
            Answer::None => visitor.visit_none(),
            Answer::Some(source) => visitor.visit_some(Reader(source)),
            Answer::Unit => visitor.visit_unit(),
            Answer::Newtype(source) => visitor.visit_newtype_struct(Reader(source)),
            Answer::Seq(elements) => visitor.visit_seq(ElementReader(elements)),
            Answer::Map(entries) => visitor.visit_map(EntryReader(entries)),
            Answer::Enum(variant) => visitor.visit_enum(VariantReader(variant)),
        };
        self.value = Some(value?);
        Ok(())
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.as_ref().map_or(Ok(()), |visitor| visitor.expecting(f))
    }
}

struct SeedSlot<S, T> {
    seed: Option<S>,
    value: Option<T>,
}

impl<'de, S: DeserializeSeed<'de>> Seed<'de> for SeedSlot<S, S::Value> {
    fn read(&mut self, source: &mut dyn Source<'de>) -> Result<(), Failure> {
        let seed = self.seed.take().ok_or_else(Failure::misused)?;
        self.value = Some(seed.deserialize(Reader(source))?);
        Ok(())
    }
}

struct ElementReader<'s, 'de>(&'s mut dyn Elements<'de>);

impl<'de> SeqAccess<'de> for ElementReader<'_, 'de> {
    type Error = Failure;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        match seeded(seed, |seed| self.0.next(seed))? {
            (false, _) => Ok(None),
            (true, value) => value.map(Some).ok_or_else(Failure::misused),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct EntryReader<'s, 'de>(&'s mut dyn Entries<'de>);

impl<'de> MapAccess<'de> for EntryReader<'_, 'de> {
    type Error = Failure;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Failure> {
        match seeded(seed, |seed| self.0.next_key(seed))? {
            (false, _) => Ok(None),
            (true, key) => key.map(Some).ok_or_else(Failure::misused),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Failure> {
        seeded(seed, |seed| self.0.value(seed))?.1.ok_or_else(Failure::misused)
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct VariantReader<'s, 'de>(&'s mut dyn Variant<'de>);

impl<'de> EnumAccess<'de> for VariantReader<'_, 'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Failure> {
        let name = seeded(seed, |seed| self.0.name(seed))?.1.ok_or_else(Failure::misused)?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for VariantReader<'_, 'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        self.0.unit()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Failure> {
        seeded(seed, |seed| self.0.newtype(seed))?.1.ok_or_else(Failure::misused)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Failure> {
        take(visitor, |sink| self.0.tuple(len, sink))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        take(visitor, |sink| self.0.structure(fields, sink))
    }
}
