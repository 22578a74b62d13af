//! A type for each attribute of serde, and types whose impls are written by hand.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use pleach_wire::Blob;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

types! {
    pub(crate) struct Bounds {
        #[serde(default, skip_serializing_if = "Option::is_none")] pub min: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")] pub max: Option<u32>,
    }
    pub(crate) struct Lists {
        #[serde(default, skip_serializing_if = "Vec::is_empty")] pub first: Vec<u8>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")] pub second: Vec<u8>,
    }
    pub(crate) struct Skipped { #[serde(skip)] pub a: u32, pub b: u32, pub c: u32 }
    pub(crate) struct SkippedPlaces(#[serde(skip)] pub u8, pub u8, pub u8);
    pub(crate) struct NotRead { #[serde(skip_deserializing)] pub sum: u32, pub value: u32 }
    pub(crate) struct NotWritten { #[serde(skip_serializing, default)] pub sum: u32, pub value: u32 }
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Renamed { pub first_name: String, #[serde(rename = "x y")] pub last_name: String }
    pub(crate) struct Numbered { #[serde(rename = "5")] pub five: u8, #[serde(rename = "true")] pub yes: u8 }
    pub(crate) struct Aliased { #[serde(alias = "b", alias = "zz")] pub a: u8, pub c: u8 }
    #[serde(deny_unknown_fields)] pub(crate) struct Strict { pub a: u8 }
    #[serde(default)] pub(crate) struct AllDefault { pub a: u8, pub b: Option<String> }
    #[serde(from = "u32", into = "u32")] pub(crate) struct Number(pub u32);
    #[serde(try_from = "String", into = "String")] pub(crate) struct Word(pub String);
    #[serde(transparent)] pub(crate) struct Transparent { pub a: Option<u8> }
    pub(crate) struct Unit;
    pub(crate) struct Empty {}
    pub(crate) struct EmptyTuple();
    pub(crate) struct Newtype(pub u32);
    pub(crate) struct Tuple(pub u8, pub String, pub f32);
    pub(crate) struct Maybe(pub Option<u8>);
    pub(crate) struct Nested { pub inner: Vec<Nested> }
    pub(crate) struct Pair(
        #[serde(default, skip_serializing_if = "Option::is_none")] pub Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")] pub Option<u8>,
    );
    pub(crate) enum Trio { Of(#[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>, u8, String) }
    pub(crate) struct ById { pub id: u64 }
    pub(crate) struct ByPage { pub page: u64 }
    pub(crate) struct At { pub ip: IpAddr, pub port: u16 }
    pub(crate) struct Raw { #[serde(with = "as_bytes")] pub bytes: Vec<u8> }
    pub(crate) struct WrittenAsBytes { #[serde(serialize_with = "as_bytes::serialize")] pub bytes: Vec<u8> }
    pub(crate) struct Borrowing { pub text: Cow<'static, str> }
    pub(crate) struct Dynamic { pub value: Value, pub option: Option<Value> }
    pub(crate) struct Arrays { pub four: [u8; 4], pub units: [(); 3], pub table: [[f32; 2]; 2] }
    pub(crate) struct Deep { pub a: Option<Option<u8>>, pub b: Option<()> }

    pub(crate) enum External { Unit, New(u8), Tuple(u8, u8), Struct { a: u8 } }
    pub(crate) enum WithOther {
        Bounds {
            #[serde(default, skip_serializing_if = "Option::is_none")] a: Option<u8>,
            #[serde(default, skip_serializing_if = "Option::is_none")] b: Option<u8>,
        },
        New(u8),
        #[serde(other)] Other,
    }
    pub(crate) enum Term { Neg(Box<Term>), Zero }
    #[derive(Eq, Hash, PartialOrd, Ord)] pub(crate) enum KeyName { A, #[serde(rename = "7")] Seven }

    #[serde(untagged)] pub(crate) enum Query { Id(ById), Page(ByPage) }
    #[serde(untagged)] pub(crate) enum Shape { Circle { radius: f64 }, Square { side: f64 } }
    #[serde(untagged)] pub(crate) enum OneOrMany { One(String), Many(Vec<String>) }
    #[serde(untagged)] pub(crate) enum AnyKind {
        Unit, New(u8), Pair(u8, String), Struct { a: u8 }, Text(Option<String>), Map(BTreeMap<String, i64>),
    }
    #[serde(untagged)] pub(crate) enum UnitStructOr { Unit(Unit), Number(u8) }
    #[serde(untagged)] pub(crate) enum IdOrName { Id(Uuid), Name(String) }
    #[serde(untagged)] pub(crate) enum Place { Socket(SocketAddr), Ip(IpAddr), Name(String) }
    #[serde(untagged)] pub(crate) enum BytesOrText { Bytes(#[serde(with = "as_bytes")] Vec<u8>), Text(String) }
    #[serde(untagged)] pub(crate) enum Numeric { Signed(i64), Unsigned(u64), Float(f64) }
    #[serde(untagged)] pub(crate) enum Around { Kind(External), Number(u8) }
    #[serde(untagged)] #[derive(Eq, Hash, PartialOrd, Ord)] pub(crate) enum Key { Number(u32), Flag(bool), Text(String) }

    #[serde(tag = "kind")]
    pub(crate) enum Tagged {
        Struct { x: u8 }, New(ById), Unit, Socket { at: SocketAddr, ip: IpAddr }, Id { id: Uuid }, Time { d: Duration, s: SystemTime },
        Options { a: Option<u8>, b: Option<u8> }, Enums { a: External, b: External },
        Bytes { #[serde(with = "as_bytes")] b: Vec<u8> }, Blob { b: Blob }, Map(BTreeMap<String, u8>), Nested { a: Option<Option<u8>> },
        Floats { f: f32, g: f64 }, Char { c: char }, Big { b: u64 }, Empty(()), Keys { n: BTreeMap<u32, u8> },
        Signed { n: HashMap<i8, u8> }, Flags { n: BTreeMap<bool, u8> }, Texts { n: BTreeMap<String, u8> }, Mixed { n: BTreeMap<Key, u8> },
        Wide { n: u128 }, Names { n: BTreeMap<KeyName, u8> }, Chars { n: BTreeMap<char, u8> }, Numbered(Numbered), Value { v: Value },
    }
    #[serde(tag = "t", content = "c")]
    pub(crate) enum Adjacent {
        Struct { x: u8, y: External }, New(ById), Unit, Socket(SocketAddr), Pair(u8, u16), Nested(Option<Option<u8>>),
        Bytes(#[serde(with = "as_bytes")] Vec<u8>), Empty(()), Lost(Option<()>), Keys(BTreeMap<u32, u8>),
    }
    pub(crate) struct Flat { pub name: String, #[serde(flatten)] pub at: At, #[serde(flatten)] pub rest: BTreeMap<String, i64> }
    pub(crate) struct FlatOption { pub name: String, #[serde(flatten)] pub at: Option<At> }
    pub(crate) struct FlatEnum { pub name: String, #[serde(flatten)] pub kind: External }
    #[serde(tag = "kind")] pub(crate) enum Inner { One { n: u8 }, Two(ById) }
    pub(crate) struct FlatTagged { pub name: String, #[serde(flatten)] pub kind: Inner }
    pub(crate) struct FlatBounds { #[serde(flatten)] pub bounds: Bounds, pub x: u8 }
    pub(crate) struct FlatDeep { pub x: u8, #[serde(flatten)] pub deep: Deep }
    pub(crate) struct FlatKeys { pub x: u8, #[serde(flatten)] pub by: BTreeMap<u32, u8> }
    pub(crate) struct FlatTexts { pub x: u8, #[serde(flatten)] pub by: BTreeMap<String, u8> }
    pub(crate) struct FlatValue { #[serde(rename = "7")] pub x: u8, #[serde(flatten)] pub by: serde_json::Map<String, Value> }
    pub(crate) struct FlatBlob { pub x: u8, #[serde(flatten)] pub blob: Holder }
    pub(crate) struct Holder { pub blob: Blob }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<Number> for u32 {
    fn from(number: Number) -> Self {
        number.0
    }
}

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.contains(' ') { Err("two words".into()) } else { Ok(Self(text)) }
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        word.0
    }
}

impl Default for AllDefault {
    fn default() -> Self {
        Self { a: 7, b: None }
    }
}

/// Byte strings, as `serde_bytes` has them.
mod as_bytes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Knows its fields by name only, and its names as borrowed text.
#[derive(Debug)]
pub(crate) struct ByHand {
    pub(crate) a: u8,
    pub(crate) b: u8,
}

impl Serialize for ByHand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ByHand", 2)?;
        fields.serialize_field("a", &self.a)?;
        fields.serialize_field("b", &self.b)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for ByHand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = ByHand;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<ByHand, A::Error> {
                let mut read = ByHand { a: 0, b: 0 };
                while let Some(key) = entries.next_key::<&str>()? {
                    match key {
                        "a" => read.a = entries.next_value()?,
                        "b" => read.b = entries.next_value()?,
                        _ => return Err(A::Error::custom("another field")),
                    }
                }
                Ok(read)
            }
        }
        deserializer.deserialize_struct("ByHand", &["a", "b"], Fields)
    }
}

/// A sequence and a map that announce any length.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Announced {
    pub(crate) items: Vec<u32>,
    #[serde(skip)]
    pub(crate) len: Option<usize>,
}

impl Serialize for Announced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(self.len)?;
        self.items.iter().try_for_each(|item| items.serialize_element(item))?;
        items.end()
    }
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct AnnouncedMap {
    pub(crate) entries: BTreeMap<u32, u8>,
    #[serde(skip)]
    pub(crate) len: Option<usize>,
}

impl Serialize for AnnouncedMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_map(self.len)?;
        self.entries.iter().try_for_each(|(key, value)| entries.serialize_entry(key, value))?;
        entries.end()
    }
}

/// A structure that announces another number of fields.
#[derive(Debug, Deserialize)]
pub(crate) struct AnnouncedFields {
    pub(crate) a: u8,
}

impl Serialize for AnnouncedFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("AnnouncedFields", 2)?;
        fields.serialize_field("a", &self.a)?;
        fields.end()
    }
}

pub(crate) fn nested(levels: usize) -> Nested {
    (0..levels).fold(Nested { inner: vec![] }, |inner, _| Nested { inner: vec![inner] })
}

pub(crate) fn term(levels: usize) -> Term {
    (0..levels).fold(Term::Zero, |term, _| Term::Neg(Box::new(term)))
}
