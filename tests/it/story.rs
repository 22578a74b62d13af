//! The records of cancellations, as `PLEACH_LOG=cancel` shows them: the story of a failing tree, as the manual tells it;
//! and one record for each kind of cancellation, with its outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;
use pleach::scope::Shield;

use crate::support::{Notes, RootProcess, in_nursery, note, over, soon};

/// Reads for ever.
#[pleach::rpc]
async fn read(notes: String) -> Result<()> {
    note(&notes, "reads");
    std::future::pending().await
}

/// Panics when it is told.
#[pleach::rpc]
async fn parse(notes: String) -> Result<()> {
    let told = Arc::new(Notes::beside(&notes));
    note(&notes, format!("parses {}", told.address()));
    told.expect_async("panic").await;
    panic!("line 7 has no price")
}

/// Two actors, with one function each.
#[pleach::rpc]
async fn import(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(read(notes.clone())).name("reader").await?;
        n.run_in_actor(parse(notes)).name("parser").await?;
        Ok(())
    })
    .await
}

/// A daemon, and a call of it that is under way.
#[pleach::rpc]
async fn report(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let printer = n.start_actor("printer").enable(module_path!()).await?;
        printer.run(read(notes)).await
    })
    .await
}

/// Goes on for ever, and says nothing when it is cancelled.
#[pleach::context]
async fn stay(ctx: &mut Context<(), (), ()>, notes: String) -> Result<()> {
    ctx.started(()).await?;
    note(&notes, "stays");
    std::future::pending().await
}

#[pleach::stream]
async fn count(out: &mut StreamSender<u64>) -> Result<()> {
    for number in 0.. {
        out.send(number).await?;
    }
    Ok(())
}

/// Has its result when it is cancelled.
#[pleach::rpc]
async fn finish(notes: String) -> Result<u8> {
    let _shield = Shield::enter();
    note(&notes, "finishes");
    pleach::scope::cancelled().await;
    Ok(7)
}

/// Fails when it is cancelled.
#[pleach::rpc]
async fn break_down(notes: String) -> anyhow::Result<()> {
    let _shield = Shield::enter();
    note(&notes, "breaks down");
    pleach::scope::cancelled().await;
    anyhow::bail!("the clean-up failed")
}

/// Is not cancelled before it is let go.
#[pleach::rpc]
async fn resist(notes: String) -> Result<()> {
    let _shield = Shield::enter();
    let told = Arc::new(Notes::beside(&notes));
    note(&notes, format!("resists {}", told.address()));
    told.expect_async("go").await;
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ["uds", "tcp"] {
        tests.push(root_test(&format!("a_failing_tree_tells_the_story_of_the_manual_over_{protocol}"), move || {
            the_story(protocol)
        }));
    }
    tests.push(root_test("each_cancellation_has_one_record", one_record_each));
    tests
}

fn root_test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(format!("story::{name}"), move || {
        run();
        Ok(())
    })
}

/// Runs a scenario and returns its standard error; `meanwhile` answers its notes.
fn said(scenario: &str, meanwhile: impl FnOnce(&Notes)) -> String {
    let notes = Notes::new();
    let mut root = RootProcess::command("story", &notes, scenario);
    root.env("PLEACH_LOG", "cancel").env("RUST_BACKTRACE", "0").stdin(std::process::Stdio::null());
    let root = root.stderr(std::process::Stdio::piped()).spawn().unwrap();
    meanwhile(&notes);
    let output = root.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// A record of a cancellation: its actor, and the rest without what differs from run to run.
fn told(line: &str) -> Option<(String, String)> {
    let (_time, record) = line.split_once(" [")?;
    let (actor, record) = record.split_once("] pleach::cancel: ")?;
    let (actor, _pid) = actor.rsplit_once(' ')?;
    let path_of_function =
        |word: &str| Some(format!("function={}", word.strip_prefix("function=")?.rsplit("::").next()?));
    let words = record.split(' ').scan(false, |pid, word| {
        let number = std::mem::replace(pid, word == "(pid");
        Some(match word {
            word if number => word.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned(),
            word if word.starts_with("took=") => "took=…".to_owned(),
            word if word.contains(".rs:") => "….rs".to_owned(),
            word => path_of_function(word).unwrap_or_else(|| word.to_owned()),
        })
    });
    Some((actor.to_owned(), words.collect::<Vec<_>>().join(" ")))
}

/// What each actor tells. Children may end in any order.
fn by_actor<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, Vec<String>> {
    let mut parts = BTreeMap::<_, Vec<_>>::new();
    for (actor, record) in lines.filter_map(told) {
        parts.entry(actor).or_default().push(record);
    }
    for records in parts.values_mut() {
        let is_end = |record: &String| record.starts_with("a child has ended");
        records.chunk_by_mut(|one, other| is_end(one) && is_end(other)).for_each(<[String]>::sort);
    }
    parts
}

// S39
fn the_story(protocol: &str) {
    let said = said(&format!("the story {protocol}"), |notes| {
        let mut parser = None;
        for _ in 0..3 {
            let begun = notes.next();
            parser = begun.strip_prefix("parses ").map(str::to_owned).or(parser);
        }
        note(&parser.expect("the parser has begun"), "panic");
    });
    let manual = include_str!("../../src/manual/cancellation.rs");
    // There, a long line goes on in the next one.
    let page = manual.replace("\n//!         ", " ");
    let page = page.lines().filter_map(|line| line.strip_prefix("//! "));
    let (told, promised) = (by_actor(said.lines()), by_actor(page));
    assert_eq!(told, promised, "\n{said}");
    assert_eq!(told.len(), 6, "each actor has a part");
}

fn one_record_each() {
    let said = said("one of each", |_| {});
    let told = by_actor(said.lines());
    let scope = "why=the enclosing scope was cancelled";
    let dropped = "why=the code that waited for it was dropped";
    let asked = [
        ("call function=read", "acknowledged", scope),
        ("call function=finish", "finished first", scope),
        ("call function=break_down", "failed", scope),
        ("call function=read", "not awaited", dropped),
        ("context function=stay", "acknowledged", "why=the program asked for it"),
        ("context function=stay", "acknowledged", "why=its block failed"),
        ("context function=stay", "acknowledged", scope),
        ("context function=stay", "not awaited", dropped),
        ("stream function=count", "acknowledged", "why=its block was left"),
    ];
    let mut asked: Vec<_> = asked
        .map(|(what, outcome, why)| {
            format!("cancelled a {what} peer=actor `peer` (pid ) outcome={outcome} took=… {why}")
        })
        .into();
    asked.push(format!("cancelled a call, which may still be running function=resist peer=actor `slow` (pid ) outcome=not acknowledged in time took=… {scope}"));
    let cancelled = |record: &&String| record.starts_with("cancelled ") && !record.starts_with("cancelled a nursery");
    let root: Vec<_> = told["root"].iter().filter(cancelled).collect();
    assert_eq!(root, asked.iter().collect::<Vec<_>>(), "\n{said}");

    let done = ["read", "finish", "break_down", "read", "stay", "stay", "stay", "stay", "count"].map(|function| {
        let outcome = if matches!(function, "finish" | "break_down") { "ended by itself" } else { "stopped" };
        format!("a task was cancelled function={function} outcome={outcome} took=… why=its caller actor `root` (pid ) cancelled it")
    });
    let peer = &told["peer"];
    assert_eq!(peer[..done.len()], done, "\n{said}");
    let ended = "this actor was asked to end, and has took=… by=actor `root` (pid )";
    assert_eq!(peer[done.len()..], [ended], "\n{said}");
}

/// The root of a test.
pub(crate) fn root(notes: &str, scenario: &str) {
    pleach::telemetry::init(None);
    let ended = match scenario.strip_prefix("the story ") {
        Some(protocol) => run_main(Flavor::CurrentThread, fails(over(protocol), notes.to_owned())),
        None => run_main(Flavor::CurrentThread, cancels()),
    };
    ended.unwrap();
}

async fn fails(config: Config, notes: String) -> Result<()> {
    let ended = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(report(notes.clone())).name("reports").await?;
            n.run_in_actor(import(notes)).name("imports").await?;
            Ok(())
        })
        .await
    });
    let ended: Result<()> = ended.await;
    assert!(ended.unwrap_err().to_string().contains("line 7 has no price"));
    Ok(())
}

/// One cancellation of each kind, and then one that comes to nothing in time.
async fn cancels() -> Result<()> {
    in_nursery(over("uds"), async |n| {
        let peer = n.start_actor("peer").enable(module_path!()).await?;
        let begun = Arc::new(Notes::new());
        let at = || begun.address();
        cancelled_at(&begun, "reads", peer.run(read(at()))).await;
        cancelled_at(&begun, "finishes", peer.run(finish(at()))).await;
        cancelled_at(&begun, "breaks down", peer.run(break_down(at()))).await;
        dropped_at(&begun, "reads", peer.run(read(at()))).await;
        let block = |body: &'static str| {
            peer.open_context(stay(at()), async move |ctx, ()| match body {
                "cancels" => ctx.cancel().await,
                "fails" => Err(Error::Usage("the block failed".into())),
                _ => ctx.result().await,
            })
        };
        block("cancels").await?;
        assert!(block("fails").await.is_err());
        (0..2).for_each(|_| drop(begun.expect("stays")));
        cancelled_at(&begun, "stays", block("waits")).await;
        dropped_at(&begun, "stays", block("waits")).await;
        let left = peer.open_stream_from(count(), async |mut numbers| numbers.recv().await);
        assert_eq!(left.await?, Some(0));
        peer.cancel_actor().await
    })
    .await?;
    in_nursery(Config { cancel_ack: soon(), ..over("uds") }, async |n| {
        let slow = n.start_actor("slow").enable(module_path!()).await?;
        let begun = Arc::new(Notes::new());
        let resists = cancelled_with(&begun, "resists ", slow.run(resist(begun.address()))).await;
        note(&resists, "go");
        n.cancel().await;
        Ok(())
    })
    .await
}

/// Runs what sends the note once it is under way, and cancels it then.
async fn cancelled_at<T>(begun: &Arc<Notes>, what: &'static str, run: impl Future<Output = T>) {
    cancelled_with(begun, what, run).await;
}

/// As [`cancelled_at`]; returns the rest of the note.
async fn cancelled_with<T>(begun: &Arc<Notes>, what: &'static str, run: impl Future<Output = T>) -> String {
    let scope = CancelScope::new();
    let cancel = async {
        let rest = begun.expect_async(what).await;
        scope.cancel();
        rest
    };
    let (ended, rest) = tokio::join!(scope.run(run), cancel);
    assert!(ended.is_err());
    rest
}

async fn dropped_at<T>(begun: &Arc<Notes>, what: &'static str, run: impl Future<Output = T>) {
    tokio::select! {
        _ended = run => panic!("it waits for ever"),
        _ = begun.expect_async(what) => {}
    }
}
