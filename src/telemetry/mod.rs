//! Log records: which are kept, and where they go.
//!
//! The library only emits [`tracing`] events, under the targets `pleach::transport`,
//! `pleach::runtime` and `pleach::cancel`; a program subscribes to them as it likes. Actor processes
//! have no program around them, so they get a subscriber from [`init`]; it writes to standard error,
//! which the parent passes on with the actor's name in front. A root of `#[pleach::main]` shows them in the same way
//! while its program has no subscriber and no logger (`fallback`).
//!
//! Whatever subscriber there is, it harms nothing here if it panics, and holds nothing up if it blocks: the
//! library's records are handed over by a thread of their own, named `pleach-log`, a moment after they were made
//! and within the span in which they were made. While the subscriber takes none, up to 1024 of them (or 4 MiB)
//! wait; further ones are dropped, and a record says how many. What the subscriber of [`init`] writes waits for
//! standard error in the same way (`writer`). Before the process ends, what waits is delivered, within a bound
//! (`last_words`). Records of the program itself, and of other libraries, are none of this: they call the
//! subscriber where they are made. So do the spans of calls, which the program has to ask for ([`trace_calls`]).

pub(crate) mod calls;
pub(crate) mod fallback;
pub(crate) mod last_words;
mod line;
pub(crate) mod meters;
#[cfg(feature = "otel")]
pub mod otel;
mod spans;
pub(crate) mod stderr;
pub(crate) mod stdout;
mod writer;

use std::collections::BTreeSet;
use std::sync::Mutex;

use tracing::Subscriber;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Registry, fmt};

pub use self::calls::trace_calls;
pub use self::line::LogFormat;
pub(crate) use self::line::passed_on;
use self::line::{JsonLine, TextLine};
pub use self::spans::{Propagator, propagate_with};
pub(crate) use self::writer::divert;
use crate::misspelt::meant;
use crate::sync::lock;

/// Writes log records to standard error, unless the program has set a subscriber of its own.
///
/// `level` is a level (`off`, `error`, `warn`, `info`, `debug`, `trace`), the name of a layer (`transport`,
/// `runtime`, `cancel`: everything of that layer, and warnings), another target such as a crate (likewise), or any
/// of them with levels: `info,app::part=debug`, as `Targets` of `tracing-subscriber` reads it. The environment variable
/// `PLEACH_LOG` comes first; without both, warnings and errors are shown. What looks like a misspelt level or layer is
/// said, and hides nothing.
///
/// A record has the time in UTC, the level, the name of its actor and the process id (`[worker 4711]`; of an actor that
/// the parent did not start itself the path below the child that it did: `[worker/leaf 4712]`), spans, the target, the
/// message and the fields. `PLEACH_LOG_FORMAT=json` makes it one JSON object in a line, for machines; actors take that
/// over from [`Config::log_format`](crate::Config::log_format). What else a child writes to its standard error is passed
/// on as it is, with the child's name in front. A program without a root has no actor; one with several roots at once
/// goes by the name of the first.
///
/// Writing never waits and never fails: lines that standard error does not take in time are dropped, and counted in a
/// line of their own. The queue is written at the end of the process, within half a second, and only while standard
/// error takes something.
///
/// ```
/// pleach::telemetry::init(Some("cancel"));
/// ```
pub fn init(level: Option<&str>) {
    init_with(wanted_level().as_deref().or(level), LogFormat::default());
}

/// As [`init`], for an actor: its parent says which records, also if the environment names others.
pub(crate) fn init_actor(level: Option<&str>, format: LogFormat) {
    init_with(level, format);
}

fn init_with(level: Option<&str>, format: LogFormat) {
    last_words::wait_at_exit();
    let is_free = tracing::dispatcher::get_default(|set| set.is::<NoSubscriber>());
    // To make another subscriber asks the one that is set: that may take its time.
    if !is_free {
        return debug!(target: "pleach::runtime", "a subscriber is set already");
    }
    let (filter, format) = (filter(level.unwrap_or("warn")), wanted_format().unwrap_or(format));
    #[cfg(feature = "otel")]
    let installed = match otel::layer() {
        Some(exporter) => install(Registry::default().with(exporter), filter, format),
        None => install(Registry::default(), filter, format),
    };
    #[cfg(not(feature = "otel"))]
    let installed = install(Registry::default(), filter, format);
    // Another thread may have set one just now.
    if installed.is_ok() {
        trace_calls();
    }
}

/// Sets a subscriber that writes lines, beside whatever stands below it.
fn install<S>(below: S, filter: Targets, format: LogFormat) -> Result<(), TryInitError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    lines(below, filter, format).try_init()
}

/// Makes a subscriber that writes lines, beside whatever stands below it.
fn lines<S>(below: S, filter: Targets, format: LogFormat) -> impl Subscriber + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let lines = fmt::layer()
        .with_writer(|| stderr::Records)
        // It would write to standard error, and panic when that is closed.
        .log_internal_errors(false)
        .with_ansi(false);
    let lines = match format {
        LogFormat::Text => lines.event_format(TextLine::new()).boxed(),
        LogFormat::Json => lines.fmt_fields(JsonFields::new()).event_format(JsonLine::new()).boxed(),
    };
    below.with(lines.with_filter(filter))
}

/// Returns the log filter that the environment names, if it names one.
pub(crate) fn wanted_level() -> Option<String> {
    std::env::var(LEVEL).ok()
}

/// Returns the format that the environment names, if it names one.
fn wanted_format() -> Option<LogFormat> {
    let name = std::env::var("PLEACH_LOG_FORMAT").ok()?;
    let format = LogFormat::named(&name);
    if format.is_none() {
        let known = LogFormat::NAMES.join(" or ");
        complain(format!("PLEACH_LOG_FORMAT: `{name}` is not a format of records; use {known}\n"));
    }
    format
}

/// Returns the names of the spans around the current code, innermost first.
///
/// Only a registry knows them: there are none unless the program's subscriber is built on one, as that
/// of [`init`] is, and takes the spans' levels. Their fields are not read: that takes locks which a
/// panicking thread may hold.
pub(crate) fn span_trace() -> Vec<String> {
    tracing::dispatcher::get_default(|subscriber| {
        let Some(registry) = subscriber.downcast_ref::<Registry>() else { return Vec::new() };
        let current = registry.current_span();
        let innermost = current.id().and_then(|id| registry.span(id));
        let scope = innermost.iter().flat_map(|span| span.scope());
        scope.take(MAX_SPANS).map(|span| span.name().to_owned()).collect()
    })
}

fn filter(level: &str) -> Targets {
    let directives = match level {
        layer if LAYERS.contains(&layer) => format!("warn,pleach::{layer}=trace"),
        level if LEVELS.contains(&level.to_ascii_lowercase().as_str()) => level.to_owned(),
        // One word that is neither: everything of that target, such as a crate. It hides no warnings of others.
        target if !target.is_empty() && target.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':') => {
            if let Some(meant) = meant(target, LAYERS.into_iter().chain(LEVELS)) {
                complain(format!(
                    "the log filter `{target}` is neither a level nor a layer; did you mean `{meant}`?\n"
                ));
            }
            format!("warn,{target}=trace")
        }
        other => other.to_owned(),
    };
    parse(&directives).unwrap_or_else(|why| {
        complain(format!("`{level}` is not a valid log filter ({why}); showing warnings\n"));
        Targets::new().with_default(LevelFilter::WARN)
    })
}

fn parse(directives: &str) -> Result<Targets, String> {
    let named = directives.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return Err("it is empty".into());
    }
    if let Some(span) = named.iter().find(|directive| directive.contains('[')) {
        return Err(format!("`{span}` is by span or field, and it selects by target and level: `app::part=debug`"));
    }
    named.join(",").parse::<Targets>().map_err(|error| error.to_string())
}

/// Says what is wrong with a setting. A root may read it twice: for itself, and when its program calls [`init`].
fn complain(text: String) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if lock(&SAID).insert(text.clone()) {
        stderr::offer(text.into());
    }
}

/// The variable with the log filter.
pub(crate) const LEVEL: &str = "PLEACH_LOG";

/// The layers of this library, as its targets are called.
const LAYERS: [&str; 3] = ["transport", "runtime", "cancel"];

/// The levels of records.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Spans beyond this many tell nothing new.
const MAX_SPANS: usize = 32;

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The records of all layers that a filter for `level` writes.
    fn records(level: &str) -> String {
        let written = Written::default();
        let into = written.clone();
        let lines = fmt::layer().with_ansi(false).with_line_number(true).with_file(true);
        let lines = lines.with_writer(move || into.clone()).with_filter(filter(level));
        tracing::subscriber::with_default(Registry::default().with(lines), || {
            tracing::trace!(target: "pleach::transport", "a frame");
            tracing::trace!(target: "pleach::runtime", "a task");
            tracing::trace!(target: "pleach::cancel", "a cancel");
            tracing::warn!(target: "app", "a warning");
        });
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    // S39
    #[test]
    fn a_layer_can_be_asked_for_alone() {
        let layers = [("transport", "a frame"), ("runtime", "a task"), ("cancel", "a cancel")];
        for (layer, own) in layers {
            let records = records(layer);
            for (_, text) in layers {
                assert_eq!(records.contains(text), text == own, "{layer}: {records}");
            }
            assert!(records.contains("a warning"), "{records}");
        }
        assert_eq!(records("warn").lines().count(), 1);
        assert_eq!(records("WARN").lines().count(), 1);
    }

    #[test]
    fn a_word_that_is_no_level_hides_no_warning() {
        for word in ["cancle", "app", "some_crate::part"] {
            assert!(records(word).contains("a warning"), "{word}");
        }
        assert!(!records("off").contains("a warning"));
    }

    #[test]
    fn a_filter_may_have_blanks_and_one_that_is_none_hides_no_warning() {
        let mixed = records("error, pleach::cancel=trace,");
        assert!(mixed.contains("a cancel") && !mixed.contains("a warning") && !mixed.contains("a task"), "{mixed}");
        for wrong in ["", "app[span]=trace", "app=loud", "a=b=c"] {
            assert_eq!(records(wrong).lines().count(), 1, "{wrong}");
        }
    }

    // S40
    #[test]
    fn a_record_says_where_it_was_made() {
        assert!(records("cancel").contains(&format!("{}:", file!())), "{}", records("cancel"));
    }
}
