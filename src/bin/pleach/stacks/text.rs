//! Stacks as lines of text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pleach::inspect::RunningTask;

use super::resolved::{Resolved, Task, Thread};
use super::symbols::Frame;
use crate::ps::table::{shown, since};

/// Returns the lines of a process.
pub(super) fn of(process: &Resolved, full: bool) -> String {
    let at = process.host.as_ref().map(|host| format!(" at {}", shown(host))).unwrap_or_default();
    let mut text = format!("process {}{at}: {}\n", process.pid, shown(&process.program.to_string_lossy()));
    if let Some(why) = &process.unreadable {
        let _ = writeln!(text, "  its addresses have no names, as the program can't be read: {}", shown(why));
    }
    for (lines, tasks) in alike(&process.tasks, full) {
        text += &format!("  {}\n{lines}", heading(&tasks));
    }
    if process.left_out > 0 {
        let _ = writeln!(text, "  and {} more tasks, which were not asked", process.left_out);
    }
    for busy in &process.busy {
        let _ = writeln!(text, "  {} is being executed, or has not waited for anything yet", function(busy));
    }
    match &process.threads {
        Some(threads) => threads.iter().for_each(|thread| text += &of_thread(thread, full)),
        None => text += "  its threads can't be interrupted: it handles both SIGURG and SIGWINCH itself\n",
    }
    text
}

/// Puts tasks together that wait at the same places, in the order of the oldest ones.
fn alike(tasks: &[Task], full: bool) -> Vec<(String, Vec<&Task>)> {
    let (mut groups, mut places) = (Vec::<(String, Vec<&Task>)>::new(), BTreeMap::new());
    for task in tasks {
        let lines = waits(task, full);
        let key = (
            lines.clone(),
            task.actor.clone(),
            task.function.as_ref().map(|f| (f.function.function.clone(), f.peer.uuid())),
        );
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, others)) => others.push(task),
            None => groups.push((lines, vec![task])),
        }
    }
    groups
}

fn heading(tasks: &[&Task]) -> String {
    let actor = tasks[0].actor.as_deref().map_or_else(|| "?".into(), shown);
    let what = match tasks {
        [Task { function: Some(running), .. }] => format!("a task of {}", function(running)),
        [Task { function: Some(running), .. }, ..] => format!("{} tasks of {}", tasks.len(), function(running)),
        [_] => "a task".into(),
        _ => format!("{} tasks", tasks.len()),
    };
    format!("{actor}: {what}")
}

fn function(running: &RunningTask) -> String {
    let RunningTask { function, peer, .. } = running;
    format!("{} for {} ({})", shown(&function.function), shown(peer.name()), since(function.began_ms))
}

fn waits(task: &Task, full: bool) -> String {
    match task.waits.as_deref() {
        None => "    has not answered: it is being executed, or its thread is busy\n".into(),
        Some([]) => "    waits for nothing that could wake it, as `std::future::pending` does\n".into(),
        Some(stacks) => {
            let texts: Vec<_> = stacks.iter().map(|stack| format!("    waits {}", of_stack(stack, full))).collect();
            texts.concat()
        }
    }
}

fn of_thread(thread: &Thread, full: bool) -> String {
    let who = format!("  thread {} ({})", thread.id, shown(&thread.name));
    match &thread.stack {
        Some(stack) => format!("{who} is {}", of_stack(stack, full)),
        None => format!("{who} has not answered: it blocks the signal, or waits in the kernel\n"),
    }
}

/// Returns the user's frames, and into what the innermost of them has called; all, if there are none, or on request.
fn of_stack(stack: &[Frame], full: bool) -> String {
    let first_own = stack.iter().position(|frame| frame.own);
    let shows_all = full || first_own.is_none();
    let called = first_own.and_then(|own| stack[..own].last()).filter(|_| !shows_all);
    let called = called.and_then(|frame| frame.function.as_deref());
    let mut text = called.map_or_else(|| "at\n".into(), |name| format!("in {}, at\n", shown(name)));
    let frames = stack.iter().filter(|frame| shows_all || frame.own).take(MAX_LINES);
    for frame in frames {
        let _ = writeln!(text, "      {}", of_frame(frame));
    }
    text
}

fn of_frame(frame: &Frame) -> String {
    let name = frame.function.as_deref().map_or_else(|| format!("{:#x}", frame.address), shown);
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{name} ({}:{line})", shown(file)),
        (Some(file), None) => format!("{name} ({})", shown(file)),
        (None, _) => name,
    }
}

/// How many frames of a stack are shown.
const MAX_LINES: usize = 128;
