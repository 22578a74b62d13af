//! The bytes of MessagePack: each value in its shortest form, structures as maps with names.
//!
//! `rmp-serde` writes the same bytes in twice the time, by a generic `io::Write` and a byte or two in each call. What a
//! value may be is not decided here (see [`crate::codec::writing`]); nothing is refused but what has no form at all.

mod compound;

use std::fmt;

use bytes::BytesMut;
use serde::ser::{self, Serialize, Serializer};

use self::compound::Several;
use super::Out;
use crate::codec::wide;

/// Appends one value to a buffer.
pub(super) struct Writer<'a>(pub(super) &'a mut BytesMut);

/// Why a value can't be written. It is small, because each call passes it up.
#[derive(Debug)]
pub(super) struct Refused(Box<Reason>);

#[derive(Debug)]
struct Reason(String);

impl Refused {
    #[cold]
    fn new(why: &dyn fmt::Display) -> Self {
        Self(Box::new(Reason(why.to_string())))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.0)
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    #[cold]
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::new(&why)
    }
}

type Written = Result<(), Refused>;

impl Writer<'_> {
    #[inline]
    fn put<const N: usize>(self, bytes: [u8; N]) -> Written {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }

    #[inline]
    fn again(&mut self) -> Writer<'_> {
        Writer(self.0)
    }

    #[inline]
    fn unsigned(self, number: u64) -> Written {
        if number < 0x80 {
            self.put([number as u8])
        } else if number <= 0xff {
            self.put([0xcc, number as u8])
        } else if number <= 0xffff {
            let [a, b] = (number as u16).to_be_bytes();
            self.put([0xcd, a, b])
        } else if number <= 0xffff_ffff {
            let [a, b, c, d] = (number as u32).to_be_bytes();
            self.put([0xce, a, b, c, d])
        } else {
            let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
            self.put([0xcf, a, b, c, d, e, f, g, h])
        }
    }

    #[inline]
    fn signed(self, number: i64) -> Written {
        if number >= 0 {
            self.unsigned(number as u64)
        } else if number >= -32 {
            self.put([number as u8])
        } else if number >= i8::MIN.into() {
            self.put([0xd0, number as u8])
        } else if number >= i16::MIN.into() {
            let [a, b] = (number as i16).to_be_bytes();
            self.put([0xd1, a, b])
        } else if number >= i32::MIN.into() {
            let [a, b, c, d] = (number as i32).to_be_bytes();
            self.put([0xd2, a, b, c, d])
        } else {
            let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
            self.put([0xd3, a, b, c, d, e, f, g, h])
        }
    }

    #[inline]
    fn text(mut self, text: &str) -> Written {
        let len = text.len();
        if len < 32 {
            self.0.extend_from_slice(&[0xa0 | len as u8]);
        } else if len <= 0xff {
            self.0.extend_from_slice(&[0xd9, len as u8]);
        } else {
            self.again().long([0xda, 0xdb], len)?;
        }
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// The head of something so long, by the marks for 2 and for 4 bytes of length.
    #[inline]
    fn long(self, [short, long]: [u8; 2], len: usize) -> Written {
        if let Ok(len) = u16::try_from(len) {
            let [a, b] = len.to_be_bytes();
            return self.put([short, a, b]);
        }
        let Ok(len) = u32::try_from(len) else { return Err(Refused::new(&"it is longer than MessagePack can say")) };
        let [a, b, c, d] = len.to_be_bytes();
        self.put([long, a, b, c, d])
    }

    #[inline]
    fn head(self, kind: Kind, len: usize) -> Written {
        let (few, more) = match kind {
            Kind::Array => (0x90, [0xdc, 0xdd]),
            Kind::Map => (0x80, [0xde, 0xdf]),
        };
        if len < 16 { self.put([few | len as u8]) } else { self.long(more, len) }
    }

    fn wide(mut self, tag: i8, bytes: [u8; 16]) -> Written {
        self.again().put([0xd8, tag as u8])?;
        self.put(bytes)
    }

    /// The head of a variant that holds something.
    #[inline]
    fn variant(&mut self, name: &str) -> Written {
        self.again().head(Kind::Map, 1)?;
        self.again().text(name)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Array,
    Map,
}

macro_rules! numbers {
    ($as:ident $wide:ty: $($method:ident $type:ty),*) => {$(
        #[inline]
        fn $method(self, number: $type) -> Written {
            self.$as(<$wide>::from(number))
        }
    )*};
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Several<'a>;
    type SerializeTuple = Several<'a>;
    type SerializeTupleStruct = Several<'a>;
    type SerializeTupleVariant = Several<'a>;
    type SerializeMap = Several<'a>;
    type SerializeStruct = Several<'a>;
    type SerializeStructVariant = Several<'a>;

    numbers!(unsigned u64: serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);
    numbers!(signed i64: serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);

    #[inline]
    fn serialize_bool(self, value: bool) -> Written {
        self.put([0xc2 | u8::from(value)])
    }

    fn serialize_i128(self, number: i128) -> Written {
        self.wide(wide::SIGNED, number.to_be_bytes())
    }

    fn serialize_u128(self, number: u128) -> Written {
        self.wide(wide::UNSIGNED, number.to_be_bytes())
    }

    #[inline]
    fn serialize_f32(self, number: f32) -> Written {
        let [a, b, c, d] = number.to_be_bytes();
        self.put([0xca, a, b, c, d])
    }

    #[inline]
    fn serialize_f64(self, number: f64) -> Written {
        let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
        self.put([0xcb, a, b, c, d, e, f, g, h])
    }

    #[inline]
    fn serialize_char(self, value: char) -> Written {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Written {
        self.text(value)
    }

    fn serialize_bytes(mut self, bytes: &[u8]) -> Written {
        match u8::try_from(bytes.len()) {
            Ok(len) => self.again().put([0xc4, len])?,
            Err(_) => self.again().long([0xc5, 0xc6], bytes.len())?,
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Written {
        self.put([0xc0])
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.text(variant)
    }

    /// Extensions are rare: `rmp-serde` writes them.
    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Written {
        if name == rmp_serde::MSGPACK_EXT_STRUCT_NAME {
            let mut writer = rmp_serde::Serializer::new(Out(self.0)).with_human_readable();
            return writer.serialize_newtype_struct(name, value).map_err(|why| Refused::new(&why));
        }
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.variant(variant)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Several<'a>, Refused> {
        Several::new(self, Kind::Array, len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Several<'a>, Refused> {
        Several::new(self, Kind::Array, Some(len))
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Several<'a>, Refused> {
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Several<'a>, Refused> {
        self.variant(variant)?;
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Several<'a>, Refused> {
        Several::new(self, Kind::Map, len)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Several<'a>, Refused> {
        Several::new(self, Kind::Map, Some(len))
    }

    #[inline]
    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Several<'a>, Refused> {
        self.variant(variant)?;
        self.serialize_struct(name, len)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        true
    }
}
