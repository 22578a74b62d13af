//! An error on its way between a type and a format, neither of which knows the other.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

/// Why a value can't be read.
#[derive(Debug)]
pub(in crate::codec) enum Failure {
    Said(String),
    /// A kind of value that some formats have their own words for, where another was expected.
    Unexpected {
        what: Odd,
        is_type: bool,
        expected: String,
    },
}

/// What [`Failure::Unexpected`] has come instead.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec) enum Odd {
    Unit,
    Float(f64),
}

impl Failure {
    /// The error of a format, for a type.
    #[cold]
    pub(super) fn of(error: impl fmt::Display) -> Self {
        Self::Said(error.to_string())
    }

    /// The error of a type, for a format.
    #[cold]
    pub(super) fn into_error<E: Error>(self) -> E {
        match self {
            Self::Said(why) => E::custom(why),
            Self::Unexpected { what, is_type: true, expected } => E::invalid_type(what.shown(), &&*expected),
            Self::Unexpected { what, is_type: false, expected } => E::invalid_value(what.shown(), &&*expected),
        }
    }

    /// Something asked twice, or did not answer.
    #[cold]
    pub(super) fn misused() -> Self {
        Self::Said("a value was read twice, or not at all".into())
    }

    #[cold]
    fn unexpected(unexpected: Unexpected<'_>, is_type: bool, expected: &dyn Expected) -> Self {
        let what = match unexpected {
            Unexpected::Unit => Odd::Unit,
            Unexpected::Float(number) => Odd::Float(number),
            other => {
                let kind = if is_type { "type" } else { "value" };
                return Self::Said(format!("invalid {kind}: {other}, expected {expected}"));
            }
        };
        Self::Unexpected { what, is_type, expected: expected.to_string() }
    }
}

impl Odd {
    fn shown(self) -> Unexpected<'static> {
        match self {
            Self::Unit => Unexpected::Unit,
            Self::Float(number) => Unexpected::Float(number),
        }
    }
}

impl Error for Failure {
    #[cold]
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Said(why.to_string())
    }

    #[cold]
    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unexpected(unexpected, true, expected)
    }

    #[cold]
    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::unexpected(unexpected, false, expected)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(why) => f.write_str(why),
            Self::Unexpected { what, is_type, expected } => {
                let kind = if *is_type { "type" } else { "value" };
                write!(f, "invalid {kind}: {}, expected {expected}", what.shown())
            }
        }
    }
}
