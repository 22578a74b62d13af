//! The side of a format: any deserializer as a [`Source`]. This is compiled for each format, and for no type.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Answer, Asked, Elements, Entries, Failure, Seed, Sink, Source, Variant};

/// A deserializer that answers what it is asked.
pub(in crate::codec) struct Erased<D>(Option<D>);

impl<D> Erased<D> {
    pub(in crate::codec) fn new(reader: D) -> Self {
        Self(Some(reader))
    }
}

impl<'de, D: Deserializer<'de>> Source<'de> for Erased<D> {
    fn answer(&mut self, asked: Asked, sink: &mut dyn Sink<'de>) -> Result<(), Failure> {
        let reader = self.0.take().ok_or_else(Failure::misused)?;
        let visitor = SinkVisitor(sink);
        let answered = match asked {
            Asked::Any => reader.deserialize_any(visitor),
            Asked::Bool => reader.deserialize_bool(visitor),
            Asked::I8 => reader.deserialize_i8(visitor),
            Asked::I16 => reader.deserialize_i16(visitor),
            Asked::I32 => reader.deserialize_i32(visitor),
            Asked::I64 => reader.deserialize_i64(visitor),
            Asked::I128 => reader.deserialize_i128(visitor),
            Asked::U8 => reader.deserialize_u8(visitor),
            Asked::U16 => reader.deserialize_u16(visitor),
            Asked::U32 => reader.deserialize_u32(visitor),
            Asked::U64 => reader.deserialize_u64(visitor),
            Asked::U128 => reader.deserialize_u128(visitor),
            Asked::F32 => reader.deserialize_f32(visitor),
            Asked::F64 => reader.deserialize_f64(visitor),
            Asked::Char => reader.deserialize_char(visitor),
            Asked::Str => reader.deserialize_str(visitor),
            Asked::Text => reader.deserialize_string(visitor),
            Asked::Bytes => reader.deserialize_bytes(visitor),
            Asked::ByteBuf => reader.deserialize_byte_buf(visitor),
            Asked::Option => reader.deserialize_option(visitor),
            Asked::Unit => reader.deserialize_unit(visitor),
            Asked::UnitStruct(name) => reader.deserialize_unit_struct(name, visitor),
            Asked::Newtype(name) => reader.deserialize_newtype_struct(name, visitor),
            Asked::Seq => reader.deserialize_seq(visitor),
            Asked::Tuple(len) => reader.deserialize_tuple(len, visitor),
            Asked::TupleStruct(name, len) => reader.deserialize_tuple_struct(name, len, visitor),
            Asked::Map => reader.deserialize_map(visitor),
            Asked::Struct(name, fields) => reader.deserialize_struct(name, fields, visitor),
            Asked::Enum(name, variants) => reader.deserialize_enum(name, variants, visitor),
            Asked::Identifier => reader.deserialize_identifier(visitor),
            Asked::Ignored => reader.deserialize_ignored_any(visitor),
        };
        answered.map_err(Failure::of)
    }

    fn is_human_readable(&self) -> bool {
        self.0.as_ref().is_none_or(|reader| reader.is_human_readable())
    }
}

/// Hands what a format answers on.
struct SinkVisitor<'s, 'de>(&'s mut dyn Sink<'de>);

impl<'de> SinkVisitor<'_, 'de> {
    fn hand_on<E: Error>(self, answer: Answer<'_, 'de>) -> Result<(), E> {
        self.0.take(answer).map_err(Failure::into_error)
    }
}

macro_rules! hand_on {
    ($($method:ident($type:ty) $answer:ident;)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<(), E> {
            self.hand_on(Answer::$answer(value))
        }
    )*};
}

impl<'de> Visitor<'de> for SinkVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    hand_on! {
        visit_bool(bool) Bool;
        visit_i8(i8) I8;
        visit_i16(i16) I16;
        visit_i32(i32) I32;
        visit_i64(i64) I64;
        visit_i128(i128) I128;
        visit_u8(u8) U8;
        visit_u16(u16) U16;
        visit_u32(u32) U32;
        visit_u64(u64) U64;
        visit_u128(u128) U128;
        visit_f32(f32) F32;
        visit_f64(f64) F64;
        visit_char(char) Char;
        visit_str(&str) Str;
        visit_borrowed_str(&'de str) BorrowedStr;
        visit_string(String) Text;
        visit_bytes(&[u8]) Bytes;
        visit_borrowed_bytes(&'de [u8]) BorrowedBytes;
        visit_byte_buf(Vec<u8>) ByteBuf;
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.hand_on(Answer::None)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.hand_on(Answer::Unit)
    }

    fn visit_some<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.hand_on(Answer::Some(&mut Erased::new(reader)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.hand_on(Answer::Newtype(&mut Erased::new(reader)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        self.hand_on(Answer::Seq(&mut ErasedSeq(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.hand_on(Answer::Map(&mut ErasedMap(entries)))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<(), A::Error> {
        self.hand_on(Answer::Enum(&mut ErasedEnum::Unnamed(variant)))
    }
}

/// Hands the reader of a value inside a value on.
struct SeedReader<'s, 'de>(&'s mut dyn Seed<'de>);

impl<'de> DeserializeSeed<'de> for SeedReader<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.0.read(&mut Erased::new(reader)).map_err(Failure::into_error)
    }
}

struct ErasedSeq<A>(A);

impl<'de, A: SeqAccess<'de>> Elements<'de> for ErasedSeq<A> {
    fn next(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Failure> {
        self.0.next_element_seed(SeedReader(seed)).map(|read| read.is_some()).map_err(Failure::of)
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct ErasedMap<A>(A);

impl<'de, A: MapAccess<'de>> Entries<'de> for ErasedMap<A> {
    fn next_key(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Failure> {
        self.0.next_key_seed(SeedReader(seed)).map(|read| read.is_some()).map_err(Failure::of)
    }

    fn value(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Failure> {
        self.0.next_value_seed(SeedReader(seed)).map_err(Failure::of)
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// An enum: before its name is read, after that, and at its end.
enum ErasedEnum<A, V> {
    Unnamed(A),
    Named(V),
    Read,
}

impl<'de, A: EnumAccess<'de>> ErasedEnum<A, A::Variant> {
    fn named(&mut self) -> Result<A::Variant, Failure> {
        match std::mem::replace(self, Self::Read) {
            Self::Named(variant) => Ok(variant),
            Self::Unnamed(_) | Self::Read => Err(Failure::misused()),
        }
    }
}

impl<'de, A: EnumAccess<'de>> Variant<'de> for ErasedEnum<A, A::Variant> {
    fn name(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Failure> {
        let Self::Unnamed(access) = std::mem::replace(self, Self::Read) else { return Err(Failure::misused()) };
        let ((), variant) = access.variant_seed(SeedReader(seed)).map_err(Failure::of)?;
        *self = Self::Named(variant);
        Ok(())
    }

    fn unit(&mut self) -> Result<(), Failure> {
        self.named()?.unit_variant().map_err(Failure::of)
    }

    fn newtype(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Failure> {
        self.named()?.newtype_variant_seed(SeedReader(seed)).map_err(Failure::of)
    }

    fn tuple(&mut self, len: usize, sink: &mut dyn Sink<'de>) -> Result<(), Failure> {
        self.named()?.tuple_variant(len, SinkVisitor(sink)).map_err(Failure::of)
    }

    fn structure(&mut self, fields: &'static [&'static str], sink: &mut dyn Sink<'de>) -> Result<(), Failure> {
        self.named()?.struct_variant(fields, SinkVisitor(sink)).map_err(Failure::of)
    }
}
