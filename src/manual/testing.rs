//! Tests of programs with actors: a tree for each test, and recipes for all kinds of programs.
//!
//! ```toml
//! [dev-dependencies]
//! pleach = { version = "0.1", features = ["testing"] }
//! ```
//!
//! A test is marked with [`#[pleach::test]`](macro@crate::test). It has a tokio runtime and a root of its own, and the
//! actors that it starts are real processes, in unit tests of a library as in `tests/*.rs`:
//!
//! ```
//! # fn main() {}
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! pub async fn add(a: i64, b: i64) -> Result<i64> {
//!     Ok(a + b)
//! }
//!
//! #[cfg(test)]
//! mod tests {
//!     use super::*;
//!
//!     #[pleach::test]
//!     async fn an_actor_adds() -> Result<()> {
//!         pleach::open_nursery(async |n| {
//!             let worker = n.start_actor("worker").enable("my_crate").await?; // the module of `add`, not of the test
//!             assert_eq!(worker.run(add(1, 2)).await?, 3);
//!             worker.cancel_actor().await
//!         })
//!         .await
//!     }
//!
//!     #[pleach::test(flavor = "multi_thread", worker_threads = 2, transport = "mem")]
//!     async fn on_threads_of_this_process() {
//!         // …
//!     }
//! }
//! ```
//!
//! # How a child becomes an actor
//! The harness of `cargo test` has the program's `main`. So a child process has the harness run one test, the one that
//! has started it, with all output of the harness set aside; the test sees that its process is to be an actor, and
//! becomes it instead of running its body. It begins as any Rust program does: after the constructors of C++ libraries,
//! with a broken pipe as an error and a message for a stack overflow. It does not depend on the filters and options of
//! the run, so `cargo test NAME`, `--ignored` and `--test-threads` need nothing more, nor do runners that start the program
//! once for each test (`PROGRAM --exact NAME --nocapture`), as nextest does.
//!
//! - Attributes before `#[pleach::test]`, and its option `init`, take part in each actor too; the body does not.
//! - A test of another attribute, such as `#[tokio::test]`, may start actors as well, once the program has at least one
//!   test of `#[pleach::test]`. Without one, the start fails, and says so.
//! - Such an actor runs on a thread of the harness, with 2 MiB of stack; `RUST_MIN_STACK` changes that.
//! - Actors on other hosts need a program with a `main` of its own: see `harness = false` below.
//!
//! # A root for each test
//! The tests of one program run beside each other, each in a tree of its own: names, registries, cancellations and
//! failures of one are not seen by another. Code that is not in a task of its tree, as in `tokio::spawn` or
//! `spawn_blocking`, belongs to the root that was opened in the same tokio runtime, never to that of another test. On a
//! thread without a tokio runtime, [`current_actor`](crate::current_actor) knows an actor only while the process has one
//! root.
//!
//! # What a test leaves
//! When the body has returned, the root ends, with all its tasks, actors and sockets. A test fails if something is left
//! even then: most often a process that an actor has started and not waited for, which the root has killed.
//! `leaks = "ignore"` allows that. Programs that open roots themselves ask [`testing::leaks`](crate::testing::leaks).
//!
//! # What a test prints
//! `cargo test` shows what a test has printed if it fails. It only sees what `print!` and `eprint!` write on the threads
//! of the test. These bypass it, and show at once:
//! - all outputs of actors that are processes, since they inherit those of the program; `config` can set
//!   [`Config::stdout`](crate::Config::stdout) to `Null`;
//! - records of this library's log: there are none by default in a test; a program may set a subscriber.
//!
//! The last lines of an actor's standard error are part of the error when it dies, so a test that fails has them.
//!
//! # Faults
//! [`Portal::kill`](crate::Portal::kill) ends an actor without asking it, and [`Portal::exited`](crate::Portal::exited)
//! tells how that went; a function may panic, abort or exit in its actor. What the nursery makes of it is what the test
//! looks at:
//!
//! ```
//! # use pleach::prelude::*;
//! # #[pleach::main]
//! # async fn main() {
//! let ended: Result<()> = pleach::open_nursery(async |n| {
//!     n.start_actor("victim").await?.kill().await;
//!     Ok(())
//! })
//! .await;
//! println!("{ended:?}");
//! # }
//! ```
//!
//! That is an end on request, which fails nothing. What a network or a crash may do comes from
//! [`testing`](crate::testing); it is set here, on the connection to an actor, over any transport:
//!
//! - [`cut`](crate::testing::cut) breaks the connection, without a word to either side;
//! - [`delay`](crate::testing::delay) has messages take their time, both ways;
//! - [`kill_at`](crate::testing::kill_at) has the actor die when a function of it was called, or has answered, for the
//!   n-th time.
//!
//! ```
//! # use pleach::prelude::*;
//! use pleach::testing::{self, Point};
//!
//! #[pleach::rpc]
//! async fn book(amount: u32) -> Result<u32> {
//!     Ok(amount)
//! }
//!
//! # #[pleach::main]
//! # async fn main() {
//! let booked: Result<u32> = pleach::open_nursery(async |n| {
//!     let bank = n.start_actor("bank").enable(module_path!()).await?;
//!     testing::kill_at(&bank, Point::answered("book", 1))?;
//!     bank.run(book(10)).await?;
//!     bank.run(book(20)).await // it has died meanwhile
//! })
//! .await;
//! assert!(booked.is_err());
//! # }
//! ```
//!
//! # Time
//! A test need not wait for its timers. With `start_paused = true`, the clock of its tree stands still while something
//! in it has work to do, and goes on to the next timer as soon as all of it waits. An hour takes no time then, and a bound
//! expires exactly when it should, however busy the machine is:
//!
//! ```
//! # fn main() {}
//! use std::time::Duration;
//!
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! pub async fn polls_each_hour() -> Result<()> {
//!     loop {
//!         tokio::time::sleep(Duration::from_secs(3600)).await;
//!     }
//! }
//!
//! #[pleach::test(transport = "mem", start_paused = true)]
//! async fn a_day_takes_no_time() -> Result<()> {
//!     let begun = tokio::time::Instant::now();
//!     pleach::open_nursery(async |n| {
//!         let worker = n.start_actor("worker").enable(module_path!()).await?;
//!         let day = Duration::from_secs(24 * 3600);
//!         assert!(move_on_after(day, worker.run(polls_each_hour())).await.is_none());
//!         assert_eq!(begun.elapsed().as_secs(), day.as_secs());
//!         worker.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//!
//! - One clock counts for all actors. So these are tasks of the test's tokio runtime, on its one thread, and not threads
//!   with runtimes of their own; in all else they are actors as any other over `mem`: each task knows its actor, and a
//!   killed one loses all of them. What a function starts with `tokio::spawn` or `spawn_blocking` is not among these: it
//!   belongs to the root, and ends with the test.
//! - They run in any paused tokio runtime, as in a root that a test of `#[tokio::test(start_paused = true)]` opens. What
//!   counts is whether the time is paused when an actor is started.
//! - All actors are over `mem`: a process has a clock that goes on, so its start fails, and says so.
//! - The runtime does not see waits for the world outside: if all tasks wait while a socket, a file descriptor or a thread
//!   of the program's own is to wake one, the clock goes on to the next timer at once, and a bound around such a wait
//!   expires. `spawn_blocking` and `tokio::fs` hold the clock.
//! - `std::time` knows nothing of it: measure with `tokio::time::Instant`.
//!
//! # Schedules
//! With one clock, a test makes the same run each time: also if it passes only because messages happen to come in this
//! order. With `seeds = 20` it runs so many times, and each message takes a few milliseconds more, drawn from the seed. The
//! messages of one connection keep their order; those of different ones come in another order with each seed:
//!
//! ```
//! # fn main() {}
//! # use pleach::prelude::*;
//! #[pleach::test(transport = "mem", start_paused = true, seeds = 20)]
//! async fn no_order_of_messages_matters() -> Result<()> {
//!     // …
//!     Ok(())
//! }
//! ```
//!
//! A test that fails names its seed, and `PLEACH_TEST_SEED=7 cargo test no_order_of_messages_matters` makes that run
//! again, and no other. In a root that a test opens by itself, [`testing::schedule`](crate::testing::schedule) sets a seed.
//!
//! What a program draws itself is not repeated: random numbers, the order of a `HashMap`, `tokio::select!` without
//! `biased`, and threads.
//!
//! # Without actors
//! Functions of `#[pleach::rpc]`, and states of `#[pleach::actor]`, also run without any actor, in a plain
//! `#[tokio::test]`.
//!
//! # Recipes
//! **`harness = false`**: the program has a `main` of its own, which actors enter as in any program.
//!
//! ```
//! # use pleach::prelude::*;
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await
//! }
//! ```
//!
//! **Doctests**: give them a hidden `# #[pleach::main]` and `# async fn main() -> …`, as on the pages of this handbook.
//!
//! **`#[tokio::main]`**, or a runtime that is built by hand: actors enter before it is.
//!
//! ```
//! fn main() -> pleach::Result<()> {
//!     pleach::init(); // an actor does not get past this
//!     let tokio = tokio::runtime::Runtime::new().expect("a runtime");
//!     tokio.block_on(pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await))
//! }
//! ```
//!
//! **Arguments** (`clap` and others): those of an actor's process are this library's. Parse them in the body of
//! `#[pleach::main]`, or after [`init`](crate::init), and hand what an actor needs to its functions.
//!
//! **Library crates** need nothing: a program that uses one has its functions, under the names of the library's modules.
//! Expose them with `.enable("my_library::work")`, or have the library export its `module_path!()`.
//!
//! **Another name**: in a crate that has this library under the name `actors`, or by way of a re-export, each macro is
//! told: `#[actors::rpc(crate = actors)]`, `#[crate::facade::pleach::test(crate = crate::facade::pleach)]`.
