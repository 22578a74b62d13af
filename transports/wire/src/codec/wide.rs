//! Integers of 128 bits, in a form that no reader takes for anything else.
//!
//! | format | form |
//! |---|---|
//! | MessagePack | an extension of the types [`SIGNED`] and [`UNSIGNED`], 16 bytes, big-endian |
//! | JSON | `{"$int128":"-5"}`; as the key of a map, its digits |
//!
//! Tagged, untagged and flattened types are read from a buffer of serde's that can't hold such integers. Were they bytes
//! or plain numbers there, an `untagged` enum would take them for another variant. So a type that asks for a number gets
//! it, and one that takes anything gets an error.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// The extension types; those below zero are not for users.
pub(super) const SIGNED: i8 = -16;
pub(super) const UNSIGNED: i8 = -17;

/// The only key of such an object in JSON. As a key of anything else it is written with an escape.
pub(super) const KEY: &str = "$int128";

/// In which form a format has them.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// It writes them in its own way, and reads them where a type asks for them.
    OfTheFormat,
    Extension,
    Object,
}

/// What a type has asked for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Asked {
    Signed,
    Unsigned,
    /// A number of 64 bits at most, or one with a fraction.
    Narrow,
    /// Anything at all.
    Any,
}

/// Such an integer.
pub(super) enum Wide {
    Negative(i128),
    Positive(u128),
}

impl Wide {
    fn of(number: i128) -> Self {
        number.try_into().map_or(Self::Negative(number), Self::Positive)
    }

    pub(super) fn of_extension(tag: i8, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.try_into().ok()?;
        match tag {
            SIGNED => Some(Self::of(i128::from_be_bytes(bytes))),
            UNSIGNED => Some(Self::Positive(u128::from_be_bytes(bytes))),
            _ => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Positive).or_else(|_| text.parse().map(Self::of)).ok()
    }

    /// Gives it to a type that has asked for this.
    pub(super) fn visit<'de, V: Visitor<'de>, E: Error>(self, asked: Asked, visitor: V) -> Result<V::Value, E> {
        match self {
            _ if asked == Asked::Any => Err(can_t_be_read()),
            Self::Negative(number) => match i64::try_from(number) {
                Ok(narrow) if asked == Asked::Narrow => visitor.visit_i64(narrow),
                _ => visitor.visit_i128(number),
            },
            Self::Positive(number) => match (asked, u64::try_from(number), i128::try_from(number)) {
                (Asked::Narrow, Ok(narrow), _) => visitor.visit_u64(narrow),
                (Asked::Signed, _, Ok(signed)) => visitor.visit_i128(signed),
                _ => visitor.visit_u128(number),
            },
        }
    }
}

#[cold]
pub(super) fn can_t_be_read<E: Error>() -> E {
    E::custom(
        "a 128-bit integer can't be read in a tagged, untagged or flattened type, nor as another kind of value; \
         send it as text",
    )
}

/// Reads the object of JSON, from its entries.
pub(super) fn of_object<'de, A: MapAccess<'de>>(mut entries: A) -> Result<Wide, A::Error> {
    let entry = entries.next_entry::<String, String>()?;
    let wide = entry.filter(|(key, _)| key == KEY).and_then(|(_, text)| Wide::parse(&text));
    wide.ok_or_else(|| A::Error::invalid_type(de::Unexpected::Map, &"a number"))
}

/// An extension of MessagePack: what reads any value gets its type and its bytes, as from `rmp-serde`.
pub(super) struct Extension<'de> {
    pub(super) tag: i8,
    pub(super) bytes: &'de [u8],
}

impl<'de> Extension<'de> {
    /// Gives it to a type that has asked for this.
    pub(super) fn visit<V: Visitor<'de>, E: Error>(self, asked: Asked, visitor: V) -> Result<V::Value, E> {
        match Wide::of_extension(self.tag, self.bytes) {
            Some(wide) => wide.visit(asked, visitor),
            None => {
                visitor.visit_newtype_struct(Parts { tag: Some(self.tag), bytes: Some(self.bytes), error: PhantomData })
            }
        }
    }
}

impl<'de> Deserialize<'de> for Extension<'de> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let (tag, bytes) = Deserialize::deserialize(reader)?;
        Ok(Self { tag, bytes })
    }
}

/// The two parts of an extension.
struct Parts<'de, E> {
    tag: Option<i8>,
    bytes: Option<&'de [u8]>,
    error: PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for Parts<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_seq(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, E: Error> SeqAccess<'de> for Parts<'de, E> {
    type Error = E;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, E> {
        if let Some(tag) = self.tag.take() {
            return seed.deserialize(de::value::I8Deserializer::new(tag)).map(Some);
        }
        self.bytes.take().map(|bytes| seed.deserialize(de::value::BorrowedBytesDeserializer::new(bytes))).transpose()
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "extension {} of {} bytes", self.tag, self.bytes.len())
    }
}
