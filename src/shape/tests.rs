//! Shapes of types of every kind.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;

macro_rules! types {
    ($($item:item)*) => {$(
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only their shapes are looked at")]
        $item
    )*};
}

mod swapped {
    use super::*;

    types! {
        pub(super) struct Order { pub sell: u32, pub buy: u32 }
    }
}

types! {
    struct Order { buy: u32, sell: u32 }
    struct Tree { left: Option<Box<Tree>>, right: Vec<Tree>, id: u8 }
    struct Endless(Vec<Endless>);
    enum Term { Neg(Box<Term>), Both(Box<Term>, Box<Term>), Limit { at: u64 }, Zero }
    struct All { term: (Term, u8), by: BTreeMap<String, Option<f64>>, any: Value, unit: (), name: char }
    #[serde(tag = "t")] enum Tagged { A { x: u8 } }
}

struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        std::panic::resume_unwind(Box::new("no panic that is printed"))
    }
}

fn sorted<T: DeserializeOwned>() -> Vec<String> {
    let mut shapes = Shapes::default();
    shapes.of::<T>("it:");
    shapes.sorted()
}

#[test]
fn fields_are_named_in_any_order() {
    assert_eq!(sorted::<Order>(), ["it: Order.buy: u32", "it: Order.sell: u32"]);
    assert_eq!(sorted::<Order>(), sorted::<swapped::Order>());
    let mut arguments = Shapes::default();
    arguments.arguments::<Order>();
    assert_eq!(arguments.sorted(), ["buy: u32", "sell: u32"]);
}

#[test]
fn types_that_stand_in_themselves_end() {
    assert_eq!(sorted::<Tree>(), ["it: Tree.id: u8", "it: Tree.left: ?Tree again", "it: Tree.right: []Tree again"]);
    assert_eq!(sorted::<Endless>(), ["it: Endless of []Endless again"]);
    let all = sorted::<All>();
    for line in [
        "All.any: any",
        "All.by: {key}: text",
        "All.by: {value}: ?f64",
        "All.name: char",
        "All.term: (0 of 2): Term::Both(1 of 2): (not reached)",
        "All.term: (0 of 2): Term::Limit.at: u64",
        "All.term: (0 of 2): Term::Neg of Term again",
        "All.term: (0 of 2): Term::Zero",
        "All.term: (1 of 2): (not reached)",
        "All.unit: ()",
    ] {
        assert!(all.iter().any(|found| found == &format!("it: {line}")), "{line} of {all:#?}");
    }
}

#[test]
fn what_is_buffered_is_anything_and_what_panics_is_nothing() {
    assert_eq!(sorted::<Tagged>(), ["it: any"]);
    assert!(sorted::<Panics>().is_empty());
}
