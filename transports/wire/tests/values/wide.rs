//! Integers of 128 bits: they arrive, except from serde's own buffers, which have none. There reading is an error that
//! says so, whatever else the type would take.

use std::collections::BTreeMap;
use std::fmt::Debug;

use pleach_wire::Format;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::types::Raw;
use crate::{FORMATS, Outcome, sent};

types! {
    struct Both { n: u128, m: i128 }
    struct Newtype(u128);
    struct Tuple(u128, i128, Option<u128>);
    #[serde(transparent)] struct Transparent { n: u128 }
    enum External { New(u128), Pair(u128, i128), Struct { n: u128 } }
    #[serde(tag = "t", content = "c")] enum Adjacent { New(u128), Pair(u128, i128), Struct { n: u128 }, Of(Both) }
    struct Beside { n: u128, #[serde(flatten)] rest: BTreeMap<String, u8> }
    struct AsMillis { #[serde(with = "millis")] millis: u64, after: u8 }

    #[serde(tag = "kind")] enum Tagged { Struct { n: u128 }, Signed { n: i128 }, New(Both), Option { n: Option<u128> }, List { n: Vec<u128> } }
    struct Flat { x: u8, #[serde(flatten)] both: Both }
    struct FlatMap { x: u8, #[serde(flatten)] by: BTreeMap<String, u128> }
    struct FlatOption { x: u8, #[serde(flatten)] both: Option<Both> }
    struct FlatDefault { x: u8, #[serde(flatten)] maybe: Maybe }
    #[serde(default)] #[derive(Default)] struct Maybe { n: Option<u128>, m: Option<u64> }
    struct FlatTagged { x: u8, #[serde(flatten)] tagged: Tagged }

    #[serde(untagged)] enum OrText { Wide(u128), Text(String) }
    #[serde(untagged)] enum OrSmall { Wide(i128), Small(i64), Big(u64) }
    #[serde(untagged)] enum OrFloat { Wide(u128), Float(f64), Single(f32) }
    #[serde(untagged)] enum OrBytes { Wide(i128), Bytes(Raw), List(Vec<u8>), Sixteen([u8; 16]) }
    #[serde(untagged)] enum OrAny { Wide(u128), Any(Value) }
    #[serde(untagged)] enum OrNothing { Wide(u128), Option(Option<u8>), Unit, Struct(Nothing) }
    #[serde(default)] #[derive(Default)] struct Nothing { a: u8 }
    #[serde(untagged)] enum OrMap { Wide(u128), Map(BTreeMap<String, String>), Extension(Extension) }
    struct Extension((i8, Value));
    #[serde(untagged)] enum InStruct { Wide { n: u128 }, Text { n: String }, Float { n: f64 } }
}

/// Written as `Duration::as_millis` has them, read as most do.
mod millis {
    use super::*;

    pub(super) fn serialize<S: Serializer>(millis: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        u128::from(*millis).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::deserialize(deserializer)
    }
}

const NUMBERS: [u128; 7] = [0, 5, 300, i64::MAX as u128, u64::MAX as u128, u64::MAX as u128 + 1, u128::MAX];

fn signed(number: u128) -> i128 {
    -((number >> 1) as i128)
}

fn both(n: u128) -> Both {
    Both { n, m: signed(n) }
}

#[test]
fn they_arrive_where_serde_does_not_buffer() {
    for n in NUMBERS {
        let m = signed(n);
        arrives(&(n, m, Some(n), vec![n], [m; 2], BTreeMap::from([("n", n)]).into_values().collect::<Vec<_>>()));
        arrives(&(both(n), Newtype(n), Tuple(n, m, None), Tuple(n, m, Some(n)), Transparent { n }));
        arrives(&vec![External::New(n), External::Pair(n, m), External::Struct { n }]);
        arrives(&vec![Adjacent::New(n), Adjacent::Pair(n, m), Adjacent::Struct { n }, Adjacent::Of(both(n))]);
        arrives(&Beside { n, rest: [("a".into(), 1)].into() });
        arrives(&(BTreeMap::from([(n, m)]), BTreeMap::from([(m, BTreeMap::from([(Some(n), n)]))])));
    }
}

#[test]
fn they_are_read_as_narrower_numbers_where_they_fit() {
    for millis in [0, 5, 1 << 40, u64::MAX] {
        arrives(&vec![AsMillis { millis, after: 7 }]);
    }
    comes_as::<_, (u8, i8, u64, f64)>(&(5u128, -5i128, 7i128, 8u128), "(5, -5, 7, 8.0)");
    comes_as::<_, (i128, u128)>(&(5u128, 7i128), "(5, 7)");
    comes_as::<_, (u128, i128)>(&(5u8, -5i8), "(5, -5)");
    unreadable::<_, u64>(&u128::MAX, "invalid type: integer");
    unreadable::<_, u128>(&-1i128, "invalid value: ");
    unreadable::<_, String>(&5u128, "invalid type");
}

#[test]
fn they_are_skipped_where_nothing_asks_for_them() {
    #[derive(Deserialize, Debug)]
    struct Only {
        #[expect(dead_code, reason = "it is printed")]
        last: u8,
    }
    let longer = |n: u128| BTreeMap::from([("first", n), ("last", 7)]);
    for n in NUMBERS {
        comes_as::<_, Only>(&longer(n), "Only { last: 7 }");
    }
}

#[test]
fn where_serde_buffers_reading_fails_whatever_else_would_take_them() {
    for n in NUMBERS {
        let m = signed(n);
        for value in [Tagged::Struct { n }, Tagged::Signed { n: m }, Tagged::New(both(n)), Tagged::List { n: vec![n] }]
        {
            never(&value);
            never(&FlatTagged { x: 1, tagged: value });
        }
        never(&Tagged::Option { n: Some(n) });
        never(&Flat { x: 1, both: both(n) });
        never(&FlatMap { x: 1, by: [("n".into(), n)].into() });
        never(&FlatOption { x: 1, both: Some(both(n)) });
        never(&FlatDefault { x: 1, maybe: Maybe { n: Some(n), m: None } });
        never(&OrText::Wide(n));
        never(&OrSmall::Wide(m));
        never(&OrFloat::Wide(n));
        never(&OrBytes::Wide(m));
        never(&OrAny::Wide(n));
        never(&OrNothing::Wide(n));
        never(&OrMap::Wide(n));
        never(&InStruct::Wide { n });
        never(&vec![Some(OrText::Wide(n))]);
        unreadable::<_, Value>(&n, "128-bit integer");
        unreadable::<_, Nothing>(&n, "");
        unreadable::<_, BTreeMap<String, String>>(&n, "");
        unreadable::<_, Option<External>>(&n, "");
    }
}

/// In JSON each is a level of its own.
#[test]
fn they_are_refused_below_the_last_level() {
    #[derive(Serialize, Deserialize, Debug)]
    enum Nest {
        Number(u128),
        Down(Box<Nest>),
    }
    let nested = |levels: usize| (1..levels).fold(Nest::Number(7), |nest, _| Nest::Down(Box::new(nest)));
    arrives(&nested(126));
    for levels in [127, 128] {
        let outcome = sent::<_, Nest>(Format::Json, &nested(levels), "");
        assert!(matches!(&outcome, Outcome::Refused(why) if why.contains("levels deep")), "{outcome:?}");
    }
}

/// In JSON they are objects with this key, which others may have too.
#[test]
fn a_key_that_looks_like_theirs_is_a_key() {
    let key = || BTreeMap::from([("$int128".to_owned(), "5".to_owned())]);
    arrives(&key());
    arrives(&OrMap::Map(key()));
    comes_as::<_, Value>(&key(), r#"Object {"$int128": String("5")}"#);
}

#[track_caller]
fn arrives<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    comes_as::<T, T>(value, &format!("{value:?}"));
}

#[track_caller]
fn comes_as<A: Serialize, B: DeserializeOwned + Debug>(value: &A, expected: &str) {
    for format in FORMATS {
        let outcome = sent::<A, B>(format, value, expected);
        assert!(matches!(outcome, Outcome::Equal), "{}: {outcome:?}", format.name());
    }
}

#[track_caller]
fn never<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    unreadable::<T, T>(value, "a 128-bit integer can't be read in a tagged, untagged or flattened type");
}

#[track_caller]
fn unreadable<A: Serialize + Debug, B: DeserializeOwned + Debug>(value: &A, why: &str) {
    for format in FORMATS {
        match sent::<A, B>(format, value, "an error") {
            Outcome::Unreadable(text) if text.contains(why) => {}
            other => panic!("{}: {value:?}: {other:?}", format.name()),
        }
    }
}
