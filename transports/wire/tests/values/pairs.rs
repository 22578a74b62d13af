//! Two builds of a program: the sender's type is not quite the receiver's.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{FORMATS, Outcome, sent};

types! {
    struct Order { buy: u32, sell: u32 }
    struct Swapped { sell: u32, buy: u32 }
    struct Longer { buy: u32, sell: u32, note: String }
    struct WithDefault { #[serde(default)] lot: u32, buy: u32, sell: u32 }
    struct Renamed { buy: u32, sold: u32 }
    struct Wider { buy: u64, sell: i64 }
    struct Texts { buy: String, sell: u32 }
    struct Twice { #[serde(alias = "sell")] buy: u32 }
    enum Side { Buy, Sell, At(u8) }
    enum Sides { Sell, Never, Buy, At(u8) }
}

#[test]
fn fields_and_variants_are_known_by_their_names() {
    let order = || Order { buy: 1, sell: 2 };
    arrives::<_, Swapped>(&order(), "Swapped { sell: 2, buy: 1 }");
    arrives::<_, Wider>(&order(), "Wider { buy: 1, sell: 2 }");
    arrives::<_, WithDefault>(&order(), "WithDefault { lot: 0, buy: 1, sell: 2 }");
    arrives::<_, BTreeMap<String, u32>>(&order(), r#"{"buy": 1, "sell": 2}"#);
    arrives::<_, Order>(&Longer { buy: 1, sell: 2, note: "x".into() }, "Order { buy: 1, sell: 2 }");
    arrives::<_, Vec<Sides>>(&[Side::Buy, Side::Sell, Side::At(1)], "[Buy, Sell, At(1)]");
}

#[test]
fn structures_are_read_from_lists_by_position() {
    arrives::<_, Order>(&(1, 2), "Order { buy: 1, sell: 2 }");
}

#[test]
fn a_field_that_is_missing_or_does_not_fit_is_named() {
    let order = || Order { buy: 1, sell: 2 };
    fails::<_, Renamed>(&order(), &["Renamed: missing field `sold`"]);
    fails::<_, Vec<Renamed>>(&[Swapped { sell: 2, buy: 1 }], &["[0]: missing field `sold`"]);
    fails::<_, Texts>(&order(), &["Texts.buy: invalid type: integer `1`, expected a string"]);
    fails::<_, Twice>(&order(), &["duplicate field `buy`"]);
    fails::<_, Order>(&Wider { buy: 1, sell: -1 }, &["Order.sell: invalid value: integer `-1`, expected u32"]);
    let deep = BTreeMap::from([("x", vec![(0, order())])]);
    fails::<_, BTreeMap<String, Vec<(u8, Texts)>>>(&deep, &[".x[0][1].buy: invalid type"]);
}

#[track_caller]
fn arrives<A: Serialize, B: DeserializeOwned + Debug>(value: &A, expected: &str) {
    for format in FORMATS {
        let outcome = sent::<A, B>(format, value, expected);
        assert!(matches!(outcome, Outcome::Equal), "{}: {outcome:?}", format.name());
    }
}

#[track_caller]
fn fails<A: Serialize, B: DeserializeOwned + Debug>(value: &A, words: &[&str]) {
    for format in FORMATS {
        match sent::<A, B>(format, value, "an error") {
            Outcome::Unreadable(why) if words.iter().all(|word| why.contains(word)) => {}
            other => panic!("{}: {other:?}", format.name()),
        }
    }
}
