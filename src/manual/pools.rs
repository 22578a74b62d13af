//! Pools: many calls, several workers, and crashes that cost one item at most.
//!
//! A pool is started from the description of one worker, with all that can be said about an actor: its transport, host,
//! environment, outputs.
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn thumbnail(path: String) -> Result<usize> {
//!     Ok(path.len()) // here a C library decodes the picture, and may crash
//! }
//!
//! # #[pleach::main]
//! # async fn main() -> Result<()> {
//! pleach::open_nursery(async |n| {
//!     let workers = n.start_actor("worker").enable(module_path!());
//!     let pool = workers.pool(2).in_flight(4).retries(2).timeout(Duration::from_secs(60)).await?;
//!
//!     // One call, in the worker that has the fewest.
//!     assert_eq!(pool.run(thumbnail("a.png".into())).await?, 5);
//!
//!     // Many: results as they come, with the numbers of their items.
//!     let paths = ["b.png", "cc.png", "ddd.png"].map(String::from);
//!     let mut sizes = pool.map_unordered(paths, thumbnail);
//!     while let Some((number, size)) = sizes.next().await {
//!         match size {
//!             Ok(size) => assert_eq!(size, 5 + number),
//!             Err(Error::Poison(poison)) => eprintln!("item {number} crashes its workers: {poison}"),
//!             Err(error) => eprintln!("item {number}: {error}"),
//!         }
//!     }
//!     Ok(()) // the pool ends with the body of its nursery
//! })
//! .await
//! # }
//! ```
//!
//! # Calls
//! | method | order, and place |
//! |---|---|
//! | [`run`](crate::Pool::run) | one call, in the worker that has the fewest |
//! | [`run_keyed`](crate::Pool::run_keyed) | one call, in the worker of a key: for what a worker keeps between calls |
//! | [`map_unordered`](crate::Pool::map_unordered) | results as they come, each with the number of its item |
//! | [`map`](crate::Pool::map) | results in the order of the items |
//!
//! The last two return a [`Stream`](futures_util::Stream), which takes items from the iterator as workers have room for
//! them. While it is not polled, nothing more is sent; dropping it cancels what is under way. Items are sent by reference
//! and need not be `Clone`, also where they are sent again.
//!
//! # What becomes of a call
//! | what happens | result |
//! |---|---|
//! | the function returns a value or an error, or panics | that; it is not tried again |
//! | its worker dies beside other calls | all of them are tried again, one by one, each with a worker for itself |
//! | its worker dies, and had no other call | it is tried again up to [`retries`](crate::PoolStart::retries), then [`Error::Poison`](crate::Error::Poison) |
//! | its worker was killed from outside (SIGKILL, SIGTERM), or its host is lost | as before, but four of these are not counted |
//! | it takes longer than [`timeout`](crate::PoolStart::timeout) | it is cancelled: [`Error::Timeout`](crate::Error::Timeout) |
//! | it blocks the thread of its worker beyond that | the same; the worker is killed and replaced, other calls there are tried again |
//! | the pool is shut down | it is cancelled |
//!
//! So results come once, while a call may have run more than once: have it write to a temporary file and rename that, or
//! carry a number that makes the second run harmless. A call that can't bear that has a pool with no
//! [`retries`](crate::PoolStart::retries).
//!
//! # Workers
//! A worker that dies is replaced at once. One that has died without having had a call waits before the next start, 10 ms
//! at first and up to 1 s. After five starts in a row that failed, the pool gives up, and its nursery fails with the error
//! of the last one.
//!
//! [`recycle_after`](crate::PoolStart::recycle_after) and [`recycle_above`](crate::PoolStart::recycle_above) replace a
//! worker whose library leaks: it ends the calls that it has, and takes no others.
//!
//! [`hosts`](crate::PoolStart::hosts) spreads the workers over hosts, in turn. [`hedge`](crate::PoolStart::hedge) sends a
//! call that takes long to a second worker as well.
//!
//! # The end
//! | | calls that it has | further calls |
//! |---|---|---|
//! | the body of the nursery returns | are waited for | [`Error::Closed`](crate::Error::Closed) |
//! | [`drain`](crate::Pool::drain) | are waited for; streams of results end after them | the same |
//! | Ctrl-C or SIGTERM, with [`drain_on_signal`](crate::PoolStart::drain_on_signal) | the same; a second signal cancels them | the same |
//! | [`shutdown`](crate::Pool::shutdown) | are cancelled | the same |
//! | the nursery fails or is cancelled | are cancelled | the same |
//!
//! # Other systems
//! `ProcessPoolExecutor` of Python ends with all its items when one worker dies; `multiprocessing.Pool` waits for ever
//! for the item. Ray's `ActorPool` hands on the first crash, and an actor's `max_task_retries` repeats innocent and
//! guilty tasks alike. The factories of `ractor` spread messages over tasks of one process, which ends with any crash.
