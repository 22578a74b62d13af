//! The values inside a value: elements, entries, and what a variant holds.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{GivenUp, Names, Read, Reader};

/// The elements of an array, or the entries of a map.
pub(super) struct Several<'r, 'de> {
    pub(super) reader: &'r mut Reader<'de>,
    pub(super) left: usize,
    pub(super) names: Names,
}

impl Several<'_, '_> {
    /// All of them have to be read.
    #[inline]
    pub(super) fn finish<T>(self, value: T) -> Read<T> {
        if self.left == 0 { Ok(value) } else { self.reader.give_up() }
    }
}

impl<'de> SeqAccess<'de> for Several<'_, 'de> {
    type Error = GivenUp;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Read<Option<S::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Several<'_, 'de> {
    type Error = GivenUp;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Read<Option<S::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.reader.expected = self.names.next().copied();
        let key = seed.deserialize(&mut *self.reader);
        self.reader.expected = None;
        key.map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Read<S::Value> {
        seed.deserialize(&mut *self.reader)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant: a map of one entry, or a name alone.
pub(super) struct Variant<'r, 'de> {
    pub(super) reader: &'r mut Reader<'de>,
    pub(super) is_unit: bool,
}

impl<'r, 'de> Variant<'r, 'de> {
    #[inline]
    fn content(self) -> Read<&'r mut Reader<'de>> {
        if self.is_unit { self.reader.give_up() } else { Ok(self.reader) }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = GivenUp;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Read<(S::Value, Self)> {
        Ok((seed.deserialize(&mut *self.reader)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = GivenUp;

    #[inline]
    fn unit_variant(self) -> Read<()> {
        if self.is_unit {
            return Ok(());
        }
        match self.reader.byte()? {
            0xc0 => Ok(()),
            _ => self.reader.give_up(),
        }
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Read<S::Value> {
        seed.deserialize(self.content()?)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Read<V::Value> {
        self.content()?.deserialize_seq(visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Read<V::Value> {
        self.content()?.deserialize_struct("", fields, visitor)
    }
}
