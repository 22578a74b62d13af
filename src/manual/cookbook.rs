//! Cookbook: the usual tasks, each as a program that runs.
//!
//! [State](#state) · [a pool](#a-pool) · [retries and time limits](#retries-and-time-limits) ·
//! [graceful shutdown](#graceful-shutdown) · [a library that may crash](#a-library-that-may-crash) ·
//! [untrusted code](#untrusted-code) · [hosts](#hosts) · [tests](#tests) · [logging](#logging) ·
//! [a service that stays up](#a-service-that-stays-up) · [children that start faster](#children-that-start-faster) ·
//! [upgrading](#upgrading)
//!
//! # State
//! An `impl` block becomes an actor: `&self` methods run beside each other, `&mut self` methods one at a time.
//!
//! ```
//! use pleach::prelude::*;
//!
//! pub struct Counter(i64);
//!
//! #[pleach::actor]
//! impl Counter {
//!     pub async fn new(start: i64) -> Result<Self> {
//!         Ok(Self(start))
//!     }
//!
//!     pub async fn add(&mut self, number: i64) -> Result<i64> {
//!         self.0 += number;
//!         Ok(self.0)
//!     }
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let counter = n.start(Counter::new(5)).await?;
//!         assert_eq!(counter.add(2).await?, 7);
//!         pleach::Handle::stop(&counter).await
//!     })
//!     .await
//! }
//! ```
//! More: [`state`](super::state).
//!
//! # A pool
//! ```
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn square(number: u64) -> Result<u64> {
//!     Ok(number * number)
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let pool = n.start_actor("worker").enable(module_path!()).pool(2).await?;
//!         let mut squares = pool.map(1..=100, square);
//!         let mut sum = 0;
//!         while let Some(square) = squares.next().await {
//!             sum += square?;
//!         }
//!         assert_eq!(sum, 338_350);
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//! More: [`pools`](super::pools).
//!
//! # Retries and time limits
//! A call is a future with options. A block has a limit, too, and so has everything that is called in it, also in other
//! actors.
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach::prelude::*;
//! use pleach::{Retry, fail_after};
//!
//! #[pleach::rpc]
//! async fn fetch(url: String) -> Result<usize> {
//!     Ok(url.len())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let fetcher = n.start_actor("fetcher").enable(module_path!()).await?;
//!         let size = fetcher.run(fetch("a".into())).timeout(Duration::from_secs(5)).retry(Retry::times(3)).await?;
//!         let both = fail_after(Duration::from_secs(9), async {
//!             tokio::try_join!(fetcher.run(fetch("b".into())), fetcher.run(fetch("c".into())))
//!         });
//!         assert_eq!((size, both.await?), (1, (1, 1)));
//!         fetcher.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//!
//! # Graceful shutdown
//! By itself, Ctrl-C or SIGTERM cancels the body of a program, and ends all actors in order. A program that is to finish
//! its work first holds a [`shutdown_signal`](crate::shutdown_signal); a pool has
//! [`drain_on_signal`](crate::PoolStart::drain_on_signal). A second signal cancels the body.
//!
//! ```
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn resize(picture: u32) -> Result<u32> {
//!     Ok(picture / 2)
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let workers = n.start_actor("worker").enable(module_path!());
//!         let pool = workers.pool(2).drain_on_signal().await?;
//!         let mut resized = pool.map_unordered(0..100, resize);
//!         let mut done = 0;
//!         while let Some((_number, result)) = resized.next().await {
//!             result?;
//!             done += 1;
//!         }
//!         println!("{done} of 100 are done"); // fewer after Ctrl-C, and none of them is lost
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! # A library that may crash
//! A call into C that corrupts memory ends one process, not the program. The caller learns which call it was, how it
//! ended, and where the core dump is. With the feature `crashes` it also learns in which function:
//! [`ActorDied::stack`](crate::ActorDied::stack) has the stack of the thread that crashed, with names and source lines as
//! far as the program was built with them, from C as from Rust. The same stack, as numbers, is in one line on the actor's
//! standard error, where it also is if the parent is gone. The process ends as it would have ended without that, with
//! its core dump; handlers that the program installs itself replace it. A stack that has overflowed is left to the
//! standard library, which names the thread.
//!
//! ```
//! use pleach::error::WaitStatus;
//! use pleach::prelude::*;
//!
//! /// Stands for a parser in C with a fault.
//! #[pleach::rpc]
//! async fn parse(bytes: Vec<u8>) -> Result<usize> {
//!     if bytes.starts_with(b"\xff") {
//!         std::process::abort();
//!     }
//!     Ok(bytes.len())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let parsers = n.start_actor("parser").enable(module_path!()).pool(1).retries(1).await?;
//!         assert_eq!(parsers.run(parse(b"fine".to_vec())).await?, 4);
//!         match parsers.run(parse(b"\xff\xfe".to_vec())).await {
//!             Err(Error::Poison(poison)) => {
//!                 let died = poison.last.find::<pleach::ActorDied>().expect("its last attempt");
//!                 assert_eq!(died.status, WaitStatus::Signalled(6));
//!                 eprintln!("{died}; core dump: {:?}", died.core_dump);
//!             }
//!             other => panic!("{other:?}"),
//!         }
//!         assert_eq!(parsers.run(parse(b"another".to_vec())).await?, 7); // in a new process
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! # Untrusted code
//! An actor can have limits, another user, no way back to privileges, and with the feature `sandbox` only the files and
//! system calls that it needs. The page `sandbox` of this handbook says what that keeps out.
//!
//! ```
//! use pleach::Resource;
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn evaluate(program: String) -> Result<usize> {
//!     Ok(program.len())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let start = n.start_actor("evaluator").enable(module_path!()).cwd("/").no_new_privileges();
//!         let evaluator = start.limit(Resource::CpuTime, 10).limit(Resource::AddressSpace, 4 << 30).nice(10).await?;
//!         assert_eq!(evaluator.run(evaluate("1 + 1".into())).await?, 5);
//!         evaluator.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//!
//! # Hosts
//! An actor is started on another host over `ssh`, or in a Slurm allocation, with the same calls. The program is copied
//! there if need be.
//!
//! ```no_run
//! use pleach::Host;
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn host_name() -> Result<String> {
//!     Ok(std::fs::read_to_string("/etc/hostname").unwrap_or_default())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let there = n.start_actor("there").on(Host::ssh("ada@compute-1")).enable(module_path!()).await?;
//!         println!("{}", there.run(host_name()).await?);
//!         there.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//! More: [`hosts`](super::hosts).
//!
//! # Tests
//! With the feature `testing`, `#[pleach::test]` gives each test a tree of its own, and fails one that leaves a process
//! behind. The page `testing` of this handbook has it for all kinds of crates.
//!
//! # Logging
//! Records of all actors go to the root's standard error, each with the name of its actor. `PLEACH_LOG=info` shows more,
//! and one actor can have a filter of its own. Programs that use `log` or `tracing` themselves have their records there,
//! too.
//!
//! ```
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn work() -> Result<()> {
//!     tracing::info!(items = 3, "working");
//!     Ok(())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let worker = n.start_actor("worker").enable(module_path!()).log_level("info").await?;
//!         worker.run(work()).await?; // 2026-01-31T12:00:00.000Z  INFO [worker 4711] … working items=3
//!         worker.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//! More: [`observing`](super::observing).
//!
//! # A service that stays up
//! A supervisor starts an actor again when it dies, with a pause that grows; calls wait for the restart.
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach::prelude::*;
//! use pleach::{Backoff, ChildSpec, Retry, Supervision};
//!
//! #[pleach::rpc]
//! async fn pid() -> Result<u32> {
//!     Ok(std::process::id())
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let service = ChildSpec::daemon(n.start_actor("service").enable(module_path!()));
//!         let pause = Backoff::exponential(Duration::from_millis(10), Duration::from_secs(5));
//!         let supervisor = n.supervise(Supervision::one_for_one().backoff(pause).child(service)).await?;
//!         let service = supervisor.child("service")?;
//!         let first = service.run(pid()).await?;
//!         service.portal().await?.kill().await?;
//!         let second = service.run(pid()).retry(Retry::times(3)).timeout(Duration::from_secs(60)).await?;
//!         assert_ne!(first, second);
//!         supervisor.shutdown().await;
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//! More: [`supervision`](super::supervision).
//!
//! # Children that start faster
//! A child takes an eighth to a fifth of its start to load shared libraries. A program that is linked statically has none,
//! and is otherwise the same:
//!
//! ```sh
//! RUSTFLAGS="-C target-feature=+crt-static" \
//!     cargo run --release --target x86_64-unknown-linux-gnu --example quickstart
//! ```
//! The target has to be named, although it is the usual one: cargo would otherwise link build scripts and macros
//! statically, too, and macros can't be. The transports work, and so do backtraces. The price:
//! - `dlopen` does not work, so a C library that loads plugins doesn't, either. C libraries have to be there as archives
//!   (`lib….a`).
//! - Names of hosts are found in `/etc/hosts` and by DNS. What `/etc/nsswitch.conf` names beside these (`sss`, `ldap`,
//!   `mdns`) is loaded from shared libraries of exactly the version of glibc that the program was linked with, or fails;
//!   with a glibc before 2.34 all of it is. The same goes for names of users that your functions look up;
//!   [`user`](crate::Start::user) takes numbers.
//! - `LD_PRELOAD` has no effect: neither have the allocators and profilers that come that way.
//! - The file has about 1.2 MB more, and an update of the system's glibc reaches it only by linking it again.
//!
//! A child may be such a program while its root is not: [`program`](crate::Start::program) names it.
//! `benches/README.md` says what is gained.
//!
//! # Upgrading
//! All actors of a tree run one program, so a new version starts with a new root. Where trees of two versions talk, each
//! call is checked: a function that has other parameters there is refused before it runs, with both signatures in the
//! error. To change one that others call, add a second function, have the callers use it, and remove the first one later.
//! Between versions of this library, `CHANGELOG.md` says what has changed, and what to write instead.
