//! Where in a value something went wrong: `Order.lines[3].price`.
//!
//! A value is written and read by its own code, which passes errors up and knows nothing of places. So each level
//! that passes a failure notes its own step here, the innermost first; as long as all goes well, nothing is written.
//! Where even that costs too much, a first try goes [`Untraced`], and only if it fails a second one leaves a trail.
//! A writer has the names of fields at hand. A reader only counts what it has passed: its steps become names when the
//! bytes are walked once more, by code that is the same for all types ([`Reader::name`]).

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// The steps to the place of a failure, the innermost first.
#[derive(Default)]
pub(super) struct Trail(RefCell<Vec<Step>>);

/// From a value to one inside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A field, or the value of a key that is text.
    Named(String),
    /// An element of a sequence, or the value of a key that is not text.
    Element(usize),
    /// The value of a map's entry, of which only the place is known.
    Entry(usize),
    /// What a variant of an enum holds.
    Variant,
}

impl Step {
    #[cold]
    pub(super) fn named(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

/// What is told each step of a failure that is on its way up.
pub(super) trait Notes: Copy {
    fn note(self, step: impl FnOnce() -> Step);
}

impl Notes for &Trail {
    #[cold]
    #[inline(never)]
    fn note(self, step: impl FnOnce() -> Step) {
        self.0.borrow_mut().push(step());
    }
}

/// Notes nothing.
#[derive(Clone, Copy)]
pub(super) struct Untraced;

impl Notes for Untraced {
    #[inline]
    fn note(self, _: impl FnOnce() -> Step) {}
}

impl Trail {
    /// Returns the steps, the outermost first.
    fn steps(&self) -> Vec<Step> {
        self.0.borrow().iter().rev().cloned().collect()
    }

    /// Says where in a `T` it failed, and why. `name` turns steps into such that have names, if it can.
    #[cold]
    pub(super) fn explain<T>(&self, why: &dyn fmt::Display, name: impl FnOnce(Vec<Step>) -> Vec<Step>) -> String {
        let mut place = root_of(std::any::type_name::<T>());
        for step in name(self.steps()) {
            match step {
                Step::Named(name) if place.is_empty() => place = name,
                Step::Named(name) => place = format!("{place}.{name}"),
                Step::Element(at) | Step::Entry(at) => place = format!("{place}[{at}]"),
                Step::Variant => {}
            }
        }
        if place.is_empty() { why.to_string() } else { format!("{place}: {why}") }
    }
}

/// The name of a type without the modules around it. The arguments of a function have none.
fn root_of(name: &str) -> String {
    if name.contains(ARGUMENTS) {
        return String::new();
    }
    let mut short = String::new();
    for part in name.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':') {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

/// What the structure of a function's arguments is called, by the macros that make it.
const ARGUMENTS: &str = "__PleachArguments";

/// Walks along steps in encoded bytes, and gives them names where maps have text for keys.
pub(super) struct Reader<'s> {
    left: &'s [Step],
    named: &'s mut Vec<Step>,
}

impl Reader<'_> {
    /// Returns `steps` with the names that `reader` has for them; from where it has none, as they were.
    pub(super) fn name<'de, D: Deserializer<'de>>(steps: Vec<Step>, reader: D) -> Vec<Step> {
        let mut named = Vec::new();
        // It ends with an error in any case: at the end of the way, or where the bytes have ended.
        let _ = Reader { left: &steps, named: &mut named }.deserialize(reader);
        named.extend(steps.get(named.len()..).unwrap_or_default().iter().cloned());
        named
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        // At the end of the way nothing has to be read, however deep it is.
        if self.left.is_empty() { Err(lost()) } else { reader.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what the steps lead through")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let [step @ (Step::Element(at) | Step::Entry(at)), left @ ..] = self.left else { return Err(lost()) };
        for _ in 0..*at {
            items.next_element::<IgnoredAny>()?;
        }
        self.named.push(step.clone());
        items.next_element_seed(Reader { left, named: self.named }).map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let (at, left) = match self.left {
            [Step::Entry(at), left @ ..] => (*at, left),
            [Step::Variant, left @ ..] => (0, left),
            _ => return Err(lost()),
        };
        for _ in 0..at {
            entries.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        let key = entries.next_key_seed(Key)?.flatten();
        self.named.push(key.map_or(Step::Element(at), Step::Named));
        entries.next_value_seed(Reader { left, named: self.named })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(lost())
    }
}

fn lost<E: Error>() -> E {
    E::custom("the steps lead elsewhere")
}

/// A key, if it is text.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<String>, D::Error> {
        reader.deserialize_any(self)
    }
}

macro_rules! no_text {
    ($($method:ident: $type:ty),*) => {$(
        fn $method<E: Error>(self, _: $type) -> Result<Option<String>, E> {
            Ok(None)
        }
    )*};
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<String>, E> {
        Ok(Some(text.to_owned()))
    }

    no_text!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_bytes: &[u8]);

    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<Option<String>, D::Error> {
        IgnoredAny::deserialize(extension).map(|_| None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<String>, E> {
        Ok(None)
    }
}
