//! The outputs of an actor at another host: the same rule as for one here.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use pleach::ChildOutput::{Inherit, Null, Relay};
use pleach::prelude::*;
use pleach::{Host, Portal};

use crate::site::{dir, in_nursery, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("outputs::standard_output_there_is_the_parents_byte_for_byte", by_default),
        test("outputs::an_output_is_relayed_or_discarded_as_here", chosen),
        test("outputs::all_of_it_arrives_however_much_there_is", much),
        test("outputs::output_that_is_not_read_is_counted_and_holds_up_nothing", unread),
        test("outputs::a_level_travels_with_the_actor", level),
    ]
}

#[pleach::rpc]
async fn say() -> Result<()> {
    print!("out, no end of line");
    let _ = io::stdout().flush();
    let _ = io::stdout().write_all(b"\xff\n\nlast\n");
    eprintln!("err");
    tracing::debug!(target: "pleach::cancel", "record");
    Ok(())
}

#[pleach::rpc]
async fn print_much() -> Result<()> {
    (0..MUCH).for_each(|number| println!("{number:100}"));
    Ok(())
}

/// More lines than pipes and windows take. A busy machine may not pass on more before the end of the program, which has
/// a bound.
const MUCH: usize = 100_000;

fn root(scenario: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("SSH_OUTPUTS", dir().join("ssh_config")).env("SSH_HOW", scenario).env("RUST_BACKTRACE", "0");
    command.env("TMPDIR", dir().join("tmp")).env_remove("PLEACH_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn written(scenario: &str) -> (Vec<u8>, String) {
    let mut command = root(scenario);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{said}");
    (stdout, said)
}

async fn by_default() {
    let (out, err) = written("default").await;
    assert_eq!(out, b"out, no end of line\xff\n\nlast\n");
    assert_eq!(err, "far: err\n");
}

async fn chosen() {
    let (out, err) = written("relay").await;
    assert_eq!(out, b"far: out, no end of line\xff\nfar: \nfar: last\n");
    assert_eq!(err, "err\n");
    let (out, err) = written("null").await;
    assert_eq!((out, err), (vec![], String::new()));
}

async fn much() {
    let (out, _) = written("much").await;
    let mut expected = String::new();
    (0..MUCH).for_each(|number| writeln!(expected, "far: {number:100}").unwrap());
    assert!(out == expected.as_bytes(), "{} of {} bytes", out.len(), expected.len());
}

async fn unread() {
    let mut root = root("unread").spawn().unwrap();
    let unread = root.stdout.take().unwrap();
    let mut said = String::new();
    root.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(root.wait().unwrap().success(), "{said}");
    assert!(said.contains("lines of actors to standard output dropped: nothing took them in time"), "{said}");
    drop(unread);
}

async fn level() {
    let (_, err) = written("level").await;
    assert!(err.lines().any(|line| line.contains("[far ") && line.ends_with("pleach::cancel: record")), "{err}");
}

/// Runs a scenario instead of the tests, in a process that a test has started.
pub(crate) fn become_root_if_told() {
    let Ok(file) = std::env::var("SSH_OUTPUTS") else { return };
    let scenario = std::env::var("SSH_HOW").unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = tokio.block_on(in_nursery(Config::default(), async |n| {
        let far = n.start_actor("far").on(Host::ssh("node").config_file(&file)).enable(module_path!());
        match &*scenario {
            "relay" => say_at(far.stdout(Relay).stderr(Inherit).await?).await,
            "null" => say_at(far.stdout(Null).stderr(Null).await?).await,
            "level" => say_at(far.log_level("cancel").await?).await,
            "much" | "unread" => {
                let far = far.stdout(Relay).await?;
                far.run(print_much()).await?;
                far.cancel_actor().await
            }
            _ => say_at(far.await?).await,
        }
    }));
    let code = i32::from(ended.inspect_err(|error| eprintln!("{error:?}")).is_err());
    std::process::exit(code);
}

async fn say_at(far: Portal) -> Result<()> {
    far.run(say()).await?;
    far.cancel_actor().await
}
