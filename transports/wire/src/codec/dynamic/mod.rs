//! A reader behind a pointer: how a type is read from it is compiled once, and not once more for each format.
//!
//! serde compiles the code of a type for each deserializer that it meets, with all that may come instead of what the
//! type asks for. Here a type meets one ([`read`]) that hands its request on to a [`Source`]; the answer comes back to a
//! [`Sink`]. What stands behind these two pointers is compiled once for each format, and not for each type.
//!
//! This costs a call by pointer for each value and its parts, so the one format that has to be fast has a reader of its
//! own (`msgpack/reader`). `erased-serde` does the same with a table of 30 functions for each type of a value; here
//! there are two: all that may come is one enum.
//!
//! # Invariants
//! 1. An error keeps its text, and where a format writes errors in its own words, the words of that format.

mod failure;
mod format_side;
mod type_side;

pub(super) use self::failure::Failure;
pub(super) use self::format_side::Erased;
pub(super) use self::type_side::read;
use std::fmt;

/// What a type asks for.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    Any,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Str,
    Text,
    Bytes,
    ByteBuf,
    Option,
    Unit,
    UnitStruct(&'static str),
    Newtype(&'static str),
    Seq,
    Tuple(usize),
    TupleStruct(&'static str, usize),
    Map,
    Struct(&'static str, &'static [&'static str]),
    Enum(&'static str, &'static [&'static str]),
    Identifier,
    Ignored,
}

/// What a format answers.
pub(super) enum Answer<'a, 'de> {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    I128(i128),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Str(&'a str),
    BorrowedStr(&'de str),
    Text(String),
    Bytes(&'a [u8]),
    BorrowedBytes(&'de [u8]),
    ByteBuf(Vec<u8>),
    None,
    Some(&'a mut dyn Source<'de>),
    Unit,
    Newtype(&'a mut dyn Source<'de>),
    Seq(&'a mut dyn Elements<'de>),
    Map(&'a mut dyn Entries<'de>),
    Enum(&'a mut dyn Variant<'de>),
}

/// A deserializer. It answers once.
pub(super) trait Source<'de> {
    fn answer(&mut self, asked: Asked, sink: &mut dyn Sink<'de>) -> Result<(), Failure>;
    fn is_human_readable(&self) -> bool;
}

/// A visitor. It takes one answer.
pub(super) trait Sink<'de> {
    fn take(&mut self, answer: Answer<'_, 'de>) -> Result<(), Failure>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// The type of a value inside a value. It reads one.
pub(super) trait Seed<'de> {
    fn read(&mut self, source: &mut dyn Source<'de>) -> Result<(), Failure>;
}

/// A sequence; `false` is its end.
pub(super) trait Elements<'de> {
    fn next(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Failure>;
    fn size_hint(&self) -> Option<usize>;
}

/// A map; `false` is its end.
pub(super) trait Entries<'de> {
    fn next_key(&mut self, seed: &mut dyn Seed<'de>) -> Result<bool, Failure>;
    fn value(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Failure>;
    fn size_hint(&self) -> Option<usize>;
}

/// An enum: first its name is asked for, then what it holds.
pub(super) trait Variant<'de> {
    fn name(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Failure>;
    fn unit(&mut self) -> Result<(), Failure>;
    fn newtype(&mut self, seed: &mut dyn Seed<'de>) -> Result<(), Failure>;
    fn tuple(&mut self, len: usize, sink: &mut dyn Sink<'de>) -> Result<(), Failure>;
    fn structure(&mut self, fields: &'static [&'static str], sink: &mut dyn Sink<'de>) -> Result<(), Failure>;
}
