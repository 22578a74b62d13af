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
//! # Time
//! Each actor has a clock of its own, also over `mem`, where it is a thread. So `start_paused` is not an option of
//! `#[pleach::test]`, and `tokio::time::pause` in a root makes the bounds of its actors expire at once. Test code that
//! waits as a plain function under `#[tokio::test(start_paused = true)]`: functions of `#[pleach::rpc]`, and states of
//! `#[pleach::actor]`, run without an actor.
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
