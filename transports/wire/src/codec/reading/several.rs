//! The values inside a value: elements, entries, and what a variant holds.

use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{At, Forms, Reading, Request};
use crate::codec::json_keys::KeySeed;
use crate::codec::place::{Notes, Step, Trail};

/// What has several values, or the one of a variant: they are a level further down.
pub(super) struct Several<'t, A, F> {
    inner: A,
    at: At<'t, F>,
    /// How many have been read.
    read: usize,
}

impl<'t, A, F: Forms> Several<'t, A, F> {
    #[inline]
    pub(super) fn new(inner: A, at: At<'t, F>) -> Self {
        Self { inner, at, read: 0 }
    }

    #[inline]
    fn part<U>(&self, inner: U) -> Reading<'t, U, F> {
        Reading { inner, at: At { request: Request::Other, ..self.at } }
    }

    /// What a variant holds.
    #[inline]
    fn inside<E: Error, U>(&self, request: Request, inner: U) -> Result<Reading<'t, U, F>, E> {
        Ok(Reading { inner, at: At { request, ..self.at.below()? } })
    }

    /// All fields by position have come, if they all have to.
    #[inline]
    fn check_whole<E: Error>(&self) -> Result<(), E> {
        match self.at.request {
            Request::Places(len) if F::WHOLE_TUPLES && self.read < len => Err(shifted(len, self.read)),
            _ => Ok(()),
        }
    }
}

#[cold]
fn shifted<E: Error>(len: usize, written: usize) -> E {
    E::custom(format_args!(
        "it has {len} fields by position and {written} are written: those after one that is left out take its place"
    ))
}

#[inline]
fn noted<T, E>(read: Result<T, E>, trail: &Trail, step: Step) -> Result<T, E> {
    if read.is_err() {
        trail.note(|| step);
    }
    read
}

impl<'de, A: SeqAccess<'de>, F: Forms> SeqAccess<'de> for Several<'_, A, F> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.part(seed);
        let read = self.inner.next_element_seed(seed);
        if let Ok(None) = read {
            self.check_whole::<A::Error>()?;
        }
        self.read += 1;
        noted(read, self.at.trail, Step::Element(self.read - 1))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>, F: Forms> MapAccess<'de> for Several<'_, A, F> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let mut seed = self.part(seed);
        seed.at.request = Request::Key;
        if F::KEYS_ARE_TEXT {
            return self.inner.next_key_seed(KeySeed { inner: seed, is_name: self.at.request == Request::Fields });
        }
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.part(seed);
        let read = self.inner.next_value_seed(seed);
        self.read += 1;
        noted(read, self.at.trail, Step::Entry(self.read - 1))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 't, A: EnumAccess<'de>, F: Forms> EnumAccess<'de> for Several<'t, A, F> {
    type Error = A::Error;
    type Variant = Several<'t, A::Variant, F>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let seed = self.part(seed);
        let (name, inner) = self.inner.variant_seed(seed)?;
        Ok((name, Several::new(inner, self.at)))
    }
}

impl<'de, A: VariantAccess<'de>, F: Forms> VariantAccess<'de> for Several<'_, A, F> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.inside(Request::Other, seed)?;
        noted(self.inner.newtype_variant_seed(seed), self.at.trail, Step::Variant)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.inside(Request::Places(len), visitor)?;
        noted(self.inner.tuple_variant(len, visitor), self.at.trail, Step::Variant)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.inside(Request::Fields, visitor)?;
        noted(self.inner.struct_variant(fields, visitor), self.at.trail, Step::Variant)
    }
}
