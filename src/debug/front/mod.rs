//! The front-end: in the root's process, on a thread of its own, for one actor after the other.
//!
//! | file | station |
//! |---|---|
//! | this one | who shows the next actor: a tool that has attached itself, the terminal, or neither |
//! | `prompt.rs` | the prompt: reads a line, has it answered |
//! | `editor.rs` | the line editor, and its completion |
//! | `tree.rs` | the commands about the whole tree |
//! | `screen.rs` | what the other actors write meanwhile |
//! | `native.rs` | `gdb` and `lldb`, on this terminal |
//! | `attach.rs` | a front-end in another process |

pub(super) mod attach;
mod editor;
mod native;
mod prompt;
mod screen;
mod tree;

use std::sync::Mutex;

use self::attach::Attached;
use crate::actor::ActorId;
use crate::inspect::stops::{self, GoesOn, Stop, Told, Waiting};
use crate::inspect::transfer::Transfer;
use crate::os::terminal::Held;
use crate::runtime::actors_here;
use crate::sync::lock;

/// Shows actors that stand still, for ever.
pub(super) fn run() {
    let mut attached = None;
    loop {
        match stops::next() {
            Waiting::FrontEnd(tool) => attached = Some(Attached::new(tool)),
            Waiting::Stop(stop, transfer) => {
                if show(&stop, transfer.without_bound(), &mut attached) == GoesOn::Quit {
                    quit(stop.path.first());
                }
            }
        }
    }
}

/// Shows an actor until it goes on.
fn show(stop: &Stop, mut actor: Transfer, attached: &mut Option<Attached>) -> GoesOn {
    if stop.path.first().is_some_and(|root| lock(&QUIT).contains(root)) {
        let _ = actor.send(&Told::Declined("the program is to end".into())); // or it has ended
        return GoesOn::Continued;
    }
    attached.take_if(|tool| tool.has_left());
    if let Some(tool) = attached {
        return tool.show(stop, actor);
    }
    match Held::take() {
        Ok(terminal) => prompt::on(&terminal, stop, actor),
        Err(why) => {
            let _ = actor.send(&Told::Declined(why)); // or it has ended
            GoesOn::Continued
        }
    }
}

/// Ends the program of a root that runs here, in order.
fn quit(root: Option<&ActorId>) {
    let Some(root) = root else { return };
    lock(&QUIT).push(root.clone());
    let here = actors_here().unwrap_or_default();
    for actor in here.iter().filter(|actor| actor.id() == root) {
        actor.request_end(root);
    }
}

/// Roots whose user has ended the program at the prompt.
static QUIT: Mutex<Vec<ActorId>> = Mutex::new(Vec::new());
