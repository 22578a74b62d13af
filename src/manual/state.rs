//! Actors with state: a value in a process of its own, and typed handles on it.
//!
//! A function of `#[pleach::rpc]` knows nothing but its arguments. What an actor is to keep between two calls is the value
//! of a type whose methods are marked with [`#[pleach::actor]`](macro@crate::actor):
//!
//! ```
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
//!
//!     pub async fn get(&self) -> Result<i64> {
//!         Ok(self.0)
//!     }
//! }
//!
//! /// A handle is an argument like any other.
//! #[pleach::rpc]
//! async fn bump(counter: Handle<Counter>) -> Result<i64> {
//!     counter.add(1).await
//! }
//!
//! # #[pleach::main]
//! # async fn main() -> Result<()> {
//! pleach::open_nursery(async |n| {
//!     let counter = n.start(Counter::new(5)).await?;
//!     assert_eq!(counter.add(2).await?, 7);
//!     assert_eq!(n.run_in_actor(bump(counter.clone())).await?.result().await?, 8);
//!     assert_eq!(counter.get().await?, 8);
//!     Handle::stop(&counter).await
//! })
//! .await
//! # }
//! ```
//!
//! In a unit test the same type needs no actor: `Counter::new(5).await?` is a plain `Counter`.
//!
//! # Turns
//! All calls wait in one queue before the state, in the order in which they arrive. The calls of one actor arrive in the
//! order in which they were sent, also when the actor has several threads, or the connection little room.
//!
//! | method | has the state |
//! |---|---|
//! | `&self` | beside others with `&self`, from its first line to its last |
//! | `&mut self` | alone, from its first line to its last, across each `.await` in between |
//! | `&self`, returns `impl Stream` | while the stream is made; the stream lives without it |
//! | `me: Me<Self>` | from `me.read().await?` or `me.write().await?` to the end of what these return |
//!
//! Contexts, and streams with a sender, take `me: Me<Self>`, because all others would wait until they end. A method that
//! asks another actor may do so as well: while it waits for the answer, it does not need the state.
//!
//! - Calls with more than 64 KiB of arguments have no order: they travel in parts, beside others. One takes its place once
//!   its arguments are read, and so do the calls of the same actor that arrive behind it.
//! - Methods with `me: Me<Self>` have no order either: they take their turn when they ask.
//! - A call of an actor that does not read its answers waits outside of the queue, and holds up nothing but that actor's
//!   other calls.
//! - A cancelled or dropped call leaves the queue, or lets go of the state at its next `.await`. What a cancelled
//!   `&mut self` has changed until then stays changed.
//!
//! # Calls that would wait for each other
//! The calls that wait for a method travel with the calls that it makes by handles. So a call that comes back to an actor
//! by way of its own handle, or of other actors' methods, while the method that waits for it has the state, fails at once:
//! it says which method that is, and what to write instead.
//!
//! That holds for methods that only look at the state as well, and for tasks that a method starts in a nursery. Not found
//! in this way are two actors that call each other at the same time, calls that come back by way of a plain function or of
//! `tokio::spawn`, and a method that asks its `Me` for the state which it has already. They wait until they are cancelled:
//! give such calls a [`timeout`](crate::MethodCall::timeout), whose error names actor, method and time. A method that has
//! the state longer than 2 s while a call waits for it is logged; `pleach ps` draws the circle: see [`stuck`](super::stuck).
//!
//! # The end
//! - An error of `new` is the error of the start, and the actor ends.
//! - When the actor ends, its calls are cancelled; then `stopping`, if the type has one, gets the state for good, and the
//!   [reason](crate::StopReason). The connections are still there. It has half of
//!   [`Config::soft_reap`](crate::Config::soft_reap).
//! - `stopping` is for an end in order. It is not called when the process is killed, nor when its parent was.
//! - A panic in `&mut self`, or while something of `me.write()` is held, leaves the state half-changed: no method sees it
//!   again, and the actor fails, which fails its nursery or has its supervisor start it again. A panic elsewhere, also in
//!   a task of a method, fails the one call.
//! - A process that is killed takes its state along. There is no copy of it: store what has to survive.
//!
//! # Names and restarts
//! `pleach::find::<Counter>("counter")` finds an actor by its name, once its state is made, and checks its type. With
//! [`ChildSpec::actor`](crate::ChildSpec::actor) a supervisor starts it again: `new` runs with the same arguments. A handle
//! from [`Supervisor::handle`](crate::Supervisor::handle) then leads to the new process, and waits while there is none,
//! also in the actors that it was sent to. A call that was under way fails, because it may have run in part.
