//! The debugger: an actor that pauses, panics or fails stands still, and its user talks to it from the root's terminal.
//!
//! The thread that stands still answers by itself: nothing depends on the actor's async runtime, which may stand still
//! with it. Between hosts, the same connections go through the keeper and the login that it belongs to.
//!
//! # Invariants
//! 1. Without a terminal nothing stands still: the report goes to the log.
//! 2. A thread that stands still holds its branch before it asks for the terminal.

// The files:
//
// the process concerned                               the root's process
//   stop.rs ──── holds ───────────────────────────────► each ancestor: nothing below is late (`holds`)
//     │ ──────── Stop ────────────────────────────────► inspect/stops.rs: the queue, in order of arrival
//     ▼                                                    ▼
//   commands.rs ◄──── one command after the other ────── front/: the prompt, on the terminal
//
// - this one: what a program calls: [`pause`], [`post_mortem`]; debug mode
// - `stop.rs`: a thread stands still, holds its branch, and answers
// - `commands.rs`: the commands, and those that are answered there
// - `catches.rs`: whether the program catches a panic itself
// - `frames.rs`: its stack: the user's frames
// - `source.rs`: the lines around a place
// - `call.rs`: running a function of the actor
// - `front/`: the prompt: queue, terminal, native debuggers

mod call;
mod catches;
mod commands;
mod frames;
pub(crate) mod front;
mod source;
mod stop;

use std::error::Error as StdError;
use std::future::Future;
use std::panic::{Location, PanicHookInfo};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use self::frames::Frames;
use self::stop::{Cause, stand_still};
use crate::crash::{Failed, Handler, StackAddress, handle_with};
use crate::inspect::stops::{Place, Why, serve_with};
use crate::runtime::{Runtime, current, current_task};
use crate::scope;

pub use self::front::attach::attach;

/// Stands still here until the user lets it go on, at the prompt that opens in the terminal of the tree's root.
///
/// The thread is blocked with its stack as it is, so that `gdb` shows the variables of the code around; the other tasks
/// of that thread wait too. The ancestors of this actor wait with it: nothing of theirs counts as late meanwhile. A
/// request to end this actor is heard when it goes on. Several that stand still take turns, in the order in which they
/// came.
///
/// Without a terminal in the foreground of which the root runs, and without a `pleach attach`, it leaves a record in
/// the log and goes on at once; likewise where an actor above can't be asked, and outside of any actor. It works the same
/// on other hosts. Debug mode is not needed. See [`manual::debugging`](crate::manual::debugging).
///
/// # Cancel safety
/// Once polled, it is done.
///
/// ```
/// # async fn work(order: u64) {
/// let price = order * 3;
/// pleach::pause().await; // at the prompt: `list`, `bt`, `gdb`, `continue`
/// # let _ = price;
/// # }
/// ```
#[track_caller]
pub fn pause() -> impl Future<Output = ()> + Send {
    let place = Location::caller();
    async move {
        pause_at(place);
        meet_cancellation().await;
    }
}

/// As [`pause`], for code that is not async. It blocks the thread.
#[track_caller]
pub fn pause_from_sync() {
    pause_at(Location::caller());
}

fn pause_at(place: &'static Location<'static>) {
    let cause =
        Cause { why: Why::Paused, message: "the program pauses".into(), chain: Vec::new(), place: Some(at(place)) };
    stand_still(current(), cause, || Some(Frames::capture()));
}

/// Stands still at an error, with the prompt of [`pause`]: its chain is shown, and the place of this call.
///
/// The code that has failed has returned: its frames are gone. Debug mode ([`Config::debug_mode`]) does this for
/// each function that ends with an error.
///
/// # Cancel safety
/// Once polled, it is done.
///
/// ```
/// # async fn load() -> Result<u32, std::num::ParseIntError> {
/// match "seven".parse::<u32>() {
///     Ok(number) => Ok(number),
///     Err(error) => {
///         pleach::post_mortem(&error).await;
///         Err(error)
///     }
/// }
/// # }
/// ```
///
/// [`Config::debug_mode`]: crate::Config::debug_mode
#[track_caller]
pub fn post_mortem(error: &(dyn StdError + 'static)) -> impl Future<Output = ()> + Send {
    let (place, message, chain) = (at(Location::caller()), error.to_string(), chain(error));
    async move {
        let cause = Cause { why: Why::PostMortem, message, chain, place: Some(place) };
        stand_still(current(), cause, || Some(Frames::capture()));
        meet_cancellation().await;
    }
}

/// Waits for the cancellation that a request to end this actor brings, if there was one at the prompt or meanwhile.
async fn meet_cancellation() {
    if current().is_some_and(|actor| actor.lifecycle.end_requested()) {
        let _ = timeout(ON_ITS_WAY, scope::cancelled()).await; // in a shield it does not come
    }
}

/// Makes this process ready: its crashes are shown if the actor is in debug mode, and it has the front-end if the
/// actor is a root.
pub(crate) fn prepare(runtime: &Runtime) {
    if runtime.identity.is_root() {
        serve_with(front::run);
    }
    if runtime.config().debug_mode {
        handle_with(Handler { panicked, failed });
    }
}

/// The actor of the current code, if its crashes are to be shown.
fn debugged() -> Option<Arc<Runtime>> {
    current_task().filter(|actor| actor.config().debug_mode)
}

fn panicked(info: &PanicHookInfo<'_>, task: StackAddress) {
    let Some(actor) = debugged() else { return };
    if catches::before(task) {
        return; // the program catches it, and goes on
    }
    let frames = Frames::capture();
    let message = info.payload_as_str().unwrap_or("a panic payload that is not text").to_owned();
    let cause = Cause { why: Why::Panicked, message, chain: Vec::new(), place: info.location().map(at) };
    stand_still(Some(actor), cause, || Some(frames));
}

fn failed(failed: Failed<'_>) {
    let Some(actor) = debugged() else { return };
    let message =
        failed.error.map_or_else(|| format!("an error of the type {}", failed.type_name), ToString::to_string);
    let chain = failed.error.map(chain).unwrap_or_default();
    stand_still(Some(actor), Cause { why: Why::Failed, message, chain, place: None }, || None);
}

/// The causes of an error, the nearest first.
fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut chain = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause.filter(|_| chain.len() < MAX_CHAIN) {
        chain.push(error.to_string());
        cause = error.source();
    }
    chain
}

fn at(place: &Location<'_>) -> Place {
    Place { file: place.file().into(), line: place.line(), column: place.column() }
}

/// How long the cancellation of a task may be on its way from the actor's own.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

/// How many causes of an error are shown.
const MAX_CHAIN: usize = 32;
