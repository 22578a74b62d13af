//! A program that sets no subscriber: its root shows the library's records, as `PLEACH_LOG` or the settings say; and one
//! that sets its own in `main`, which then gets them instead.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Mutex;

use libtest_mimic::Trial;
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;
use pleach::telemetry::LogFormat;
use pleach::{Backoff, ChildSpec, Supervision};

use crate::support::{Notes, RootProcess, over, patience};

/// What the root of a test does before its tree, and the variables that it has.
struct Case {
    scenario: &'static str,
    variables: &'static [(&'static str, &'static str)],
}

#[pleach::rpc]
async fn exits() -> Result<()> {
    std::process::exit(3)
}

pub(crate) fn tests() -> Vec<Trial> {
    let make = |(name, run): (&str, fn())| {
        Trial::test(format!("unsubscribed::{name}"), move || {
            run();
            Ok(())
        })
    };
    let tests: [(&str, fn()); 6] = [
        ("warnings_and_errors_are_shown_by_default", by_default),
        ("the_environment_says_what_is_shown", environment),
        ("the_settings_say_what_is_shown", settings),
        ("a_misspelt_filter_is_said_once_and_hides_nothing", misspelt),
        ("a_subscriber_of_the_program_gets_the_records_instead", own_subscriber),
        ("a_subscriber_that_comes_late_gets_what_follows", late_subscriber),
    ];
    tests.into_iter().map(make).collect()
}

impl Case {
    const fn plain(scenario: &'static str) -> Self {
        Self { scenario, variables: &[] }
    }

    /// Runs the root, and returns what it has written to standard error.
    fn written(&self) -> String {
        let notes = Notes::new();
        let mut command = RootProcess::command("unsubscribed", &notes, self.scenario);
        command.env_remove("PLEACH_LOG").env("RUST_BACKTRACE", "0").envs(self.variables.iter().copied());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let written = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{written}");
        written
    }
}

/// The records of a level that have these words, as the library writes them.
fn records(written: &str, level: &str, words: &str) -> usize {
    let head = format!("Z {level} [root ");
    written.lines().filter(|line| line.contains(&head) && line.contains(words)).count()
}

// S39
fn by_default() {
    let written = Case::plain("plain").written();
    assert_eq!(records(&written, " WARN", "`frail` is started again"), 1, "{written}");
    assert_eq!(records(&written, "ERROR", "`frail`"), 1, "{written}");
    for less in [" INFO ", "DEBUG ", "TRACE "] {
        assert!(!written.contains(less), "{written}");
    }
}

fn environment() {
    let shown = |level| Case { scenario: "plain", variables: level }.written();
    let cancels = shown(&[("PLEACH_LOG", "cancel")]);
    assert_eq!(records(&cancels, "DEBUG", "pleach::cancel: a child has ended"), 2, "{cancels}");
    assert_eq!(records(&cancels, " WARN", "`frail` is started again"), 1, "{cancels}");
    assert_eq!(shown(&[("PLEACH_LOG", "off")]), "");
    let objects = shown(&[("PLEACH_LOG_FORMAT", "json")]);
    assert!(objects.lines().all(|line| line.starts_with("{\"actor\":\"root\",\"pid\":")), "{objects}");
    let overridden = Case { scenario: "configured", variables: &[("PLEACH_LOG", "error")] }.written();
    let is_error = |line: &str| line.contains("\"level\":\"ERROR\"");
    assert!(overridden.lines().count() == 1 && overridden.lines().all(is_error), "{overridden}");
}

fn settings() {
    let written = Case::plain("configured").written();
    assert!(written.lines().all(|line| line.starts_with("{\"actor\":\"root\",\"pid\":")), "{written}");
    let ended = written.lines().filter(|line| line.contains("\"a child has ended\"")).count();
    assert_eq!(ended, 2, "{written}");
}

fn misspelt() {
    let written = Case { scenario: "plain", variables: &[("PLEACH_LOG", "cancle")] }.written();
    let said = "the log filter `cancle` is neither a level nor a layer; did you mean `cancel`?";
    assert_eq!(written.lines().filter(|line| *line == said).count(), 1, "{written}");
    assert_eq!(records(&written, " WARN", "`frail` is started again"), 1, "{written}");
}

fn own_subscriber() {
    let written = Case::plain("subscribed").written();
    assert_eq!(written.lines().count(), 1, "only the error, and that once: {written}");
    assert!(written.starts_with("mine: ERROR pleach::runtime: "), "{written}");
}

fn late_subscriber() {
    let written = Case::plain("late").written();
    assert_eq!(records(&written, " WARN", "`frail` is started again"), 1, "{written}");
    assert_eq!(records(&written, "ERROR", "`frail`"), 1, "{written}");
    assert_eq!(
        written.lines().filter(|line| line.starts_with("mine: ERROR pleach::runtime: ")).count(),
        1,
        "{written}"
    );
}

/// A subscriber of the program's own, as its `main` would set it: it takes errors.
fn subscribe() {
    let format = tracing_subscriber::fmt::format().without_time().with_level(true);
    let mine = || {
        static LINE: Mutex<()> = Mutex::new(());
        let _one = LINE.lock();
        std::io::stderr().write_all(b"mine: ").unwrap();
        std::io::stderr()
    };
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_ansi(false);
    subscriber.event_format(format).with_writer(mine).init(); // panics if there is one already
}

/// The root of a test.
pub(crate) fn root(scenario: &str) {
    run_main(Flavor::CurrentThread, async {
        if scenario == "subscribed" {
            subscribe();
        }
        let mut config = over("uds");
        if scenario == "configured" {
            (config.log_level, config.log_format) = (Some("cancel".into()), LogFormat::Json);
        }
        gives_up(config.clone()).await;
        if scenario == "late" {
            subscribe();
            gives_up(config).await;
        }
    });
}

/// Has a child fail twice: the first time it is started again.
async fn gives_up(config: Config) {
    let ended: Result<()> = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            let frail = ChildSpec::run_once("frail", exits);
            let supervised = Supervision::one_for_one().intensity(1, patience()).backoff(Backoff::none()).child(frail);
            n.supervise(supervised).await?.ended().await
        })
        .await
    })
    .await;
    assert!(matches!(ended, Err(Error::GaveUp(_))), "{ended:?}");
}
