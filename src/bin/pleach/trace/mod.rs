//! `pleach trace`: the messages of an actor as they pass.
//!
//! | file | station |
//! |---|---|
//! | this one | the command: which messages, until when |
//! | [`subject`] | the actor or the call that is meant |
//! | [`text`] | a message as a line |
//!
//! Messages are printed to standard output, one a line. When it has begun, and what ends it, with how many there were, is
//! said on standard error, so that a reader of the output gets messages only.

mod subject;
mod text;

use std::io::Write as _;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use pleach::inspect::{MessageKind, Trace, TraceEvent, TracedMessage};
use serde_json::json;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::subject::Subject;
use crate::output;

/// Show the messages of an actor as they pass
///
/// Each has a line: the time (UTC), the direction (-> is sent, <- is received) and the peer, the number of its call, context or
/// stream, its kind, the function that it belongs to, and its size. What is in it is not shown, and the actor does not
/// wait for this: messages that could not be shown in time are counted, and the count stands in their place.
///
/// It ends when the actor does, with the call if one is named, on Ctrl-C, and as --for and --count say. When it has begun,
/// and how many messages there were, is said on standard error.
#[derive(Args)]
#[command(after_long_help = "Examples:
  pleach trace worker                      all messages of the actor of that name
  pleach trace worker --peer main --kind call,answer,failure
  pleach trace worker --function resize --for 10s
  pleach trace '#17'                       one call; `pleach ps --json` shows the number as `cid`
  pleach trace 4711 --count 100 --json | jq 'select(.bytes > 10000) | .function'")]
pub(crate) struct Command {
    /// The name of the actor, its process id, or its uuid (at least 8 characters of it); or the number of a call, context
    /// or stream
    #[arg(value_name = "NAME|PID|#CID")]
    subject: String,
    /// Only in the tree whose root has this name, process id, or uuid (its beginning is enough)
    #[arg(long, value_name = "ROOT")]
    tree: Option<String>,
    /// Only messages to and from peers with this name, process id, or uuid
    #[arg(long, value_name = "NAME|PID")]
    peer: Option<String>,
    /// Only messages of calls, contexts and streams with this number
    #[arg(long, value_name = "NUMBER")]
    cid: Option<u64>,
    /// Only messages of this function; the end of its path is enough
    #[arg(long, value_name = "PATH")]
    function: Option<String>,
    /// Only messages of these kinds
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = PossibleValuesParser::new(text::KINDS.map(|(name, _)| name)))]
    kind: Vec<String>,
    /// End after this time, e.g. 10s, 500ms, 2m
    #[arg(long = "for", value_name = "TIME", value_parser = text::time)]
    within: Option<Duration>,
    /// End after so many messages
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Print JSON: for each message an object on a line; where some are missing, one with `dropped`
    #[arg(long)]
    json: bool,
}

/// What ends a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Actor,
    Call,
    Count,
    Time,
    Signal,
}

/// What is shown, and how much that was so far.
struct Shown {
    command: Command,
    kinds: Vec<MessageKind>,
    /// Whether it is the trace of one call.
    is_call: bool,
    has_cancel: bool,
    messages: u64,
    dropped: u64,
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let subject = Subject::find(&self)?;
        let actor = subject.actor.to_string();
        let trace = subject.begin()?;
        let is_named = |(name, _): &(&str, MessageKind)| self.kind.iter().any(|kind| kind == name);
        let kinds = text::KINDS.into_iter().filter(is_named).map(|(_, kind)| kind).collect();
        let (within, is_call) = (self.within, subject.is_call);
        let mut shown = Shown { command: self, kinds, is_call, has_cancel: false, messages: 0, dropped: 0 };
        let tokio = Builder::new_current_thread().enable_all().build()?;
        let ended = tokio.block_on(shown.until_end(trace, &actor, within));
        tokio.shutdown_background(); // its thread waits for a message that may not come
        let end = ended?;
        say(&shown.summary(end, &actor));
        Ok(())
    }
}

impl Shown {
    async fn until_end(&mut self, trace: Trace, actor: &str, within: Option<Duration>) -> anyhow::Result<End> {
        let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        say(&format!("tracing {actor}"));
        let until = within.and_then(|within| Instant::now().checked_add(within));
        let (tell, mut told) = mpsc::channel(AT_ONCE);
        let reading = tokio::task::spawn_blocking(move || read(trace, &tell));
        loop {
            tokio::select! {
                biased;
                _ = interrupted.recv() => return Ok(End::Signal),
                _ = terminated.recv() => return Ok(End::Signal),
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return Ok(End::Time),
                events = told.recv() => match events {
                    Some(events) => {
                        if let Some(end) = self.print(&events)? {
                            return Ok(end);
                        }
                    }
                    None => return Ok(reading.await?.map(|()| End::Actor)?),
                },
            }
        }
    }

    /// Prints what is wanted; returns the end, if that was among it.
    fn print(&mut self, events: &[TraceEvent]) -> anyhow::Result<Option<End>> {
        let (mut lines, mut end) = (String::new(), None);
        for event in events {
            match event {
                TraceEvent::Message(message) => {
                    self.add(message, &mut lines)?;
                    end = self.end_with(message);
                }
                TraceEvent::Dropped(count) => {
                    self.dropped += count;
                    lines += &match self.command.json {
                        true => json!({ "dropped": count }).to_string(),
                        false => format!("… {} not shown", text::counted_were(*count)),
                    };
                    lines.push('\n');
                }
                TraceEvent::Ended => end = Some(End::Actor),
                _ => {}
            }
            if end.is_some() {
                break;
            }
        }
        output::write(lines.as_bytes())?;
        Ok(end)
    }

    fn add(&mut self, message: &TracedMessage, lines: &mut String) -> anyhow::Result<()> {
        if !self.is_wanted(message) {
            return Ok(());
        }
        self.messages += 1;
        *lines += &if self.command.json { serde_json::to_string(message)? } else { text::line(message) };
        lines.push('\n');
        Ok(())
    }

    fn is_wanted(&self, message: &TracedMessage) -> bool {
        let function = message.function.as_deref().unwrap_or_default();
        let is_function = |wanted: &String| text::is_end_of_path(wanted, function);
        (self.kinds.is_empty() || self.kinds.contains(&message.kind))
            && self.command.function.as_ref().is_none_or(is_function)
    }

    fn end_with(&mut self, message: &TracedMessage) -> Option<End> {
        self.has_cancel |= message.kind == MessageKind::Cancel;
        let last = message.kind == MessageKind::CancelAck || message.kind.is_end() && !self.has_cancel;
        match self.command.count {
            Some(count) if self.messages >= count => Some(End::Count),
            _ => (self.is_call && last).then_some(End::Call),
        }
    }

    fn summary(&self, end: End, actor: &str) -> String {
        let ended = match end {
            End::Actor => format!("{actor} has ended: "),
            End::Call => "the call has ended: ".into(),
            End::Count | End::Time | End::Signal => String::new(),
        };
        format!("{ended}{}, {} dropped", text::counted(self.messages), self.dropped)
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}"); // it may be closed
}

/// Hands on what a trace tells, until its end or that of the receiver.
///
/// # Errors
/// As for [`Trace::recv`].
fn read(mut trace: Trace, tell: &mpsc::Sender<Vec<TraceEvent>>) -> std::io::Result<()> {
    loop {
        let events = trace.recv()?;
        let is_last = matches!(events.last(), Some(TraceEvent::Ended));
        if tell.blocking_send(events).is_err() || is_last {
            return Ok(());
        }
    }
}

/// How many batches wait to be printed: where standard output is slow, messages are dropped at their source.
const AT_ONCE: usize = 4;
