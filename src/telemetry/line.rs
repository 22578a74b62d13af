//! One log record as a line: of text, or of JSON; and how a parent passes on what a child has written.
//!
//! ```text
//! 2026-11-27T09:30:00.000000Z DEBUG [worker 4711] pleach::cancel: a child has ended child=…
//! {"actor":"worker","pid":4711,"timestamp":"…","level":"DEBUG","fields":{"message":"…","child":"…"},"target":"…"}
//! ```
//! A record names its actor already, so a parent passes it on without another name in front. A child could write
//! any name: so its parent lets a record pass as it is only if it has the child's own name, and puts that name and a
//! slash before any other, which then reads as the path to an actor below: `[worker/leaf 4712]`. Whatever else a child
//! writes gets its name in front.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::actor::shown;

/// How the subscriber of [`init`](super::init) writes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogFormat {
    /// A line of text.
    #[default]
    Text,
    /// A line with one JSON object.
    Json,
}

impl LogFormat {
    /// The names of all formats.
    pub(super) const NAMES: [&str; 2] = ["text", "json"];

    /// Returns the format of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Writes records as text.
pub(super) struct TextLine(Format<Full, ()>);

impl TextLine {
    pub(super) fn new() -> Self {
        Self(Format::default().without_time().with_level(false))
    }
}

impl<S, N> FormatEvent<S, N> for TextLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let (level, pid) = (event.metadata().level(), std::process::id());
        match pleach_wire::log::origin() {
            Some(actor) => write!(writer, " {level:>5} [{} {pid}] ", shown(&actor))?,
            None => write!(writer, " {level:>5} [{pid}] ")?,
        }
        self.0.format_event(ctx, writer, event)
    }
}

/// Writes records as JSON.
pub(super) struct JsonLine(Format<Json>);

impl JsonLine {
    pub(super) fn new() -> Self {
        Self(Format::default().json().with_current_span(false))
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut record = String::new();
        self.0.format_event(ctx, Writer::new(&mut record), event)?;
        let actor = match pleach_wire::log::origin() {
            Some(actor) => format!("\"{}\"", escaped(&shown(&actor))),
            None => "null".to_owned(),
        };
        let rest = record.strip_prefix('{').ok_or(fmt::Error)?;
        // It leaves the list out where there are none.
        let span = event.parent().and_then(|id| ctx.span(id)).or_else(|| ctx.lookup_current());
        let spans = if span.is_none() { "\"spans\":[]," } else { "" };
        write!(writer, "{{\"actor\":{actor},\"pid\":{},{spans}{rest}", std::process::id())
    }
}

/// Returns the line that a parent writes for a line of its child `name`, which may be of any bytes.
pub(crate) fn passed_on(name: &str, line: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(line) {
        Ok(line) => text_passed_on(name, line).into_bytes(),
        Err(_) => [name.as_bytes(), b": ", line, b"\n"].concat(),
    }
}

fn text_passed_on(name: &str, line: &str) -> String {
    let (at, own, pid, end) = match format_of(line) {
        Some(LogFormat::Text) => (TEXT_ACTOR_AT, Cow::Borrowed(name), " ", ']'),
        Some(LogFormat::Json) => (JSON_HEAD.len(), Cow::Owned(escaped(name)), "\",\"pid\":", ','),
        None => return format!("{name}: {line}\n"),
    };
    let (head, actor) = line.split_at(at);
    let behind_name = actor.strip_prefix(&*own).and_then(|behind| behind.strip_prefix(pid));
    let is_own =
        behind_name.and_then(|behind| behind.split_once(end)).is_some_and(|(pid, _)| pid.parse::<u32>().is_ok());
    if is_own { format!("{line}\n") } else { format!("{head}{own}/{actor}\n") }
}

/// Returns the format of a record that names its actor; `None` for any other line.
fn format_of(line: &str) -> Option<LogFormat> {
    if line.starts_with(JSON_HEAD) && line.ends_with('}') {
        return Some(LogFormat::Json);
    }
    let head = line.get(..TEXT_ACTOR_AT)?.strip_suffix(" [")?;
    let (time, level) = head.split_at_checked(TIME.len())?;
    let is_time = time.bytes().zip(TIME.bytes()).all(|(byte, like)| match like {
        b'0' => byte.is_ascii_digit(),
        mark => byte == mark,
    });
    let is_level = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level.trim_start());
    (is_time && is_level).then_some(LogFormat::Text)
}

/// Returns a text as it stands between the quotation marks of JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// How the time of a record looks.
const TIME: &str = "0000-00-00T00:00:00.000000Z";

/// Where the actor's name begins in a record of text: behind the time, the level and the bracket.
const TEXT_ACTOR_AT: usize = TIME.len() + " DEBUG [".len();

/// What stands before the actor's name in a record of JSON.
const JSON_HEAD: &str = "{\"actor\":\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(actor: &str) -> String {
        format!("2026-11-27T09:30:00.000000Z  WARN [{actor}] app: a message [it 1]")
    }

    fn json(actor: &str) -> String {
        format!("{{\"actor\":\"{actor}\",\"pid\":7,\"timestamp\":\"…\",\"fields\":{{\"message\":\"\"}}}}")
    }

    #[test]
    fn a_record_of_a_child_passes_and_one_from_below_gets_its_path() {
        for (written, passed) in [
            (text("worker 7"), text("worker 7")),
            (text("leaf 7"), text("worker/leaf 7")),
            (text("leaf/a b 7"), text("worker/leaf/a b 7")),
            (text("worker 1 7"), text("worker/worker 1 7")),
            (text("7"), text("worker/7")),
            (json("worker"), json("worker")),
            (json("leaf"), json("worker/leaf")),
            (json("worker 2"), json("worker/worker 2")),
        ] {
            assert_eq!(text_passed_on("worker", &written), format!("{passed}\n"));
        }
        assert_eq!(text_passed_on("a \"b\"", &json("a \\\"b\\\"")), format!("{}\n", json("a \\\"b\\\"")));
        assert_eq!(text_passed_on("a b", &text("a b 7")), format!("{}\n", text("a b 7")));
    }

    #[test]
    fn a_line_that_is_not_a_record_of_ours_gets_the_name_in_front() {
        for line in [
            "",
            "said",
            "größer als das, und länger als der Anfang einer Zeile ist",
            "2026-11-27T09:30:00.000000Z  WARN app: said [it 1]",
            "2026-11-27T09:30:00.000000Z  warn [worker 7] app: said",
            "2026-11-27 09:30:00.000000Z  WARN [worker 7] app: said",
            "{\"actor\":\"worker\",\"pid\":7,\"cut",
            "{\"message\":\"said\"}",
        ] {
            assert_eq!(text_passed_on("worker", line), format!("worker: {line}\n"));
        }
    }
}
