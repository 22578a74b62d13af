//! The commands of the prompt, and the answers of the process that stands still.
//!
//! Those of the terminal (`gdb`, `lldb`, `log`, `help`) are carried out by the front-end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::stop::Stopped;
use super::{call, source};
use crate::actor::ActorId;
use crate::inspect::stops::{GoesOn, Why};
use crate::inspect::transfer::Transfer;
use crate::inspect::{ActorReport, FunctionKind, PeerReport, Process, RunningFunction, Stage, processes};

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
    Command { name: "gdb", arguments: "", brief: "the native debugger, on this very process", more: "Your frame is selected: `info locals` shows its variables, `up` and `down` walk the stack, `detach` or `quit` brings you back here. Variables need `debug = 2` in the profile." },
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
        Some("tree") => tree(stopped),
        Some("actors") => actors(stopped),
        Some("tasks") => tasks(stopped),
        Some("contexts") => contexts(stopped),
        Some("peers") => peers(stopped),
        Some("call") => call::run(&stopped.actor, rest.trim(), || front_end.is_readable()),
        _ => format!("`{word}` is not a command here; `help` lists them"),
    })
}

fn whereabouts(Stopped { stop, frames, .. }: &Stopped) -> String {
    let mut text = format!("{} (pid {}, thread {})", stop.shown_path(), stop.pid, stop.thread);
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

/// An actor, and its process.
type Seen = (Arc<Process>, ActorReport);

/// What the processes of this tree tell, each actor with its process; and how many say nothing.
fn tree_now(stopped: &Stopped) -> Result<(Vec<Seen>, usize), String> {
    let found = processes().map_err(|error| format!("the processes can't be listed: {error}"))?;
    let silent = found.iter().filter(|process| process.report.is_err()).count();
    let mut known: Vec<ActorId> = stopped.stop.path.first().cloned().into_iter().collect();
    let of = |process: Process| {
        let process = Arc::new(process);
        let actors = process.report.as_ref().map(|report| report.actors.clone()).unwrap_or_default();
        actors.into_iter().map(move |actor| (process.clone(), actor)).collect::<Vec<_>>()
    };
    let mut others: Vec<_> = found.into_iter().flat_map(of).collect();
    let mut tree = Vec::new();
    // From the root down: a child may be listed before its parent.
    loop {
        let is_ours = |(_, actor): &mut Seen| {
            known.contains(&actor.who) || actor.parent.as_ref().is_some_and(|parent| known.contains(parent))
        };
        let ours: Vec<_> = others.extract_if(.., is_ours).collect();
        if ours.is_empty() {
            return Ok((tree, silent));
        }
        known = ours.iter().map(|(_, actor)| actor.who.clone()).collect();
        tree.extend(ours);
    }
}

fn tree(stopped: &Stopped) -> String {
    let (actors, silent) = match tree_now(stopped) {
        Ok(found) => found,
        Err(why) => return why,
    };
    let mut text = String::new();
    draw(&mut text, stopped, &actors, None, "");
    if silent > 0 {
        let _ = write!(text, "{silent} processes say nothing: they are stopped");
    }
    text.trim_end().into()
}

/// Draws the actors below a parent.
fn draw(text: &mut String, stopped: &Stopped, actors: &[Seen], parent: Option<&ActorId>, indent: &str) {
    let children: Vec<_> = actors.iter().filter(|(_, actor)| actor.parent.as_ref() == parent).collect();
    for (at, (process, actor)) in children.iter().enumerate() {
        let (branch, below) = match (parent, at + 1 == children.len()) {
            (None, _) => ("", ""),
            (Some(_), true) => ("└─ ", "   "),
            (Some(_), false) => ("├─ ", "│  "),
        };
        let here = if actor.who == *stopped.actor.id() { "  <- stands still here" } else { "" };
        let _ = writeln!(text, "{indent}{branch}{} (pid {}){here}", actor.who.name(), process.pid);
        draw(text, stopped, actors, Some(&actor.who), &format!("{indent}{below}"));
    }
}

fn actors(stopped: &Stopped) -> String {
    let actors = match tree_now(stopped) {
        Ok((actors, _)) => actors,
        Err(why) => return why,
    };
    let mut text = format!("{:<24} {:>8} {:>8} {:>6} {:>9} stage", "actor", "pid", "memory", "tasks", "contexts");
    for (process, actor) in &actors {
        let memory = process.report.as_ref().map_or(0, |report| report.memory >> 10);
        let [tasks, contexts] = [actor.tasks(), actor.contexts()].map(count);
        let stage = if actor.stage == Stage::Ending { "ending" } else { "running" };
        let _ = write!(
            text,
            "\n{:<24} {:>8} {memory:>5}KiB {tasks:>6} {contexts:>9} {stage}",
            actor.who.name(),
            process.pid
        );
    }
    text
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
