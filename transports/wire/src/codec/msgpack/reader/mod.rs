//! A value from the bytes of MessagePack, in the forms in which it is usually written.
//!
//! It reads what `rmp-serde` reads, as `rmp-serde` does, and in less time; at anything else it gives up, without a word.
//! Then the value is read once more, by the reader that knows all forms, and can say what is wrong, and where.
//! What reads anything ([`Reader::any`]) is compiled only for types that ask for that: it is ten times the rest.
//! It goes no deeper than allowed either (see [`crate::codec::reading`], which counts the same levels).

mod access;

use std::{fmt, slice};

use serde::de::value::SeqDeserializer;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use self::access::{Several, Variant};
use crate::codec::MAX_DEPTH;
use crate::codec::wide::{Asked, Extension, Wide};
use crate::codec::writing::RAW_JSON;

/// Reads a value, if it is written in the usual forms.
#[inline]
pub(super) fn read<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Option<T> {
    let mut reader = Reader { input, left: MAX_DEPTH as u8, has_given_up: false, expected: None };
    let value = T::deserialize(&mut reader).ok()?;
    // A value may pass over the failure of a part; whether it is one is not known here.
    (!reader.has_given_up).then_some(value)
}

/// It can't be read here. Why is found out by the other reader.
#[derive(Debug)]
struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not written in the usual form")
    }
}

impl std::error::Error for GivenUp {}

impl de::Error for GivenUp {
    #[inline]
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Read<T> = Result<T, GivenUp>;

struct Reader<'de> {
    input: &'de [u8],
    /// How many levels may come below.
    left: u8,
    has_given_up: bool,
    /// The name that the structure at hand is likely to have next.
    expected: Option<&'static str>,
}

type Names = slice::Iter<'static, &'static str>;

impl<'de> Reader<'de> {
    #[cold]
    fn give_up<T>(&mut self) -> Read<T> {
        self.has_given_up = true;
        Err(GivenUp)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Read<&'de [u8]> {
        let Some((taken, rest)) = self.input.split_at_checked(len) else { return self.give_up() };
        self.input = rest;
        Ok(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((taken, rest)) = self.input.split_first_chunk::<N>() else { return self.give_up() };
        self.input = rest;
        Ok(*taken)
    }

    #[inline]
    fn byte(&mut self) -> Read<u8> {
        let [byte] = self.chunk()?;
        Ok(byte)
    }

    /// A length of 1, 2 or 4 bytes, by the number of the mark among the three.
    #[inline]
    fn len(&mut self, which: u8) -> Read<usize> {
        Ok(match which {
            0 => self.byte()?.into(),
            1 => u16::from_be_bytes(self.chunk()?).into(),
            _ => u32::from_be_bytes(self.chunk()?) as usize,
        })
    }

    #[inline]
    fn text(&mut self, mark: u8) -> Read<&'de str> {
        let len = if mark <= 0xbf { usize::from(mark & 0x1f) } else { self.len(mark - 0xd9)? };
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(text),
            Err(_) => self.give_up(),
        }
    }

    /// Runs `read` one level further down.
    #[inline]
    fn below<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let Some(left) = self.left.checked_sub(1) else { return self.give_up() };
        self.left = left;
        let value = read(self);
        self.left = left + 1;
        value
    }

    #[inline]
    fn array<V: Visitor<'de>>(&mut self, mark: u8, visitor: V) -> Read<V::Value> {
        let len = if mark <= 0x9f { usize::from(mark & 0x0f) } else { self.len(mark - 0xdb)? };
        self.below(|reader| {
            let mut items = Several { reader, left: len, names: [].iter() };
            let value = visitor.visit_seq(&mut items)?;
            items.finish(value)
        })
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, mark: u8, names: Names, visitor: V) -> Read<V::Value> {
        let len = if mark <= 0x8f { usize::from(mark & 0x0f) } else { self.len(mark - 0xdd)? };
        self.below(|reader| {
            let mut entries = Several { reader, left: len, names };
            let value = visitor.visit_map(&mut entries)?;
            entries.finish(value)
        })
    }

    #[inline]
    fn number<V: Visitor<'de>>(&mut self, mark: u8, visitor: V) -> Read<V::Value> {
        match mark {
            0x00..=0x7f => visitor.visit_u8(mark),
            0xcc => visitor.visit_u8(self.byte()?),
            0xcd => visitor.visit_u16(u16::from_be_bytes(self.chunk()?)),
            0xce => visitor.visit_u32(u32::from_be_bytes(self.chunk()?)),
            0xcf => visitor.visit_u64(u64::from_be_bytes(self.chunk()?)),
            0xe0..=0xff => visitor.visit_i8(mark as i8),
            0xd0 => visitor.visit_i8(i8::from_be_bytes(self.chunk()?)),
            0xd1 => visitor.visit_i16(i16::from_be_bytes(self.chunk()?)),
            0xd2 => visitor.visit_i32(i32::from_be_bytes(self.chunk()?)),
            0xd3 => visitor.visit_i64(i64::from_be_bytes(self.chunk()?)),
            0xca => visitor.visit_f32(f32::from_be_bytes(self.chunk()?)),
            0xcb => visitor.visit_f64(f64::from_be_bytes(self.chunk()?)),
            _ => self.give_up(),
        }
    }

    #[inline(never)]
    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        let mark = self.byte()?;
        match mark {
            0xc0 => visitor.visit_unit(),
            0xc2 | 0xc3 => visitor.visit_bool(mark == 0xc3),
            0xa0..=0xbf | 0xd9..=0xdb => visitor.visit_borrowed_str(self.text(mark)?),
            0x90..=0x9f | 0xdc | 0xdd => self.array(mark, visitor),
            0x80..=0x8f | 0xde | 0xdf => self.map(mark, [].iter(), visitor),
            0xc4..=0xc6 => {
                let len = self.len(mark - 0xc4)?;
                visitor.visit_borrowed_bytes(self.take(len)?)
            }
            0xc7..=0xc9 | 0xd4..=0xd8 => self.extension(mark, visitor),
            _ => self.number(mark, visitor),
        }
    }

    #[cold]
    fn extension<V: Visitor<'de>>(&mut self, mark: u8, visitor: V) -> Read<V::Value> {
        let len = if mark >= 0xd4 { 1 << (mark - 0xd4) } else { self.len(mark - 0xc7)? };
        let extension = Extension { tag: self.byte()? as i8, bytes: self.take(len)? };
        match extension.visit::<_, GivenUp>(Asked::Any, visitor) {
            Ok(value) if self.left > 0 => Ok(value),
            _ => self.give_up(),
        }
    }

    fn wide<V: Visitor<'de>>(&mut self, asked: Asked, visitor: V) -> Read<V::Value> {
        let [0xd8, tag] = self.chunk()? else { return self.give_up() };
        match Wide::of_extension(tag as i8, self.take(16)?) {
            Some(wide) => wide.visit(asked, visitor),
            None => self.give_up(),
        }
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            let mark = self.byte()?;
            self.number(mark, visitor)
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            match self.byte()? {
                mark @ (0xa0..=0xbf | 0xd9..=0xdb) => visitor.visit_borrowed_str(self.text(mark)?),
                _ => self.give_up(),
            }
        }
    )*};
}

macro_rules! byte_strings {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            match self.byte()? {
                mark @ 0xc4..=0xc6 => {
                    let len = self.len(mark - 0xc4)?;
                    visitor.visit_borrowed_bytes(self.take(len)?)
                }
                _ => self.give_up(),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = GivenUp;

    numbers! {
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_f32 deserialize_f64
    }

    texts!(deserialize_char deserialize_str deserialize_string);

    byte_strings!(deserialize_bytes deserialize_byte_buf);

    forward_to_deserialize_any!(ignored_any);

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.any(visitor)
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            0xc0 => visitor.visit_unit(),
            _ => self.give_up(),
        }
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            mark @ (0xc2 | 0xc3) => visitor.visit_bool(mark == 0xc3),
            _ => self.give_up(),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.wide(Asked::Signed, visitor)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.wide(Asked::Unsigned, visitor)
    }

    /// The names mostly come as they stand in the type: then they need no look whether they are text at all.
    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if let Some(name) = self.expected.take()
            && let Some((&mark, rest)) = self.input.split_first()
            && name.len() < 32
            && usize::from(mark) == 0xa0 | name.len()
            && let Some((key, rest)) = rest.split_at_checked(name.len())
            && key == name.as_bytes()
        {
            self.input = rest;
            return visitor.visit_borrowed_str(name);
        }
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if let Some((0xc0, rest)) = self.input.split_first() {
            self.input = rest;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Read<V::Value> {
        if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            return self.give_up();
        }
        if name == RAW_JSON { self.deserialize_map(visitor) } else { visitor.visit_newtype_struct(self) }
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            mark @ (0x90..=0x9f | 0xdc | 0xdd) => self.array(mark, visitor),
            mark @ 0xc4..=0xc6 => {
                let len = self.len(mark - 0xc4)?;
                let bytes = self.take(len)?.iter().copied();
                self.below(|_| visitor.visit_seq(SeqDeserializer::new(bytes)))
            }
            _ => self.give_up(),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Read<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Read<V::Value> {
        self.deserialize_seq(visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.byte()? {
            mark @ (0x80..=0x8f | 0xde | 0xdf) => self.map(mark, [].iter(), visitor),
            _ => self.give_up(),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        match self.byte()? {
            mark @ (0x80..=0x8f | 0xde | 0xdf) => self.map(mark, fields.iter(), visitor),
            mark @ (0x90..=0x9f | 0xdc | 0xdd) => self.array(mark, visitor),
            _ => self.give_up(),
        }
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        let is_unit = match self.input.split_first() {
            Some((0x81, rest)) => {
                self.input = rest;
                false
            }
            Some((0xa0..=0xbf | 0xd9..=0xdb, _)) => true,
            _ => return self.give_up(),
        };
        if is_unit {
            return visitor.visit_enum(Variant { reader: self, is_unit });
        }
        self.below(|reader| visitor.visit_enum(Variant { reader, is_unit }))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }
}
