//! A front-end in another process: for programs without a terminal.
//!
//! ```text
//! the actor ── Said ──► the root ── Shown ──► the tool
//!           ◄─ Told ───          ◄─ Told ────
//! ```
//! The root passes everything on; the tool shows one actor after the other.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;

use serde::{Deserialize, Serialize};

use super::prompt;
use crate::inspect::stops::{GoesOn, Said, Stop, Told};
use crate::inspect::transfer::Transfer;
use crate::inspect::{self, Process};
use crate::os::terminal::Held;
use crate::sync::lock;

/// What the root passes on to a tool.
#[derive(Debug, Serialize, Deserialize)]
enum Shown {
    /// An actor stands still.
    Stop(Box<Stop>),
    Said(Said),
    /// It has gone on, or its process has ended.
    Gone,
}

/// What a tool says.
#[derive(Debug, Serialize, Deserialize)]
enum FromTool {
    Told(Told),
    /// It is done with this actor.
    Next,
}

/// A tool that has attached itself to this root.
pub(super) struct Attached(Transfer);

impl Attached {
    pub(super) fn new(tool: Transfer) -> Self {
        Self(tool.without_bound())
    }

    /// Returns whether the tool has left: between two actors it says nothing.
    pub(super) fn has_left(&self) -> bool {
        self.0.is_readable()
    }

    /// Has the tool show an actor until that goes on.
    pub(super) fn show(&mut self, stop: &Stop, mut actor: Transfer) -> GoesOn {
        let how = Mutex::new(GoesOn::Continued);
        let shown = self.0.send(&Shown::Stop(Box::new(stop.clone())));
        let (Ok(()), Ok(mut listening), Ok(mut tool)) = (shown, actor.try_clone(), self.0.try_clone()) else {
            return GoesOn::Continued; // the end of its connection lets it go on
        };
        thread::scope(|threads| {
            let how = &how;
            threads.spawn(move || {
                while let Ok(said) = listening.receive::<Said>(MAX_ANSWER) {
                    if let Said::GoesOn(goes_on) = &said {
                        *lock(how) = *goes_on;
                    }
                    if tool.send(&Shown::Said(said)).is_err() {
                        break;
                    }
                }
                let _ = tool.send(&Shown::Gone); // or the tool is
            });
            while let Ok(FromTool::Told(told)) = self.0.receive(MAX_ANSWER) {
                let _ = actor.send(&told); // it may be gone, as the other thread will say
            }
            actor.shut_down();
        });
        *lock(&how)
    }
}

/// Shows, on the terminal of this process, the actors of a tree that pause or crash from now on, until its root has
/// ended. `name` is the name or the process id of the root.
///
/// It blocks. Of several tools the last one shows them; when it leaves, the actor that it shows goes on.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when this user runs no such root, or several; what the system says when it can't be
/// reached; [`io::ErrorKind::Unsupported`] when this process has no terminal of its own, or runs in its background.
pub fn attach(name: &str) -> io::Result<()> {
    let mut root = find(name)?.attach()?.without_bound();
    loop {
        let stop = match root.receive(MAX_ANSWER) {
            Ok(Shown::Stop(stop)) => stop,
            Ok(_late) => continue, // of the actor before
            Err(_ended) => return Ok(()),
        };
        let terminal = Held::take().map_err(|why| io::Error::new(io::ErrorKind::Unsupported, why))?;
        show(&terminal, &stop, &mut root)?;
    }
}

/// Shows one actor: the prompt's end of a socket pair stands for it.
fn show(terminal: &Held, stop: &Stop, root: &mut Transfer) -> io::Result<()> {
    let (prompt, actor) = UnixStream::pair()?;
    let [prompt, mut actor] = [prompt, actor].map(Transfer::conversation);
    let (mut told, mut tool) = (actor.try_clone()?, root.try_clone()?);
    thread::scope(|threads| {
        threads.spawn(move || {
            while let Ok(command) = told.receive(MAX_ANSWER) {
                if tool.send(&FromTool::Told(command)).is_err() {
                    break;
                }
            }
            let _ = tool.send(&FromTool::Next); // or the root has ended
        });
        threads.spawn(move || {
            while let Ok(Shown::Said(said)) = root.receive(MAX_ANSWER) {
                if actor.send(&said).is_err() {
                    break;
                }
            }
            actor.shut_down();
        });
        prompt::on(terminal, stop, prompt);
    });
    Ok(())
}

/// Finds the process of the root of this name or process id.
fn find(name: &str) -> io::Result<Process> {
    let is_meant = |process: &Process| {
        let actors = process.report.iter().flat_map(|report| &report.actors);
        let is_named = |root: &str| root == name || process.pid.to_string() == name;
        actors.filter(|actor| actor.parent.is_none()).any(|root| is_named(root.who.name()))
    };
    let mut roots: Vec<_> = inspect::processes()?.into_iter().filter(is_meant).collect();
    let why = match (roots.pop(), &roots[..]) {
        (Some(only), []) => return Ok(only),
        (None, _) => format!("this user runs no root `{name}`; see `pleach ps`"),
        (Some(last), others) => {
            let pids: Vec<_> = others.iter().chain([&last]).map(|process| process.pid.to_string()).collect();
            format!("{} roots are named `{name}`: say which process, of {}", pids.len(), pids.join(", "))
        }
    };
    Err(io::Error::new(io::ErrorKind::NotFound, why))
}

/// The largest message, in bytes.
const MAX_ANSWER: usize = 16 << 20;
