//! The whole tree, as all its processes tell at this moment, on this host and on others.

use std::fmt::Write as _;

use crate::actor::{ActorId, shown};
use crate::inspect::stops::Stop;
use crate::inspect::{ActorNode, ActorReport, Forest, Process, ProcessReport, Stage, processes};

/// What the processes tell, and a line for each that says nothing.
struct Told {
    reports: Vec<ProcessReport>,
    silent: String,
}

impl Told {
    fn now() -> Result<Self, String> {
        let found = processes().map_err(|error| format!("the processes can't be listed: {error}"))?;
        let mut told = Self { reports: Vec::new(), silent: String::new() };
        for Process { pid, host, report, .. } in found {
            match (report, host) {
                (Ok(report), _) => told.reports.push(report),
                (Err(why), Some(host)) if pid == 0 => told.silent += &format!("{host} does not answer: {why}\n"),
                (Err(why), _) => told.silent += &format!("process {pid} says nothing: {why}\n"),
            }
        }
        Ok(told)
    }

    /// Visits the actors of the tree with one that stands still.
    fn draw(&self, stop: &Stop, mut visit: impl FnMut(&ActorNode<'_>, &str)) {
        let roots = Forest::of(&self.reports).0;
        let tree = roots.iter().find(|node| stop.path.first() == Some(&node.actor.who));
        tree.into_iter().for_each(|tree| tree.draw(&mut |node, branch, _| visit(node, branch)));
    }
}

/// Draws it, with a mark at the actor that stands still.
///
/// # Errors
/// Says why it can't be seen.
pub(super) fn drawn(stop: &Stop) -> Result<String, String> {
    let told = Told::now()?;
    let mut text = String::new();
    told.draw(stop, |node, branch| {
        let who = &node.actor.who;
        let here = if stop.path.last() == Some(who) { "  <- stands still here" } else { "" };
        let at = place(stop, who);
        let _ = writeln!(text, "{branch}{} (pid {}{at}){here}", shown(who.name()), who.pid());
    });
    Ok((text + &told.silent).trim_end().into())
}

/// Returns a table of its actors.
///
/// # Errors
/// Says why they can't be seen.
pub(super) fn table(stop: &Stop) -> Result<String, String> {
    let told = Told::now()?;
    let mut text = format!("{:<24} {:>8} {:>8} {:>6} {:>9} stage", "actor", "pid", "memory", "tasks", "contexts");
    told.draw(stop, |ActorNode { process, actor, .. }, _| {
        let (memory, ActorReport { who, stage, .. }) = (process.memory >> 10, actor);
        let [tasks, contexts] = [actor.tasks(), actor.contexts()].map(count);
        let stage = if *stage == Stage::Ending { "ending" } else { "running" };
        let at = place(stop, who);
        let _ = write!(
            text,
            "\n{:<24} {:>8} {memory:>5}KiB {tasks:>6} {contexts:>9} {stage}{at}",
            shown(who.name()),
            who.pid()
        );
    });
    Ok(format!("{text}\n{}", told.silent).trim_end().into())
}

/// Says at which host an actor is, if that is not the root's.
fn place(stop: &Stop, who: &ActorId) -> String {
    let is_here = stop.path.first().is_some_and(|root| who.is_at_place_of(root));
    if is_here { String::new() } else { format!(" at {}", who.host()) }
}

fn count(count: Option<usize>) -> String {
    count.map_or_else(|| "?".into(), |count| count.to_string())
}
