//! An error as it leaves the code of a user: taken out of its box, with the box's backtrace.

use std::any::{Any, type_name};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::{BoxError, Error, wrapped};
use crate::traces;

/// An error on its way out of an exposed function.
pub struct Raised {
    pub(crate) held: Held,
    /// The type that the function declares.
    pub(crate) type_name: &'static str,
    /// Where it was raised, once that is resolved.
    pub(crate) backtrace: Option<String>,
}

/// An error, and its backtrace if that has still to be resolved.
pub(crate) enum Held {
    Boxed(BoxError),
    Traced(Arc<anyhow::Error>),
}

impl Raised {
    /// Takes an error; an `anyhow::Error` gives its backtrace and its source.
    pub(crate) fn new<E: Into<BoxError> + 'static>(error: E) -> Self {
        let type_name = type_name::<E>();
        let mut slot = Some(error);
        let anyhow = (&mut slot as &mut dyn Any).downcast_mut::<Option<anyhow::Error>>().and_then(Option::take);
        if let Some(error) = anyhow {
            let held = match traces::is_captured(error.backtrace()) {
                true => Held::Traced(Arc::new(error)),
                false => Held::Boxed(error.reallocate_into_boxed_dyn_error_without_backtrace()),
            };
            return Self { held, type_name, backtrace: None };
        }
        let error = slot.expect("only an `anyhow::Error` was taken out").into();
        Self { held: Held::Boxed(error), type_name, backtrace: None }
    }

    /// Returns the error of ours that it is, or has inside, if that only says that something was cancelled.
    pub(crate) fn cancellation(&self) -> Option<Error> {
        wrapped::find(self.error()).filter(Error::is_cancelled)
    }

    /// Returns the error whose backtrace has still to be resolved, if there is one.
    pub(crate) fn traced(&self) -> Option<Arc<anyhow::Error>> {
        match &self.held {
            Held::Boxed(_) => None,
            Held::Traced(error) => Some(error.clone()),
        }
    }

    /// Returns the error alone.
    pub(crate) fn into_error(self) -> BoxError {
        match self.held {
            Held::Boxed(error) => error,
            Held::Traced(error) => {
                let alone = Arc::into_inner(error).expect("the backtrace is resolved before the error is shared");
                alone.reallocate_into_boxed_dyn_error_without_backtrace()
            }
        }
    }

    pub(crate) fn error(&self) -> &(dyn StdError + 'static) {
        match &self.held {
            Held::Boxed(error) => &**error,
            Held::Traced(error) => &***error,
        }
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.type_name, self.error())
    }
}

/// Boxes an error so that what is inside can be found again; `anyhow::Error` by itself hides it.
pub(crate) fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    Raised::new(error).into_error()
}
