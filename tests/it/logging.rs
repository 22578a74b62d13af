//! Logging ends nothing and holds nothing up: standard error that is closed, gone or stalled, with debug records
//! on; a subscriber of the program's own that panics, or blocks.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use libtest_mimic::Trial;
use pleach::error::WaitStatus;
use pleach::prelude::*;
use tracing::Event;
use tracing::field::{Field, Visit};

use crate::subscribers::{self, Own, SUBSCRIBER};
use crate::support::{FOREVER, Notes, PROCESSES, RootProcess, Watched, note, over, patience, soon};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn fails() -> anyhow::Result<()> {
    anyhow::bail!("on purpose")
}

#[pleach::rpc]
async fn panics() -> Result<()> {
    panic!("on purpose")
}

/// Writes more to standard error than any pipe takes.
#[pleach::rpc]
async fn chatters() -> Result<u32> {
    for line in 0..20_000 {
        let _ = writeln!(std::io::stderr(), "line {line} of a chatterbox, long enough to fill a pipe soon");
    }
    Ok(std::process::id())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    let mut root = |name: &str, run: fn()| {
        tests.push(Trial::test(format!("logging::{name}"), move || {
            run();
            Ok(())
        }));
    };
    root("a_tree_whose_stderr_is_closed_lives_and_ends", closed);
    root("a_tree_whose_stderr_has_no_reader_lives_and_ends", unread);
    root("a_tree_whose_stderr_is_stalled_lives_and_ends", stalled);
    root("what_stderr_did_not_take_is_counted", counted);
    root("the_last_records_are_written_before_the_process_ends", last_records);
    root("ending_an_actor_in_the_middle_of_blobs_is_no_warning", amid_blobs);
    root("a_subscriber_that_panics_does_no_harm", panicking);
    root("a_subscriber_that_blocks_for_a_while_loses_no_duty", blocking);
    tests
}

fn command(scenario: &str, notes: &Notes) -> Command {
    let mut command = RootProcess::command("logging", notes, scenario);
    command.env("PLEACH_LOG", "trace");
    command
}

fn assert_lives_and_ends(mut root: RootProcess, notes: &Notes) {
    assert_eq!(notes.next(), "a life of a tree: done");
    Watched::new(root.pid()).assert_gone_within(patience());
    assert!(root.0.wait().unwrap().success());
}

fn closed() {
    let notes = Notes::new();
    let inner = command("life", &notes);
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" 2>&-"]).arg(inner.get_program());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert_lives_and_ends(RootProcess::spawn(command), &notes);
}

fn unread() {
    let notes = Notes::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command("life", &notes);
    command.stderr(writer);
    assert_lives_and_ends(RootProcess::spawn(command), &notes);
}

fn stalled() {
    let notes = Notes::new();
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = command("life", &notes);
    command.stderr(writer);
    assert_lives_and_ends(RootProcess::spawn(command), &notes);
}

/// Nothing is read until the tree is done; then all of it.
fn counted() {
    let notes = Notes::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = command("life, then waits", &notes);
    command.stderr(writer);
    let mut root = RootProcess::spawn(command);
    assert_eq!(notes.next(), "a life of a tree: done");
    let reading = std::thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).map(|_| said)
    });
    let go = notes.expect("waits at ");
    note(&go, "go");
    Watched::new(root.pid()).assert_gone_within(patience());
    root.0.wait().unwrap();
    let said = reading.join().unwrap().unwrap();
    assert!(said.contains(" lines dropped: nothing took them in time"), "{} bytes", said.len());
}

fn last_records() {
    let notes = Notes::new();
    let mut command = command("says goodbye", &notes);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().filter(|line| line.contains("goodbye")).count(), 500, "{said}");
}

/// Over each transport, and with blobs that go to the actor as well as those that come from it.
fn amid_blobs() {
    for protocol in PROCESSES {
        let notes = Notes::new();
        let mut command = command(protocol, &notes);
        let output = command.env("PLEACH_LOG", "pleach=warn").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "over {protocol}: {said}");
    }
}

fn panicking() {
    let notes = Notes::new();
    let mut command = command("panicking subscriber", &notes);
    command.env("RUST_BACKTRACE", "0").stderr(Stdio::null());
    assert_lives_and_ends(RootProcess::spawn(command), &notes);
}

/// The first record of a failure does not return for a while, and what has to be done is done meanwhile.
fn blocking() {
    let notes = Notes::new();
    let mut root = RootProcess::spawn(command("blocking subscriber", &notes));
    let siblings = notes.expect("siblings ");
    let siblings: Vec<_> = siblings.split(' ').map(|pid| Watched::new(pid.parse().unwrap())).collect();
    let release = notes.expect("release me at ");
    note(&release, "start");
    notes.expect("blocked");
    siblings.iter().for_each(|sibling| sibling.assert_gone_within(patience()));
    let ended = notes.expect("ended: ");
    assert!(ended.contains("on purpose"), "{ended}");
    note(&release, "go on");
    Watched::new(root.pid()).assert_gone_within(patience());
    root.0.wait().unwrap();
}

/// The root of a test.
pub(crate) fn root(notes: &str, scenario: &str) {
    let flavor = pleach::__private::Flavor::MultiThread { workers: Some(4) };
    match scenario {
        "says goodbye" => {
            pleach::telemetry::init(None);
            (0..500).for_each(|number| tracing::warn!(number, "goodbye"));
        }
        "panicking subscriber" => {
            subscribers::set("panics");
            run(pleach::__private::Flavor::CurrentThread, notes, false);
        }
        "blocking subscriber" => {
            let blocking = Arc::new(Blocking::default());
            let (own, address) = (blocking.clone(), notes.to_owned());
            Own::set(move |event| own.take(event, &address));
            let ended = pleach::__private::run_main(flavor, siblings(notes.to_owned(), blocking));
            note(notes, format!("ended: {ended:?}"));
        }
        protocol if PROCESSES.contains(&protocol) => {
            pleach::telemetry::init(None);
            pleach::__private::run_main(flavor, ends_amid_blobs(over(protocol))).unwrap();
        }
        other => {
            pleach::telemetry::init(None);
            run(pleach::__private::Flavor::CurrentThread, notes, other == "life, then waits");
        }
    }
}

fn run(flavor: pleach::__private::Flavor, notes: &str, waits: bool) {
    let ended = pleach::__private::run_main(flavor, life());
    note(notes, format!("a life of a tree: {}", ended.map_or_else(|error| format!("{error:?}"), |()| "done".into())));
    if waits {
        let go = Notes::new();
        note(notes, format!("waits at {}", go.address()));
        go.expect("go");
        // After a line there is room for the count.
        tracing::warn!("the last one");
    }
}

async fn ends_amid_blobs(config: Config) -> Result<()> {
    // What an actor says last has the time that it needs; what is on its way to one that takes nothing is cut.
    let config = Config { peers: soon(), soft_reap: FOREVER, ..config };
    pleach::open_root(config.clone(), async |_| pleach::open_nursery(async |n| ends_a_giver(&n).await).await).await?;
    pleach::open_root(config, async |_| pleach::open_nursery(async |n| ends_a_taker(&n).await).await).await
}

async fn ends_a_giver(n: &Nursery) -> Result<()> {
    let giver = n.start_actor("giver").enable(module_path!()).await?;
    let ended: Result<()> = giver
        .open_stream_from(gives(), async |mut blobs| {
            blobs.recv().await?;
            giver.cancel_actor().await?;
            while blobs.recv().await?.is_some() {}
            Ok(())
        })
        .await;
    assert!(matches!(ended, Err(Error::ContextCancelled(_))), "{ended:?}");
    Ok(())
}

async fn ends_a_taker(n: &Nursery) -> Result<()> {
    let taker = n.start_actor("taker").enable(module_path!()).await?;
    let ended: Result<()> = taker
        .open_context(takes_nothing(), async |ctx, ()| {
            let stream = ctx.open_stream().await?;
            stream.send(Blob::from(vec![7; MUCH])).await?;
            taker.cancel_actor().await?;
            ctx.result().await
        })
        .await;
    assert!(ended.is_err(), "{ended:?}");
    Ok(())
}

#[pleach::context]
async fn takes_nothing(ctx: &mut Context<(), Blob, ()>) -> Result<()> {
    ctx.started(()).await?;
    let _stream = ctx.open_stream().await?;
    std::future::pending().await
}

#[pleach::stream]
async fn gives(out: &mut StreamSender<Blob>) -> Result<()> {
    loop {
        out.send(Blob::from(vec![7; 4 << 20])).await?;
    }
}

/// More than gets to an actor in the time that it has here.
const MUCH: usize = 60 << 20;

/// Starts, calls, failures, panics, deaths, cancels: whatever writes a record.
async fn life() -> Result<()> {
    pleach::open_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let daemon = n.start_actor("daemon").enable(module_path!()).env(SUBSCRIBER, subscriber()).await?;
            let other = n.start_actor("other").enable(module_path!()).env(SUBSCRIBER, subscriber()).await?;
            for _ in 0..300 {
                daemon.run(pid()).await?;
            }
            assert!(daemon.run(fails()).await.is_err() && daemon.run(panics()).await.is_err());
            other.run(chatters()).await?;
            let found = pleach::find_actor("other").await?.expect("it is there");
            found.run(pid()).await?;
            daemon.cancel_actor().await?;
            other.cancel_actor().await
        })
        .await?;
        let failed: Result<()> = pleach::open_nursery(async |n| {
            let victim = n.start_actor("victim").enable(module_path!()).env(SUBSCRIBER, subscriber()).await?;
            Watched::new(victim.run(pid()).await?).kill();
            std::future::pending().await
        })
        .await;
        match failed {
            Err(Error::ActorDied(died)) if died.status == WaitStatus::Signalled(9) => Ok(()),
            other => Err(Error::Usage(format!("{other:?}"))),
        }
    })
    .await
}

/// What the actors below are to have for a subscriber, too.
fn subscriber() -> &'static str {
    let panics = std::env::var("IT_ARGS").is_ok_and(|scenario| scenario == "panicking subscriber");
    if panics { "panics" } else { "none" }
}

/// One fails, the others are ended.
async fn siblings(notes: String, blocking: Arc<Blocking>) -> Result<()> {
    pleach::open_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let (one, other) =
                (n.start_actor("one").enable(module_path!()), n.start_actor("other").enable(module_path!()));
            let (one, other) = (one.await?, other.await?);
            note(&notes, format!("siblings {} {}", one.run(pid()).await?, other.run(pid()).await?));
            let release = Arc::new(Notes::new());
            note(&notes, format!("release me at {}", release.address()));
            release.expect_async("start").await;
            std::thread::spawn({
                let (release, blocking) = (release.clone(), blocking.clone());
                move || {
                    release.expect("go on");
                    blocking.release();
                }
            });
            blocking.armed.store(true, Ordering::Release);
            n.run_in_actor(fails()).await?;
            std::future::pending().await
        })
        .await
    })
    .await
}

/// Blocks, once it is armed, at each record that something failed, until it is released.
#[derive(Default)]
struct Blocking {
    armed: AtomicBool,
    released: Mutex<bool>,
    woken: Condvar,
}

impl Blocking {
    fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.woken.notify_all();
    }

    fn take(&self, event: &Event<'_>, notes: &str) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if self.armed.load(Ordering::Acquire) && message.0.contains("failed") {
            note(notes, "blocked");
            let released = self.released.lock().unwrap();
            drop(self.woken.wait_while(released, |released| !*released).unwrap());
            self.armed.store(false, Ordering::Release);
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
