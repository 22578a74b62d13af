//! The arguments of a function that has none, as its callers may write them.
//!
//! A caller that knows the function sends an empty structure. A caller that knows only its path may also send `()`, or
//! an empty tuple or map of another language: all of them are empty.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// No arguments; `#[pleach::rpc]` and its siblings read them by this.
#[derive(Debug)]
pub struct NoArguments;

impl<'de> Deserialize<'de> for NoArguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(Nothing)
    }
}

/// The values that are accepted for no arguments.
struct Nothing;

impl<'de> Visitor<'de> for Nothing {
    type Value = NoArguments;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the arguments ()")
    }

    fn visit_none<E: Error>(self) -> Result<NoArguments, E> {
        Ok(NoArguments)
    }

    fn visit_unit<E: Error>(self) -> Result<NoArguments, E> {
        Ok(NoArguments)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NoArguments, D::Error> {
        deserializer.deserialize_struct("Arguments", &[], self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<NoArguments, A::Error> {
        match sequence.next_element::<IgnoredAny>()? {
            None => Ok(NoArguments),
            Some(_) => Err(A::Error::invalid_length(1, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoArguments, A::Error> {
        match map.next_key::<String>()? {
            None => Ok(NoArguments),
            Some(name) => Err(A::Error::unknown_field(&name, &[])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_in_each_way_to_write_it_and_something_is_not() {
        for nothing in ["null", "[]", "{}"] {
            assert!(serde_json::from_str::<NoArguments>(nothing).is_ok(), "{nothing}");
        }
        for something in ["[1]", "{\"a\": 1}", "1", "\"a\"", "[null]"] {
            assert!(serde_json::from_str::<NoArguments>(something).is_err(), "{something}");
        }
    }
}
