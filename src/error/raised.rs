//! An error as it leaves the code of a user: taken out of its box, with what only the box knew.

use std::any::{Any, type_name};
use std::fmt;

use super::{BoxError, Error, inside};
use crate::panics::captured;

/// An error on its way out of an exposed function.
pub struct Raised {
    pub(crate) error: BoxError,
    /// The type that the function declares.
    pub(crate) type_name: &'static str,
    pub(crate) backtrace: Option<String>,
}

impl Raised {
    /// Takes an error; an `anyhow::Error` is asked for its backtrace and for what it was made of.
    pub(crate) fn new<E: Into<BoxError> + 'static>(error: E) -> Self {
        let type_name = type_name::<E>();
        let mut slot = Some(error);
        let anyhow = (&mut slot as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>().and_then(Option::take);
        if let Some(error) = anyhow {
            let backtrace = captured(error.backtrace());
            return Self { error: error.reallocate_into_boxed_dyn_error_without_backtrace(), type_name, backtrace };
        }
        let error = slot.expect("only an `anyhow::Error` was taken out").into();
        Self { error, type_name, backtrace: None }
    }
}

impl Raised {
    /// Returns the error of ours that it is, or has inside, if that only says that something was cancelled.
    pub(crate) fn cancellation(&self) -> Option<Error> {
        inside::find(&*self.error).filter(Error::is_cancelled)
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.type_name, self.error)
    }
}

/// Boxes an error so that what is inside can be found again; `anyhow::Error` by itself hides it.
pub(crate) fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    Raised::new(error).error
}
