//! One of our errors inside an error of a foreign type.
//!
//! Most types give it away as one of their causes. A variant with `#[error(transparent)]` does not: it has the causes
//! of the wrapped error. But it prints the wrapped error, as does every type that includes it in its text; so our
//! `Display` reports itself to a search on this thread. The detour runs through a thread-local, because `std` offers no
//! other way; it is set for the time of one synchronous call only.
//!
//! With that, two errors are told for the same failure by what they are, not by what they say: an actor's death by the
//! actor, an error from another actor by its id, a local one by its place in memory.

use std::borrow::Cow;
use std::cell::RefCell;
use std::error::Error as StdError;
use std::iter::successors;
use std::sync::Arc;

use super::remote::{Encoded, EncodedError};
use super::{Error, causes};

impl Error {
    /// The error inside a foreign one, if it is one of ours.
    pub(super) fn ours(&self) -> Cow<'_, Self> {
        self.inner().map_or(Cow::Borrowed(self), Cow::Owned)
    }

    fn inner(&self) -> Option<Self> {
        match self {
            Self::Local(error) => find(&**error),
            _ => None,
        }
    }

    /// Returns whether both report one and the same failure, seen from two places.
    pub(crate) fn is_same_failure(&self, other: &Self) -> bool {
        let (own, others) = (self.layers(), other.layers());
        own.iter().any(|one| others.iter().any(|other| one.is_one_with(other, false)))
    }

    /// Returns whether `other` is this error, which came back by way of the code that got it, maybe inside others.
    /// Most errors are plain values, and one of equal parts is taken for this one.
    pub(crate) fn came_back_as(&self, other: &Self) -> bool {
        self.is_same_failure(other) || other.layers().iter().any(|other| self.is_one_with(other, true))
    }

    /// This error, then the one of ours that it wraps, and so on.
    fn layers(&self) -> Vec<Self> {
        successors(Some(self.clone()), Self::inner).take(MAX_CAUSES).collect()
    }

    fn is_one_with(&self, other: &Self, by_value: bool) -> bool {
        match (self, other) {
            (Self::ActorDied(one), Self::ActorDied(other)) => one.actor == other.actor,
            (Self::Remote(one), Self::Remote(theirs)) => one.is_same(theirs) || self.is_same_death(other),
            (Self::Group(one), Self::Group(other)) => {
                let mut pairs = one.errors.iter().zip(&other.errors);
                one.count() == other.count() && pairs.all(|(one, other)| one.is_one_with(other, by_value))
            }
            (Self::GaveUp(one), Self::GaveUp(other)) => one.child == other.child,
            (Self::GaveUp(gave_up), error) | (error, Self::GaveUp(gave_up)) => {
                gave_up.last.as_ref().is_some_and(|last| last.is_one_with(error, by_value))
            }
            (Self::Poison(one), Self::Poison(other)) => one.last.is_one_with(&other.last, by_value),
            (Self::Poison(poison), error) | (error, Self::Poison(poison)) => poison.last.is_one_with(error, by_value),
            (Self::Local(one), Self::Local(other)) => Arc::ptr_eq(one, other),
            (Self::Local(_), _) | (_, Self::Local(_)) => false,
            _ => by_value && self.is_equal(other),
        }
    }

    /// Whether both were made of the death of one actor, which several may have found.
    fn is_same_death(&self, other: &Self) -> bool {
        match (self.origin(), other.origin()) {
            (Self::ActorDied(one), Self::ActorDied(other)) => one.actor == other.actor,
            _ => false,
        }
    }

    /// Whether all parts of both are equal.
    fn is_equal(&self, other: &Self) -> bool {
        let encoded = |error| EncodedError::of(Encoded::Finding, error).ok();
        encoded(self).zip(encoded(other)).is_some_and(|(one, other)| one.is_equal(&other))
    }
}

/// Returns the first of our errors that `error` or one of its causes is, or prints.
pub(super) fn find(error: &(dyn StdError + 'static)) -> Option<Error> {
    causes(error).take(MAX_CAUSES).find_map(|cause| {
        let looking = Looking { outer: LOOKING.replace(Some(Found(None))) };
        drop(cause.to_string());
        let found = LOOKING.take();
        drop(looking);
        found?.0
    })
}

/// Our `Display` begins with this.
pub(super) fn notice(error: &Error) {
    // A thread that is being torn down looks for nothing.
    let _ = LOOKING.try_with(|looking| {
        if let Some(found) = looking.borrow_mut().as_mut() {
            found.0.get_or_insert_with(|| error.clone());
        }
    });
}

struct Found(Option<Error>);

/// Restores the outer search, also when a foreign `Display` panics.
struct Looking {
    outer: Option<Found>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKING.set(self.outer.take());
    }
}

thread_local! {
    /// `Some` during a search.
    static LOOKING: RefCell<Option<Found>> = const { RefCell::new(None) };
}

/// Causes beyond this many are not looked at.
const MAX_CAUSES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::ActorId;
    use crate::error::{BoxError, Packed, Raised, boxed};

    /// A type that shows the error inside only in its text.
    #[derive(Debug, thiserror::Error)]
    #[error("asking: {0}")]
    struct Asking(Error);

    #[test]
    fn a_failure_is_known_by_what_it_is_and_not_by_its_words() {
        let local = || Error::from_boxed(BoxError::from("same"));
        let (one, other) = (local(), local());
        assert!(one.is_same_failure(&one.clone()) && !one.came_back_as(&other));
        // Its way back through foreign types.
        let around = |error: &Error| {
            let context = anyhow::Error::from(error.clone()).context("planning");
            Error::from_boxed(boxed(Asking(Error::from_boxed(boxed(context)))))
        };
        assert!(one.came_back_as(&around(&one)) && !one.came_back_as(&around(&other)));
        // A plain value is known by its parts, and only if the code could get it.
        let usage = |text: &str| Error::Usage(text.into());
        assert!(usage("same").came_back_as(&around(&usage("same"))) && !usage("same").is_same_failure(&usage("same")));
        assert!(!usage("same").came_back_as(&usage("other")));
        assert!(!usage("same").came_back_as(&Error::Config("same".into())), "not the words alone");
        let group = |inner: &Error| Error::join(vec![inner.clone(), usage("and")]).unwrap_err();
        assert!(group(&one).came_back_as(&group(&one)) && !group(&one).came_back_as(&group(&other)));
    }

    #[test]
    fn an_error_of_another_actor_is_known_by_its_id_over_hops() {
        let here = ActorId::new("leaf");
        let raise = || Packed::new(Raised::new(BoxError::from("same")), &here).unpack(&here);
        let (one, other) = (raise(), raise());
        let relayed = Packed::of(one.clone(), &here).unpack(&here);
        assert!(one.is_same_failure(&relayed) && !one.came_back_as(&other));
    }
}
