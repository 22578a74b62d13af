//! What becomes of a value of each type. `serde_json` is the measure: what it brings back comes back, and the rest too,
//! or it is refused at the sender.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::{CString, OsString};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::num::{NonZeroU8, Wrapping};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pleach_wire::Blob;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::types::*;
use crate::{FORMATS, Outcome, sent};

/// What is known to fail where it is read, in any format: serde itself can't carry it.
const SERDE_CANNOT: [&str; 2] = ["tagged, 128 bits", "tagged, many bits"];

/// Tries all values, and tells all that went wrong together.
#[derive(Default)]
pub(crate) struct Matrix {
    tried: usize,
    refused: usize,
    wrong: Vec<String>,
}

impl Matrix {
    pub(crate) fn case<T: Serialize + DeserializeOwned + Debug>(&mut self, name: &str, value: &T) {
        let expected = format!("{value:?}");
        let by_serde_json = serde_json::to_vec(value)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<T>(&bytes).ok())
            .is_some_and(|read| format!("{read:?}") == expected);
        for format in FORMATS {
            self.tried += 1;
            let outcome = sent::<T, T>(format, value, &expected);
            match &outcome {
                Outcome::Equal => continue,
                Outcome::Refused(_) if !by_serde_json => self.refused += 1,
                Outcome::Unreadable(_) if SERDE_CANNOT.contains(&name) => {}
                _ => self.wrong.push(format!("{} {name}: {outcome:?}", format.name())),
            }
        }
    }

    /// Fails with all that went wrong; so many have to have been tried, and refused.
    #[track_caller]
    pub(crate) fn finish(self, tried: usize, refused: usize) {
        assert!(self.wrong.is_empty(), "of {} cases: {:#?}", self.tried, self.wrong);
        assert!(self.tried > tried && self.refused > refused, "{} cases, {} refused", self.tried, self.refused);
    }
}

macro_rules! cases {
    ($matrix:ident $($name:literal: $value:expr;)*) => {$(
        $matrix.case($name, &$value);
    )*};
}

pub(crate) use cases;

#[test]
fn every_value_arrives_or_is_refused_at_the_sender() {
    let mut matrix = Matrix::default();
    structures(&mut matrix);
    untagged(&mut matrix);
    tagged(&mut matrix);
    flattened(&mut matrix);
    options(&mut matrix);
    plain(&mut matrix);
    maps(&mut matrix);
    lengths(&mut matrix);
    matrix.finish(250, 20);
}

fn socket() -> SocketAddr {
    "[::1]:80".parse().unwrap()
}

fn ip() -> IpAddr {
    "10.0.0.1".parse().unwrap()
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)
}

fn structures(matrix: &mut Matrix) {
    cases! { matrix
        "skip_serializing_if, the first": Bounds { min: None, max: Some(9) };
        "skip_serializing_if, mixed": vec![Bounds { min: None, max: Some(9) }, Bounds { min: Some(1), max: None }, Bounds { min: None, max: None }];
        "skip_serializing_if, lists": Lists { first: vec![], second: vec![1] };
        "skip_serializing_if, in a tuple": (Bounds { min: Some(1), max: None }, 7u8);
        "skip": Skipped { a: 0, b: 1, c: 2 };
        "skip, by place": SkippedPlaces(0, 1, 2);
        "skip_deserializing": (NotRead { sum: 0, value: 7 }, 9u8);
        "skip_serializing": NotWritten { sum: 0, value: 7 };
        "rename": Renamed { first_name: "a".into(), last_name: "b".into() };
        "rename to numbers": Numbered { five: 1, yes: 2 };
        "alias": Aliased { a: 1, c: 2 };
        "deny_unknown_fields": Strict { a: 1 };
        "default of all": AllDefault { a: 1, b: Some("x".into()) };
        "from, into": vec![Number(1)];
        "try_from": Word("x".into());
        "transparent": Transparent { a: Some(1) };
        "unit": ();
        "without fields": (Unit, Empty {}, EmptyTuple());
        "newtype, tuple": (Newtype(1), Tuple(1, "a".into(), 0.1));
        "nothing in a list": (vec![(), ()], vec![Unit], vec![Empty {}]);
        "arrays": Arrays { four: [1; 4], units: [(); 3], table: [[0.5; 2]; 2] };
        "no size at all": (PhantomData::<u8>, [0u8; 0], [(); 0]);
        "enum": vec![External::Unit, External::New(1), External::Tuple(1, 2), External::Struct { a: 1 }];
        "variants that leave out fields": vec![WithOther::Bounds { a: None, b: Some(1) }, WithOther::New(1), WithOther::Other];
        "by hand": ByHand { a: 1, b: 2 };
        "twelve": (1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, 8u8, 9u8, 10u8, 11u8, "x".to_owned());
    }
}

fn untagged(matrix: &mut Matrix) {
    cases! { matrix
        "untagged, new": Query::Page(ByPage { page: 7 });
        "untagged, struct": Shape::Square { side: 2.0 };
        "untagged, one": OneOrMany::One("a".into());
        "untagged, many": OneOrMany::Many(vec!["a".into()]);
        "untagged, any kind": vec![AnyKind::Unit, AnyKind::New(3), AnyKind::Pair(1, "x".into()), AnyKind::Struct { a: 1 }];
        "untagged, option": AnyKind::Text(Some("x".into()));
        "untagged, map": AnyKind::Map([("q".into(), -4)].into());
        "untagged, unit structure": vec![UnitStructOr::Unit(Unit), UnitStructOr::Number(1)];
        "untagged, id": vec![IdOrName::Id(Uuid::from_u128(5)), IdOrName::Name("x".into())];
        "untagged, addresses": vec![Place::Socket(socket()), Place::Ip(ip()), Place::Name("x".into())];
        "untagged, bytes": vec![BytesOrText::Bytes(vec![1, 2, 255]), BytesOrText::Text("x".into())];
        "untagged, numbers": vec![Numeric::Signed(-1), Numeric::Signed(5), Numeric::Unsigned(u64::MAX), Numeric::Float(1.5), Numeric::Float(1.0)];
        "untagged, NaN": Numeric::Float(f64::NAN);
        "untagged, enum": vec![Around::Kind(External::Unit), Around::Kind(External::Tuple(1, 2)), Around::Kind(External::Struct { a: 1 }), Around::Number(1)];
        "untagged keys": BTreeMap::from([(Key::Number(1), 1), (Key::Text("1".into()), 2), (Key::Flag(true), 3), (Key::Text("true".into()), 4), (Key::Text("-inf".into()), 5)]);
    }
}

fn tagged(matrix: &mut Matrix) {
    cases! { matrix
        "tagged, struct": Tagged::Struct { x: 1 };
        "tagged, new": Tagged::New(ById { id: 1 });
        "tagged, unit": Tagged::Unit;
        "tagged, addresses": Tagged::Socket { at: socket(), ip: ip() };
        "tagged, id": Tagged::Id { id: Uuid::from_u128(9) };
        "tagged, times": Tagged::Time { d: Duration::new(1, 2), s: now() };
        "tagged, options": Tagged::Options { a: None, b: Some(1) };
        "tagged, enums": Tagged::Enums { a: External::Tuple(1, 2), b: External::Unit };
        "tagged, bytes": Tagged::Bytes { b: vec![1, 2, 255] };
        "tagged, blob": vec![Tagged::Blob { b: vec![1, 255].into() }, Tagged::Blob { b: vec![7; 70_000].into() }];
        "tagged, map": Tagged::Map([("q".into(), 4)].into());
        "tagged, Some(None)": Tagged::Nested { a: Some(None) };
        "tagged, NaN": Tagged::Floats { f: f32::NAN, g: f64::INFINITY };
        "tagged, floats": Tagged::Floats { f: 0.1, g: 0.1 };
        "tagged, char": Tagged::Char { c: 'ß' };
        "tagged, u64::MAX": Tagged::Big { b: u64::MAX };
        "tagged, empty": Tagged::Empty(());
        "tagged, numbers for keys": Tagged::Keys { n: [(1, 2), (u32::MAX, 3)].into() };
        "tagged, signed keys": Tagged::Signed { n: [(-1, 2)].into() };
        "tagged, flags for keys": Tagged::Flags { n: [(true, 2), (false, 3)].into() };
        "tagged, texts like numbers": Tagged::Texts { n: [("1".into(), 2), ("-1.5".into(), 3), ("true".into(), 4), ("ß\"".into(), 5), ("".into(), 6)].into() };
        "tagged, mixed keys": Tagged::Mixed { n: [(Key::Number(1), 1), (Key::Text("1".into()), 2)].into() };
        "tagged, names for keys": Tagged::Names { n: [(KeyName::A, 1), (KeyName::Seven, 2)].into() };
        "tagged, chars for keys": Tagged::Chars { n: [('5', 1), ('a', 2)].into() };
        "tagged, renamed to numbers": Tagged::Numbered(Numbered { five: 1, yes: 2 });
        "tagged, value": Tagged::Value { v: json!({"1": [1, -1, 1.5, null, {"2": true}]}) };
        "tagged, 128 bits": Tagged::Wide { n: 5 };
        "tagged, many bits": Tagged::Wide { n: u128::MAX };
        "adjacent, struct": Adjacent::Struct { x: 1, y: External::New(1) };
        "adjacent, new": Adjacent::New(ById { id: 1 });
        "adjacent, unit": Adjacent::Unit;
        "adjacent, address": Adjacent::Socket(socket());
        "adjacent, tuple": Adjacent::Pair(1, 2);
        "adjacent, Some(None)": Adjacent::Nested(Some(None));
        "adjacent, bytes": Adjacent::Bytes(vec![1, 255]);
        "adjacent, ()": Adjacent::Empty(());
        "adjacent, Some(())": Adjacent::Lost(Some(()));
        "adjacent, numbers for keys": Adjacent::Keys([(1, 2)].into());
    }
}

fn flattened(matrix: &mut Matrix) {
    let name = || "n".to_owned();
    cases! { matrix
        "flatten": Flat { name: name(), at: At { ip: ip(), port: 80 }, rest: [("q".into(), -4), ("5".into(), 5)].into() };
        "flatten, Some": FlatOption { name: name(), at: Some(At { ip: ip(), port: 80 }) };
        "flatten, None": FlatOption { name: name(), at: None };
        "flatten, enum": FlatEnum { name: name(), kind: External::Struct { a: 1 } };
        "flatten, unit": FlatEnum { name: name(), kind: External::Unit };
        "flatten, tagged": vec![FlatTagged { name: name(), kind: Inner::Two(ById { id: 1 }) }, FlatTagged { name: name(), kind: Inner::One { n: 1 } }];
        "flatten, left out": FlatBounds { bounds: Bounds { min: None, max: Some(1) }, x: 1 };
        "flatten, Some around nothing": FlatDeep { x: 1, deep: Deep { a: Some(None), b: Some(()) } };
        "flatten, numbers for keys": FlatKeys { x: 1, by: [(1, 2)].into() };
        "flatten, texts like numbers": FlatTexts { x: 1, by: [("1".into(), 2), ("true".into(), 3)].into() };
        "flatten, values": FlatValue { x: 1, by: [("1".to_owned(), json!({"2": 3}))].into_iter().collect() };
        "flatten, blob": vec![FlatBlob { x: 1, blob: Holder { blob: vec![7; 10].into() } }, FlatBlob { x: 1, blob: Holder { blob: vec![7; 9000].into() } }];
    }
}

fn options(matrix: &mut Matrix) {
    cases! { matrix
        "None": None::<Option<u8>>;
        "Some(None)": Some(None::<u8>);
        "Some(Some)": Some(Some(1u8));
        "Some(Some(None))": Some(Some(None::<u8>));
        "a list of them": vec![None, Some(None), Some(Some(1u8))];
        "Some, and None in a structure": Some(Maybe(None));
        "Some(())": Some(());
        "Some(Unit)": Some(Unit);
        "Some(PhantomData)": Some(PhantomData::<u8>);
        "Some of a box of ()": Some(Box::new(()));
        "Some of nothing in a map": BTreeMap::from([("a".to_owned(), Some(()))]);
        "Some of an empty list": (Some(Vec::<u8>::new()), Some(Empty {}), Some(EmptyTuple()), Some([0u8; 0]), Some(String::new()));
        "Some of an option in a tuple": Some((None::<u8>,));
        "Some(Null)": Dynamic { value: Value::Null, option: Some(Value::Null) };
        "Some(NaN)": Some(f64::NAN);
        "Some(Ok(()))": Some(Ok::<(), ()>(()));
    }
}

fn plain(matrix: &mut Matrix) {
    cases! { matrix
        "128 bits": (u128::MAX, i128::MIN, i128::MAX, 5u128, -5i128);
        "64 bits": (u64::MAX, i64::MIN, i32::MIN, i16::MIN, i8::MIN, -32i8, -33i8, 127u8, 128u8);
        "NaN": f64::NAN;
        "infinity": f64::NEG_INFINITY;
        "NaN of 32 bits": vec![1f32, f32::NAN];
        "floats": (0.1f32, -0.0f64, 1.0f64, f64::MIN_POSITIVE, f64::MAX, f32::MIN_POSITIVE);
        "chars": ('a', '\u{10ffff}', '\0');
        "text": "a\0\"\\\u{1f600}\u{2028}".to_owned();
        "byte strings": vec![Raw { bytes: vec![] }, Raw { bytes: vec![0, 1, 255] }, Raw { bytes: vec![7; 70_000] }];
        "written as bytes, read as a list": WrittenAsBytes { bytes: vec![1, 255] };
        "Bytes": Bytes::from_static(b"abc\xff");
        "blobs": (Blob::from(vec![1]), Some(Blob::default()), Blob::from(vec![7; 70_000]));
        "bytes in a list": vec![0u8, 1, 255];
        "Cow": Borrowing { text: "x".into() };
        "boxes": ("x".to_owned().into_boxed_str(), Arc::<[u8]>::from([1u8, 2]));
        "addresses": (socket(), ip(), Ipv6Addr::LOCALHOST, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1), Uuid::from_u128(7));
        "times": (Duration::new(1, 2), now());
        "paths": (PathBuf::from("/a"), CString::new("x").unwrap(), OsString::from("x"));
        "ranges": (1..2, Bound::Excluded(1), Err::<u8, _>("x".to_owned()), Wrapping(1), NonZeroU8::MIN);
        "values": Dynamic { value: json!({"a": [1, -1, 1.5, null, "x", {"b": true}]}), option: None };
        "raw JSON": (RawValue::from_string("{\"1\": [null]}".into()).unwrap(), 1);
        "raw null": Some(RawValue::from_string("null".into()).unwrap());
    }
}

fn maps(matrix: &mut Matrix) {
    cases! { matrix
        "numbers for keys": (HashMap::from([(1u64, 2)]), BTreeMap::from([(-1i128, 2)]), BTreeMap::from([(u128::MAX, 2)]));
        "tuples for keys": BTreeMap::from([((1u8, 2u8), 3u8)]);
        "flags and chars for keys": (BTreeMap::from([(true, 1)]), BTreeMap::from([('a', 1), ('5', 2)]));
        "options for keys": BTreeMap::from([(None, 1), (Some(2u8), 2)]);
        "nested options for keys": BTreeMap::from([(Some(None), 1), (Some(Some(2u8)), 2)]);
        "addresses for keys": BTreeMap::from([(ip(), BTreeMap::from([(Ipv4Addr::LOCALHOST, 1)]))]);
        "ids for keys": BTreeMap::from([(Uuid::from_u128(1), 1)]);
        "names for keys": BTreeMap::from([(KeyName::A, 1), (KeyName::Seven, 2)]);
        "texts like numbers": BTreeMap::from([("1".to_owned(), 1), ("1e5".to_owned(), 2), ("01".to_owned(), 3), ("null".to_owned(), 4)]);
        "lists for keys": BTreeMap::from([(vec![1u8], 1)]);
        "nothing for a key": BTreeMap::from([((), 1)]);
        "sets": (BTreeSet::from([1, 2]), VecDeque::from([1, 2]));
    }
}

fn lengths(matrix: &mut Matrix) {
    let items = |len| Announced { items: vec![1, 2, 3], len };
    let entries = |len| AnnouncedMap { entries: [(1, 1), (2, 2)].into(), len };
    cases! { matrix
        "an unknown length": (items(None), entries(None), 9u8);
        "an unknown length, many": Announced { items: (0..100_000).collect(), len: None };
        "many": (0..70_000u32).collect::<Vec<_>>();
        "nested as deep as it goes": nested(63);
        "variants as deep as they go": term(100);
    }
    for len in [0, 1, 20] {
        refused(&(items(Some(len)), 9u8), "announces");
        refused(&(entries(Some(len)), 9u8), "announces");
    }
    refused(&(AnnouncedFields { a: 1 }, 9u8), "announces 2 elements and writes 1");
    for levels in [64, 300, 5000] {
        refused(&nested(levels), "levels deep");
        refused(&term(2 * levels), "levels deep");
    }
}

/// What is refused in any format, however it might arrive.
#[track_caller]
fn refused<T: Serialize + DeserializeOwned + Debug>(value: &T, why: &str) {
    for format in FORMATS {
        match sent::<T, T>(format, value, "") {
            Outcome::Refused(text) if text.contains(why) => {}
            other => panic!("{}: {other:?}", format.name()),
        }
    }
}
