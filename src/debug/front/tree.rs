//! The whole tree, as all its processes tell at this moment, on this host and on others.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::actor::ActorId;
use crate::inspect::stops::Stop;
use crate::inspect::{ActorReport, Process, Stage, processes};

/// An actor, and its process.
type Seen = (Arc<Process>, ActorReport);

/// What the processes of this tree tell, each actor with its process; and a line for each that says nothing.
fn tree_now(stop: &Stop) -> Result<(Vec<Seen>, String), String> {
    let found = processes().map_err(|error| format!("the processes can't be listed: {error}"))?;
    let silent = found.iter().filter_map(|process| Some((process, process.report.as_ref().err()?)));
    let silent = silent.map(|(process, why)| match &process.host {
        Some(host) if process.pid == 0 => format!("{host} does not answer: {why}\n"),
        _ => format!("process {} says nothing: {why}\n", process.pid),
    });
    let silent: String = silent.collect();
    let mut known: Vec<ActorId> = stop.path.first().cloned().into_iter().collect();
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

/// Draws it, with a mark at the actor that stands still.
pub(super) fn drawn(stop: &Stop) -> String {
    let (actors, silent) = match tree_now(stop) {
        Ok(found) => found,
        Err(why) => return why,
    };
    let mut text = String::new();
    draw(&mut text, stop, &actors, None, "");
    (text + &silent).trim_end().into()
}

/// Draws the actors below a parent.
fn draw(text: &mut String, stop: &Stop, actors: &[Seen], parent: Option<&ActorId>, indent: &str) {
    let children: Vec<_> = actors.iter().filter(|(_, actor)| actor.parent.as_ref() == parent).collect();
    for (at, (process, actor)) in children.iter().enumerate() {
        let (branch, below) = match (parent, at + 1 == children.len()) {
            (None, _) => ("", ""),
            (Some(_), true) => ("└─ ", "   "),
            (Some(_), false) => ("├─ ", "│  "),
        };
        let here = if stop.path.last() == Some(&actor.who) { "  <- stands still here" } else { "" };
        let _ = writeln!(text, "{indent}{branch}{} ({}){here}", actor.who.name(), shown_process(process, actor));
        draw(text, stop, actors, Some(&actor.who), &format!("{indent}{below}"));
    }
}

/// Returns the process of an actor, with its host if that is another one.
fn shown_process(process: &Process, actor: &ActorReport) -> String {
    match &process.host {
        Some(_) => format!("pid {} at {}", process.pid, actor.who.host()),
        None => format!("pid {}", process.pid),
    }
}

/// Returns a table of its actors.
pub(super) fn table(stop: &Stop) -> String {
    let (actors, silent) = match tree_now(stop) {
        Ok(found) => found,
        Err(why) => return why,
    };
    let mut text = format!("{:<24} {:>8} {:>8} {:>6} {:>9} stage", "actor", "pid", "memory", "tasks", "contexts");
    for (process, actor) in &actors {
        let memory = process.report.as_ref().map_or(0, |report| report.memory >> 10);
        let [tasks, contexts] = [actor.tasks(), actor.contexts()].map(count);
        let stage = if actor.stage == Stage::Ending { "ending" } else { "running" };
        let at = process.host.as_ref().map(|_| format!(" at {}", actor.who.host())).unwrap_or_default();
        let _ = write!(
            text,
            "\n{:<24} {:>8} {memory:>5}KiB {tasks:>6} {contexts:>9} {stage}{at}",
            actor.who.name(),
            process.pid
        );
    }
    format!("{text}\n{silent}").trim_end().into()
}

fn count(count: Option<usize>) -> String {
    count.map_or_else(|| "?".into(), |count| count.to_string())
}
