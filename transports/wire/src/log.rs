//! Log records that can't harm the code that writes them.
//!
//! A record goes to a subscriber of the user's own, which may panic. That is its bug, and must not cut short what
//! the code does after the record: so each record of the library and of its transports goes through here. The
//! panic itself is reported by the panic hook.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Writes one record; a panic of the subscriber ends here.
pub fn guarded(record: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(record))); // the hook has reported it
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_subscriber_ends_here() {
        guarded(|| panic!("on purpose"));
    }
}
