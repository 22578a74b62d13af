//! One of our errors inside an error of a foreign type.
//!
//! Most types give it away as one of their causes. A variant with `#[error(transparent)]` does not: it has the causes
//! of the wrapped error. But it prints the wrapped error, as does every type that includes it in its text; so our
//! `Display` reports itself to a search on this thread. The detour runs through a thread-local, because `std` offers no
//! other way; it is set for the time of one synchronous call only.

use std::cell::RefCell;
use std::error::Error as StdError;

use super::{Error, causes};

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
