//! Trees as lines of text, in columns.

use std::time::{SystemTime, UNIX_EPOCH};

use pleach::inspect::{ActorNode, ActorReport, Failure, Forest, Stage};

use super::calls;

/// The columns; the last one is as wide as it is.
const HEAD: [&str; 10] =
    ["ACTOR", "PID", "HOST", "TRANSPORT", "AGE", "CPU", "MEMORY", "TASKS", "CONTEXTS", "STATE, LAST ERROR"];

type Line = [String; 10];

/// A line of columns, or one of words.
enum Row {
    Actor(Box<Line>),
    Words(String),
}

/// Returns a line for each actor, under a head, and below it what it works on and waits for.
pub(super) fn of(forest: &Forest<'_>) -> String {
    let mut rows = vec![Row::Actor(Box::new(HEAD.map(str::to_owned)))];
    for root in &forest.0 {
        root.draw(&mut |node, branch, below| push(node, branch, below, &mut rows));
    }
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        let Row::Actor(line) = row else { continue };
        widths.iter_mut().zip(line.iter()).for_each(|(width, text)| *width = text.chars().count().max(*width));
    }
    let as_text = |row: &Row| match row {
        Row::Actor(line) => padded(line, &widths),
        Row::Words(words) => words.to_owned() + "\n",
    };
    rows.iter().map(as_text).collect()
}

/// Adds an actor behind `branch`, and what it works on behind `below`.
fn push(node: &ActorNode<'_>, branch: &str, below: &str, rows: &mut Vec<Row>) {
    rows.push(Row::Actor(Box::new(line_of(node, branch))));
    rows.extend(calls::of(node.actor).into_iter().map(|line| Row::Words(format!("{below}{line}"))));
}

fn line_of(node: &ActorNode<'_>, branch: &str) -> Line {
    let ActorNode { process, actor, .. } = node;
    let line = node.line_to_parent();
    [
        format!("{branch}{}", shown(actor.who.name())),
        actor.who.pid().to_string(),
        shown(actor.who.host()),
        line.map_or_else(|| "-".into(), |line| line.transport.protocol.to_string()),
        since(actor.began_ms),
        format!("{:.2}s", process.cpu_ms as f64 / 1000.0),
        format!("{:.1}M", process.memory as f64 / f64::from(1 << 20)),
        counted(actor.tasks()),
        counted(actor.contexts()),
        state(actor),
    ]
}

fn counted(count: Option<usize>) -> String {
    count.map_or_else(|| "?".into(), |count| count.to_string())
}

fn state(actor: &ActorReport) -> String {
    let stage = match actor.stage {
        Stage::Ending => "ending",
        _ => "running",
    };
    match actor.last_error() {
        Some(Failure { at_ms, message, .. }) => {
            format!("{stage}; {} ago: {}", since(*at_ms), shown(message))
        }
        None => stage.into(),
    }
}

/// What another program has named must not draw on the terminal, nor break the line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// How long ago a time was, which is in milliseconds since 1970.
pub(crate) fn since(ms: u64) -> String {
    span(now_ms().saturating_sub(ms))
}

/// A time in the largest unit that fits.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn padded(line: &Line, widths: &[usize]) -> String {
    let columns: String = line.iter().zip(widths).map(|(text, width)| format!("{text:<width$}  ")).collect();
    columns.trim_end().to_owned() + "\n"
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_texts_stay_in_their_line() {
        assert_eq!([999, 61_000, 3_660_000, 90_000_000].map(span), ["0s", "1m01s", "1h01m", "1d01h"]);
        assert_eq!(shown("a\x1b[31m\nb"), "a [31m b");
    }
}
