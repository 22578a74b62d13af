//! The records of cancellations, as `PLEACH_LOG=cancel` shows them: the story of a failing tree, as the manual tells it;
//! and one record for each kind of cancellation, with its outcome.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::Arc;

use libtest_mimic::Trial;
use pleach::__private::{Flavor, run_main};
use pleach::prelude::*;
use pleach::scope::Shield;

use crate::support::{Notes, RootProcess, Watched, in_nursery, in_root, note, over, soon};

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

#[pleach::context]
async fn resist_as_context(ctx: &mut Context<String, (), ()>, notes: String) -> Result<()> {
    let _shield = Shield::enter();
    let told = Arc::new(Notes::beside(&format!("{notes}-context")));
    ctx.started(told.address()).await?;
    told.expect_async("go").await;
    Ok(())
}

/// Never waits.
#[pleach::rpc]
async fn compute(notes: String) -> Result<()> {
    note(&notes, "computes");
    loop {
        std::thread::park();
    }
}

#[pleach::rpc]
async fn ask_sibling() -> Result<()> {
    pleach::find_actor("sibling").required().await?.cancel_actor().await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ["uds", "tcp"] {
        tests.push(root_test(&format!("a_failing_tree_tells_the_story_of_the_manual_over_{protocol}"), move || {
            the_story(protocol)
        }));
    }
    for protocol in ["uds", "mem"] {
        tests.push(root_test(&format!("each_cancellation_has_one_record_over_{protocol}"), move || {
            one_record_each(protocol)
        }));
    }
    tests.push(root_test("one_that_is_not_acknowledged_in_time_is_one_warning", late));
    tests.push(root_test("one_whose_peer_dies_meanwhile_says_so", gone));
    tests.push(root_test("each_step_to_kill_a_child_is_a_warning", killed));
    tests.push(root_test("a_task_of_a_nursery_that_is_cancelled_has_a_record", tasks));
    tests.push(root_test("an_actor_that_another_one_asks_to_end_says_who", asked));
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
    let mut command = RootProcess::command("story", &notes, scenario);
    command.env("PLEACH_LOG", "cancel").env("RUST_BACKTRACE", "0").stderr(Stdio::piped());
    let mut root = RootProcess::spawn(command);
    meanwhile(&notes);
    let mut said = String::new();
    root.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(root.0.wait().unwrap().success(), "{said}");
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

/// What the actors of a scenario tell; `meanwhile` answers its notes.
fn parts(scenario: &str, meanwhile: impl FnOnce(&Notes)) -> (BTreeMap<String, Vec<String>>, String) {
    let said = said(scenario, meanwhile);
    (by_actor(said.lines()), said)
}

fn one_record_each(protocol: &str) {
    let (told, said) = parts(&format!("one of each {protocol}"), |_| {});
    let asked = [
        ("call function=read", "acknowledged", AROUND),
        ("call function=finish", "finished first", AROUND),
        ("call function=break_down", "failed", AROUND),
        ("call function=read", "not awaited", DROPPED),
        ("context function=stay", "acknowledged", "the program asked for it"),
        ("context function=stay", "acknowledged", "its block failed"),
        ("context function=stay", "acknowledged", AROUND),
        ("context function=stay", "not awaited", DROPPED),
        ("stream function=count", "acknowledged", "its block was left"),
    ];
    let asked = asked.map(|(what, outcome, why)| {
        format!("cancelled a {what} peer=actor `peer` (pid ) outcome={outcome} took=… why={why}")
    });
    assert_eq!(told["root"][..asked.len()], asked, "\n{said}");
    let how = "how=ended on request took=… status=exited with code 0";
    assert_eq!(told["root"][asked.len()..], [format!("a child has ended child=actor `peer` (pid ) {how}")], "\n{said}");

    let done = ["read", "finish", "break_down", "read", "stay", "stay", "stay", "stay", "count"].map(|function| {
        let outcome = if matches!(function, "finish" | "break_down") { "ended by itself" } else { "stopped" };
        format!("a task was cancelled function={function} outcome={outcome} took=… why=its caller actor `root` (pid ) cancelled it")
    });
    let peer = &told["peer"];
    assert_eq!(peer[..done.len()], done, "\n{said}");
    assert_eq!(peer[done.len()..], ["this actor was asked to end, and has took=… by=actor `root` (pid )"], "\n{said}");
    assert_eq!(told.len(), 2, "{said}");
}

/// The peer does not acknowledge in time, neither a call nor a context, which asks twice.
fn late() {
    let (told, said) = parts("late", |_| {});
    let late = ["call function=resist", "context function=resist_as_context"].map(|what| {
        let why = if what.starts_with("call") { AROUND } else { "the program asked for it" };
        let (kind, function) = what.split_once(' ').unwrap();
        format!("cancelled a {kind}, which may still be running {function} peer=actor `slow` (pid ) outcome=not acknowledged in time took=… why={why}")
    });
    assert_eq!(told["root"][..2], late, "\n{said}");
    assert_eq!(told["root"][2], "cancelled a nursery children=1 why=the program called `cancel`", "\n{said}");
    assert_eq!(told["root"].len(), 4, "\n{said}");
}

/// The peer dies while its acknowledgement is awaited.
fn gone() {
    let (told, said) = parts("gone", |_| {});
    let gone = format!("cancelled a call function=resist peer=actor `slow` (pid ) outcome=gone took=… why={AROUND}");
    assert_eq!(told["root"].iter().filter(|record| **record == gone).count(), 1, "\n{said}");
    let failed = "a child failed: cancelled its nursery error=actor `slow` (pid ) was killed by signal 9 (SIGKILL)";
    assert_eq!(told["root"].iter().filter(|record| **record == failed).count(), 1, "\n{said}");
}

/// A child that never waits is killed; each step is a warning, with its reason.
fn killed() {
    let (told, said) = parts("killed", |_| {});
    let child = "child=actor `deaf` (pid )";
    let steps = [
        "cancelled a call function=compute".to_owned(),
        "cancelled a nursery children=1 why=its body failed".to_owned(),
        format!("escalated {child} signal=Terminate why=actor `deaf` (pid ) did not acknowledge "),
        format!("escalated {child} signal=Kill why=it did not end within "),
        format!("a child has ended {child} how=ended by SIGKILL took=… status=was killed by signal 9 (SIGKILL)"),
    ];
    let root = &told["root"];
    let are_these = root.iter().zip(&steps).all(|(record, step)| record.starts_with(step));
    assert!(are_these && root.len() == steps.len() && told.len() == 1, "\n{said}");
    assert_eq!(root[4], steps[4], "the reasons were told");
    let warnings = said.lines().filter(|line| line.contains(" WARN ") && line.contains("pleach::cancel"));
    assert_eq!(warnings.count(), 2, "\n{said}");
}

/// One task fails, the other one is cancelled.
fn tasks() {
    let (told, said) = parts("tasks", |_| {});
    let [failed, cancelled] = &told["root"][..] else { panic!("{said}") };
    assert_eq!(failed, "a task failed: cancelled its nursery error=configuration: on purpose", "\n{said}");
    assert!(cancelled.starts_with("a task of a nursery was cancelled task="), "\n{said}");
    assert!(cancelled.ends_with(" took=… why=its nursery is closing"), "\n{said}");
}

/// An actor that is asked by another one than its parent.
fn asked() {
    let (told, said) = parts("asked", |_| {});
    let asked =
        "asked an actor to end peer=actor `sibling` (pid ) outcome=acknowledged took=… why=the program asked for it";
    assert_eq!(told["asker"][0], asked, "\n{said}");
    let ended = "this actor was asked to end, and has took=… by=actor `asker` (pid )";
    assert_eq!(told["sibling"], [ended], "\n{said}");
}

const AROUND: &str = "the enclosing scope was cancelled";
const DROPPED: &str = "the code that waited for it was dropped";

/// The root of a test.
pub(crate) fn root(notes: &str, scenario: &str) {
    pleach::telemetry::init(None);
    let run = async {
        let (scenario, protocol) = match scenario.rsplit_once(' ') {
            Some((scenario, protocol)) if scenario != "the" => (scenario, over(protocol)),
            _ => (scenario, over("uds")),
        };
        match scenario {
            "the story" => fails(protocol, notes.to_owned()).await,
            "one of each" => cancels(protocol).await,
            "late" => waits_in_vain().await,
            "gone" => loses_it().await,
            "killed" => kills().await,
            "tasks" => fails_locally().await,
            _ => asks().await,
        }
    };
    run_main(Flavor::CurrentThread, run).unwrap();
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
async fn cancels(config: Config) -> Result<()> {
    in_nursery(config, async |n| {
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
    .await
}

async fn waits_in_vain() -> Result<()> {
    in_nursery(Config { cancel_ack: soon(), ..over("uds") }, async |n| {
        let slow = n.start_actor("slow").enable(module_path!()).await?;
        let begun = Arc::new(Notes::new());
        let call = cancelled_with(&begun, "resists ", slow.run(resist(begun.address()))).await;
        let context = slow.open_context(resist_as_context(begun.address()), async |ctx, at| {
            assert!(matches!(ctx.cancel().await, Err(Error::ActorTooSlow { .. })));
            note(&call, "go");
            let _ = ctx.result().await; // asks again
            note(&at, "go");
            Err(Error::Usage("and again".into()))
        });
        let ended: Result<()> = context.await;
        assert!(ended.is_err());
        n.cancel().await;
        Ok(())
    })
    .await
}

async fn loses_it() -> Result<()> {
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        let slow = n.start_actor("slow").enable(module_path!()).await?;
        let begun = Arc::new(Notes::new());
        let process = Watched::new(slow.id().pid());
        let scope = CancelScope::new();
        let call = scope.run(slow.run(resist(begun.address())));
        let kills = async {
            begun.expect_async("resists ").await;
            scope.cancel();
            tokio::task::yield_now().await; // the request is out
            process.kill();
        };
        assert!(tokio::join!(call, kills).0.is_err());
        std::future::pending().await
    })
    .await;
    assert!(matches!(ended, Err(Error::ActorDied(_))), "{ended:?}");
    Ok(())
}

async fn kills() -> Result<()> {
    let config = Config { cancel_ack: soon(), soft_reap: soon(), kill_after: soon(), ..over("uds") };
    let ended: Result<()> = in_nursery(config, async |n| {
        let deaf = n.start_actor("deaf").enable(module_path!()).await?;
        let begun = Arc::new(Notes::new());
        dropped_at(&begun, "computes", deaf.run(compute(begun.address()))).await;
        Err(Error::Usage("enough".into()))
    })
    .await;
    assert!(matches!(ended, Err(Error::Usage(_))), "{ended:?}");
    Ok(())
}

async fn fails_locally() -> Result<()> {
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::scope::open_task_nursery(async |tasks| {
            tasks.spawn(std::future::pending::<Result<()>>())?;
            tasks.spawn(async { Err::<(), _>(Error::Config("on purpose".into())) })?;
            Ok(())
        })
        .await
    })
    .await;
    assert!(matches!(ended, Err(Error::Config(_))), "{ended:?}");
    Ok(())
}

async fn asks() -> Result<()> {
    in_nursery(over("uds"), async |n| {
        n.start_actor("sibling").await?;
        n.run_in_actor(ask_sibling()).name("asker").await?.result().await
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
