//! Attributes of serde, and types of the standard library, where they are seldom met.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, LinkedList, VecDeque};
use std::ffi::OsString;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroI64, NonZeroU8, NonZeroU128, Saturating, Wrapping};
use std::ops::{Bound, Range, RangeFrom, RangeInclusive, RangeTo};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use pleach_wire::Blob;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

use crate::matrix::{Matrix, cases};

types! {
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        Unit, New(u8), Tuple(u8, String), Struct { a: u8 }, Empty {}, NoPlaces(), Option(Option<u8>), Nested(Box<Adjacent>),
        List(Vec<Adjacent>), Map(BTreeMap<String, u8>), Keys(HashMap<i64, u8>), Internal(Box<Internal>), Untagged(Untagged), Unity(()), Marker(Marker),
    }
    #[serde(tag = "t")]
    enum Internal {
        Unit, Struct { a: u8 }, Empty {}, New(Inner), Marker(Marker), Flat(FlatMap),
        Map(HashMap<String, Value>), List { items: Vec<Internal> }, Nothing { a: (), b: Marker, c: PhantomData<u8> },
        Std { path: PathBuf, range: Range<u8>, bound: Bound<u8>, result: Result<u8, String>, time: SystemTime, wait: Duration },
        Addresses { ip: IpAddr, socket: SocketAddr, by: BTreeMap<IpAddr, SocketAddr> }, Os { name: OsString },
        Chars { c: char, by: BTreeMap<char, char> }, Keys { by: BTreeMap<Unit, u8>, set: BTreeSet<i8> }, Numbers { f: f32, d: f64, i: i64, u: u64, w: Wrapping<i8>, n: NonZeroU8 },
        Options { a: Option<Inner>, b: Option<Vec<Option<u8>>>, c: Option<String> }, Tuple { pair: (u8, (String, Option<u8>)), a: [u8; 3] },
        Bytes { b: Blob, c: Bytes }, #[serde(rename = "with space \"quoted\"")] Renamed { #[serde(rename = "ü\n")] x: u8 },
    }
    #[serde(untagged)]
    enum Untagged {
        Struct { a: u8, b: u8 }, Unit(Unit), Pair(u8, u8), Result(Result<u8, u8>), Duration(Duration), Range(Range<i8>), Map(BTreeMap<i8, u8>),
        Texts(BTreeMap<String, bool>), Bool(bool), Char(char), Ip(IpAddr), Text(String), List(Vec<Untagged>), Float(f64), Null,
    }
    struct Marker;
    struct Inner { a: u8, b: Option<u8> }
    #[derive(Eq, PartialOrd, Ord, Hash)] enum Unit { A, B, #[serde(rename = "5")] Five, #[serde(rename = "true")] True }
    #[derive(Eq, PartialOrd, Ord, Hash)] enum Id { Number(u8), Pair(u8, u8), Named { a: u8 } }
    #[derive(Eq, PartialOrd, Ord, Hash)] struct Name(String);
    #[derive(Eq, PartialOrd, Ord, Hash)] #[serde(transparent)] struct Code { code: u16 }
    struct FlatMap { x: u8, #[serde(flatten)] more: BTreeMap<String, Value> }
    struct FlatNested { x: u8, #[serde(flatten)] one: FlatOne, #[serde(flatten)] two: FlatTwo, z: u8 }
    struct FlatOne { e: u8, #[serde(flatten)] deep: FlatDeep }
    struct FlatTwo { #[serde(default, skip_serializing_if = "Option::is_none")] f: Option<u8>, #[serde(flatten)] kind: TaggedStruct }
    struct FlatDeep { c: Option<IpAddr>, #[serde(rename = "d-d")] d: Vec<u8> }
    struct FlatUnits { x: u8, #[serde(flatten)] by: BTreeMap<Unit, u8> }
    struct FlatChars { x: u8, #[serde(flatten)] by: BTreeMap<char, u8> }
    struct FlatSigned { x: u8, #[serde(flatten)] by: BTreeMap<i64, Vec<i64>> }
    struct FlatFlags { x: u8, #[serde(flatten)] by: BTreeMap<bool, u8> }
    struct FlatNames { x: u8, #[serde(flatten)] by: BTreeMap<Name, u8> }
    struct FlatIps { x: u8, #[serde(flatten)] by: BTreeMap<IpAddr, Duration> }
    struct FlatUnit { x: u8, #[serde(flatten)] unit: () }
    struct FlatAdjacent { x: u8, #[serde(flatten)] kind: Adjacent }
    struct FlatUntagged { x: u8, #[serde(flatten)] kind: EitherOf }
    #[serde(untagged)] enum EitherOf { A { a: u8 }, B { b: IpAddr } }
    struct FlatOptions { x: u8, #[serde(flatten)] a: Option<OnlyA>, #[serde(flatten)] b: Option<OnlyB> }
    struct OnlyA { a: Option<u8> }
    struct OnlyB { b: u8 }
    struct FlatExternal { #[serde(flatten)] kind: External, x: u8 }
    enum External { Tuple(u8, u8), New(Inner), Struct { a: Vec<u8> } }
    #[serde(deny_unknown_fields)] struct FlatStrict { x: u8, #[serde(flatten)] inner: Inner }
    #[serde(rename_all = "SCREAMING-KEBAB-CASE")] struct Loud { first_name: u8, r#type: u8 }
    #[serde(rename_all = "kebab-case", rename_all_fields = "camelCase")] enum Cases { WithFields { some_field: u8 }, OfOne(u8), OnItsOwn }
    #[serde(rename_all(serialize = "UPPERCASE", deserialize = "UPPERCASE"))] struct BothWays { a: u8, #[serde(alias = "x")] b: u8 }
    struct Defaults { #[serde(default = "seven")] a: u8, #[serde(skip, default = "seven")] b: u8, #[serde(default)] c: Vec<u8> }
    struct Remote { #[serde(with = "PointDef")] at: Point, #[serde(with = "maybe")] maybe: Option<Point> }
    struct Generic<T, const N: usize> where [T; N]: Sized { #[serde(bound(serialize = "T: Serialize", deserialize = "T: serde::de::DeserializeOwned"))] item: T, n: PhantomData<[T; N]> }
    #[serde(tag = "t")] enum GenericTagged<T> { Of { item: T }, None }
    #[serde(untagged)] enum GenericUntagged<A, B> { A(A), B(B) }
    struct Text { text: Cow<'static, str>, bytes: Cow<'static, [u8]> }
    enum Tree { Leaf, Node(Box<Tree>, Box<Tree>), One(Box<Tree>), Many(Vec<Tree>), Named { next: Option<Box<Tree>> } }
    #[serde(tag = "t")] enum TaggedTree { Leaf, Next { next: Box<TaggedTree> } }
    #[serde(untagged)] enum Plain { Number(f64), Text(String), List(Vec<Plain>), Object(BTreeMap<String, Plain>), Null }
    enum OneEmpty { Empty {} }
    enum WithOther { A, #[serde(other)] Other }
    #[serde(tag = "t")] enum TaggedOther { A { a: u8 }, #[serde(other)] Other }
    #[serde(tag = "t", content = "c")] enum AdjacentOther { A(u8), #[serde(other)] Other }
    enum WithUntagged { Named { a: u8 }, #[serde(untagged)] Other(String), #[serde(untagged)] Number(i64) }
    #[serde(tag = "t")] enum TaggedUntagged { Named { a: u8 }, #[serde(untagged)] Other { b: u8 } }
    #[serde(into = "String", try_from = "String")] struct Parsed(u8);
    struct Twice(#[serde(with = "maybe")] Option<Point>, #[serde(default)] u8);
    #[serde(tag = "type")] struct TaggedStruct { a: u8, b: Option<u8> }
    struct Skipping { #[serde(skip_serializing_if = "is_zero", default)] zero: u8, #[serde(skip_serializing_if = "Vec::is_empty", default)] list: Vec<u8>, last: u8 }
    #[serde(tag = "t")] enum TaggedSkipping { A { #[serde(skip_serializing_if = "Option::is_none", default)] a: Option<u8>, b: u8 }, B(Skipping) }
    #[serde(tag = "t", content = "c")] enum AdjacentSkipping { A { #[serde(skip_serializing_if = "Option::is_none", default)] a: Option<u8>, b: u8 } }
    struct ByPlace(u8, #[serde(default, skip_serializing_if = "Option::is_none")] Option<u8>);
}

#[derive(Debug, Clone, PartialEq)]
struct Point {
    x: i8,
    y: i8,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Point")]
struct PointDef {
    x: i8,
    #[serde(default, skip_serializing_if = "is_zero_signed")]
    y: i8,
}

mod maybe {
    use serde::{Deserializer, Serializer};

    use super::*;

    pub(super) fn serialize<S: Serializer>(point: &Option<Point>, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct By<'a>(#[serde(with = "PointDef")] &'a Point);
        point.as_ref().map(By).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Point>, D::Error> {
        #[derive(Deserialize)]
        struct By(#[serde(with = "PointDef")] Point);
        Ok(Option::<By>::deserialize(deserializer)?.map(|By(point)| point))
    }
}

fn is_zero_signed(number: &i8) -> bool {
    *number == 0
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn seven() -> u8 {
    7
}

impl From<Parsed> for String {
    fn from(parsed: Parsed) -> Self {
        parsed.0.to_string()
    }
}

impl TryFrom<String> for Parsed {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

#[test]
fn every_corner_arrives_or_is_refused_at_the_sender() {
    let mut matrix = Matrix::default();
    adjacent(&mut matrix);
    internal(&mut matrix);
    untagged(&mut matrix);
    flattened(&mut matrix);
    attributes(&mut matrix);
    std_types(&mut matrix);
    keys(&mut matrix);
    numbers(&mut matrix);
    recursive(&mut matrix);
    matrix.finish(250, 10);
}

fn inner() -> Inner {
    Inner { a: 1, b: None }
}

fn ip() -> IpAddr {
    [10, 0, 0, 1].into()
}

fn adjacent(matrix: &mut Matrix) {
    cases! { matrix
        "adjacent, unit": vec![Adjacent::Unit, Adjacent::Unit];
        "adjacent, new": vec![Adjacent::New(0), Adjacent::New(255)];
        "adjacent, tuple": Adjacent::Tuple(1, "x".into());
        "adjacent, struct": Adjacent::Struct { a: 1 };
        "adjacent, empty": (Adjacent::Empty {}, Adjacent::NoPlaces(), Adjacent::Unit);
        "adjacent, ()": (Adjacent::Unity(()), Adjacent::Marker(Marker), 7u8);
        "adjacent, options": vec![Adjacent::Option(None), Adjacent::Option(Some(1))];
        "adjacent, nested": Adjacent::Nested(Box::new(Adjacent::Nested(Box::new(Adjacent::Tuple(1, "".into())))));
        "adjacent, list": Adjacent::List(vec![Adjacent::Unit, Adjacent::New(1), Adjacent::List(vec![])]);
        "adjacent, maps": (Adjacent::Map([("t".into(), 1), ("c".into(), 2)].into()), Adjacent::Keys([(i64::MIN, 1)].into()));
        "adjacent, internal": Adjacent::Internal(Box::new(Internal::New(inner())));
        "adjacent, untagged": Adjacent::Untagged(Untagged::Pair(1, 2));
        "adjacent, in Some": Some(Adjacent::Unit);
        "adjacent, other": vec![AdjacentOther::A(1), AdjacentOther::Other];
    }
}

fn internal(matrix: &mut Matrix) {
    let time = SystemTime::UNIX_EPOCH + Duration::new(1 << 33, 999_999_999);
    cases! { matrix
        "internal, plain": (Internal::Unit, Internal::Struct { a: 1 }, Internal::Empty {}, Internal::New(inner()), Internal::Marker(Marker));
        "internal, adjacent": Internal::List { items: vec![Internal::Struct { a: 1 }, Internal::List { items: vec![] }] };
        "internal, flat": Internal::Flat(FlatMap { x: 1, more: [("a".into(), json!([1, {"b": null}]))].into() });
        "internal, map": Internal::Map([("a".into(), json!({"1": 2.5}))].into());
        "internal, nothing": Internal::Nothing { a: (), b: Marker, c: PhantomData };
        "internal, std": Internal::Std { path: "/a/ß".into(), range: 1..2, bound: Bound::Included(1), result: Err("x".into()), time, wait: Duration::MAX };
        "internal, unbounded": Internal::Std { path: "".into(), range: 0..0, bound: Bound::Unbounded, result: Ok(1), time, wait: Duration::ZERO };
        "internal, addresses": Internal::Addresses { ip: ip(), socket: (ip(), 1).into(), by: [(ip(), (ip(), 2).into())].into() };
        "internal, OsString": Internal::Os { name: "x".into() };
        "internal, chars": Internal::Chars { c: '5', by: [('5', 't'), ('"', '\\')].into() };
        "internal, keys": Internal::Keys { by: [(Unit::A, 1), (Unit::Five, 2), (Unit::True, 3)].into(), set: [-1, 1].into() };
        "internal, numbers": Internal::Numbers { f: f32::MAX, d: f64::MIN_POSITIVE / 4.0, i: i64::MIN, u: u64::MAX, w: Wrapping(-1), n: NonZeroU8::MAX };
        "internal, negative zero": Internal::Numbers { f: -0.0, d: -0.0, i: 0, u: 0, w: Wrapping(0), n: NonZeroU8::MIN };
        "internal, options": Internal::Options { a: Some(inner()), b: Some(vec![None, Some(1)]), c: Some(String::new()) };
        "internal, no options": Internal::Options { a: None, b: None, c: None };
        "internal, tuple": Internal::Tuple { pair: (1, ("x".into(), None)), a: [1, 2, 3] };
        "internal, bytes": vec![Internal::Bytes { b: vec![1, 255].into(), c: (&b"\xff\x00"[..]).into() }, Internal::Bytes { b: Blob::default(), c: Bytes::new() }];
        "internal, renamed": Internal::Renamed { x: 1 };
        "internal, in Some": (Some(Internal::Unit), Some(Internal::Empty {}));
        "internal, struct": (TaggedStruct { a: 1, b: None }, TaggedStruct { a: 1, b: Some(1) });
        "internal, other": vec![TaggedOther::A { a: 1 }, TaggedOther::Other];
        "internal, left out": vec![TaggedSkipping::A { a: None, b: 1 }, TaggedSkipping::A { a: Some(1), b: 2 }, TaggedSkipping::B(Skipping { zero: 0, list: vec![], last: 1 })];
        "internal, untagged variant": vec![TaggedUntagged::Named { a: 1 }, TaggedUntagged::Other { b: 2 }];
    }
}

fn untagged(matrix: &mut Matrix) {
    cases! { matrix
        "untagged, struct": Untagged::Struct { a: 1, b: 2 };
        "untagged, unit variant": Untagged::Unit(Unit::B);
        "untagged, pair": Untagged::Pair(1, 2);
        "untagged, result": vec![Untagged::Result(Ok(1)), Untagged::Result(Err(2))];
        "untagged, duration": Untagged::Duration(Duration::new(1, 2));
        "untagged, range": Untagged::Range(-1..2);
        "untagged, maps": vec![Untagged::Map([(-1, 1)].into()), Untagged::Texts([("1".into(), true)].into())];
        "untagged, scalars": vec![Untagged::Bool(true), Untagged::Char('x'), Untagged::Char('ß'), Untagged::Ip(ip()), Untagged::Text("xyz".into()), Untagged::Float(1.5), Untagged::Float(1.0), Untagged::Null];
        "untagged, list": Untagged::List(vec![Untagged::Null, Untagged::Bool(false), Untagged::List(vec![])]);
        "untagged, in Some": (Some(Untagged::Pair(1, 2)), Some(Untagged::Null));
        "untagged, generic": (GenericUntagged::<u8, String>::A(1), GenericUntagged::<u8, String>::B("1".into()));
        "untagged, values": vec![Plain::Number(1.0), Plain::Text("1".into()), Plain::List(vec![Plain::Null]), Plain::Object([("1".into(), Plain::Null)].into())];
        "untagged, one variant": vec![WithUntagged::Named { a: 1 }, WithUntagged::Other("Named".into()), WithUntagged::Other("x".into()), WithUntagged::Number(-1)];
    }
}

fn flattened(matrix: &mut Matrix) {
    let two = |f, kind| FlatTwo { f, kind };
    let nested = |c, two| FlatNested { x: 1, one: FlatOne { e: 1, deep: FlatDeep { c, d: vec![1] } }, two, z: 2 };
    cases! { matrix
        "flatten, nested": nested(Some(ip()), two(Some(1), TaggedStruct { a: 1, b: None }));
        "flatten, nested, left out": nested(None, two(None, TaggedStruct { a: 2, b: Some(1) }));
        "flatten, units for keys": FlatUnits { x: 1, by: [(Unit::A, 1), (Unit::Five, 2), (Unit::True, 3)].into() };
        "flatten, chars for keys": FlatChars { x: 1, by: [('5', 1), ('y', 2), ('ß', 3)].into() };
        "flatten, signed keys": FlatSigned { x: 1, by: [(i64::MIN, vec![i64::MIN]), (0, vec![]), (i64::MAX, vec![1])].into() };
        "flatten, flags": FlatFlags { x: 1, by: [(true, 1), (false, 2)].into() };
        "flatten, names": FlatNames { x: 1, by: [(Name("5".into()), 1), (Name("true".into()), 2)].into() };
        "flatten, addresses": FlatIps { x: 1, by: [(ip(), Duration::new(1, 2))].into() };
        "flatten, ()": FlatUnit { x: 1, unit: () };
        "flatten, adjacent": vec![FlatAdjacent { x: 1, kind: Adjacent::Tuple(1, "x".into()) }, FlatAdjacent { x: 1, kind: Adjacent::Unit }, FlatAdjacent { x: 1, kind: Adjacent::Keys([(-1, 1)].into()) }];
        "flatten, untagged": vec![FlatUntagged { x: 1, kind: EitherOf::A { a: 1 } }, FlatUntagged { x: 1, kind: EitherOf::B { b: ip() } }];
        "flatten, options": vec![FlatOptions { x: 1, a: Some(OnlyA { a: Some(1) }), b: None }, FlatOptions { x: 1, a: Some(OnlyA { a: Some(2) }), b: Some(OnlyB { b: 3 }) }];
        "flatten, external": vec![FlatExternal { kind: External::Tuple(1, 2), x: 1 }, FlatExternal { kind: External::New(inner()), x: 1 }, FlatExternal { kind: External::Struct { a: vec![1] }, x: 1 }];
        "flatten, strict": FlatStrict { x: 1, inner: Inner { a: 1, b: Some(2) } };
        "flatten, values": FlatMap { x: 1, more: [("f".into(), json!(1.0)), ("i".into(), json!(1)), ("n".into(), json!(null)), ("u".into(), json!(u64::MAX)), ("5".into(), json!("5"))].into() };
    }
}

fn attributes(matrix: &mut Matrix) {
    cases! { matrix
        "rename_all": (Loud { first_name: 1, r#type: 2 }, Cases::WithFields { some_field: 1 }, Cases::OfOne(1), Cases::OnItsOwn);
        "rename_all, both ways": BothWays { a: 1, b: 2 };
        "default by path": Defaults { a: 1, b: 7, c: vec![1] };
        "remote": vec![Remote { at: Point { x: 1, y: 0 }, maybe: None }, Remote { at: Point { x: -1, y: 1 }, maybe: Some(Point { x: 1, y: 0 }) }];
        "remote, by place": Twice(Some(Point { x: 1, y: 0 }), 7);
        "generic": (Generic::<_, 3> { item: vec![1u8], n: PhantomData }, Generic::<_, 0> { item: "x".to_owned(), n: PhantomData });
        "generic, tagged": vec![GenericTagged::Of { item: Some(ip()) }, GenericTagged::None];
        "borrowed": Text { text: "a\u{0}\"".into(), bytes: vec![1u8, 255].into() };
        "without fields": (OneEmpty::Empty {}, vec![OneEmpty::Empty {}, OneEmpty::Empty {}], Some(OneEmpty::Empty {}));
        "other": vec![WithOther::A, WithOther::Other];
        "try_from": vec![Parsed(1), Parsed(255)];
        "left out": vec![Skipping { zero: 0, list: vec![], last: 1 }, Skipping { zero: 1, list: vec![], last: 2 }, Skipping { zero: 0, list: vec![1], last: 3 }];
        "left out, adjacent": vec![AdjacentSkipping::A { a: None, b: 1 }, AdjacentSkipping::A { a: Some(1), b: 1 }];
        "left out, the last by place": vec![ByPlace(1, None), ByPlace(1, Some(2))];
    }
}

fn std_types(matrix: &mut Matrix) {
    let not_text = || OsString::from_vec(vec![b'a', 255]);
    cases! { matrix
        "paths": (PathBuf::from("a/ß"), PathBuf::from(not_text()));
        "paths that are text": (PathBuf::from("a/ß"), Box::<std::path::Path>::from(PathBuf::from("x")));
        "names of the system": (OsString::from("ß"), not_text(), Some(not_text()));
        "boxes": (Box::<str>::from("x"), Box::<[u8]>::from([1, 2]), Box::new(Some(1u8)), Box::<[Option<u8>]>::from([None, Some(1)]));
        "counted": (Rc::<str>::from("x"), Arc::<str>::from(""), Rc::new((1u8, Rc::new(2u8))), Arc::new(vec![1u8]));
        "cells": (Cell::new(1u8), RefCell::new(vec![1u8]), AtomicU32::new(7));
        "locks": (Mutex::new(1u8), RwLock::new("x".to_owned()));
        "borrowed": (Cow::<str>::from("x"), Cow::<[u8]>::from(vec![1u8]), Cow::<'_, [String]>::from(vec!["x".to_owned()]));
        "bytes": (Bytes::from_static(b"\xff"), BytesMut::from(&b"\x00"[..]), vec![Bytes::new()]);
        "ranges": (0u8..1, RangeInclusive::new(-1i8, 1), RangeFrom { start: 1u8 }, RangeTo { end: 'x' });
        "bounds": (Bound::Included(1u8), Bound::Excluded("x".to_owned()), Bound::<u8>::Unbounded, Some(Bound::<u8>::Unbounded));
        "results": (Ok::<u8, ()>(1), Err::<(), _>("x".to_owned()), Ok::<_, ()>(Some(1u8)), Ok::<_, ()>(None::<u8>));
        "results of nothing": (Ok::<(), ()>(()), Err::<(), ()>(()), Some(Err::<(), ()>(())));
        "options in results": vec![Ok(None), Ok(Some(1u8)), Err(None), Err(Some("x".to_owned()))];
        "times": (Duration::MAX, Duration::ZERO, SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_nanos(1));
        "a time before 1970": SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        "non-zero": (NonZeroU8::MAX, NonZeroI64::MIN, NonZeroU128::MAX, Some(NonZeroU8::MIN), None::<NonZeroU8>);
        "wrapping": (Wrapping(i64::MIN), Saturating(u8::MAX), Reverse(1u8));
        "lists": (VecDeque::from([1u8, 2]), LinkedList::from([Some(1u8), None]), HashSet::from([1u8]), BTreeSet::from(["x".to_owned()]));
        "text": ("\u{feff}\u{7f}\u{80}\u{ffff}\u{10ffff}\r\n\t\u{8}\u{c}".to_owned(), "\\u0035".to_owned(), '\u{d7ff}', '\u{e000}');
        "fixed lists": ([(); 0], [[1u8; 2]; 3], [None, Some(1u8)], [vec![1u8], vec![]]);
        "numbers of JSON": (Number::from(u64::MAX), Number::from(i64::MIN), Number::from_f64(1.0), Map::from_iter([("a".to_owned(), Value::Null)]));
    }
}

fn keys(matrix: &mut Matrix) {
    cases! { matrix
        "units for keys": BTreeMap::from([(Unit::A, 1), (Unit::Five, 2), (Unit::True, 3)]);
        "variants for keys": BTreeMap::from([(Id::Number(1), 1), (Id::Pair(1, 2), 2), (Id::Named { a: 1 }, 3)]);
        "newtypes for keys": (BTreeMap::from([(Name("5".into()), 1)]), BTreeMap::from([(Code { code: 5 }, 1)]));
        "options for keys": (BTreeMap::from([(Some("x".to_owned()), 1)]), BTreeMap::from([(Some(5u8), 1)]));
        "None for a key": BTreeMap::from([(None::<u8>, 1)]);
        "None for a key, of text": BTreeMap::from([(None::<String>, 1), (Some("x".to_owned()), 2)]);
        "chars for keys": BTreeMap::from([('\0', 1), ('"', 2), ('5', 3), ('t', 4), ('\u{10ffff}', 5)]);
        "paths for keys": BTreeMap::from([(PathBuf::from("/a"), 1), (PathBuf::from("5"), 2)]);
        "the least and the greatest for keys": (BTreeMap::from([(i64::MIN, 1), (i64::MAX, 2)]), BTreeMap::from([(u64::MAX, 1)]), BTreeMap::from([(i128::MIN, 1), (i128::MAX, 2)]));
        "results for keys": BTreeMap::from([(Ok::<u8, u8>(1), 1), (Err(1), 2)]);
        "bytes for keys": BTreeMap::from([(Bytes::from_static(b"\xff"), 1)]);
        "booleans for keys of maps in maps": BTreeMap::from([(true, BTreeMap::from([(false, 1)]))]);
        "texts that begin like numbers": BTreeMap::from([("-".to_owned(), 1), ("+1".to_owned(), 2), ("0x1".to_owned(), 3), ("1 ".to_owned(), 4), ("NaN".to_owned(), 5), ("\u{661}".to_owned(), 6), ("$int128".to_owned(), 7)]);
        "floats that can't be keys": HashMap::from([(Reverse(1u8), 1.5)]);
        "the keys of addresses": BTreeMap::from([(SocketAddr::from((ip(), 1)), Ipv4Addr::LOCALHOST)]);
    }
}

fn numbers(matrix: &mut Matrix) {
    cases! { matrix
        "floats of 32 bits": vec![f32::MIN, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), f32::EPSILON, 16_777_217.0, -0.0, 1e-45];
        "floats of 64 bits": vec![f64::MIN, f64::MAX, f64::MIN_POSITIVE, f64::from_bits(1), f64::EPSILON, 9_007_199_254_740_993.0, -0.0, 1e308, 1e21, 1e-7];
        "floats that are whole": vec![u64::MAX as f64, 1e19, -1e19, 18_446_744_073_709_551_616.0];
        "infinite, of 32 bits": f32::INFINITY;
        "infinite, below zero": (f32::NEG_INFINITY, f64::NEG_INFINITY);
        "the least": (i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN, isize::MIN);
        "the greatest": (u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX, usize::MAX);
        "beside the edges": vec![i64::from(u32::MAX) + 1, -129, -32_769, i64::from(i32::MIN) - 1, 127, 128, 255, 256, 65_535, 65_536];
    }
}

fn recursive(matrix: &mut Matrix) {
    let deep = |levels: usize| (0..levels).fold(Tree::Leaf, |tree, _| Tree::One(Box::new(tree)));
    let tagged =
        |levels: usize| (0..levels).fold(TaggedTree::Leaf, |next, _| TaggedTree::Next { next: Box::new(next) });
    let plain = |levels: usize| (0..levels).fold(Plain::Null, |plain, _| Plain::List(vec![plain]));
    for levels in 120..132 {
        cases! { matrix
            "variants, at the limit": deep(levels);
            "lists, at the limit": (0..levels).fold(json!(1), |value, _| json!([value]));
            "objects, at the limit": (0..levels).fold(json!(1), |value, _| json!({"a": value}));
            "tagged, at the limit": tagged(levels);
            "untagged, at the limit": plain(levels);
            "tuples of variants, at the limit": (0..levels / 2).fold(Tree::Leaf, |tree, _| Tree::Node(Box::new(tree), Box::new(Tree::Leaf)));
            "structures in variants, at the limit": (0..levels / 2).fold(Tree::Many(vec![]), |tree, _| Tree::Named { next: Some(Box::new(tree)) });
        }
    }
}
