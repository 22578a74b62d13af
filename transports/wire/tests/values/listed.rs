//! What the manual lists of what serde itself can't carry, as it says there: `manual::values`.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::types::{Pair, Tagged, Trio};
use crate::{FORMATS, Outcome, sent};

types! {
    struct NoDefault { #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "Deserialize::deserialize")] a: Option<u8>, b: u8 }
    struct NoDefaults(#[serde(skip_serializing_if = "Option::is_none")] Option<u8>, #[serde(skip_serializing_if = "Option::is_none")] Option<u8>);
    struct Flat { x: u8, #[serde(flatten)] more: BTreeMap<String, u8> }
    struct FlatTwice { #[serde(flatten)] one: BTreeMap<String, u8>, #[serde(flatten)] two: BTreeMap<String, u8> }
    #[serde(tag = "kind")] enum Around { Of(Inner) }
    #[serde(tag = "kind")] enum Inner { Unit }
}

#[test]
fn what_the_receiver_refuses() {
    refused(&NoDefault { a: None, b: 1 }, "missing field `a`");
    refused(&NoDefaults(None, Some(1)), "invalid length 1");
    refused(&Trio::Of(None, 1, "x".into()), "invalid type");
    refused(&Flat { x: 1, more: [("x".into(), 2)].into() }, "duplicate field `x`");
    refused(&Tagged::Map([("kind".into(), 2)].into()), "duplicate field `kind`");
    refused(&Around::Of(Inner::Unit), "duplicate field `kind`");
}

#[test]
fn what_arrives_as_another_value() {
    becomes(&Pair(None, Some(1)), "Pair(Some(1), None)");
    becomes(&Pair(Some(1), None), "Pair(Some(1), None)");
    becomes(&Pair(Some(1), Some(2)), "Pair(Some(1), Some(2))");
    let twice = FlatTwice { one: [("a".into(), 1)].into(), two: [("b".into(), 2)].into() };
    becomes(&twice, r#"FlatTwice { one: {"a": 1, "b": 2}, two: {"a": 1, "b": 2} }"#);
}

#[track_caller]
fn refused<T: Serialize + DeserializeOwned + Debug>(value: &T, why: &str) {
    for format in FORMATS {
        match sent::<T, T>(format, value, "an error") {
            Outcome::Unreadable(text) if text.contains(why) => {}
            other => panic!("{}: {value:?}: {other:?}", format.name()),
        }
    }
}

/// As with `serde_json`.
#[track_caller]
fn becomes<T: Serialize + DeserializeOwned + Debug>(value: &T, expected: &str) {
    let by_serde_json: T = serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap();
    assert_eq!(format!("{by_serde_json:?}"), expected);
    for format in FORMATS {
        let outcome = sent::<T, T>(format, value, expected);
        assert!(matches!(outcome, Outcome::Equal), "{}: {outcome:?}", format.name());
    }
}
