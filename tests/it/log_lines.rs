//! How records are written: each names its actor, once, wherever that runs; as text or as JSON; and which ones there
//! are when an actor is restarted, given up, or held up by a full buffer.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;
use pleach::{Backoff, ChildSpec, Supervision};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Notes, RootProcess, in_nursery, note, over, patience};

#[pleach::rpc]
async fn say(words: String) -> Result<u32> {
    let _inside = tracing::info_span!("saying", loudly = true).entered();
    tracing::warn!(number = 7, "{words}");
    eprintln!("plainly {words}");
    Ok(std::process::id())
}

/// Says something, and has two below say something: a process, and a thread of this one.
#[pleach::rpc]
async fn say_below() -> Result<(u32, u32)> {
    let own = say("in the middle".into()).await?;
    let leaf = pleach::open_nursery(async |n| {
        let leaf = n.start_actor("leaf").enable(module_path!()).await?;
        let thread = n.start_actor("a thread").transport("mem").enable(module_path!()).await?;
        assert_eq!(thread.run(say("on a thread".into())).await?, own);
        let pid = leaf.run(say("at the bottom".into())).await?;
        n.cancel().await;
        Ok::<_, Error>(pid)
    });
    Ok((own, leaf.await?))
}

#[pleach::rpc]
async fn exits() -> Result<()> {
    std::process::exit(3)
}

/// Takes nothing before it is told to, and then all.
#[pleach::context]
async fn take_late(ctx: &mut Context<String, u64, ()>, notes: String) -> Result<()> {
    let told = Arc::new(Notes::beside(&notes));
    ctx.started(told.address()).await?;
    let mut stream = ctx.open_stream().await?;
    told.expect_async("take").await;
    while stream.recv().await?.is_some() {}
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    let mut root = |name: &str, run: fn()| {
        tests.push(Trial::test(format!("log_lines::{name}"), move || {
            run();
            Ok(())
        }));
    };
    root("each_record_names_its_actor_once", names);
    root("a_record_is_one_object_if_json_is_asked_for", objects);
    root("a_format_that_is_misspelt_is_said_and_hides_nothing", misspelt);
    root("a_restart_is_a_warning_and_giving_up_an_error", restarts);
    root("a_nursery_says_once_for_which_actors_it_waits", forgotten);
    root("a_sender_that_a_full_buffer_holds_up_is_a_warning", stalled);
    tests
}

fn command(scenario: &str, notes: &Notes) -> Command {
    let mut command = RootProcess::command("log_lines", notes, scenario);
    command.env_remove("PLEACH_LOG").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// The pids of the root, of the actor in the middle and of the one at the bottom, and what they have said.
fn said(format: Option<&str>) -> ([String; 3], String) {
    let notes = Notes::new();
    let mut command = command("names", &notes);
    command.env("PLEACH_LOG", "info").envs(format.map(|format| ("PLEACH_LOG_FORMAT", format)));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let pids = notes.expect("pids ");
    let pids: Vec<_> = pids.split(' ').map(str::to_owned).collect();
    (pids.try_into().unwrap(), said)
}

// S40
fn names() {
    let ([root, middle, bottom], said) = said(None);
    for (actor, words) in [
        (format!("[root {root}]"), "at the top"),
        (format!("[middle {middle}]"), "in the middle"),
        (format!("[middle/leaf {bottom}]"), "at the bottom"),
        (format!("[middle/a thread {middle}]"), "on a thread"),
        (format!("[beside {root}]"), "beside the root"),
    ] {
        let mut records = said.lines().filter(|line| line.contains(words) && !line.contains("plainly"));
        let record = records.next().expect(words);
        assert!(
            record.contains(&format!("Z  WARN {actor} saying{{loudly=true}}: it::log_lines: {words} number=7")),
            "{record}"
        );
        assert_eq!(records.next(), None, "{said}");
    }
    for plain in ["plainly at the top", "middle: plainly in the middle", "middle: leaf: plainly at the bottom"] {
        assert_eq!(said.lines().filter(|line| *line == plain).count(), 1, "{plain}: {said}");
    }
}

fn objects() {
    let ([root, middle, bottom], said) = said(Some("json"));
    let records: Vec<Value> =
        said.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    for (actor, pid, words) in [
        ("root", &root, "at the top"),
        ("middle", &middle, "in the middle"),
        ("middle/leaf", &bottom, "at the bottom"),
        ("middle/a thread", &middle, "on a thread"),
        ("beside", &root, "beside the root"),
    ] {
        let mut those = records.iter().filter(|record| record["fields"]["message"] == words);
        let record = those.next().expect(words);
        let stamp = record["timestamp"].as_str().unwrap();
        assert!(stamp.ends_with('Z') && stamp.len() == 27, "{stamp}");
        assert_eq!((&record["actor"], record["pid"].to_string()), (&Value::from(actor), pid.clone()), "{record}");
        assert_eq!((&record["level"], &record["target"]), (&"WARN".into(), &"it::log_lines".into()), "{record}");
        assert_eq!(record["fields"]["number"], 7, "{record}");
        assert_eq!(record["spans"], serde_json::json!([{ "loudly": true, "name": "saying" }]), "{record}");
        assert_eq!(those.next(), None, "{said}");
    }
    let keys = |record: &Value| record.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let all = ["actor", "fields", "level", "pid", "spans", "target", "timestamp"];
    assert!(records.iter().all(|record| keys(record) == all), "also without a span: {said}");
    assert!(records.iter().any(|record| record["fields"]["message"] == "outside of any span"), "{said}");
    let others = said.lines().filter(|line| !line.starts_with('{'));
    assert!(others.into_iter().all(|line| line.contains("plainly ")), "{said}");
}

fn misspelt() {
    let (_, said) = said(Some("jsn"));
    let first = "PLEACH_LOG_FORMAT: `jsn` is not a format of records; use text or json";
    assert_eq!(said.lines().filter(|line| *line == first).count(), 1, "{said}");
    assert!(said.contains("] saying{loudly=true}: it::log_lines: at the bottom"), "{said}");
}

fn restarts() {
    let notes = Notes::new();
    let output = command("restarts", &notes).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let records =
        |level: &str, words: &str| said.lines().filter(|line| line.contains(level) && line.contains(words)).count();
    assert_eq!(records(" WARN [root ", "`frail` is started again"), 2, "{said}");
    assert_eq!(records("ERROR [root ", "`frail`"), 1, "{said}");
}

fn forgotten() {
    let notes = Notes::new();
    let mut command = command("forgotten", &notes);
    command.stderr(Stdio::piped());
    let mut root = RootProcess::spawn(command);
    let mut lines = BufReader::new(root.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let warning = lines.find(|line| line.contains("waits for actors that live until they are cancelled")).unwrap();
    assert!(warning.contains(" WARN [root "), "{warning}");
    for named in ["`daemon`", "`supervised`", "a supervisor that stays open"] {
        assert!(warning.contains(named), "{warning}");
    }
    for other in ["`cancelled`", "`busy`"] {
        assert!(!warning.contains(other), "{warning}");
    }
    kill_process(Pid::from_raw(root.pid().cast_signed()).unwrap(), Signal::TERM).unwrap();
    root.0.wait().unwrap();
    assert!(!lines.any(|line| line.contains("waits for actors")), "it was said twice");
}

// S01, S09
fn stalled() {
    let notes = Notes::new();
    let mut command = command("stalled", &notes);
    command.stderr(Stdio::piped());
    let mut root = RootProcess::spawn(command);
    let mut lines = BufReader::new(root.0.stderr.take().unwrap()).lines();
    let reader = notes.expect("reader ");
    let warning =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("a sender is stalled"))).unwrap().unwrap();
    assert!(warning.contains(" WARN [root ") && warning.contains("take_late peer=actor `reader` (pid "), "{warning}");
    note(&reader, "take");
    assert!(root.0.wait().unwrap().success());
    // Nothing else is said, but that again if this machine is slow.
    assert!(lines.map_while(Result::ok).all(|line| line.contains("a sender is stalled")));
}

/// The root of a test.
pub(crate) fn root(notes: &str, scenario: &str) {
    pleach::telemetry::init(None);
    let notes = notes.to_owned();
    match scenario {
        "names" => run_main(Flavor::CurrentThread, says(notes)).unwrap(),
        "restarts" => run_main(Flavor::CurrentThread, gives_up()),
        "forgotten" => run_main(Flavor::CurrentThread, forgets()).unwrap(),
        _ => run_main(Flavor::CurrentThread, holds_up(notes)).unwrap(),
    }
}

async fn says(notes: String) -> Result<()> {
    in_nursery(over("uds"), async |n| {
        let root = say("at the top".into()).await?;
        tracing::info!("outside of any span");
        let middle = n.start_actor("middle").enable(module_path!()).await?;
        let (middle, bottom) = middle.run(say_below()).await?;
        let beside = n.start_actor("beside").transport("mem").multi_thread(true).enable(module_path!()).await?;
        assert_eq!(beside.run(say("beside the root".into())).await?, root);
        note(&notes, format!("pids {root} {middle} {bottom}"));
        n.cancel().await;
        Ok(())
    })
    .await
}

/// Leaves one actor that is busy, one that was cancelled, and two that were forgotten.
async fn forgets() -> Result<()> {
    in_nursery(over("uds"), async |n| {
        n.run_in_actor(is_busy()).name("busy").await?;
        n.start_actor("cancelled").await?.cancel_actor().await?;
        n.start_actor("daemon").await?;
        let supervised = ChildSpec::daemon(n.start_actor("supervised"));
        n.supervise(Supervision::one_for_one().child(supervised)).await?;
        n.supervise(Supervision::dynamic()).await?;
        Ok(())
    })
    .await
    .or_else(|error| if error.is_cancelled() { Ok(()) } else { Err(error) })
}

#[pleach::rpc]
async fn is_busy() -> Result<()> {
    std::future::pending().await
}

async fn gives_up() {
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        let frail = ChildSpec::run_once("frail", exits);
        let supervised = Supervision::one_for_one().intensity(2, patience()).backoff(Backoff::none()).child(frail);
        n.supervise(supervised).await?.ended().await
    })
    .await;
    assert!(matches!(ended, Err(Error::GaveUp(_))), "{ended:?}");
}

async fn holds_up(notes: String) -> Result<()> {
    in_nursery(over("uds"), async |n| {
        let reader = n.start_actor("reader").enable(module_path!()).await?;
        reader
            .open_context(take_late(notes.clone()), async |ctx, told| {
                let stream = ctx.open_stream().await?;
                note(&notes, format!("reader {told}"));
                for number in 0..10_000 {
                    stream.send(number).await?;
                }
                stream.close().await
            })
            .await?;
        reader.cancel_actor().await
    })
    .await
}
