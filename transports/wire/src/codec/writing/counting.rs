//! The values in a row that a sequence, a map or a structure writes: as many as it has announced.
//!
//! What fails among them notes its step: its name, or how many came before it.

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::{At, Limits};
use crate::codec::place::{Notes, Step};

/// Several values in a row, and how many there should be.
pub(super) struct Counting<C, N, L> {
    inner: C,
    at: At<N, L>,
    written: usize,
    announced: Option<usize>,
    /// Of an enum, whose name is a step of its own.
    variant: Option<&'static str>,
}

impl<C, N: Notes, L: Limits> Counting<C, N, L> {
    #[inline]
    pub(super) fn new(inner: C, at: At<N, L>, announced: Option<usize>) -> Self {
        Self { inner, at, written: 0, announced, variant: None }
    }

    #[inline]
    pub(super) fn of_variant(variant: &'static str, inner: C, at: At<N, L>, announced: usize) -> Self {
        Self { variant: Some(variant), ..Self::new(inner, at, Some(announced)) }
    }

    /// Counts one value; where it failed is noted.
    #[inline]
    fn counted<E: Error>(&mut self, written: Result<(), E>, key: Option<&'static str>) -> Result<(), E> {
        if written.is_err() {
            self.note(|| key.map_or(Step::Element(self.written), Step::named));
        }
        self.written += 1;
        written
    }

    #[inline]
    fn note(&self, step: impl FnOnce() -> Step) {
        self.at.notes.note(step);
        if let Some(variant) = self.variant {
            self.at.notes.note(|| Step::named(variant));
        }
    }

    #[inline]
    fn check<E: Error>(&self) -> Result<(), E> {
        match self.announced {
            Some(announced) if announced != self.written => Err(wrong_length(announced, self.written)),
            _ => Ok(()),
        }
    }
}

#[cold]
fn wrong_length<E: Error>(announced: usize, written: usize) -> E {
    E::custom(format_args!("its `Serialize` announces {announced} elements and writes {written}"))
}

/// The four that take one unnamed value after the other.
macro_rules! elements {
    ($($compound:ident $method:ident)*) => {$(
        impl<C: $compound, N: Notes, L: Limits> $compound for Counting<C, N, L> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let written = self.inner.$method(&self.at.part(value));
                self.counted(written, None)
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.check::<C::Error>()?;
                self.inner.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

/// The two that take fields.
macro_rules! fields {
    ($($compound:ident)*) => {$(
        impl<C: $compound, N: Notes, L: Limits> $compound for Counting<C, N, L> {
            type Ok = C::Ok;
            type Error = C::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), C::Error> {
                let written = self.inner.serialize_field(key, &self.at.part(value));
                self.counted(written, Some(key))
            }

            #[inline]
            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            #[inline]
            fn end(self) -> Result<C::Ok, C::Error> {
                self.check::<C::Error>()?;
                self.inner.end()
            }
        }
    )*};
}

fields!(SerializeStruct SerializeStructVariant);

impl<C: SerializeMap, N: Notes, L: Limits> SerializeMap for Counting<C, N, L> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(&self.at.part(key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let written = self.inner.serialize_value(&self.at.part(value));
        self.counted(written, None)
    }

    #[inline]
    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), C::Error> {
        let written = self.inner.serialize_entry(&self.at.part(key), &self.at.part(value));
        if written.is_err() {
            self.note(|| key_text(key).map_or(Step::Element(self.written), Step::Named));
        }
        self.written += 1;
        written
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.check::<C::Error>()?;
        self.inner.end()
    }
}

/// A key as people write it, if it is a text or a number.
#[cold]
fn key_text<K: Serialize + ?Sized>(key: &K) -> Option<String> {
    match serde_json::to_value(key).ok()? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
