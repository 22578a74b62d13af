//! Values that belong to a task: the code that a future runs finds them.
//!
//! As `tokio::task_local`, for futures that keep the value themselves: those of tokio can't move once they exist, so a
//! task that is polled where it is asked for would need a box for that alone.
//!
//! # Invariants
//! 1. The value of a future, and that of the code around it, change places while the future is polled or dropped, and
//!    change back after that, also when it panics.

use std::cell::Cell;
use std::thread::LocalKey;

/// The place of the value of the code that a thread runs.
pub(crate) type Place<T> = LocalKey<Cell<Option<T>>>;

/// Polls or drops a future whose value is `own`.
pub(crate) fn within<T, R>(place: &'static Place<T>, own: &mut Option<T>, part: impl FnOnce() -> R) -> R {
    swap(place, own);
    let _restored = Restored { place, own };
    part()
}

/// Returns what `look` makes of the value of the running code, if it has one. It must not look at that itself.
pub(crate) fn look<T, R>(place: &'static Place<T>, look: impl FnOnce(&T) -> R) -> Option<R> {
    let looked = place.try_with(|current| {
        let value = current.take();
        let looked = value.as_ref().map(look);
        current.set(value);
        looked
    });
    looked.ok().flatten()
}

struct Restored<'a, T: 'static> {
    place: &'static Place<T>,
    own: &'a mut Option<T>,
}

impl<T> Drop for Restored<'_, T> {
    fn drop(&mut self) {
        swap(self.place, self.own);
    }
}

fn swap<T>(place: &'static Place<T>, own: &mut Option<T>) {
    // A thread that ends has no such place any more: futures that are dropped by then find no value.
    let _ = place.try_with(|current| *own = current.replace(own.take()));
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    thread_local! {
        static NUMBER: Cell<Option<u8>> = const { Cell::new(None) };
    }

    fn number() -> Option<u8> {
        look(&NUMBER, |number| *number)
    }

    #[test]
    fn each_future_finds_its_own_value_and_a_panic_leaves_none_behind() {
        let (mut outer, mut inner) = (Some(1), Some(2));
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            within(&NUMBER, &mut outer, || {
                assert_eq!(number(), Some(1));
                within(&NUMBER, &mut inner, || assert_eq!(number(), Some(2)));
                assert_eq!(number(), Some(1));
                within(&NUMBER, &mut inner, || panic!("this one is expected"))
            })
        }));
        assert!(unwound.is_err());
        assert_eq!((number(), outer, inner), (None, Some(1), Some(2)));
    }
}
