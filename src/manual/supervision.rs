//! Supervision: actors that are started again when they end, children that come and go, and handles that outlast them.
//!
//! Without a supervisor, an actor that dies fails its nursery. With one, it is started again:
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach::prelude::*;
//! use pleach::{Backoff, ChildSpec, Supervision};
//!
//! #[pleach::rpc]
//! async fn parse(line: String) -> Result<usize> {
//!     Ok(line.split(' ').count())
//! }
//!
//! #[pleach::rpc]
//! async fn ping() -> Result<()> {
//!     Ok(())
//! }
//!
//! # #[pleach::main]
//! # async fn main() -> Result<()> {
//! pleach::open_nursery(async |n| {
//!     let parser = |name: &str| {
//!         ChildSpec::daemon(n.start_actor(name).enable(module_path!()))
//!             .health_check(Duration::from_secs(5), Duration::from_secs(1), |portal| async move {
//!                 portal.run(ping()).await
//!             })
//!             .shutdown(Duration::from_secs(10))
//!     };
//!     let supervision = Supervision::one_for_one()
//!         .intensity(5, Duration::from_secs(10))
//!         .backoff(Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1)).jitter())
//!         .child(parser("parser"));
//!     let supervisor = n.supervise(supervision).await?;
//!
//!     // The handle stays the same while processes come and go.
//!     let first = supervisor.child("parser")?;
//!     assert_eq!(first.run(parse("a b".into())).await?, 2);
//!
//!     // Others are added and removed while it runs.
//!     let second = supervisor.add_child(parser("another")).await?;
//!     assert_eq!(second.run(parse("a b c".into())).await?, 3);
//!     supervisor.remove_child("another").await?;
//!     assert_eq!(supervisor.children().len(), 1);
//!     supervisor.shutdown().await;
//!     Ok(())
//! })
//! .await
//! # }
//! ```
//!
//! # What is started again
//! - The strategy of a [`Supervision`](crate::Supervision) says which others go with a child that has ended: none
//!   (`one_for_one`), all (`one_for_all`), or those that were added after it (`rest_for_one`).
//! - A [`ChildSpec`](crate::ChildSpec) is `permanent` (always), `transient` (when it failed) or `temporary` (never).
//!   Daemons are permanent unless you say otherwise, and functions (`run_once`) transient.
//! - A failure is what fails a nursery: a crash, the error of the function, an `init` or a health check that fails. So is
//!   a start that fails, except the first one: that is the error of `supervise` or `add_child`.
//! - After more restarts than [`intensity`](crate::Supervision::intensity) allows, of all children together, the
//!   supervisor gives up: it stops all children, and its nursery fails with [`Error::GaveUp`](crate::Error::GaveUp).
//! - A restart waits as [`Backoff`](crate::Backoff) says, longer each time; with `jitter` by up to a half shorter, so that
//!   many that have died of one cause do not come back at one time.
//!
//! # Children that come and go
//! [`add_child`](crate::Supervisor::add_child) starts one and returns its handle;
//! [`remove_child`](crate::Supervisor::remove_child) stops it, and its name is free again. A supervisor ends with its last
//! child, unless it [stays open](crate::Supervision::stay_open); then it may also begin with none.
//! [`children`](crate::Supervisor::children) lists them, with their states and restarts.
//!
//! | meanwhile | `add_child` | `remove_child` |
//! |---|---|---|
//! | the child waits for its restart | | it is forgotten at once |
//! | the child is being started | | the start is cut short, and its process killed |
//! | the child has ended for good | its name is taken | it is forgotten at once |
//! | another one is restarted, `one_for_one` | it is started meanwhile | it is stopped meanwhile |
//! | another one is restarted, else | it is started after that | it is stopped before, during the wait, or after the start |
//! | the supervisor is being shut down | `Cancelled`, and no process is left | it is stopped in its turn |
//! | the supervisor has given up | the error of that | it is forgotten once it is gone |
//! | the caller is dropped | the child is stopped and forgotten | it is removed all the same |
//!
//! An `add_child` that was dropped after its child had started and before it resolved has that child stopped, too: there
//! is one exactly if the caller was told. A removal counts as no failure and takes no other child along, whatever the
//! strategy. Restarts of a removed child still count for the intensity.
//!
//! [`Supervision::dynamic`](crate::Supervision::dynamic) is for any number of children of a kind: independent, forgotten
//! when they have ended for good, stopped at the same time in the end.
//! [`ChildSpec::numbered`](crate::ChildSpec::numbered) makes names for them. The work for each does not grow with their
//! number.
//!
//! # Handles
//! - [`Supervisor::portal`](crate::Supervisor::portal) is a portal to the process that runs now, and ends with it.
//! - [`Supervisor::child`](crate::Supervisor::child) is on the child: `run` waits out a restart, then sends the call.
//! - [`Supervisor::handle`](crate::Supervisor::handle) is the typed handle on an actor [with state](super::state), which
//!   can be sent to other actors.
//!
//! A call that is in flight when the process dies fails by all of them and is not repeated: it may have run in part. A
//! child that was removed stays so for its handles, also when another one has its name.
//!
//! # Health
//! That a process has died is seen at once. For one that lives and does not work there are two means.
//! [`Start::heartbeats`](crate::Start::heartbeats) finds one that stands still as a whole within
//! [`lease`](crate::Config::lease); [`ChildSpec::health_check`](crate::ChildSpec::health_check) asks it, by a call of
//! yours. A child that does not pass is [`Unhealthy`](crate::SupervisorEvent::Unhealthy): it is stopped step by step, with
//! SIGKILL at the end, and started again.
//!
//! # The end
//! Children are stopped in the opposite order, each as [C-12](super::cancellation) has it: asked, then SIGTERM, then
//! SIGKILL. [`ChildSpec::shutdown`](crate::ChildSpec::shutdown) sets how long one may take after it was asked.
//!
//! # Events
//! [`Supervisor::events`](crate::Supervisor::events) is a `Stream` of what happens: added, started, died, unhealthy,
//! restarting, stopped, removed, gave up. They are logged, too: failures and restarts as warnings.
//!
//! # Coming from Erlang
//! | `supervisor` | here |
//! |---|---|
//! | `start_link` | [`Nursery::supervise`](crate::Nursery::supervise) |
//! | `start_child` | [`add_child`](crate::Supervisor::add_child) |
//! | `terminate_child` and `delete_child` | [`remove_child`](crate::Supervisor::remove_child), which does both |
//! | `terminate_child` and `restart_child` | `child.portal().await?.cancel_actor()` of a permanent one |
//! | `which_children`, `count_children` | [`children`](crate::Supervisor::children) |
//! | `simple_one_for_one` | [`Supervision::dynamic`](crate::Supervision::dynamic) |
//! | `shutdown` of a child: a time, `brutal_kill` | [`ChildSpec::shutdown`](crate::ChildSpec::shutdown), with a time or zero |
//! | `intensity`, `period` | [`intensity`](crate::Supervision::intensity); there is also a back-off |
