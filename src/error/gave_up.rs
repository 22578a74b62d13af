//! The failure of a supervisor.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::actor::shown;

/// A supervisor's child ended more often than it may: the supervisor has stopped all its children.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GaveUp {
    /// The child that ended once too often.
    pub child: String,
    /// How many restarts are allowed, for all children of the supervisor together…
    pub restarts: u32,
    /// …within this time.
    pub within: Duration,
    /// The last failure of the child; none if it ended without one.
    pub last: Option<Error>,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { child, restarts, within, last } = self;
        let child = shown(child);
        write!(f, "gave up on `{child}`: no more than {restarts} restarts are allowed within {within:?}")?;
        match last {
            Some(last) => write!(f, "; the last failure: {last}"),
            None => f.write_str("; it ended without a failure"),
        }
    }
}

impl StdError for GaveUp {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.last.as_ref().map(|last| last as _)
    }
}
