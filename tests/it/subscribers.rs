//! Subscribers of the program's own, in a root and in its actors: one that panics, one that never returns, a slow one.
//! Whatever they do, supervision does its duty; and a record reaches the one that is there, within its span.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use tracing::field::{Field, Visit};
use tracing::instrument::{Instrument as _, WithSubscriber as _};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{Log, Notes, RootProcess, Watched, in_root, note, over, patience, test_fn};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn fails() -> anyhow::Result<()> {
    anyhow::bail!("on purpose")
}

/// Has two actors below, and waits.
#[pleach::rpc]
async fn supervises(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let leaf = n.start_actor("leaf").enable(module_path!()).await?;
        let twin = n.start_actor("twin").enable(module_path!()).await?;
        let all = [std::process::id(), leaf.run(pid()).await?, twin.run(pid()).await?];
        note(&notes, format!("below {}", all.map(|pid| pid.to_string()).join(" ")));
        let told = Arc::new(Notes::new());
        note(&notes, format!("tell {}", told.address()));
        told.expect_async("fail").await;
        leaf.run(fails()).await?;
        Ok(())
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for kind in ["panics", "panics_when_asked", "blocks", "blocks_when_asked"] {
        for place in ["root", "actors"] {
            for threads in ["one_thread", "threads"] {
                let how = format!("{kind} {place} {threads}");
                tests.push(process(&format!("one_that_{kind}_in_{place}_on_{threads}"), move || keeps_duties(&how)));
            }
        }
    }
    tests.push(process("what_one_did_not_take_is_counted", counted));
    tests.push(process("a_slow_one_gets_the_last_words", last_words));
    tests.push(process("a_process_that_forks_keeps_it", forked));
    tests.push(test_fn(a_scoped_one_gets_the_records_within_their_span));
    tests
}

fn process(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(format!("subscribers::{name}"), move || {
        run();
        Ok(())
    })
}

/// A failure ends the siblings and the tree with its error; SIGTERM, to an actor and to the root, ends it in order.
fn keeps_duties(how: &str) {
    for end in ["failure", "signal to an actor", "signal to the root"] {
        let (notes, met) = (Notes::new(), Notes::new());
        let mut command = RootProcess::command("subscribers", &notes, how);
        command.env(MET, met.address()).env("RUST_BACKTRACE", "0").stderr(Stdio::null());
        let mut root = RootProcess::spawn(command);
        let pids = format!("{} {}", notes.expect("sleeper "), notes.expect("below "));
        let pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().unwrap()).collect();
        let tree: Vec<_> = pids.iter().chain([&root.pid()]).map(|pid| Watched::new(*pid)).collect();
        let told = notes.expect("tell ");
        let terminate = |pid: u32| kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::TERM).unwrap();
        match end {
            "failure" => note(&told, "fail"),
            "signal to an actor" => terminate(pids[1]),
            _ => terminate(root.pid()),
        }
        if end == "signal to the root" {
            tree.iter().for_each(|process| process.assert_gone_within(patience()));
            assert_eq!(root.0.wait().unwrap().code(), Some(143), "{end}");
        } else {
            let ended = notes.expect("ended: ");
            assert!(ended.contains(if end == "failure" { "on purpose" } else { "SIGTERM" }), "{end}: {ended}");
            tree.iter().for_each(|process| process.assert_gone_within(patience()));
            assert!(root.0.wait().unwrap().success(), "{end}");
        }
        // Or this would tell nothing. After a panic the next record comes all the same.
        (0..if how.starts_with("panics") { 2 } else { 1 }).for_each(|_| drop(met.expect("met")));
    }
}

/// Nothing is taken until all has been said.
fn counted() {
    let (notes, met) = (Notes::new(), Notes::new());
    let mut command = RootProcess::command("subscribers", &notes, "many records");
    command.env(MET, met.address()).stderr(Stdio::null());
    let mut root = RootProcess::spawn(command);
    met.expect("met");
    let counts = notes.expect("taken and dropped: ");
    let counts: Vec<u64> = counts.split(' ').map(|count| count.parse().unwrap()).collect();
    let [taken, dropped] = counts[..] else { panic!("{counts:?}") };
    assert!(taken >= 1024 && dropped > 0 && taken + dropped == MANY, "{taken} and {dropped}");
    assert!(root.0.wait().unwrap().success());
}

fn last_words() {
    let notes = Notes::new();
    let output = RootProcess::command("subscribers", &notes, "last words").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().filter(|line| line.contains("taken")).count(), SLOW, "{said}");
}

/// The other process has no thread that hands records over.
fn forked() {
    let notes = Notes::new();
    let mut root = RootProcess::start("subscribers", &notes, "forks");
    assert_eq!(notes.expect("taken by "), root.pid().to_string());
    let other = notes.expect("forked ");
    assert_eq!(notes.expect("taken by "), other);
    assert!(root.0.wait().unwrap().success());
}

/// Not the program's, but one that is set where a future is polled. Its filter asks for the span.
async fn a_scoped_one_gets_the_records_within_their_span() {
    let (log, lines) = sync_channel(1000);
    let logging = tracing_subscriber::fmt().with_env_filter("off,[around]=debug").with_thread_names(true);
    let logging = logging.with_ansi(false).with_writer(move || Log(log.clone())).finish();
    async {
        let around = tracing::info_span!("around", n = 7);
        in_root(over("mem"), async |_| {
            pleach::open_nursery(async |n| n.start_actor("peer").await?.cancel_actor().await).await
        })
        .instrument(around)
        .await
        .unwrap();
    }
    .with_subscriber(logging)
    .await;
    let mut lines = std::iter::from_fn(|| lines.recv_timeout(patience()).ok());
    let last = lines.find(|line| line.contains("leaving")).unwrap();
    assert!(last.contains("around{n=7}:") && last.contains("pleach-log"), "{last}");
}

/// The root of a test.
pub(crate) fn root(notes: &str, how: &str) {
    match how.split(' ').collect::<Vec<_>>()[..] {
        ["many", "records"] => many_records(notes),
        ["forks"] => forks(notes.to_owned()),
        ["last", "words"] => {
            Own::set(|_| {
                std::thread::park_timeout(Duration::from_millis(12));
                let _ = writeln!(std::io::stderr(), "taken");
            });
            (0..SLOW).for_each(|_| says());
        }
        [kind, place, threads] => {
            let (in_root, in_actors) = if place == "root" { (kind, "none") } else { ("none", kind) };
            set(in_root);
            let threads = threads == "threads";
            let flavor = if threads { Flavor::MultiThread { workers: Some(2) } } else { Flavor::CurrentThread };
            let ended: Result<()> = run_main(flavor, tree(notes.to_owned(), threads, in_actors));
            note(notes, format!("ended: {ended:?}"));
        }
        _ => panic!("no scenario `{how}`"),
    }
}

/// Sets the subscriber that the parent has chosen.
pub(crate) fn before_entry() {
    if let Ok(kind) = std::env::var(SUBSCRIBER) {
        set(&kind);
    }
}

async fn tree(notes: String, threads: bool, in_actors: &str) -> Result<()> {
    pleach::open_root(Config { multi_thread: threads, ..over("uds") }, async |_| {
        pleach::open_nursery(async |n| {
            let start = |name: &'static str| n.start_actor(name).enable(module_path!()).env(SUBSCRIBER, in_actors);
            let sleeper = start("sleeper").await?;
            note(&notes, format!("sleeper {}", sleeper.run(pid()).await?));
            start("middle").await?.run(supervises(notes.clone())).await
        })
        .await
    })
    .await
}

/// Has the library say something.
fn says() {
    pleach::telemetry::init(None);
}

/// Goes on as two processes, which both return.
#[expect(unsafe_code, reason = "to fork is what is tried")]
fn forks(notes: String) {
    let taken_by = notes.clone();
    Own::set(move |_| note(&taken_by, format!("taken by {}", std::process::id())));
    says();
    while pleach_wire::log::backlog().left() > 0 {
        std::thread::yield_now();
    }
    // SAFETY: the other thread of this process is idle, so it holds no lock that the new one needs.
    match unsafe { libc::fork() } {
        0 => {
            note(&notes, format!("forked {}", std::process::id()));
            says();
        }
        other => {
            let other = Pid::from_raw(other).expect("the kernel makes one more process");
            rustix::process::waitpid(Some(other), rustix::process::WaitOptions::empty()).unwrap();
        }
    }
}

fn many_records(notes: &str) {
    let counts = Arc::<(Mutex<Counts>, Condvar)>::default();
    let shared = counts.clone();
    Own::set(move |event| {
        met();
        let counts = shared.1.wait_while(shared.0.lock().unwrap(), |counts| !counts.said);
        counts.unwrap().count(event);
        shared.1.notify_all();
    });
    (0..MANY).for_each(|_| says());
    counts.0.lock().unwrap().said = true;
    counts.1.notify_all();
    let left = |counts: &mut Counts| counts.taken + counts.dropped < MANY;
    let counts = counts.1.wait_while(counts.0.lock().unwrap(), left).unwrap();
    note(notes, format!("taken and dropped: {} {}", counts.taken, counts.dropped));
}

/// What a subscriber has taken, and what it was told that it has not.
#[derive(Default)]
struct Counts {
    /// All is said now.
    said: bool,
    taken: u64,
    dropped: u64,
}

impl Counts {
    fn count(&mut self, event: &Event<'_>) {
        let before = self.dropped;
        event.record(self);
        self.taken += u64::from(before == self.dropped);
    }
}

impl Visit for Counts {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "count" {
            self.dropped += value;
        }
    }
}

/// Sets one of the broken subscribers.
pub(crate) fn set(kind: &str) {
    match kind {
        "panics" => Own::set(|_| panics()),
        "panics_when_asked" => Own::set_asked(panics),
        "blocks" => Own::set(|_| blocks()),
        "blocks_when_asked" => Own::set_asked(blocks),
        _ => {}
    }
}

fn panics() {
    met();
    panic!("a broken subscriber");
}

fn blocks() {
    met();
    loop {
        std::thread::park();
    }
}

/// Says, the first two times, that a subscriber has met a record of the library.
fn met() {
    static TIMES: AtomicU32 = AtomicU32::new(0);
    if TIMES.fetch_add(1, Ordering::Relaxed) < 2 {
        std::env::var(MET).iter().for_each(|address| note(address, "met"));
    }
}

/// A subscriber for what the library says.
pub(crate) struct Own {
    asked: fn(),
    takes: Box<dyn Fn(&Event<'_>) + Send + Sync>,
}

impl Own {
    pub(crate) fn set(takes: impl Fn(&Event<'_>) + Send + Sync + 'static) {
        tracing::subscriber::set_global_default(Self { asked: || {}, takes: Box::new(takes) }).unwrap();
    }

    /// Sets one that does something when it is asked whether it wants a record.
    fn set_asked(asked: fn()) {
        tracing::subscriber::set_global_default(Self { asked, takes: Box::new(|_| {}) }).unwrap();
    }
}

impl Subscriber for Own {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_librarys = metadata.target().starts_with("pleach::");
        if is_librarys {
            (self.asked)();
        }
        is_librarys
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        (self.takes)(event);
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

pub(crate) const SUBSCRIBER: &str = "IT_OWN_SUBSCRIBER";

/// Where a process says that its subscriber has met a record.
const MET: &str = "IT_MET";

/// More records than may wait.
const MANY: u64 = 3000;

/// Records for which a slow subscriber takes longer than it may for a single one.
const SLOW: usize = 12;
