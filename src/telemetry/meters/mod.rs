//! Meters: what the stations of a message count and measure, for a recorder of the `metrics` crate.
//!
//! The stations call these functions in every build. Without the feature `metrics` they are empty (`unrecorded`); with
//! it they look for a recorder first (`recorded`). What a look at the actors tells as well, such as bytes and queues, is
//! not counted here but sampled (`crate::metrics`).
//!
//! | file | station |
//! |---|---|
//! | this one | what is counted: the events, and the function that is called |
//! | `names` | the name, the labels and the meaning of each metric |
//! | `recorded` | calls and events on their way to the recorder |
//! | `unrecorded` | the same functions, empty |
//! | `recorder` | whether there is a recorder |

#[cfg(feature = "metrics")]
pub(crate) mod names;
#[cfg(feature = "metrics")]
mod recorded;
#[cfg(feature = "metrics")]
pub(crate) mod recorder;
#[cfg(not(feature = "metrics"))]
mod unrecorded;

use std::time::Duration;

use pleach_wire::ByteStr;

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::{CallMeters, Measured, closed_connections, count, note_closed};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::unrecorded::{CallMeters, Measured, count, note_closed};

/// A function that is called: its path, and the meters of its calls.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) path: ByteStr,
    pub(crate) meters: &'static CallMeters,
}

/// A function that this program does not declare: a label must not be a text that comes from outside.
impl From<ByteStr> for Callee {
    fn from(path: ByteStr) -> Self {
        Self { path, meters: &OTHER }
    }
}

/// Something that happens rarely enough to be counted where it happens.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "they are counted only with the feature"))]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A start of an actor: it has connected after this time, or not.
    Spawned(Duration),
    NotSpawned,
    SpawnCancelled,
    /// The end of a child: the strongest step that was needed, and how its process ended.
    Ended {
        by: &'static str,
        status: &'static str,
    },
    /// A step of bringing a child to its end.
    ReapStep(&'static str),
    /// A supervisor starts a child again, or gives up.
    Restarted,
    GaveUp,
    /// A connection of this protocol; whether this side dialled it.
    Connected {
        transport: &'a str,
        dialled: bool,
    },
    /// A connection that did not become a member's.
    NotAdmitted(&'static str),
    /// A peer that was silent for too long.
    DeclaredDead(&'static str),
    /// The answer to a heartbeat.
    RoundTrip {
        transport: &'a str,
        took: Duration,
    },
    /// A sender that finds the buffer of its peer full for a while.
    Stalled,
}

/// The meters of functions that this program does not declare, or does not let its peers run.
pub(super) static OTHER: CallMeters = CallMeters::new("other", pleach_wire::msg::FunctionKind::Rpc);
