//! The attribute macros of pleach: `#[pleach::rpc]`, `#[pleach::context]`, `#[pleach::stream]`, `#[pleach::actor]`,
//! `#[pleach::main]` and `#[pleach::test]`.
//!
//! Use them through the `pleach` crate, which re-exports them: their expansions name its items.
//! This crate only rewrites functions; calls, exports and actors live in `pleach`.
//!
//! # Invariants
//! 1. Every path in an expansion is absolute (`::core::…`, and those of the library as `library.rs` has them), so a
//!    user's names can't capture it.
//! 2. Every item that an expansion adds is inside the user's function and starts with `__pleach`, so
//!    it can't capture a user's name; beside an actor's type there is also one that is named after it, `…Methods`.
//! 3. Expansions hold no unsafe code of their own; crates with `#![forbid(unsafe_code)]` accept them.

use proc_macro::TokenStream;

use crate::signature::Kind;

mod actor;
mod dialog;
mod entry;
mod exposed;
mod library;
mod owned;
mod signature;
mod source;
mod text;

/// Lets other actors call an async function.
///
/// The function becomes a plain one that returns a `pleach::Call`, which holds the arguments. Awaiting the call runs
/// the body here; `portal.run(call)` runs it in the actor behind the portal, and `nursery.run_in_actor(call)` in an
/// actor of its own. Nothing happens before that, so dropping a call that was neither awaited nor run does nothing.
///
/// ```ignore
/// use pleach::prelude::*;
///
/// /// Adds two numbers, somewhere.
/// #[pleach::rpc]
/// async fn add(a: i64, b: i64) -> Result<i64> {
///     Ok(a + b)
/// }
///
/// async fn twice(portal: &Portal) -> Result<i64> {
///     let here = add(1, 2).await?;
///     let there = portal.run(add(1, 2)).await?;
///     Ok(here + there)
/// }
/// ```
///
/// # What the function must look like
/// - `async`, and free-standing: no `self`, no generics, no lifetimes.
/// - Each argument is a plain name (`mut` is fine) and owns its data: it is sent to another process,
///   so it implements serde's `Serialize` and `Deserialize`, and `Send`. Take `String`, not `&str`.
/// - It returns a `Result`, of any error that converts into `Box<dyn Error + Send + Sync>`:
///   `pleach::Result<T>`, `anyhow::Result<T>`, `std::io::Result<T>`, `Result<T, Mine>`. Write the
///   value's type where it can be seen (`Result<T>`), then the documentation shows `Call<T>`.
/// - Its future is `Send`.
///
/// Arguments of type `Bytes`, and a value of type `Bytes`, travel as blobs: they are not copied. A
/// type counts as such when the last part of its path is `Bytes`.
///
/// # Who may call it
/// The function is registered under its module path and name when the program is linked, but a peer
/// may call it only in an actor that was started with that module enabled
/// (`.enable(module_path!())`). Arguments carry their names, so a peer may send them by name or by
/// position; an argument of an unknown name is refused.
///
/// # Options
/// - `crate = path`: where the library is, if not at `::pleach`: `#[actors::rpc(crate = actors)]` in a crate that has it
///   under the name `actors`, `crate = crate::facade::pleach` for a re-export. All macros have it.
///
/// # Attributes
/// Documentation, visibility, lints, `cfg`, `deprecated` and `must_use` stay with the function that
/// callers see. Any other attribute below this one (`#[tracing::instrument]`, say) goes to the body.
#[proc_macro_attribute]
pub fn rpc(options: TokenStream, function: TokenStream) -> TokenStream {
    exposed::expand(Kind::Rpc, options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Lets other actors open a dialog with an async function.
///
/// A call of an [`rpc`](macro@rpc) function is a request and a response. A context function talks to its caller while
/// it runs: it sends a first value, then both may open a stream and exchange messages, and its return value is the
/// result. Its first parameter is its end of that dialog. Callers don't see it: the function becomes a plain one that
/// takes the other arguments and returns a `pleach::ContextCall`, for `portal.open_context(call, …)`. Nothing happens
/// before that, and it needs a caller to talk to, so such a call can't be awaited.
///
/// ```ignore
/// use pleach::prelude::*;
///
/// /// Doubles what it receives, until the caller's stream ends; returns how many that were.
/// #[pleach::context]
/// async fn doubler(ctx: &mut Context<String, u64, u64>, limit: u64) -> Result<u64> {
///     ctx.started("ready".into()).await?;
///     let mut stream = ctx.open_stream().await?;
///     let mut seen = 0;
///     while let Some(number) = stream.recv().await? {
///         stream.send(limit.min(number * 2)).await?;
///         seen += 1;
///     }
///     Ok(seen)
/// }
///
/// async fn double_one(portal: &Portal) -> Result<u64> {
///     portal
///         .open_context(doubler(100), async |ctx, first| {
///             assert_eq!(first, "ready");
///             let mut stream = ctx.open_stream().await?;
///             stream.send(21).await?;
///             assert_eq!(stream.recv().await?, Some(42));
///             stream.close().await?;
///             ctx.result().await
///         })
///         .await
/// }
/// ```
///
/// # What the function must look like
/// - Its first parameter is a plain name of type `&mut Context<Started, Recv, Send>`: the types of its first value, and
///   of the messages it receives and sends; so the caller sends `Recv` and receives `Send`. The three types are written
///   out here, not behind an alias of `Context`. Each owns its data, as arguments do; use `()` for a type that is never
///   sent.
/// - All else is as with [`rpc`](macro@rpc), for its other arguments, its `Result` and its body.
///
/// Arguments of type `Bytes` travel as blobs: they are not copied. For messages and for the result
/// there is `pleach::Blob`, which does the same.
///
/// # Who may open it
/// The same actors that may call an [`rpc`](macro@rpc) function of the same module.
///
/// # Options and attributes
/// As with [`rpc`](macro@rpc).
#[proc_macro_attribute]
pub fn context(options: TokenStream, function: TokenStream) -> TokenStream {
    exposed::expand(Kind::Context, options.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Lets other actors receive a function's messages, one after the other.
///
/// The function becomes a plain one that takes its arguments and returns a `pleach::StreamCall`, for
/// `portal.open_stream_from(call, …)`. It runs for as long as its caller reads: leaving the block cancels it. There are
/// two ways to write it.
///
/// ```ignore
/// use futures_util::{Stream, StreamExt as _, stream};
/// use pleach::prelude::*;
///
/// /// Counts: with a sender, which waits for its caller.
/// #[pleach::stream]
/// async fn count(out: &mut StreamSender<u64>, from: u64) -> Result<()> {
///     for number in from.. {
///         out.send(number).await?;
///     }
///     Ok(())
/// }
///
/// /// Counts: whatever is a stream will do.
/// #[pleach::stream]
/// fn count_too(from: u64) -> impl Stream<Item = Result<u64>> {
///     stream::iter(from..).map(Ok)
/// }
///
/// async fn first_three(portal: &Portal) -> Result<()> {
///     portal
///         .open_stream_from(count(7), async |mut numbers| {
///             for expected in 7..10 {
///                 assert_eq!(numbers.recv().await?, Some(expected));
///             }
///             Ok(())
///         })
///         .await
/// }
/// ```
///
/// # What the function must look like
/// - Either its first parameter is a plain name of type `&mut StreamSender<T>`; then it is `async`, and
///   returns a `Result<()>`, of any error as with [`rpc`](macro@rpc).
/// - Or it returns `impl Stream<Item = Result<T, …>>`; then it is a plain `fn`, and the stream is `Send`
///   and owns what it uses. Its first `Err` is the end.
/// - `T` is written out, and owns its data. All else is as with [`rpc`](macro@rpc).
///
/// # Who may open it
/// The same actors that may call an [`rpc`](macro@rpc) function of the same module.
///
/// # Options and attributes
/// As with [`rpc`](macro@rpc).
#[proc_macro_attribute]
pub fn stream(options: TokenStream, function: TokenStream) -> TokenStream {
    exposed::expand(Kind::Stream, options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the values of a type the state of actors.
///
/// `nursery.start(Counter::new(5))` starts an actor, makes a `Counter` in it, and returns a `pleach::Handle<Counter>`,
/// which has the methods of the type. They stay plain methods, for use inside of the type and for unit tests.
///
/// ```ignore
/// use futures_util::Stream;
/// use pleach::prelude::*;
/// use pleach::{Me, StopReason};
///
/// struct Counter {
///     value: tokio::sync::watch::Sender<i64>,
/// }
///
/// #[pleach::actor]
/// impl Counter {
///     /// Runs in the new process; again after a restart.
///     pub async fn new(start: i64) -> Result<Self> {
///         Ok(Self { value: tokio::sync::watch::Sender::new(start) })
///     }
///
///     /// Has the state for itself.
///     pub async fn add(&mut self, n: i64) -> Result<i64> {
///         self.value.send_modify(|value| *value += n);
///         self.get().await
///     }
///
///     /// Has it beside others that only look at it.
///     pub async fn get(&self) -> Result<i64> {
///         Ok(*self.value.borrow())
///     }
///
///     /// Has it while the stream is made, which lives without it.
///     pub fn changes(&self) -> impl Stream<Item = Result<i64>> {
///         futures_util::stream::unfold(self.value.subscribe(), async |mut value| {
///             value.changed().await.ok()?;
///             let now = *value.borrow_and_update();
///             Some((Ok(now), value))
///         })
///     }
///
///     /// Has it only now and then.
///     pub async fn dialog(me: Me<Self>, ctx: &mut Context<i64, i64, i64>) -> Result<()> {
///         let now = me.read().await?.get().await?;
///         ctx.started(now).await?;
///         let mut stream = ctx.open_stream().await?;
///         while let Some(n) = stream.recv().await? {
///             let now = me.write().await?.add(n).await?;
///             stream.send(now).await?;
///         }
///         Ok(())
///     }
///
///     /// Has it for good, when the actor ends; optional.
///     async fn stopping(self, why: StopReason) {
///         println!("{} at the end: {why}", *self.value.borrow());
///     }
/// }
/// ```
///
/// # What the block must look like
/// - `impl Type { … }`: the type's own methods, without generics. The type is `Send + Sync + 'static`.
/// - `async fn new(…) -> Result<Self>`, of any error as with [`rpc`](macro@rpc). It becomes a plain function that
///   returns a `pleach::New<Type>`; awaiting that makes a value here.
/// - Methods that are `async` or return `impl Stream`, have `&self`, `&mut self` or `me: Me<Self>`, and are not private,
///   are exposed. Their arguments and results are as with [`rpc`](macro@rpc); contexts and senders as with
///   [`context`](macro@context) and [`stream`](macro@stream), and these take `me: Me<Self>`.
/// - All other functions are the program's own: private ones, plain ones, those without the state.
/// - `async fn stopping(self, why: StopReason)`, if there is one, ends the state with the actor. It has half of
///   `Config::soft_reap`. After a panic that has left the state half-changed it is not called.
///
/// # Who gets at the state when
/// Calls wait in one queue, in the order of their arrival. Those with `&self` run beside each other, one with `&mut self`
/// has the state for itself; also across its waits, until it returns or is cancelled. A cancelled `&mut self` leaves what
/// it has changed until then.
///
/// A panic in `&mut self` fails the actor. A call that would wait for itself fails at once: of a method that has the
/// state, by way of its own handle, or by way of other actors' methods. Two actors that call each other at the same
/// time, each with its state taken, wait until one of the calls is cancelled: give such calls a `timeout`.
///
/// # Options
/// - `crate = path`: where the library is, as with [`rpc`](macro@rpc).
///
/// # Who may call it
/// Each actor of the tree that has a handle, or finds one by name. Nothing else of the module is exposed in the actor.
#[proc_macro_attribute]
pub fn actor(options: TokenStream, block: TokenStream) -> TokenStream {
    actor::expand(options.into(), block.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a test of an async function, in a tree of its own.
///
/// The body runs on a tokio runtime of its own, inside of a root of its own, whatever other tests of the program do
/// meanwhile. Actors that it starts are processes of the test program, which needs no `main` for that: a child has the
/// harness run this very test, which becomes the actor instead of running the body. That works with `cargo test` and
/// other programs that run its tests one by one, in unit tests of a library as in integration tests.
///
/// ```ignore
/// use pleach::prelude::*;
///
/// #[pleach::rpc]
/// async fn add(a: i64, b: i64) -> Result<i64> {
///     Ok(a + b)
/// }
///
/// #[pleach::test]
/// async fn an_actor_adds() -> Result<()> {
///     pleach::open_nursery(async |n| {
///         let portal = n.start_actor("worker").enable(module_path!()).await?;
///         assert_eq!(portal.run(add(1, 2)).await?, 3);
///         portal.cancel_actor().await
///     })
///     .await
/// }
/// ```
///
/// The function returns what a test may return: nothing, or a `Result`. It fails as a test does, and also when its root
/// does. Other attributes (`#[ignore]`, `#[should_panic]`) stay with the test. See `pleach::manual::testing`.
///
/// # Options
/// - `flavor`, `worker_threads`: the runtime of the root, as with [`main`](macro@main).
/// - `transport = "mem"`: the transport of its tree, whatever the configuration says.
/// - `start_paused = true`, with `transport = "mem"`: the clock of the tree stands still, and goes on to the next timer
///   whenever all of it waits, so that an hour takes no time.
/// - `seeds = 20`, with `start_paused`: runs the test so many times, each with another schedule of its messages. One that
///   fails names its seed, and `PLEACH_TEST_SEED` repeats that one.
/// - `leaks = "ignore"`: passes also when an actor has left a process behind, which fails a test by default.
/// - `config = path::to::function`: a `fn() -> Config`, in place of `Config::load`.
/// - `init = path::to::function`: a `fn()` that is called before anything else, in the test and in each of its actors.
///   Register transports there.
/// - `crate = path`: where the library is, as with [`rpc`](macro@rpc).
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    entry::test(options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Starts a program that can start actors, and the actors that it starts.
///
/// An actor is a process of the same executable. It enters here too: before the body runs, a process
/// that was started as an actor becomes that actor, and never reaches the body. In the root process
/// the body runs on a tokio runtime; when it returns, the program waits until no process that it
/// started is left.
///
/// ```ignore
/// use pleach::prelude::*;
///
/// #[pleach::main]
/// async fn main() -> Result<()> {
///     pleach::open_nursery(async |n| n.start_actor("worker").await?.cancel_actor().await).await
/// }
/// ```
///
/// # Options
/// - `flavor = "current_thread"` (the default) or `"multi_thread"`: the runtime of the root process.
///   For the actors there is `multi_thread` in the configuration.
/// - `worker_threads = N`: how many threads a `multi_thread` runtime has; one per core if not given.
/// - `init = path::to::function`: a `fn()` that is called before anything else, in the root and in
///   every actor. Register transports and set up logging there.
/// - `crate = path`: where the library is, as with [`rpc`](macro@rpc).
///
/// ```ignore
/// #[pleach::main(flavor = "multi_thread", worker_threads = 4, init = setup)]
/// async fn main() {}
///
/// fn setup() {}
/// ```
///
/// This library's warnings go to standard error, or what `PLEACH_LOG` or `log_level` says, while the program has set neither a
/// `tracing` subscriber nor a logger of the `log` crate. None is installed: the program may set its own at any time.
///
/// Whatever runs before `main` (static constructors) or in `init` runs once per process, so once per
/// actor; keep it short.
#[proc_macro_attribute]
pub fn main(options: TokenStream, function: TokenStream) -> TokenStream {
    entry::main(options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
