//! A thread of an actor stands still: it holds its branch, asks for the terminal, and answers until it goes on.
//!
//! # Invariants
//! 1. A thread stands still once at a time: what crashes or pauses while it answers goes its way.
//! 2. It goes on when the front-end is gone.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::thread;

use rustix::process::{PTracer, Pid, set_ptracer};

use super::commands::{self, Reply};
use super::frames::Frames;
use crate::actor::ActorId;
use crate::channel::Channel;
use crate::holds::StandsStill;
use crate::inspect::links;
use crate::inspect::listener;
use crate::inspect::stops::{GoesOn, Place, Said, Stop, Told, Why};
use crate::inspect::transfer::Transfer;
use crate::inspect::{HostLink, Reply as Answer, Request, ask_lastingly, pid_in, sockets_here};
use crate::log::Limit;
use crate::runtime::Runtime;
use crate::runtime::route::{Hop, Route};

/// What has happened to a task.
pub(super) struct Cause {
    pub(super) why: Why,
    pub(super) message: String,
    /// The causes of the error, the nearest first.
    pub(super) chain: Vec<String>,
    pub(super) place: Option<Place>,
}

/// A thread that stands still.
pub(super) struct Stopped {
    pub(super) actor: Arc<Runtime>,
    pub(super) stop: Stop,
    pub(super) chain: Vec<String>,
    /// There unless they are gone.
    pub(super) frames: Option<Frames>,
}

/// Shows the current task of an actor to the user, and blocks this thread until it goes on.
pub(super) fn stand_still(actor: Option<Arc<Runtime>>, cause: Cause, frames: impl FnOnce() -> Option<Frames>) {
    if ANSWERS.replace(true) {
        return; // invariant 1
    }
    let shown = match actor {
        Some(actor) => show(actor, &cause, frames),
        None => Err("this code runs in no actor".into()),
    };
    ANSWERS.set(false);
    static NOT_SHOWN: Limit = Limit::per_second(10);
    if let (Err(why), Some(count)) = (&shown, NOT_SHOWN.count()) {
        let Cause { why: what, message, place, .. } = cause;
        let (place, count) = (place.map(|place| place.to_string()), (count > 1).then_some(count));
        warn!(target: "pleach::runtime", ?what, %message, place, %why, count, "not shown in a debugger");
    }
}

/// Runs a part of the debugger on this thread: what crashes in it is not shown.
pub(super) fn unseen<T>(part: impl FnOnce() -> T) -> T {
    let before = ANSWERS.replace(true);
    let done = part();
    ANSWERS.set(before);
    done
}

/// # Errors
/// Why it is not shown.
fn show(actor: Arc<Runtime>, cause: &Cause, frames: impl FnOnce() -> Option<Frames>) -> Result<(), String> {
    let above = actor.identity.ancestors();
    if above.is_empty() && !actor.identity.is_root() {
        return Err("an actor above it can't be asked".into());
    }
    let still = StandsStill::begin();
    let path: Vec<_> = above.iter().map(|ancestor| &ancestor.who).chain([actor.id()]).cloned().collect();
    let front_end = match above.first() {
        Some(root) => root.route.clone(),
        None => Route::to(listener::address().ok_or("this process can't be asked")?),
    };
    let mut held: Vec<(&Route, Transfer)> = Vec::new();
    for (at, ancestor) in above.iter().enumerate() {
        // The highest of several in one process has the longest branch.
        if held.iter().all(|(route, _)| **route != ancestor.route) {
            let branch = path[at + 1..].iter().map(|actor| actor.uuid()).collect();
            let hold =
                hold(&ancestor.route, branch).map_err(|error| format!("{} does not wait: {error}", ancestor.who))?;
            held.push((&ancestor.route, hold));
        }
    }
    let peers = hold_peers(&actor);
    let stop = Stop {
        path,
        pid: std::process::id(),
        thread: rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(),
        why: cause.why,
        message: bounded(cause.message.clone(), MAX_MESSAGE),
        place: cause.place.clone(),
    };
    let asked = ask_lastingly(&front_end, &Request::Show(Box::new(stop.clone())));
    let (asked, first) = asked.map_err(|error| format!("the root of its tree can't be asked: {error}"))?;
    if let Told::Declined(why) = first {
        return Err(why);
    }
    let stopped = Stopped { actor: actor.clone(), stop, chain: cause.chain.clone(), frames: frames() };
    let goes_on = answer(&stopped, asked.without_bound());
    actor.peers_now().into_iter().flatten().for_each(|peer| peer.put_off_watch());
    drop((still, peers));
    if goes_on? == GoesOn::Cancelled {
        actor.request_end(actor.id());
    }
    Ok(())
}

/// Has those wait for this actor that would give it up without its heartbeats: the actors that this process has started
/// on other hosts, and peers of this host. One that can't be asked has lost its connection here, too.
fn hold_peers(actor: &Runtime) -> Vec<Transfer> {
    let this = actor.id().uuid();
    let held: Vec<_> = thread::scope(|threads| {
        let routes = routes_to_started().into_iter().chain(routes_to_watched(actor));
        let asked: Vec<_> = routes.map(|route| threads.spawn(move || hold(&route, vec![this]))).collect();
        asked.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    held.into_iter().flatten().flatten().collect()
}

/// The routes to the actors that this process has started on other hosts.
fn routes_to_started() -> Vec<Route> {
    let Some(own) = listener::address() else { return Vec::new() };
    let route = |link: HostLink| Route::to(own).then(Hop::Link(link.number)).then(Hop::Started);
    links::all().into_iter().map(route).collect()
}

/// The routes to the processes of peers on this host that exchange heartbeats with an actor.
fn routes_to_watched(actor: &Runtime) -> Vec<Route> {
    let peers = actor.peers_now().unwrap_or_default();
    let watched = peers.iter().filter(|peer| peer.is_watched()).map(Channel::peer);
    let here: Vec<_> = watched.filter(|peer| peer.is_at_place_of(actor.id())).map(ActorId::pid).collect();
    match here.is_empty() {
        true => Vec::new(),
        false => sockets_here()
            .into_iter()
            .filter(|name| pid_in(name).is_some_and(|pid| here.contains(&pid)))
            .map(Route::to)
            .collect(),
    }
}

/// Holds a branch below an ancestor; returns once that has begun.
fn hold(route: &Route, branch: Vec<uuid::Uuid>) -> io::Result<Transfer> {
    match ask_lastingly(route, &Request::Hold(branch))? {
        (hold, Answer::Held) => Ok(hold),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Answers commands until this goes on.
///
/// # Errors
/// Why there is no prompt.
fn answer(stopped: &Stopped, mut front_end: Transfer) -> Result<GoesOn, String> {
    loop {
        let reply = match front_end.receive(MAX_SHORT) {
            Ok(Told::Declined(why)) => return Err(why),
            Ok(Told::Queued) => continue,
            Ok(Told::Granted { by }) => {
                let _ = set_ptracer(tracer(by)); // fails where nothing forbids a debugger
                continue;
            }
            Ok(Told::Command { number, line }) => (number, commands::answer(stopped, &line, &front_end)),
            Ok(Told::GivenUp) => continue,              // the answer is on its way
            Err(_gone) => return Ok(GoesOn::Continued), // invariant 2
        };
        let sent = match reply {
            (number, Reply::Text(text)) => front_end.send(&Said::Answer { number, text: bounded(text, MAX_TEXT) }),
            (_, Reply::GoesOn(how)) => {
                let _ = front_end.send(&Said::GoesOn(how)); // it goes on
                let _ = set_ptracer(PTracer::None);
                return Ok(how);
            }
        };
        if sent.is_err() {
            return Ok(GoesOn::Continued);
        }
    }
}

/// Who may debug this process while it is shown by that one: on another host, any process of this user.
fn tracer(by: Option<u32>) -> PTracer {
    match by.map(|by| i32::try_from(by).ok().and_then(Pid::from_raw)) {
        Some(Some(by)) => PTracer::ProcessID(by),
        Some(None) => PTracer::None,
        None => PTracer::Any,
    }
}

thread_local! {
    /// Whether this thread stands still, or runs a part of the debugger.
    static ANSWERS: Cell<bool> = const { Cell::new(false) };
}

/// Cuts a text that is too long to be shown, and says so.
fn bounded(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push_str("… (the rest is left out)");
    }
    text
}

/// The longest message of a crash, in bytes.
const MAX_MESSAGE: usize = 8 << 10;

/// The longest answer to a command, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// The largest message from a front-end, in bytes.
const MAX_SHORT: usize = 64 << 10;
