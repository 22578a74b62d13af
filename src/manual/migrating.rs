//! Coming from ractor, kameo, tarpc, Erlang, Ray, or the Python original: what is called what, side by side.
//!
//! One difference is common to all of them: an actor is a process, which lives in a block. The block ends when its
//! actors have ended, fails when one of them fails, and cancels the others then. What is a mailbox elsewhere is a call
//! here, which has an answer, an error and a cancellation; where nothing is to be waited for, the caller spawns it in a
//! [`TaskNursery`](crate::TaskNursery), or opens a stream.
//!
//! # ractor, kameo, `gen_server`: an actor with state
//!
//! | ractor | kameo | Erlang | here |
//! |---|---|---|---|
//! | `impl Actor`, `type State` | `#[derive(Actor)]` | `-behaviour(gen_server)` | `#[pleach::actor] impl Counter` |
//! | `pre_start` | `on_start` | `init/1` | `pub async fn new(…) -> Result<Self>` |
//! | a `Msg` enum and `handle` | `impl Message<Add>` | `handle_call/3` | a method, with its arguments and result |
//! | `Actor::spawn(name, Counter, 5)` | `Counter::spawn(…)` | `gen_server:start_link` | `n.start(Counter::new(5)).name("counter")` |
//! | `call!(counter, Msg::Add, 2)` | `counter.ask(Add(2))` | `gen_server:call` | `counter.add(2).await` |
//! | `call_t!(…, 100)` | `.reply_timeout(…)` | `gen_server:call(…, 100)` | `counter.add(2).timeout(…)` |
//! | `post_stop` | `on_stop` | `terminate/2` | `async fn stopping(self, why)` |
//! | `registry::where_is` | `ActorRef::lookup` | `whereis/1` | [`find::<Counter>("counter")`](crate::find()) |
//! | `counter.stop(None)` | `stop_gracefully` | `gen_server:stop` | [`Handle::stop(&counter)`](crate::Handle::stop) |
//! | `ractor_cluster` | `RemoteActorRef` | distributed Erlang | `.on(Host::ssh("node2"))`, the same handle |
//!
//! Methods with `&mut self` run one at a time, as messages do there; those with `&self` run beside each other.
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach::Handle;
//! use pleach::prelude::*;
//!
//! struct Counter(i64);
//!
//! #[pleach::actor]
//! impl Counter {
//!     pub async fn new(start: i64) -> Result<Self> {
//!         Ok(Self(start))
//!     }
//!
//!     pub async fn add(&mut self, n: i64) -> Result<i64> {
//!         self.0 += n;
//!         Ok(self.0)
//!     }
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let counter = n.start(Counter::new(5)).name("counter").await?;
//!         assert_eq!(counter.add(2).timeout(Duration::from_secs(5)).await?, 7);
//!         assert_eq!(pleach::find::<Counter>("counter").await?.expect("it runs").add(1).await?, 8);
//!         Handle::stop(&counter).await
//!     })
//!     .await
//! }
//! ```
//!
//! More: [`state`](super::state).
//!
//! # Erlang: links, monitors, supervisors
//!
//! | Erlang | here |
//! |---|---|
//! | `spawn_link` | [`start_actor`](crate::Nursery::start_actor): its death fails the nursery |
//! | `monitor` | [`Portal::exited`](crate::Portal::exited) |
//! | `exit(Pid, kill)` | [`Portal::kill`](crate::Portal::kill) |
//! | `supervisor`, `one_for_one` | [`Nursery::supervise`](crate::Nursery::supervise), [`Supervision::one_for_one`](crate::Supervision::one_for_one) |
//! | `intensity`, `period` | [`intensity(5, Duration::from_secs(10))`](crate::Supervision::intensity) |
//! | `start_child`, `terminate_child` | [`add_child`](crate::Supervisor::add_child), [`remove_child`](crate::Supervisor::remove_child) |
//! | `simple_one_for_one` | [`Supervision::dynamic`](crate::Supervision::dynamic) |
//! | a pid that changes with a restart | [`SupervisedPortal`](crate::SupervisedPortal), which waits for the restart |
//! | `observer` | `pleach top`, `pleach web` |
//!
//! # tarpc: a service
//!
//! | tarpc | here |
//! |---|---|
//! | `#[tarpc::service] trait World` | `#[pleach::rpc]` on each function |
//! | `WorldClient::new(…, transport).spawn()` | a [`Portal`](crate::Portal), from `start_actor` or by name |
//! | `client.hello(context::current(), name)` | `portal.run(hello(name))` |
//! | `context.deadline` | [`fail_after`](crate::fail_after) around any code, or `.timeout(…)` on a call |
//! | a dropped call is cancelled at the server | likewise, with all that it has called from there |
//! | `Result<T, RpcError>` around the server's `Result` | one `Result`: [`Error`](crate::Error) has the remote one inside |
//!
//! ```
//! use std::time::Duration;
//!
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn hello(name: String) -> Result<String> {
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         n.start_actor("world").enable(module_path!()).await?;
//!         let world = pleach::wait_for_actor("world").await?; // from anywhere in the tree
//!         let said = world.run(hello("Stim".into())).timeout(Duration::from_secs(5)).await?;
//!         assert_eq!(said, "Hello, Stim!");
//!         world.cancel_actor().await
//!     })
//!     .await
//! }
//! ```
//!
//! Client and server are two programs? Both name one `registry` and one `key_file`, and link the crate with the
//! functions.
//!
//! # Ray, `ProcessPoolExecutor`: many small jobs
//!
//! | Ray | here |
//! |---|---|
//! | `ray.init()` | `#[pleach::main]` and [`open_nursery`](crate::open_nursery) |
//! | `@ray.remote def f` | `#[pleach::rpc] async fn f` |
//! | `ray.get(f.remote(x))` | [`pool.run(f(x)).await`](crate::Pool::run) |
//! | `ActorPool(…).map`, `map_unordered` | [`Pool::map`](crate::Pool::map), [`Pool::map_unordered`](crate::Pool::map_unordered) |
//! | `max_retries` | [`retries`](crate::PoolStart::retries), and the item that kills its workers is reported |
//! | `@ray.remote class Counter` | `#[pleach::actor] impl Counter` |
//! | `ray up cluster.yaml` | `hosts` in `pleach.toml`: programs are copied there over your own `ssh` |
//! | the object store | none: large values travel as [`Blob`](crate::Blob), once for each actor that needs them |
//!
//! ```
//! use pleach::prelude::*;
//!
//! #[pleach::rpc]
//! async fn square(n: u64) -> Result<u64> {
//!     Ok(n * n)
//! }
//!
//! #[pleach::main]
//! async fn main() -> Result<()> {
//!     pleach::open_nursery(async |n| {
//!         let pool = n.start_actor("worker").enable(module_path!()).pool(2).retries(2).await?;
//!         let mut squares = pool.map(1..=3, square);
//!         let mut sum = 0;
//!         while let Some(result) = squares.next().await {
//!             sum += result?;
//!         }
//!         assert_eq!(sum, 14);
//!         Ok(())
//!     })
//!     .await
//! }
//! ```
//!
//! More: [`pools`](super::pools).
//!
//! # The Python original, tractor
//!
//! | tractor | here |
//! |---|---|
//! | `async with tractor.open_nursery() as n` | `pleach::open_nursery(async \|n\| { … }).await` |
//! | `await n.start_actor('x', enable_modules=[__name__])` | `n.start_actor("x").enable(module_path!()).await?` |
//! | `await n.run_in_actor(f, a=1)` | `n.run_in_actor(f(1)).await?` |
//! | `await portal.run(f, a=1)` | `portal.run(f(1)).await?` |
//! | `@tractor.context async def f(ctx, a)` | `#[pleach::context] async fn f(ctx: &mut Context<…>, a: u64)` |
//! | `async with portal.open_context(f, a=1) as (ctx, first)` | `portal.open_context(f(1), async \|ctx, first\| { … }).await?` |
//! | `async with ctx.open_stream() as stream` | `let mut stream = ctx.open_stream().await?` |
//! | `async with portal.open_stream_from(gen) as stream` | `portal.open_stream_from(gen(), async \|stream\| { … }).await?` |
//! | `await portal.cancel_actor()` | `portal.cancel_actor().await?` |
//! | `trio.move_on_after`, `fail_after` | [`move_on_after`](crate::move_on_after), [`fail_after`](crate::fail_after) |
//! | `tractor.find_actor`, `wait_for_actor` | [`find_actor`](crate::find_actor), [`wait_for_actor`](crate::wait_for_actor) |
//! | `tractor.trionics` | [`trionics`](crate::trionics) |
//! | `tractor.pause()`, `debug_mode=True` | `pleach::pause().await`, `debug_mode` |
//! | `RemoteActorError`, `ContextCancelled` | [`RemoteError`](crate::RemoteError), [`ContextCancelled`](crate::ContextCancelled) |
