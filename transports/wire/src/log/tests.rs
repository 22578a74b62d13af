//! Records and subscribers of every kind, in one process.

use std::fmt::{self, Debug, Display};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, dispatcher};
use tracing_core::Dispatch;
use tracing_core::field::{Field, Visit};
use tracing_core::metadata::LevelFilter;
use tracing_core::span::Current;
use tracing_core::subscriber::NoSubscriber;

use super::{backlog, guarded, set_fallback};

#[test]
fn a_panic_of_the_subscriber_ends_here() {
    assert!(!guarded(|| panic!("on purpose")));
    assert!(guarded(|| {}));
}

#[test]
fn what_a_panic_carries_ends_here_too() {
    struct Carried;
    impl Drop for Carried {
        fn drop(&mut self) {
            panic!("on purpose, again");
        }
    }
    assert!(!guarded(|| std::panic::panic_any(Carried)));
}

#[test]
fn a_record_arrives_as_it_was_made() {
    let _one = one_at_a_time();
    let (spy, said) = Spy::new();
    let (peer, text, count, unheard) = ("peer", String::from("text"), 3_usize, None::<u64>);
    let line = line!() + 2;
    spy.hears(|| {
        crate::record!(WARN, target: "pleach::test", peer, %text, ?text, level = -1, on = true, count, part = 0.5, limit = ?Some(7), end = %fmt::Error, unheard, "closed {count} of them");
    });
    let said = said.recv().unwrap();
    assert_eq!(
        said.fields,
        "message: closed 3 of them | str peer: peer | text: text | text: \"text\" | i64 level: -1 | bool on: true | \
         u64 count: 3 | f64 part: 0.5 | limit: Some(7) | end: an error occurred when formatting an argument"
    );
    assert_eq!((said.thread.as_str(), said.inside), ("pleach-log", None));
    assert_eq!((said.metadata.target(), *said.metadata.level()), ("pleach::test", super::Level::WARN));
    assert_eq!((said.metadata.file(), said.metadata.line()), (Some(file!()), Some(line)));
    assert!(said.metadata.is_event() && said.metadata.name().starts_with("event "), "{:?}", said.metadata);
}

#[test]
fn records_of_one_thread_keep_their_order() {
    let _one = one_at_a_time();
    let (spy, said) = Spy::new();
    spy.hears(|| (0..500).for_each(|number| crate::record!(WARN, target: "pleach::test", "record {number}")));
    wait();
    let texts: Vec<_> = said.try_iter().map(|said| said.fields).collect();
    assert_eq!(texts, (0..500).map(|number| format!("message: record {number}")).collect::<Vec<_>>());
}

#[test]
fn what_is_not_wanted_is_not_even_shown() {
    struct Shown(AtomicU64);
    impl Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fetch_add(1, Ordering::Relaxed);
            f.write_str("shown")
        }
    }
    let _one = one_at_a_time();
    let (spy, said) = Spy::with(|kind| kind.deaf = true);
    let shown = Shown(AtomicU64::new(0));
    let shows = || crate::record!(WARN, target: "pleach::test", %shown, "is it wanted?");
    spy.hears(shows);
    wait(); // until then it is not known
    spy.hears(|| (0..100).for_each(|_| shows()));
    wait();
    assert_eq!((shown.0.load(Ordering::Relaxed), said.try_iter().count()), (1, 0));
}

#[test]
fn each_subscriber_gets_what_was_said_to_it() {
    let _one = one_at_a_time();
    let ((first, to_first), (second, to_second)) = (Spy::new(), Spy::new());
    let says = |number: u64| crate::record!(WARN, target: "pleach::test", number, "said");
    first.hears(|| says(1));
    second.hears(|| says(2));
    first.hears(|| second.hears(|| says(3)));
    says(4);
    wait();
    let numbers = |said: Receiver<Said>| said.try_iter().map(|said| said.fields).collect::<Vec<_>>();
    assert_eq!(numbers(to_first), ["message: said | u64 number: 1"]);
    assert_eq!(numbers(to_second), ["message: said | u64 number: 2", "message: said | u64 number: 3"]);
}

#[test]
fn a_record_is_inside_the_span_in_which_it_was_made() {
    let _one = one_at_a_time();
    let (spy, said) = Spy::with(|kind| kind.span = Some(7));
    spy.hears(|| crate::record!(WARN, target: "pleach::test", "inside"));
    wait();
    assert_eq!(said.recv().unwrap().inside, Some(7));
    assert_eq!(spy.spans(), ["clone 7", "enter 7", "exit 7", "close 7"]);
}

#[test]
fn a_subscriber_that_panics_at_each_chance_ends_nothing() {
    let _one = one_at_a_time();
    let (broken, _) = Spy::with(|kind| (kind.span, kind.panics) = (Some(7), true));
    let (other, said) = Spy::new();
    let says = || crate::record!(WARN, target: "pleach::test", "said");
    for _ in 0..3 {
        broken.hears(says);
    }
    other.hears(says);
    wait();
    assert_eq!(said.try_iter().count(), 1);
    assert_eq!(broken.spans().iter().filter(|call| *call == "close 7").count(), 3, "{:?}", broken.spans());
}

#[test]
fn a_subscriber_that_makes_records_of_its_own_gets_none_of_those() {
    let _one = one_at_a_time();
    let (spy, said) = Spy::with(|kind| kind.echoes = true);
    spy.hears(|| crate::record!(WARN, target: "pleach::test", "said"));
    wait();
    assert_eq!(said.try_iter().map(|said| said.fields).collect::<Vec<_>>(), ["message: said"]);
}

#[test]
fn a_subscriber_that_blocks_delays_no_caller_and_hears_how_much_it_missed() {
    let _one = one_at_a_time();
    let (blocks, release) = sync_channel(0);
    let (spy, said) = Spy::with(|kind| kind.blocks = Some(Mutex::new(release)));
    let says = |number: u64| crate::record!(WARN, target: "pleach::test", number, "said");
    spy.hears(|| (0..5000).for_each(says));
    drop(blocks);
    wait();
    let said: Vec<_> = said.try_iter().map(|said| said.fields).collect();
    let counts = said.iter().filter_map(|fields| fields.split_once("dropped: ")?.1.split_once("count: "));
    let dropped: usize = counts.map(|(_, count)| count.parse::<usize>().unwrap()).sum();
    let came = said.iter().filter(|fields| fields.starts_with("message: said")).count();
    assert!(came >= 1024 && dropped > 0 && came + dropped == 5000, "{came} and {dropped}");
}

#[test]
fn large_records_are_bounded_by_their_size() {
    let _one = one_at_a_time();
    let (blocks, release) = sync_channel(0);
    let (spy, said) = Spy::with(|kind| kind.blocks = Some(Mutex::new(release)));
    let text = "x".repeat(1 << 20);
    spy.hears(|| (0..100).for_each(|_| crate::record!(WARN, target: "pleach::test", text, "said")));
    drop(blocks);
    wait();
    let came = said.try_iter().filter(|said| said.fields.starts_with("message: said")).count();
    assert!((4..=6).contains(&came), "{came}");
}

#[test]
fn without_a_subscriber_the_logger_of_the_log_crate_gets_it() {
    struct Logger(SyncSender<String>);
    impl log::Log for Logger {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            let _ = self.0.try_send(format!(
                "{} {} {:?} {}",
                record.level(),
                record.target(),
                record.line(),
                record.args()
            ));
            crate::record!(WARN, target: "pleach::test", "a logger that makes records");
        }
        fn flush(&self) {}
    }
    let _one = one_at_a_time();
    let (says, said) = sync_channel(10);
    log::set_logger(Box::leak(Box::new(Logger(says)))).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let line = line!() + 1;
    crate::record!(INFO, target: "pleach::test", name = "a", count = 3, error = %fmt::Error, "said");
    crate::record!(DEBUG, target: "pleach::test", "not wanted");
    wait();
    log::set_max_level(log::LevelFilter::Off);
    let fields = "name=\"a\" count=3 error=an error occurred when formatting an argument";
    assert_eq!(said.try_iter().collect::<Vec<_>>(), [format!("INFO pleach::test Some({line}) said {fields}")]);
}

#[test]
fn the_fallback_gets_what_neither_a_subscriber_nor_a_logger_takes() {
    let _one = one_at_a_time();
    let (says, said) = sync_channel(10);
    set_fallback(Aside { most: LevelFilter::WARN, says: says.clone() });
    crate::record!(WARN, target: "pleach::aside", count = 3, "said");
    crate::record!(INFO, target: "pleach::aside", "beyond its level");
    crate::record!(WARN, target: "pleach::test", "not wanted");
    assert!(!dispatcher::has_been_set() || dispatcher::get_default(|set| set.is::<NoSubscriber>()), "it is installed");
    let (spy, heard) = Spy::new();
    spy.hears(|| crate::record!(WARN, target: "pleach::aside", "for the subscriber"));
    wait();
    // A program whose logger takes no more than errors has chosen so.
    log::set_max_level(log::LevelFilter::Error);
    crate::record!(WARN, target: "pleach::aside", "for no logger");
    wait();
    log::set_max_level(log::LevelFilter::Off);
    set_fallback(Aside { most: LevelFilter::OFF, says });
    crate::record!(WARN, target: "pleach::aside", "no longer");
    wait();
    assert_eq!(said.try_iter().collect::<Vec<_>>(), ["message: said | i64 count: 3"]);
    assert_eq!(heard.try_iter().map(|said| said.fields).collect::<Vec<_>>(), ["message: for the subscriber"]);
}

/// A subscriber for what nothing else takes, of one target.
struct Aside {
    most: LevelFilter,
    says: SyncSender<String>,
}

impl Subscriber for Aside {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pleach::aside"
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        self.says.try_send(fields.0.join(" | ")).unwrap();
    }
}

/// All of them use the one thread.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until what has been said is delivered.
fn wait() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(backlog().delivered());
}

/// What a subscriber got.
#[derive(Debug)]
struct Said {
    metadata: &'static Metadata<'static>,
    fields: String,
    inside: Option<u64>,
    thread: String,
}

/// What a subscriber does.
#[derive(Default)]
struct Kind {
    deaf: bool,
    panics: bool,
    echoes: bool,
    /// Until the other end is gone.
    blocks: Option<Mutex<Receiver<()>>>,
    /// The span that is always the current one.
    span: Option<u64>,
}

/// A subscriber, from outside.
struct Spy {
    dispatch: Dispatch,
    spans: Arc<Mutex<Vec<String>>>,
}

impl Spy {
    fn new() -> (Self, Receiver<Said>) {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Kind)) -> (Self, Receiver<Said>) {
        let mut kind = Kind::default();
        change(&mut kind);
        let (says, said) = sync_channel(10_000);
        let spans = Arc::<Mutex<Vec<String>>>::default();
        let span = kind.span.map(Id::from_u64);
        let inside = AtomicBool::new(false);
        let dispatch = Dispatch::new(Listener { kind, span, inside, says, spans: spans.clone() });
        (Self { dispatch, spans }, said)
    }

    fn hears(&self, what: impl FnOnce()) {
        dispatcher::with_default(&self.dispatch, what);
    }

    fn spans(&self) -> Vec<String> {
        self.spans.lock().unwrap().clone()
    }
}

struct Listener {
    kind: Kind,
    span: Option<Id>,
    inside: AtomicBool,
    says: SyncSender<Said>,
    spans: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    fn note(&self, call: &str, span: &Id) {
        self.spans.lock().unwrap().push(format!("{call} {}", span.into_u64()));
        assert!(!self.kind.panics, "on purpose");
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        // Setting a subscriber asks it about all call sites that are known, on that thread.
        assert!(!self.kind.panics || std::thread::current().name() != Some("pleach-log"), "on purpose");
        !self.kind.deaf
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        assert!(!self.kind.panics, "on purpose");
        if let Some(release) = &self.kind.blocks {
            let _ = release.lock().unwrap().recv();
        }
        let mut fields = Fields(Vec::new());
        event.record(&mut fields);
        let said = Said {
            metadata: event.metadata(),
            fields: fields.0.join(" | "),
            inside: self.kind.span.filter(|_| event.is_contextual() && self.inside.load(Ordering::Relaxed)),
            thread: std::thread::current().name().unwrap_or_default().to_owned(),
        };
        self.says.try_send(said).unwrap();
        if self.kind.echoes {
            crate::record!(WARN, target: "pleach::test", "an echo");
        }
    }

    fn enter(&self, span: &Id) {
        self.inside.store(true, Ordering::Relaxed);
        self.note("enter", span);
    }

    fn exit(&self, span: &Id) {
        self.inside.store(false, Ordering::Relaxed);
        self.note("exit", span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.spans.lock().unwrap().push(format!("clone {}", span.into_u64()));
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        self.note("close", &span);
        false
    }

    fn current_span(&self) -> Current {
        // It needs metadata, and any will do.
        self.span.as_ref().map_or_else(Current::none, |span| Current::new(span.clone(), ANY.metadata()))
    }
}

static ANY: super::Site = crate::site!(INFO, "pleach::test",);

/// The fields of a record, each with the method by which it came.
struct Fields(Vec<String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push(format!("{}: {value:?}", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push(format!("str {}: {value}", field.name()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push(format!("f64 {}: {value}", field.name()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push(format!("i64 {}: {value}", field.name()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push(format!("u64 {}: {value}", field.name()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push(format!("bool {}: {value}", field.name()));
    }
}
