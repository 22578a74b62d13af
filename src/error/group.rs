//! Several errors at once, from a scope in which more than one task has failed.

use std::error::Error as StdError;
use std::fmt;

use super::Error;

/// Several errors of one scope.
///
/// It crosses to other actors as a group: its members arrive as they would alone, each with its own chain, payload and
/// hops. At most 64 members cross at once, of groups at most eight deep; the rest is counted in
/// [`left_out`](Self::left_out).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ErrorGroup {
    /// The members, in the order in which they were found.
    pub errors: Vec<Error>,
    /// How many more there were where the group comes from.
    pub left_out: usize,
}

impl ErrorGroup {
    pub(crate) fn new(errors: Vec<Error>, left_out: usize) -> Self {
        Self { errors, left_out }
    }

    /// Returns how many errors there are, those of inner groups and those left out included.
    pub fn count(&self) -> usize {
        let inner = |error: &Error| match error {
            Error::Group(group) => group.count(),
            _ => 1,
        };
        self.left_out + self.errors.iter().map(inner).sum::<usize>()
    }

    /// Mentions the members that were left out, if any.
    pub(super) fn missing(&self) -> Option<String> {
        (self.left_out > 0).then(|| format!("{} more were left out on the way here", self.left_out))
    }
}

impl fmt::Display for ErrorGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} errors: ", self.count())?;
        let members = self.errors.iter().enumerate().map(|(at, error)| format!("[{}] {error}", at + 1));
        f.write_str(&members.chain(self.missing()).collect::<Vec<_>>().join("; "))
    }
}

impl StdError for ErrorGroup {}
