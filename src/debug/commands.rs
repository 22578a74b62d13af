//! The commands of the prompt, and the answers of the process that stands still.
//!
//! Those of the terminal (`gdb`, `lldb`, `log`, `help`) and of the whole tree (`tree`, `actors`) are carried out by the
//! front-end.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::stop::Stopped;
use super::{call, source};
use crate::inspect::stops::{GoesOn, Why};
use crate::inspect::transfer::Transfer;
use crate::inspect::{ActorReport, FunctionKind, PeerReport, RunningFunction};

/// A command.
pub(super) struct Command {
    /// Its name; any beginning of it that fits no earlier one will do.
    pub(super) name: &'static str,
    pub(super) arguments: &'static str,
    /// What it does, in a line.
    pub(super) brief: &'static str,
    /// What a user who has never debugged a tree should know.
    pub(super) more: &'static str,
}

/// All of them, in the order in which `help` shows them.
#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { name: "continue", arguments: "", brief: "let it go on", more: "A panic unwinds then, and an error goes to the caller: with debug mode on, each actor above shows it once more before it goes further. Ctrl-D does the same." },
    Command { name: "where", arguments: "", brief: "which actor stands still, and where", more: "The path from the root of the tree, the process, the thread, and the line of the program." },
    Command { name: "list", arguments: "", brief: "the lines of the program around it", more: "It needs the sources where they were when the program was built." },
    Command { name: "error", arguments: "", brief: "what has happened, with its causes", more: "The error's message, then those of its sources, the nearest first." },
    Command { name: "bt", arguments: "[all]", brief: "its stack: your frames, or all of them", more: "A frame is a function that has been called and has not returned, the innermost first. Those of libraries are left out unless you say `all`. After an error they are gone: the function has returned." },
    Command { name: "tree", arguments: "", brief: "all actors of this tree", more: "As `pleach ps` shows them, with a mark at the one that stands still." },
    Command { name: "actors", arguments: "", brief: "the same in a table, with memory and load", more: "Tasks are functions that run for others; contexts are open dialogs and streams." },
    Command { name: "tasks", arguments: "", brief: "the functions that run in this actor", more: "By the peer that has asked for them." },
    Command { name: "contexts", arguments: "", brief: "its open contexts and streams", more: "By the peer at the other end." },
    Command { name: "peers", arguments: "", brief: "its connections", more: "With the transport, and how many calls wait in each direction." },
    Command { name: "log", arguments: "[N]", brief: "the last lines that came meanwhile", more: "While you are at the prompt, what the other actors write is shown above it; this shows it again." },
    Command { name: "call", arguments: "FN ARGS", brief: "run a function of this actor", more: "The arguments are JSON: `call add 1 2`, `call greet \"Ann\"`. The end of a path is enough of a name. The function runs beside what stands still, on a thread of its own; what it waits for there does not come. Ctrl-C cancels it." },
    Command { name: "gdb", arguments: "", brief: "the native debugger, on this very process", more: "Your frame is selected: `info locals` shows its variables, `up` and `down` walk the stack, `detach` or `quit` brings you back here. Variables need `debug = 2` in the profile. On another host, the prompt says what to type there." },
    Command { name: "lldb", arguments: "", brief: "the same with LLDB", more: "`frame variable` shows the variables, `up` and `down` walk the stack, `quit` brings you back here." },
    Command { name: "cancel", arguments: "", brief: "ask this actor to end, and let it go on", more: "It ends in order, with everything below it. In the root that is the whole program." },
    Command { name: "quit", arguments: "", brief: "end the whole program, in order", more: "Everything is cancelled as by Ctrl-C outside of the prompt, and nothing stops here any more." },
    Command { name: "help", arguments: "[COMMAND]", brief: "this list, or more about a command", more: "" },
];

/// What the process that stands still does about a command.
pub(super) enum Reply {
    Text(String),
    GoesOn(GoesOn),
}

/// Finds a command by its name, or the beginning of it; `?` and `h` are `help`.
pub(super) fn find(word: &str) -> Option<&'static Command> {
    let word = if word == "?" { "help" } else { word };
    COMMANDS
        .iter()
        .find(|command| command.name == word)
        .or_else(|| COMMANDS.iter().find(|command| command.name.starts_with(word)))
}

/// Answers a command; gives up once the front-end has something else to say, or has gone.
pub(super) fn answer(stopped: &Stopped, line: &str, front_end: &Transfer) -> Reply {
    let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
    Reply::Text(match find(word).map(|command| command.name) {
        Some("continue") => return Reply::GoesOn(GoesOn::Continued),
        Some("cancel") => return Reply::GoesOn(GoesOn::Cancelled),
        Some("quit") => return Reply::GoesOn(GoesOn::Quit),
        Some("where") => whereabouts(stopped),
        Some("list") => list(stopped),
        Some("error") => error(stopped),
        Some("bt") => stack(stopped, rest.trim()),
        Some("tasks") => tasks(stopped),
        Some("contexts") => contexts(stopped),
        Some("peers") => peers(stopped),
        Some("call") => call::run(&stopped.actor, rest.trim(), || front_end.is_readable()),
        _ => format!("`{word}` is not a command here; `help` lists them"),
    })
}

fn whereabouts(Stopped { stop, frames, .. }: &Stopped) -> String {
    let mut text = format!("{} ({}, thread {})", stop.shown_path(), stop.shown_process(), stop.thread);
    if let Some(frame) = frames.as_ref().and_then(|frames| frames.own()) {
        let _ = write!(text, "\nin {}", frame.function);
    }
    if let Some(place) = &stop.place {
        let _ = write!(text, "\nat {place}");
    }
    text
}

fn list(Stopped { stop, frames, .. }: &Stopped) -> String {
    let own = || frames.as_ref().and_then(|frames| frames.own()).and_then(|frame| frame.place.as_ref());
    match stop.place.as_ref().or_else(own) {
        Some(place) => source::around(place),
        None => "an error does not say where it was made; `error` shows it".into(),
    }
}

fn error(Stopped { stop, chain, .. }: &Stopped) -> String {
    let what = match stop.why {
        Why::Paused => return "there is none: the program pauses".into(),
        Why::Panicked => "panicked: ",
        Why::Failed | Why::PostMortem => "",
    };
    let causes = chain.iter().map(|cause| format!("\n  because of: {cause}"));
    format!("{what}{}{}", stop.message, causes.collect::<String>())
}

fn stack(Stopped { frames, stop, .. }: &Stopped, which: &str) -> String {
    let all = "all".starts_with(which) && !which.is_empty();
    let note = match stop.why {
        Why::PostMortem => "the frames of the error are gone; this is where its post-mortem was asked for\n",
        _ => "",
    };
    match frames {
        Some(frames) => format!("{note}{}", frames.shown(all)),
        None => "its frames are gone: the function has returned this error; `error` shows its causes".into(),
    }
}

fn count(count: Option<usize>) -> String {
    count.map_or_else(|| "?".into(), |count| count.to_string())
}

/// The connections of the actor that stands still.
fn connections(stopped: &Stopped) -> Vec<PeerReport> {
    ActorReport::of(&stopped.actor, MAX_LISTED).peers.unwrap_or_default()
}

fn tasks(stopped: &Stopped) -> String {
    let lines = connections(stopped).into_iter().flat_map(|peer| {
        let line = move |task: RunningFunction| {
            let state = if task.cancelled { ", cancelled" } else { "" };
            format!("{} for {}, since {}{state}", task.function, peer.who, ago(task.began_ms))
        };
        peer.running.unwrap_or_default().into_iter().map(line)
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { "no function runs here for another actor".into() } else { lines.join("\n") }
}

fn contexts(stopped: &Stopped) -> String {
    let is_dialog = |kind: FunctionKind| kind != FunctionKind::Rpc;
    let lines = connections(stopped).into_iter().flat_map(|peer| {
        let here = peer.running.unwrap_or_default().into_iter().filter(|task| is_dialog(task.kind));
        let here = here.map(|task| (task.function, "here", task.began_ms)).collect::<Vec<_>>();
        let there = peer.waiting.unwrap_or_default().into_iter().filter(|call| is_dialog(call.kind));
        let there = there.map(|call| (call.function, "there", call.began_ms)).collect::<Vec<_>>();
        let line = move |(function, side, began): (String, &str, u64)| {
            format!("{function} with {}, running {side}, since {}", peer.who, ago(began))
        };
        here.into_iter().chain(there).map(line)
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() { "no context and no stream is open here".into() } else { lines.join("\n") }
}

fn peers(stopped: &Stopped) -> String {
    let line = |peer: PeerReport| {
        let PeerReport { who, transport, calls, tasks, .. } = peer;
        format!("{who} over {transport}: {} calls wait there, {} run here", count(calls), count(tasks))
    };
    let lines: Vec<_> = connections(stopped).into_iter().map(line).collect();
    if lines.is_empty() { "it has no connection".into() } else { lines.join("\n") }
}

/// How long ago a time was, in milliseconds since 1970.
fn ago(began_ms: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_millis(began_ms)).unwrap_or_default();
    format!("{:.1} s", since.as_secs_f64())
}

/// How many functions and calls of the actor are listed.
const MAX_LISTED: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_a_name_is_enough() {
        for (word, name) in [
            ("c", "continue"),
            ("q", "quit"),
            ("b", "bt"),
            ("ca", "call"),
            ("l", "list"),
            ("?", "help"),
            ("lld", "lldb"),
            ("w", "where"),
        ] {
            assert_eq!(find(word).map(|command| command.name), Some(name), "{word}");
        }
        assert!(find("print").is_none());
    }
}
