//! The attribute macros of pleach: `#[pleach::rpc]`, `#[pleach::context]`, `#[pleach::stream]` and
//! `#[pleach::main]`.
//!
//! Use them through the `pleach` crate, which re-exports them: their expansions name its items.
//! This crate only rewrites functions; calls, exports and actors live in `pleach`.
//!
//! # Invariants
//! 1. Every path in an expansion is absolute (`::pleach::…`), so a user's names can't capture it.
//! 2. Every item that an expansion adds is inside the user's function and starts with `__pleach`, so
//!    it can't capture a user's name.
//! 3. Expansions hold no unsafe code of their own; crates with `#![forbid(unsafe_code)]` accept them.

use proc_macro::TokenStream;

use crate::signature::Kind;

mod dialog;
mod entry;
mod exposed;
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
/// # Attributes
/// They go where those of [`rpc`](macro@rpc) functions go.
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
/// # Attributes
/// They go where those of [`rpc`](macro@rpc) functions go.
#[proc_macro_attribute]
pub fn stream(options: TokenStream, function: TokenStream) -> TokenStream {
    exposed::expand(Kind::Stream, options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
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
    entry::expand(options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
