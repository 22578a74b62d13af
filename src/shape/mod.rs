//! The shape of a type: the names and types of all that it reads, found by asking its `Deserialize`.
//!
//! ```text
//! Order.lines: []Line.price: u32
//! Order.side: Side::Limit of u64
//! ```
//! Each pass goes from the root of a type down to one leaf, and stops there with an error, so that no field needs a
//! value for the next one to be reached. A tuple's do: a dummy is tried. Types that serde buffers (tagged, untagged,
//! flattened) can't be traced, and are `any`. Nothing is kept of a type that has too many leaves, or that panics.
//!
//! It must stay true that the same sources give the same lines in every build, in whatever order fields are declared.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use self::dummy::Dummy;

mod dummy;
#[cfg(test)]
mod tests;

/// The shapes of a function's arguments, messages and result; `#[pleach::rpc]` and its like fill it in.
#[derive(Debug, Default)]
pub struct Shapes(Vec<String>);

impl Shapes {
    /// Adds a type; `what` describes its purpose in front of each of its lines.
    pub fn of<T: DeserializeOwned>(&mut self, what: &'static str) {
        self.0.extend(lines::<T>().into_iter().map(|line| format!("{what} {line}")));
    }

    /// Adds the structure of a function's arguments, as its fields.
    pub fn arguments<T: DeserializeOwned>(&mut self) {
        let fields = lines::<T>();
        self.0.extend(fields.iter().filter_map(|line| line.split_once('.')).map(|(_, field)| field.to_owned()));
    }

    /// Returns the lines, in an order that does not depend on that of fields.
    pub(crate) fn sorted(mut self) -> Vec<String> {
        self.0.sort_unstable();
        self.0
    }
}

/// All that a type reads, a line for each leaf; none if that can't be told.
fn lines<T: DeserializeOwned>() -> Vec<String> {
    catch_unwind(AssertUnwindSafe(trace::<T>)).unwrap_or_default()
}

fn trace<T: DeserializeOwned>() -> Vec<String> {
    let (mut pass, mut lines) = (Pass::default(), Vec::new());
    while lines.len() < MAX_LEAVES {
        // It ends with an error in any case.
        let _ = T::deserialize(Tracer(&mut pass));
        lines.push(pass.finish());
        if !pass.turn() {
            return lines;
        }
    }
    Vec::new()
}

/// Types with more leaves are not traced: that takes longer than it helps.
const MAX_LEAVES: usize = 1024;

/// How deep a pass goes: deeper levels repeat.
const MAX_LEVELS: usize = 48;

/// Ends a pass.
#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the leaf is reached")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The way from the root to one leaf.
#[derive(Default)]
struct Pass {
    /// At each fork, which way is taken, of how many.
    forks: Vec<(usize, usize)>,
    /// The fork that is next.
    at: usize,
    path: String,
    /// The types around, by name and the place of their list of fields.
    above: Vec<(&'static str, usize)>,
    levels: usize,
    is_over: bool,
}

impl Pass {
    fn choose(&mut self, ways: usize) -> usize {
        if self.at == self.forks.len() {
            self.forks.push((0, ways));
        }
        self.at += 1;
        self.forks[self.at - 1].0
    }

    fn leaf<T>(&mut self, what: &str) -> Result<T, Stop> {
        if !self.is_over {
            self.path.push_str(what);
            self.is_over = true;
        }
        Err(Stop)
    }

    /// Goes one level down with a word, unless it is too deep.
    fn step(&mut self, word: &str) -> Result<(), Stop> {
        self.levels += 1;
        if self.levels > MAX_LEVELS {
            return self.leaf("…");
        }
        self.path.push_str(word);
        Ok(())
    }

    /// Enters a type, unless it stands in itself.
    fn enter(&mut self, name: &'static str, at: usize) -> Result<(), Stop> {
        self.step(name)?;
        if self.above.contains(&(name, at)) {
            return self.leaf(" again");
        }
        self.above.push((name, at));
        Ok(())
    }

    /// Returns the line of a pass that has ended.
    fn finish(&mut self) -> String {
        if !self.is_over {
            self.path.push_str("(not reached)");
        }
        std::mem::take(&mut self.path)
    }

    /// Takes the next way at the last fork that has one.
    fn turn(&mut self) -> bool {
        self.forks.truncate(self.at);
        while let Some((way, ways)) = self.forks.pop() {
            if way + 1 < ways {
                self.forks.push((way + 1, ways));
                break;
            }
        }
        *self = Self { forks: std::mem::take(&mut self.forks), ..Self::default() };
        !self.forks.is_empty()
    }
}

struct Tracer<'p>(&'p mut Pass);

macro_rules! leaves {
    ($($method:ident $name:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            self.0.leaf($name)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Stop;

    leaves! {
        deserialize_any "any" deserialize_bool "bool" deserialize_i8 "i8" deserialize_i16 "i16" deserialize_i32 "i32"
        deserialize_i64 "i64" deserialize_i128 "i128" deserialize_u8 "u8" deserialize_u16 "u16" deserialize_u32 "u32"
        deserialize_u64 "u64" deserialize_u128 "u128" deserialize_f32 "f32" deserialize_f64 "f64"
        deserialize_char "char" deserialize_str "text" deserialize_string "text" deserialize_bytes "bytes"
        deserialize_byte_buf "bytes" deserialize_unit "()" deserialize_identifier "a name"
        deserialize_ignored_any "ignored"
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.0.step("?")?;
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, _: V) -> Result<V::Value, Stop> {
        self.0.leaf(name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Stop> {
        self.0.enter(name, 0)?;
        self.0.step(" of ")?;
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        self.0.step("[]")?;
        visitor.visit_seq(Elements { pass: self.0, before: 0 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        if len == 0 {
            return self.0.leaf("()");
        }
        let before = self.0.choose(len);
        self.0.step(&format!("({before} of {len}): "))?;
        visitor.visit_seq(Elements { pass: self.0, before })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.step(name)?;
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Stop> {
        let is_value = self.0.choose(2) == 1;
        self.0.step(if is_value { "{value}: " } else { "{key}: " })?;
        visitor.visit_map(Entry { pass: self.0, name: None, is_value })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.enter(name, fields.as_ptr() as usize)?;
        if fields.is_empty() {
            return self.0.leaf("{}");
        }
        let field = fields[self.0.choose(fields.len())];
        self.0.step(&format!(".{field}: "))?;
        visitor.visit_map(Entry { pass: self.0, name: Some(field), is_value: true })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.0.enter(name, variants.as_ptr() as usize)?;
        if variants.is_empty() {
            return self.0.leaf(" without values");
        }
        let variant = variants[self.0.choose(variants.len())];
        self.0.step(&format!("::{variant}"))?;
        visitor.visit_enum(Variant { pass: self.0, name: variant })
    }
}

/// The elements of a sequence: dummies up to the one that is looked at.
struct Elements<'p> {
    pass: &'p mut Pass,
    before: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Stop;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        if self.before > 0 {
            self.before -= 1;
            return seed.deserialize(Dummy::new()).map(Some);
        }
        seed.deserialize(Tracer(self.pass)).map(Some)
    }
}

/// One entry of a map, of which the key or the value is looked at; or one field.
struct Entry<'p> {
    pass: &'p mut Pass,
    /// Of a field.
    name: Option<&'static str>,
    is_value: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Stop;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Stop> {
        match self.name.take() {
            Some(name) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            None if self.is_value => seed.deserialize(Dummy::new()).map(Some),
            None => seed.deserialize(Tracer(self.pass)).map(Some),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Stop> {
        seed.deserialize(Tracer(self.pass))
    }
}

struct Variant<'p> {
    pass: &'p mut Pass,
    name: &'static str,
}

impl<'de, 'p> EnumAccess<'de> for Variant<'p> {
    type Error = Stop;
    type Variant = Inside<'p>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Inside<'p>), Stop> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.name))?, Inside(self.pass)))
    }
}

/// The content of a variant.
struct Inside<'p>(&'p mut Pass);

impl<'de> VariantAccess<'de> for Inside<'_> {
    type Error = Stop;

    fn unit_variant(self) -> Result<(), Stop> {
        self.0.leaf("")
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Stop> {
        self.0.step(" of ")?;
        seed.deserialize(Tracer(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Stop> {
        Tracer(self.0).deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Stop> {
        Tracer(self.0).deserialize_struct("", fields, visitor)
    }
}
