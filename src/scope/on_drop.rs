//! What happens to a scope that is dropped instead of left.

/// Runs a closure when it is dropped, unless it was disarmed.
///
/// Made before there is anything to clean up, and disarmed once it has been cleaned up in order.
pub(crate) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(clean_up: F) -> Self {
        Self(Some(clean_up))
    }

    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(clean_up) = self.0.take() {
            clean_up();
        }
    }
}
