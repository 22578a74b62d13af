//! What becomes of the outputs of actors: inherited, relayed or discarded; also when their reader is slow, or leaves.
//! And of their log filters.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use pleach::__private::{Flavor, run_main};
use pleach::ChildOutput::{Inherit, Null, Relay};
use pleach::prelude::*;

use crate::support::{Notes, RootProcess, Watched, in_nursery, note, over, patience};

/// Says something on both outputs, and in a record.
#[pleach::rpc]
async fn say(words: String) -> Result<()> {
    println!("out {words}");
    eprintln!("err {words}");
    tracing::debug!(target: "pleach::cancel", "record {words}");
    Ok(())
}

/// Says something, and has an actor below say something.
#[pleach::rpc]
async fn say_below() -> Result<()> {
    say("in the middle".into()).await?;
    pleach::open_nursery(async |n| {
        let leaf = n.start_actor("leaf").enable(module_path!()).await?;
        leaf.run(say("at the bottom".into())).await?;
        leaf.cancel_actor().await
    })
    .await
}

/// Writes lines in pieces, each with the writer's letter only, the last without an end.
#[pleach::rpc]
async fn write_in_pieces(letter: char, lines: usize) -> Result<()> {
    let mut out = io::stdout().lock();
    for _ in 0..lines {
        for _ in 0..10 {
            let _ = write!(out, "{letter}");
            let _ = out.flush();
        }
        let _ = writeln!(out);
    }
    let _ = write!(out, "{letter}");
    let _ = out.flush();
    Ok(())
}

/// Prints more than any pipe or queue takes.
#[pleach::rpc]
async fn print_much() -> Result<()> {
    (0..MUCH).for_each(|number| println!("{number:100}"));
    Ok(())
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

const MUCH: usize = 80_000;

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    let mut root = |name: &str, run: fn()| {
        tests.push(Trial::test(format!("outputs::{name}"), move || {
            run();
            Ok(())
        }));
    };
    root("standard_output_is_the_parents_and_standard_error_is_relayed", by_default);
    root("an_output_is_relayed_inherited_or_discarded_as_the_start_says", chosen);
    root("the_configuration_chooses_for_all_actors", configured);
    root("relayed_lines_are_whole_however_they_are_written", whole);
    root("a_slow_reader_holds_up_the_writer_alone_and_loses_nothing", slow);
    root("a_relayed_actor_lives_on_when_the_reader_leaves", leaves);
    root("an_actor_that_inherits_fails_with_words_when_the_reader_leaves", leaves_inherited);
    root("an_actor_on_a_thread_shares_the_outputs_and_a_record_says_so", on_a_thread);
    root("a_level_is_for_one_actor_and_all_below_it", levels);
    tests
}

fn command(scenario: &str, notes: &Notes) -> Command {
    let mut command = RootProcess::command("outputs", notes, scenario);
    command.env_remove("PLEACH_LOG").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// What the root and its actors have written, sorted by lines.
fn written(scenario: &str, env: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let notes = Notes::new();
    let Output { status, stdout, stderr } = command(scenario, &notes).envs(env.iter().copied()).output().unwrap();
    let lines = |text: Vec<u8>| {
        let mut lines: Vec<_> = String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let (out, err) = (lines(stdout), lines(stderr));
    assert!(status.success(), "{err:?}");
    (out, err)
}

fn by_default() {
    let (out, err) = written("nested", &[]);
    assert_eq!(out, ["out at the bottom", "out in the middle"]);
    assert_eq!(err, ["middle: err in the middle", "middle: leaf: err at the bottom"]);
}

fn chosen() {
    let (out, err) = written("relay", &[]);
    // The one below writes to the output of its parent.
    assert_eq!(out, ["middle: out at the bottom", "middle: out in the middle"]);
    assert_eq!(err, ["err in the middle", "leaf: err at the bottom"]);
    assert_eq!(written("null", &[]), (vec![], vec![]));
}

fn configured() {
    let (out, err) = written("nested", &[("PLEACH_STDOUT", "relay"), ("PLEACH_STDERR", "inherit")]);
    assert_eq!(out, ["middle: leaf: out at the bottom", "middle: out in the middle"]);
    assert_eq!(err, ["err at the bottom", "err in the middle"]);
    assert_eq!(written("nested", &[("PLEACH_STDOUT", "null"), ("PLEACH_STDERR", "null")]), (vec![], vec![]));
    let notes = Notes::new();
    let wrong = command("nested", &notes).env("PLEACH_STDOUT", "none").output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        said.contains("PLEACH_STDOUT: unknown variant `none`, expected one of `inherit`, `relay`, `null`"),
        "{said}"
    );
}

fn whole() {
    let (out, _) = written("pieces", &[]);
    for letter in ["a", "b"] {
        let full = format!("{letter}: {}", letter.repeat(10));
        assert_eq!(out.iter().filter(|line| **line == full).count(), 50, "{out:?}");
        assert_eq!(out.iter().filter(|line| **line == format!("{letter}: {letter}")).count(), 1, "{out:?}");
    }
    assert_eq!(out.len(), 102);
}

fn slow() {
    let notes = Notes::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut root = RootProcess::spawn({
        let mut command = command("slow", &notes);
        command.stdout(writer);
        command
    });
    // Nothing was read so far.
    notes.expect("the other one answers");
    let lines: Vec<_> = BufReader::new(reader).lines().map(|line| line.unwrap()).collect();
    assert_eq!(lines.len(), MUCH);
    assert!(lines.iter().enumerate().all(|(number, line)| *line == format!("chatterbox: {number:100}")));
    Watched::new(root.pid()).assert_gone_within(patience());
    assert!(root.0.wait().unwrap().success());
}

/// The root's first line is read, and no other.
fn read_one_line(scenario: &str) -> (String, String) {
    let notes = Notes::new();
    let mut root = command(scenario, &notes).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(root.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut said = String::new();
    root.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(root.wait().unwrap().success(), "{said}");
    (line, said + &notes.expect("ended: "))
}

fn leaves() {
    let (line, said) = read_one_line("reader leaves, relayed");
    assert_eq!(line, format!("chatterbox: {:100}\n", 0));
    let refused = "pleach: standard output does not take what actors write (Broken pipe (os error 32)): it is dropped";
    assert_eq!(said.lines().filter(|line| *line == refused).count(), 1, "{said}");
    assert!(said.ends_with("Ok(())"), "{said}");
}

fn leaves_inherited() {
    let (line, said) = read_one_line("reader leaves, inherited");
    assert_eq!(line, format!("{:100}\n", 0));
    assert!(said.contains("failed printing to stdout: Broken pipe"), "{said}");
    assert!(said.contains("Err("), "{said}");
}

fn on_a_thread() {
    let (out, err) = written("thread", &[("PLEACH_LOG", "warn")]);
    assert_eq!(out, ["out here"]);
    assert_eq!(err.iter().filter(|line| *line == "err here").count(), 1, "{err:?}");
    for option in ["log_level", "stdout", "stderr"] {
        let record = format!(
            "no effect: an actor on a thread has the outputs and the log filter of its process actor=\"thread\" option=\"{option}\""
        );
        assert_eq!(err.iter().filter(|line| line.ends_with(&record)).count(), 1, "{err:?}");
    }
}

fn levels() {
    for (scenario, log) in [("levels", Some("warn")), ("levels", None), ("levels by env", Some("warn"))] {
        let log = log.map(|level| ("PLEACH_LOG", level));
        let (_, err) = written(scenario, &log.into_iter().collect::<Vec<_>>());
        let records: Vec<_> = err.iter().filter(|line| line.contains("record ")).collect();
        assert_eq!(records.len(), 2, "{err:?}");
        for (actor, words) in [("[middle ", "record in the middle"), ("[middle/leaf ", "record at the bottom")] {
            assert!(records.iter().any(|record| record.contains(actor) && record.contains(words)), "{err:?}");
        }
    }
}

/// The root of a test.
pub(crate) fn root(notes: &str, scenario: &str) {
    pleach::telemetry::init(None);
    let ended = run_main(Flavor::CurrentThread, run(notes.to_owned(), scenario.to_owned()));
    match scenario {
        "slow" => ended.unwrap(),
        _ if scenario.starts_with("reader leaves") => note(notes, format!("ended: {ended:?}")),
        _ => ended.unwrap(),
    }
}

async fn run(notes: String, scenario: String) -> Result<()> {
    let config = Config { stdout: Config::load()?.stdout, stderr: Config::load()?.stderr, ..over("uds") };
    in_nursery(config, async |n| {
        let middle = n.start_actor("middle").enable(module_path!());
        let chatterbox = n.start_actor("chatterbox").enable(module_path!());
        match &*scenario {
            "nested" => middle.await?.run(say_below()).await?,
            "relay" => middle.stdout(Relay).stderr(Inherit).await?.run(say_below()).await?,
            "null" => middle.stdout(Null).stderr(Null).await?.run(say_below()).await?,
            "pieces" => pieces(&n).await?,
            "slow" => slowly(&n, &notes).await?,
            "reader leaves, relayed" => chatterbox.stdout(Relay).await?.run(print_much()).await?,
            "reader leaves, inherited" => chatterbox.await?.run(print_much()).await?,
            "thread" => {
                let thread = n.start_actor("thread").transport("mem").enable(module_path!());
                thread.log_level("cancel").stdout(Relay).stderr(Null).await?.run(say("here".into())).await?;
            }
            _ => {
                let middle = match &*scenario {
                    "levels by env" => middle.env("PLEACH_LOG", "cancel"),
                    _ => middle.log_level("cancel").env("PLEACH_LOG", "error"),
                };
                middle.await?.run(say_below()).await?;
                chatterbox.await?.run(say("beside".into())).await?;
            }
        }
        n.cancel().await;
        Ok(())
    })
    .await
}

async fn pieces(n: &Nursery) -> Result<()> {
    let (a, b) = (n.start_actor("a").stdout(Relay), n.start_actor("b").stdout(Relay));
    let (a, b) = (a.enable(module_path!()).await?, b.enable(module_path!()).await?);
    let (a, b) = tokio::join!(a.run(write_in_pieces('a', 50)), b.run(write_in_pieces('b', 50)));
    a.and(b)
}

/// One prints what is not read, while the other one is called and started.
async fn slowly(n: &Nursery, notes: &str) -> Result<()> {
    let chatterbox = n.start_actor("chatterbox").stdout(Relay).enable(module_path!()).await?;
    let printing = chatterbox.run(print_much());
    let beside = async {
        let other = n.start_actor("other").enable(module_path!()).await?;
        for _ in 0..100 {
            other.run(pid()).await?;
        }
        note(notes, "the other one answers");
        Ok(())
    };
    let (printed, answered): (_, Result<()>) = tokio::join!(printing, beside);
    printed.and(answered)
}
