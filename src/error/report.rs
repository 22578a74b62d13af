//! An error for humans: what happened, why, where, and over which actors.
//!
//! [`Report`] draws it in a frame; `{:?}` of an [`Error`] is the same without one, after the name of its variant, so
//! that a `main` that returns the error and an assertion that fails print it all.

use std::error::Error as StdError;
use std::fmt;
use std::io::IsTerminal as _;

use super::{ActorDied, Error, RemoteError, causes};

/// An error drawn for a terminal, by [`Error::report`]: print it with `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    error: &'a Error,
    color: bool,
}

impl Error {
    /// Draws this for humans: causes, where it was raised and which actors passed it on, spans and backtrace, the
    /// last words of dead actors, and groups as a tree.
    ///
    /// In colour if standard error is a terminal and `NO_COLOR` is not set, unless
    /// [`Report::color`] says otherwise.
    ///
    /// ```
    /// let error = pleach::Error::Config("no such transport".into());
    /// assert_eq!(error.report().color(false).to_string(), "╭─ configuration: no such transport\n╰─\n");
    /// ```
    pub fn report(&self) -> Report<'_> {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Report { error: self, color: !unwanted && std::io::stderr().is_terminal() }
    }
}

impl Report<'_> {
    /// Draws in colour, or does not.
    pub fn color(self, color: bool) -> Self {
        Self { color, ..self }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, frame, reset) = if self.color { ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        let mut lines = Vec::new();
        Block::of(self.error).draw("╭─ ", "│  ", &mut lines);
        for line in lines {
            let style = if line.is_head { head } else { "" };
            writeln!(
                f,
                "{frame}{}{reset}{style}{}{}",
                line.frame,
                line.text,
                if style.is_empty() { "" } else { reset }
            )?;
        }
        writeln!(f, "{frame}╰─{reset}")
    }
}

impl fmt::Debug for Error {
    /// Prints for humans: the variant and the message, and other details, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        Block::of(self).list("", "  ", &mut lines);
        f.write_str(&lines.join("\n"))
    }
}

/// One error: a message, its details, and the members if it is a group.
struct Block {
    variant: &'static str,
    head: String,
    details: Vec<String>,
    members: Vec<Self>,
}

/// One line of a drawing.
struct Line {
    frame: String,
    text: String,
    is_head: bool,
}

impl Block {
    fn of(error: &Error) -> Self {
        let (variant, head) = (error.variant(), error.to_string());
        let mut block = Self { variant, head, details: causes_of(error), members: Vec::new() };
        match error.unwrapped() {
            Error::Group(group) => {
                if matches!(error, Error::Group(_)) {
                    block.head = format!("{} errors", group.count());
                }
                block.members = group.errors.iter().map(Self::of).collect();
                block.details.extend(group.missing());
            }
            Error::Remote(remote) => block.details.extend(route(remote)),
            Error::ContextCancelled(cancelled) => {
                block.details.extend(cancelled.relay_path.iter().map(|actor| format!("relayed by {actor}")));
            }
            _ => {}
        }
        if let Error::ActorDied(died) = error.origin() {
            block.details.extend(remains(died));
        }
        if let Error::Remote(remote) = error.unwrapped() {
            let backtrace = remote.backtrace.as_deref().map(str::trim_end);
            block.details.extend(backtrace.map(|text| format!("backtrace:\n{text}")));
        }
        block
    }

    /// Draws it in a frame; `first` stands before its head, and `rest` before everything else.
    fn draw(&self, first: &str, rest: &str, lines: &mut Vec<Line>) {
        let heads = self.head.lines().enumerate();
        lines.extend(heads.map(|(at, text)| Line {
            frame: if at == 0 { first } else { rest }.to_owned(),
            text: text.to_owned(),
            is_head: true,
        }));
        for text in self.details.iter().flat_map(|detail| detail.lines()) {
            lines.push(Line { frame: rest.to_owned(), text: text.to_owned(), is_head: false });
        }
        for (at, member) in self.members.iter().enumerate() {
            let (branch, below) = if at + 1 == self.members.len() { ("╰─ ", "   ") } else { ("├─ ", "│  ") };
            member.draw(&format!("{rest}{branch}"), &format!("{rest}{below}"), lines);
        }
    }

    /// As [`draw`](Self::draw), without a frame, and with the names of the variants.
    fn list(&self, first: &str, rest: &str, lines: &mut Vec<String>) {
        lines.push(format!("{first}{}: {}", self.variant, self.head));
        lines.extend(self.details.iter().flat_map(|detail| detail.lines()).map(|text| format!("{rest}{text}")));
        for member in &self.members {
            member.list(&format!("{rest}- "), &format!("{rest}  "), lines);
        }
    }
}

/// A line for each cause that the text before it does not end with.
fn causes_of(error: &(dyn StdError + 'static)) -> Vec<String> {
    let texts: Vec<_> = causes(error).map(ToString::to_string).collect();
    let told = texts.windows(2).filter(|pair| !pair[0].contains(&pair[1]));
    told.map(|pair| format!("caused by: {}", pair[1])).collect()
}

/// What is left of an actor, apart from the sentence about its death.
fn remains(died: &ActorDied) -> impl Iterator<Item = String> {
    let asked = died.asked.map(|ago| format!("it had been asked to end {ago:?} before"));
    let running = (!died.calls.is_empty()).then(|| format!("running there:\n  {}", died.calls.join("\n  ")));
    let stack = (!died.stack.is_empty()).then(|| format!("it was here:\n  {}", died.stack.join("\n  ")));
    let core_dump = died.core_dump.as_deref().map(|place| format!("core dump: {place}"));
    let words = (!died.stderr.is_empty()).then(|| format!("its last words:\n  {}", died.stderr.join("\n  ")));
    [asked, running, stack, core_dump, words].into_iter().flatten()
}

/// Where a remote error was raised, and which actors passed it on.
fn route(remote: &RemoteError) -> impl Iterator<Item = String> {
    let raised = format!("raised in {} as {}", remote.src, remote.type_name);
    let spans = remote.span_trace.iter().map(|span| format!("in span {span}"));
    let hops = remote.relay_path.iter().map(|actor| format!("relayed by {actor}"));
    std::iter::once(raised).chain(spans).chain(hops)
}
