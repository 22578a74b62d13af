//! How the members of a nursery ended: which were escalated, and why; and which ones it waits for.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::Nursery;
use crate::spawn::reap::Ending;

/// How the actors of a nursery came to their end, from [`Nursery::report`](crate::Nursery::report).
///
/// Printed, it has a line for each.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EndingReport {
    /// The latest endings, the oldest first; a thousand at most.
    pub endings: Vec<Ending>,
    /// How many there were before those.
    pub earlier: u64,
}

impl EndingReport {
    /// Returns the endings of those for which asking was not enough.
    pub fn escalated(&self) -> impl Iterator<Item = &Ending> {
        self.endings.iter().filter(|ending| ending.was_escalated())
    }
}

impl fmt::Display for EndingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.earlier > 0 {
            writeln!(f, "{} earlier ones are not listed", self.earlier)?;
        }
        self.endings.iter().try_for_each(|ending| writeln!(f, "{ending}"))
    }
}

/// Why all members of a nursery are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Failed,
    Panicked,
    Dropped,
    /// Its scope was cancelled, or one around it.
    Around,
    Cancel,
    Kill,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "its body failed",
            Self::Panicked => "its body panicked",
            Self::Dropped => "it was dropped",
            Self::Around => "the enclosing scope was cancelled",
            Self::Cancel => "the program called `cancel`",
            Self::Kill => "the program called `kill`",
        })
    }
}

impl Nursery {
    /// Says once for which members it waits that do not end by themselves. Never returns.
    pub(super) async fn tell_what_it_waits_for(&self) -> bool {
        tokio::time::sleep(SILENT).await;
        let waits_for: Vec<_> = {
            let state = self.state();
            let daemons = state.daemons.iter().filter_map(|uuid| state.members.get(uuid)).map(ToString::to_string);
            let supervisors = match state.open_supervisors {
                0 => None,
                1 => Some("a supervisor that stays open".to_owned()),
                several => Some(format!("{several} supervisors that stay open")),
            };
            daemons.chain(supervisors).collect()
        };
        if !waits_for.is_empty() {
            let (actor, waits_for) = (self.0.runtime.id(), waits_for.join(", "));
            warn!(target: "pleach::runtime", %actor, %waits_for, "a nursery whose body has returned waits for actors that live until they are cancelled: by `Portal::cancel_actor`, `Handle::stop`, `Supervisor::shutdown`, or all with `Nursery::cancel`");
        }
        std::future::pending().await
    }
}

/// Keeps the endings of a nursery, which may live for years.
#[derive(Default)]
pub(super) struct Ledger {
    latest: VecDeque<Ending>,
    earlier: u64,
}

impl Ledger {
    pub(super) fn add(&mut self, ending: Ending) {
        if self.latest.len() == KEPT {
            self.latest.pop_front();
            self.earlier += 1;
        }
        self.latest.push_back(ending);
    }

    pub(super) fn report(&self) -> EndingReport {
        EndingReport { endings: self.latest.iter().cloned().collect(), earlier: self.earlier }
    }
}

/// As many endings as are kept.
const KEPT: usize = 1000;

/// How long a nursery waits for daemons before it says so.
const SILENT: Duration = Duration::from_secs(2);
