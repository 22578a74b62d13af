//! Faults that a test asks for: a connection that breaks, messages that take their time, an actor that dies at some point.
//!
//! Each is set on this side of the connection to an actor, so it works for actors over any transport, in processes and
//! without. What it comes to is what the same fault of a network or a program comes to.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::channel::faults::{Delay, Kill, Random};
use crate::error::{Error, Result};
use crate::portal::Portal;

/// Breaks the connection to an actor, at once and without a word: what is on the way is lost, in both directions.
///
/// The actor behind it finds its connection ended. A child that has lost its parent ends itself, so its nursery fails;
/// calls to it fail with [`Error::Disconnected`], or with [`Error::ActorDied`] if its end is known soon.
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// # #[pleach::main]
/// # async fn main() {
/// let ended: Result<()> = pleach::open_nursery(async |n| {
///     let worker = n.start_actor("worker").await?;
///     pleach::testing::cut(&worker);
///     worker.exited().await.map(drop)
/// })
/// .await;
/// assert!(ended.is_err());
/// # }
/// ```
pub fn cut<T>(portal: &Portal<T>) {
    portal.channel().cut();
}

/// Has each message to and from an actor take so long from now on, on top of its way; each time another value of `range`.
/// The order of messages stays.
///
/// They are drawn in the same way in each run. A connection that is closed while messages are held loses them after
/// [`Config::drain`](crate::Config::drain), as over a slow network. `Duration::ZERO..=Duration::ZERO` ends it.
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// # #[pleach::main]
/// # async fn main() -> Result<()> {
/// use std::time::Duration;
///
/// use pleach::testing;
///
/// #[pleach::rpc]
/// async fn add(a: i64, b: i64) -> Result<i64> {
///     Ok(a + b)
/// }
///
/// pleach::open_nursery(async |n| {
///     let worker = n.start_actor("worker").enable(module_path!()).await?;
///     testing::delay(&worker, Duration::from_millis(50)..=Duration::from_millis(60));
///     assert!(move_on_after(Duration::from_millis(20), worker.run(add(1, 2))).await.is_none());
///     testing::delay(&worker, Duration::ZERO..=Duration::ZERO);
///     assert_eq!(worker.run(add(1, 2)).await?, 3);
///     worker.cancel_actor().await
/// })
/// .await
/// # }
/// ```
pub fn delay<T>(portal: &Portal<T>, range: RangeInclusive<Duration>) {
    portal.channel().delay(Delay::new(&range, true, Random::new(SEED)));
}

/// Has an actor die at some point, as if killed from outside: its nursery has not asked for that, and fails.
///
/// A process is sent SIGKILL. An actor over `mem` ends at its next `.await`.
///
/// # Errors
/// [`Error::Usage`] for an actor that this one has not started, and for a point that is counted from 0.
///
/// # Examples
/// ```
/// # use pleach::prelude::*;
/// # #[pleach::main]
/// # async fn main() {
/// use pleach::testing::{self, Point};
///
/// #[pleach::rpc]
/// async fn step(n: u32) -> Result<u32> {
///     Ok(n)
/// }
///
/// let ended: Result<()> = pleach::open_nursery(async |n| {
///     let worker = n.start_actor("worker").enable(module_path!()).await?;
///     testing::kill_at(&worker, Point::answered("step", 2))?;
///     assert_eq!(worker.run(step(1)).await?, 1);
///     assert_eq!(worker.run(step(2)).await?, 2);
///     worker.run(step(3)).await.map(drop) // nothing is there to answer
/// })
/// .await;
/// assert!(ended.unwrap_err().to_string().contains("SIGKILL"));
/// # }
/// ```
pub fn kill_at<T>(portal: &Portal<T>, point: Point) -> Result<()> {
    let process = portal.process()?.clone();
    let Point { what, nth } = point;
    let (function, answered) = match what {
        What::Now => {
            process.crash();
            return Ok(());
        }
        _ if nth == 0 => return Err(Error::Usage("calls are counted from 1: the first one is `nth` 1".into())),
        What::Called(function) => (function, false),
        What::Answered(function) => (function, true),
    };
    let peer = Box::new(move || process.crash());
    portal.channel().kill_at(Kill { function, answered, left: nth, open: BTreeSet::new(), peer });
    Ok(())
}

/// The point at which [`kill_at`] has an actor die.
///
/// A function is named by its path, as `my_crate::jobs::add`, or by the end of it, as `add`. Calls of all kinds count:
/// those of contexts, streams and methods, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    what: What,
    nth: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Now,
    Called(String),
    Answered(String),
}

impl Point {
    /// At once.
    pub fn now() -> Self {
        Self { what: What::Now, nth: 1 }
    }

    /// When the `nth` call of a function has been sent from now on. Whether the actor has begun with it then is open, as
    /// with any crash.
    pub fn called(function: impl Into<String>, nth: u32) -> Self {
        Self { what: What::Called(function.into()), nth }
    }

    /// When `nth` calls of a function that are sent from now on have been answered. The caller gets that answer, and
    /// nothing that the actor says after it.
    pub fn answered(function: impl Into<String>, nth: u32) -> Self {
        Self { what: What::Answered(function.into()), nth }
    }
}

/// For the delays of a connection.
const SEED: u64 = 1;
