//! Which values come back, and what becomes of those that don't.
//!
//! Another value than the one that was sent never comes: that would be found in production only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use bytes::Bytes;
use pleach_wire::codec::MAX_DEPTH;
use pleach_wire::{Blob, Codec, Msg, TransportError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Parcel, body_of};

/// What is plain in all languages: numbers of up to 64 bits, texts, bytes, lists, optional values, maps with texts for
/// keys, structures and enums.
pub fn plain_values_come_back(codec: &dyn Codec) {
    let always = |value: &dyn Tried| value.is_tried(codec, Promise::Always);
    always(&(i8::MIN, i16::MIN, i32::MIN, i64::MIN, i64::MAX, -1i8, -33i64));
    always(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX, 127u8, 128u64));
    always(&[0.0, -0.0, 0.1, 1e300, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1.0 / 3.0].map(Float));
    always(&(0.1f32, f32::MAX, f32::MIN_POSITIVE, true, false));
    always(&('ü', '\0', '😀', String::new(), "a\"b\\c\n\u{7f}".to_owned(), "ü".repeat(300)));
    for size in [0, 1, 31, 32, 255, 256, 4095, 4096, 65_535, 65_536] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 256) as u8).collect();
        always(&Blob::from(bytes.clone()));
        always(&WithBytes { before: 1, bytes: bytes.clone().into(), after: vec![2] });
        always(&(bytes, vec![0u32; size], "x".repeat(size)));
    }
    always(&((), Unit, Newtype(7), Pair(1, "two".into()), [1u8; 3], vec![(); 3]));
    always(&[Kind::Unit, Kind::Newtype(Some(1)), Kind::Pair(1, -2), Kind::Fields { name: "n".into(), list: vec![3] }]);
    always(&(Some(1u8), None::<u8>, vec![Some("x".to_owned()), None], Some(vec![None::<u8>, Some(2)])));
    always(&(vec![vec![vec![1u8], vec![]], vec![]], BTreeSet::from([1, 2]), Box::new(7u8)));
    always(&BTreeMap::from([("a".to_owned(), vec![1]), (String::new(), vec![])]));
    always(&HashMap::from([("one".to_owned(), Some(Kind::Unit)), ("two".to_owned(), None)]));
    always(&(Parcel::new(5000), vec![Parcel::new(0), Parcel::new(10_000)]));
}

/// What formats differ in: each of these comes back, or is an error where it is sent or read.
pub fn odd_values_come_back_or_are_refused(codec: &dyn Codec) {
    let or_refused = |value: &dyn Tried| value.is_tried(codec, Promise::OrIsRefused);
    odd(&or_refused);
    untyped(&or_refused);
}

/// What `serde_json` brings back comes back. All else comes back, too, or is an error at its sender.
pub fn what_serde_json_brings_back_comes_back(codec: &dyn Codec) {
    let as_json = |value: &dyn Tried| value.is_tried(codec, Promise::AsByJson);
    odd(&as_json);
    untyped(&as_json);
}

/// Values may be nested as deep as the library allows, and deeper ones are an error where they are sent.
pub fn nesting_comes_back_up_to_the_limit(codec: &dyn Codec) {
    let nested = |depth: usize| (0..depth).fold(Term::Zero, |term, _| Term::Neg(Box::new(term)));
    nested(MAX_DEPTH - 1).is_tried(codec, Promise::Always);
    let refused = body_of(codec, &Msg::Value { value: &nested(2 * MAX_DEPTH) });
    assert!(matches!(refused, Err(TransportError::Encode { .. })), "{} levels: {refused:?}", 2 * MAX_DEPTH);
}

/// Numbers of 128 bits, numbers that are none, keys that are not text, and options in options.
fn odd(tried: &dyn Fn(&dyn Tried)) {
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Float).iter().for_each(|value| tried(value));
    [u128::MAX, u128::from(u64::MAX) + 1, 7].iter().for_each(|value| tried(value));
    [i128::MIN, i128::MAX, i128::from(i64::MIN) - 1, -7].iter().for_each(|value| tried(value));
    tried(&BTreeMap::from([(u8::MAX, 1), (0, 2)]));
    tried(&BTreeMap::from([(i64::MIN, 1), (-1, 2)]));
    tried(&BTreeMap::from([(u64::MAX, "x".to_owned())]));
    tried(&BTreeMap::from([(i128::MIN, 1), (7, 2)]));
    tried(&BTreeMap::from([(true, 1), (false, 2)]));
    tried(&BTreeMap::from([('a', 1), ('ü', 2)]));
    tried(&BTreeMap::from([(Newtype(1), 1), (Newtype(2), 2)]));
    tried(&BTreeMap::from([(Key::One, 1), (Key::Two, 2)]));
    tried(&BTreeMap::from([((1u8, 2u8), 1)]));
    tried(&BTreeMap::from([(Some(1u8), 1), (None, 2)]));
    tried(&BTreeMap::from([(vec![1u8], 1)]));
    [Some(Some(1u8)), Some(None), None].iter().for_each(|value| tried(value));
    [Some(()), None].iter().for_each(|value| tried(value));
    tried(&vec![Some(Unit), None]);
    tried(&Some(Float(f64::NAN)));
}

/// Types that are read by looking at what is there: not every format can do that.
fn untyped(tried: &dyn Fn(&dyn Tried)) {
    for value in [Untagged::Number(-7), Untagged::Text("seven".into()), Untagged::Fields { a: 1, b: vec![2] }] {
        tried(&value);
    }
    for value in [Tagged::Unit, Tagged::Fields { a: 1, b: "two".into() }, Tagged::Newtype(Inner { list: vec![1, 2] })] {
        tried(&value);
    }
    for value in [Adjacent::Unit, Adjacent::Pair(1, "two".into()), Adjacent::Fields { a: Some(1) }] {
        tried(&value);
    }
    tried(&Flat { id: 1, inner: Inner { list: vec![1] }, more: [("x".to_owned(), 2)].into() });
    tried(&serde_json::json!({ "a": [1, -2, 0.5, null, true, "text"], "b": {} }));
}

/// When a codec promises that a value comes back.
#[derive(Clone, Copy, PartialEq)]
enum Promise {
    Always,
    OrIsRefused,
    AsByJson,
}

/// A value of any type that can be tried.
trait Tried {
    fn is_tried(&self, codec: &dyn Codec, promise: Promise);
}

impl<T: Serialize + DeserializeOwned + PartialEq + Debug> Tried for T {
    fn is_tried(&self, codec: &dyn Codec, promise: Promise) {
        let shown = || format!("{self:?}").chars().take(200).collect::<String>();
        let body = match body_of(codec, &Msg::Value { value: self }) {
            Ok(body) => body,
            Err(TransportError::Encode { why, .. }) => {
                let refusable = match promise {
                    Promise::Always => false,
                    Promise::OrIsRefused => true,
                    Promise::AsByJson => !comes_back_by_json(self),
                };
                assert!(refusable, "{} can't be sent: {why}", shown());
                return;
            }
            Err(other) => panic!("{} is refused by another error than `Encode`: {other:?}", shown()),
        };
        let Msg::Value { value } = codec.decode(body).expect("a message that was just written can be read") else {
            panic!("another message came than `value`, with {}", shown())
        };
        match value.decode::<T>() {
            Ok(came) => assert!(came == *self, "{} came as {came:?}", shown()),
            Err(TransportError::Value { why, .. }) => {
                assert!(promise == Promise::OrIsRefused, "{} can't be read: {why}", shown());
            }
            Err(other) => panic!("{} fails with another error than `Value`: {other:?}", shown()),
        }
    }
}

fn comes_back_by_json<T: Serialize + DeserializeOwned + PartialEq>(value: &T) -> bool {
    let written = serde_json::to_vec(value);
    written.and_then(|text| serde_json::from_slice::<T>(&text)).is_ok_and(|came| came == *value)
}

/// A number that equals only itself, bit by bit.
#[derive(Debug, Serialize, Deserialize)]
struct Float(f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

/// Derives what a type needs to be tried.
macro_rules! types {
    ($($item:item)*) => {$(
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        $item
    )*};
}

types! {
    struct Unit;

    #[derive(PartialOrd, Eq, Ord)]
    struct Newtype(u16);

    struct Pair(i64, String);

    struct WithBytes {
        before: u8,
        #[serde(with = "pleach_wire::blob")]
        bytes: Bytes,
        after: Vec<u8>,
    }

    enum Kind {
        Unit,
        Newtype(Option<u8>),
        Pair(u8, i8),
        Fields { name: String, list: Vec<u32> },
    }

    #[derive(PartialOrd, Eq, Ord)]
    enum Key {
        One,
        Two,
    }

    enum Term {
        Neg(Box<Term>),
        Zero,
    }

    struct Inner {
        list: Vec<u8>,
    }

    #[serde(untagged)]
    enum Untagged {
        Number(i64),
        Text(String),
        Fields { a: u8, b: Vec<u8> },
    }

    #[serde(tag = "kind")]
    enum Tagged {
        Unit,
        Fields { a: u8, b: String },
        Newtype(Inner),
    }

    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        Unit,
        Pair(u8, String),
        Fields { a: Option<u8> },
    }

    struct Flat {
        id: u8,
        inner: Inner,
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    }
}
