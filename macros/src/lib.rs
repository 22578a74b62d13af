//! The attribute macros of pleach: `#[pleach::rpc]` and `#[pleach::main]`.
//!
//! Use them through the `pleach` crate, which re-exports them: what they expand to names its items.
//! This crate only rewrites functions; what a call, an export or an actor is lives in `pleach`.
//!
//! # Invariants
//! 1. Every path in an expansion is absolute (`::pleach::…`), so a user's names can't capture it.
//! 2. Every item that an expansion adds is inside the user's function and starts with `__pleach`, so
//!    it can't capture a user's name.
//! 3. Expansions hold no unsafe code of their own; crates with `#![forbid(unsafe_code)]` accept them.

use proc_macro::TokenStream;

mod entry;
mod exposed;
mod owned;
mod text;

/// Lets other actors call an async function.
///
/// The function becomes a plain one that returns a `pleach::Call`: the arguments, and what to do
/// with them. Awaiting the call runs the body here; `portal.run(call)` runs it in the actor behind
/// the portal, and `nursery.run_in_actor(call)` in an actor of its own. Nothing happens before that,
/// so dropping a call that was neither awaited nor run does nothing.
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
    exposed::expand(options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
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
/// Whatever runs before `main` (static constructors) or in `init` runs once per process, so once per
/// actor; keep it short.
#[proc_macro_attribute]
pub fn main(options: TokenStream, function: TokenStream) -> TokenStream {
    entry::expand(options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
