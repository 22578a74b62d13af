//! What happens in running trees between two looks.
//!
//! | file | station |
//! |---|---|
//! | this one | one look at all processes |
//! | [`rates`] | what has happened between two looks, per second |
//! | [`text`] | numbers and sizes in a narrow column |

pub(crate) mod rates;
pub(crate) mod text;

use std::time::Instant;

use pleach::inspect::ProcessReport;

use crate::ps::{Chosen, Silent};

/// What one look has found.
#[derive(Debug)]
pub(crate) struct Found {
    /// When all had answered.
    pub(crate) at: Instant,
    pub(crate) processes: Vec<ProcessReport>,
    pub(crate) silent: Vec<Silent>,
}

impl Found {
    /// Asks all processes of this user, and keeps the actors of one tree, if one is named; blocks until they have
    /// answered.
    ///
    /// # Errors
    /// As for [`Chosen::now`].
    pub(crate) fn now(tree: Option<&str>) -> anyhow::Result<Self> {
        let chosen = Chosen::now(tree, None)?;
        Ok(Self { at: Instant::now(), processes: chosen.reports(), silent: chosen.silent })
    }
}
