//! Something that most types take: to get past the first elements of a tuple, and past the key of a map.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::Stop;

/// A value of whatever type is asked for, so deep.
#[derive(Clone, Copy)]
pub(super) struct Dummy {
    levels: u8,
}

impl Dummy {
    pub(super) fn new() -> Self {
        Self { levels: 6 }
    }

    /// The contents; a type may contain itself without an end.
    fn below(self) -> Result<Self, Stop> {
        self.levels.checked_sub(1).map(|levels| Self { levels }).ok_or(Stop)
    }
}

macro_rules! dummies {
    ($($method:ident $visit:ident($($value:expr)?))*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
            visitor.$visit($($value)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Dummy {
    type Error = Stop;

    dummies! {
        deserialize_bool visit_bool(true) deserialize_i8 visit_u64(1) deserialize_i16 visit_u64(1)
        deserialize_i32 visit_u64(1) deserialize_i64 visit_u64(1) deserialize_i128 visit_u64(1)
        deserialize_u8 visit_u64(1) deserialize_u16 visit_u64(1) deserialize_u32 visit_u64(1)
        deserialize_u64 visit_u64(1) deserialize_u128 visit_u64(1) deserialize_f32 visit_f64(1.0)
        deserialize_f64 visit_f64(1.0) deserialize_char visit_char('1') deserialize_str visit_str("1")
        deserialize_string visit_str("1") deserialize_bytes visit_bytes(b"") deserialize_byte_buf visit_bytes(b"")
        deserialize_any visit_str("1") deserialize_identifier visit_str("1") deserialize_option visit_none()
        deserialize_unit visit_unit() deserialize_ignored_any visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_newtype_struct(self.below()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_seq(Several { left: 0, fields: &[], inside: self })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_seq(Several { left, fields: &[], inside: self.below()? })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        visitor.visit_map(Several { left: 0, fields: &[], inside: self })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        visitor.visit_map(Several { left: 0, fields, inside: self.below()? })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        let name = variants.first().ok_or(Stop)?;
        visitor.visit_enum(Variant { name, inside: self.below()? })
    }
}

/// So many elements, or a field of each name.
struct Several {
    left: usize,
    fields: &'static [&'static str],
    inside: Dummy,
}

impl<'de> SeqAccess<'de> for Several {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.inside).map(Some)
    }
}

impl<'de> MapAccess<'de> for Several {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        let Some((first, others)) = self.fields.split_first() else { return Ok(None) };
        self.fields = others;
        seed.deserialize(BorrowedStrDeserializer::new(first)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.inside)
    }
}

struct Variant {
    name: &'static str,
    inside: Dummy,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Stop;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Stop> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.name))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(self.inside)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        self.inside.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        self.inside.deserialize_struct("", fields, visitor)
    }
}
