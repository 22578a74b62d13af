//! Signals to a program in each of its phases, and those of job control.

mod actors;
pub(crate) mod programs;

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{Notes, PROCESSES, RootProcess, Watched, note, patience, state, test, test_fn};

/// Where the functions are that the actors run.
const MODULE: &str = module_path!();

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn waits(notes: String) -> Result<()> {
    note(&notes, format!("waits {}", std::process::id()));
    std::future::pending().await
}

/// Returns once the test has written its file.
#[pleach::rpc]
async fn takes_its_time(notes: String, number: u32) -> Result<u32> {
    note(&notes, format!("begun {number}"));
    while !std::env::temp_dir().join("go").exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(number)
}

/// Notes why it is cancelled.
#[pleach::rpc]
async fn tells_why(notes: String) -> Result<()> {
    note(&notes, format!("waits {}", std::process::id()));
    let _shield = Shield::enter();
    scope::cancelled().await;
    note(&notes, format!("{:?}", scope::checkpoint()));
    Ok(())
}

/// Never gives its thread back.
#[pleach::rpc]
async fn computes(notes: String) -> Result<()> {
    note(&notes, format!("computes {}", std::process::id()));
    loop {
        std::hint::spin_loop();
    }
}

/// Calls a function of another actor, and notes how that ended.
#[pleach::rpc]
async fn calls_another(name: String, notes: String) -> Result<()> {
    let other = pleach::find_actor(&name).await?.expect("it is there");
    match other.run(waits(notes.clone())).await {
        Err(Error::ContextCancelled(cancelled)) => {
            note(&notes, format!("by {:?} of {}: {cancelled}", cancelled.by_signal, cancelled.actor.name()));
        }
        other => note(&notes, format!("{other:?}")),
    }
    Ok(())
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    let mut root = |name: String, run: Box<dyn FnOnce() + Send>| {
        tests.push(Trial::test(format!("signals::{name}"), move || {
            run();
            Ok(())
        }));
    };
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)] {
        let name = name(signal);
        root(format!("{name}_ends_a_tree_in_order"), Box::new(move || in_order(signal, code)));
        root(format!("{name}_ends_a_daemon_in_order"), Box::new(move || ends_daemon(signal)));
        for phase in ["computes", "blocks", "cleans_up", "runs_callbacks"] {
            root(
                format!("a_second_one_ends_a_program_that_{phase}_after_{name}"),
                Box::new(move || second(phase, signal)),
            );
        }
        root(format!("after_the_body_{name}_ends_the_program"), Box::new(move || after_the_body(signal, code)));
    }
    root("one_that_came_twice_at_once_is_one".into(), Box::new(twice_at_once));
    root("a_pool_that_drains_ends_its_calls_first".into(), Box::new(drains));
    root("a_second_one_cancels_a_pool_that_drains".into(), Box::new(cancels_what_drains));
    for ignored in [Signal::HUP, Signal::INT, Signal::QUIT] {
        root(
            format!("what_the_launcher_ignored_stays_ignored: {}", name(ignored)),
            Box::new(move || stays_ignored(ignored)),
        );
    }
    root("what_a_program_starts_has_no_mask_and_no_handler".into(), Box::new(inherited));
    root("a_tree_that_was_stopped_from_the_terminal_goes_on".into(), Box::new(job_control));
    for protocol in PROCESSES {
        tests.push(test(format!("signals::a_tree_that_was_stopped_goes_on_over_{protocol}"), move || {
            actors::a_tree_that_was_stopped_goes_on(protocol)
        }));
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
            let name = name(signal);
            tests.push(test(format!("signals::{name}_to_one_actor_is_the_cause_over_{protocol}"), move || {
                actors::to_one_actor(protocol, signal)
            }));
        }
    }
    tests.push(test_fn(actors::an_idle_actor_that_gets_one_is_named));
    tests.push(test_fn(actors::the_function_of_an_actor_that_gets_one_learns_it));
    tests.push(test_fn(actors::another_caller_of_an_actor_that_gets_one_learns_it));
    tests.push(test_fn(actors::a_second_one_ends_an_actor_that_computes));
    tests.push(test_fn(actors::a_supervised_actor_that_gets_one_is_started_again));
    tests
}

/// A signal's name, e.g. `SIGINT`.
fn name(signal: Signal) -> String {
    format!("{signal:?}").trim_matches('"').replace("Signal::", "SIG")
}

/// A root process, and the group that it leads, as a shell starts one.
fn start(phase: &str, notes: &Notes) -> RootProcess {
    let mut command = RootProcess::command("signals", notes, phase);
    command.process_group(0);
    RootProcess::spawn(command)
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// Sends a signal, and waits until a later one does not count as a repeat.
fn send_first(pid: u32, signal: Signal) {
    let waits = waits_of_signal_thread(pid);
    send(pid, signal);
    // Its time is when it is taken, which may be late where the processors are busy.
    let end = Instant::now() + patience();
    while waits_of_signal_thread(pid) == waits {
        assert!(Instant::now() < end, "the first one is not taken");
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(250));
}

fn exit_code(root: &mut RootProcess) -> Option<i32> {
    Watched::new(root.pid()).assert_gone_within(patience());
    root.0.wait().unwrap().code()
}

/// The one call, the callbacks, the status, and nothing left.
fn in_order(signal: Signal, code: i32) {
    let notes = Notes::new();
    let mut root = start("waits", &notes);
    let below = Watched::new(notes.expect("waits ").parse().unwrap());
    send(root.pid(), signal);
    assert_eq!(notes.next(), "the body was dropped");
    assert_eq!(notes.next(), "on_exit");
    assert_eq!(exit_code(&mut root), Some(code));
    below.assert_gone_within(Duration::ZERO);
}

fn ends_daemon(signal: Signal) {
    let notes = Notes::new();
    let mut root = start("daemon", &notes);
    notes.expect("serves");
    send(root.pid(), signal);
    assert_eq!(notes.next(), "on_exit");
    assert_eq!(notes.next(), "ended: Ok(())");
    assert_eq!(exit_code(&mut root), Some(0));
}

fn second(phase: &str, first: Signal) {
    let notes = Notes::new();
    let mut root = start(phase, &notes);
    let below = Watched::new(notes.expect("waits ").parse().unwrap());
    notes.expect(phase);
    send_first(root.pid(), first);
    assert!(root.0.try_wait().unwrap().is_none(), "the first one asks");
    // Another one is a second one all the same.
    send(root.pid(), Signal::TERM);
    assert_eq!(exit_code(&mut root), Some(143));
    below.assert_gone_within(patience());
}

fn drains() {
    let notes = Notes::new();
    let mut root = start("drains", &notes);
    notes.expect("begun 0");
    send_first(root.pid(), Signal::INT);
    assert!(root.0.try_wait().unwrap().is_none(), "the first one asks it to finish");
    std::fs::write(notes.dir().join("go"), "").unwrap();
    // Those that were taken are done, and no others.
    let mut taken = vec![0];
    let done = loop {
        let note = notes.next();
        match note.strip_prefix("begun ") {
            Some(number) => taken.push(number.parse().unwrap()),
            None => break note,
        }
    };
    assert_eq!(done, format!("done {taken:?}"));
    assert!(taken.len() < 8, "{taken:?}");
    assert_eq!([notes.next(), notes.next()], ["on_exit", "ended: Ok(())"]);
    assert_eq!(exit_code(&mut root), Some(0));
}

fn cancels_what_drains() {
    let notes = Notes::new();
    let mut root = start("drains", &notes);
    notes.expect("begun 0");
    send_first(root.pid(), Signal::INT);
    send(root.pid(), Signal::INT);
    assert_eq!(notes.next(), "on_exit");
    assert_eq!(exit_code(&mut root), Some(130));
}

/// How often the thread that takes the signals of a process has begun to wait.
fn waits_of_signal_thread(pid: u32) -> String {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    let is_it =
        |thread: &PathBuf| std::fs::read_to_string(thread.join("comm")).is_ok_and(|name| name == "pleach-signals\n");
    let status = std::fs::read_to_string(threads.into_iter().find(is_it).unwrap().join("status")).unwrap();
    status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap().to_owned()
}

/// Nothing can be asked any more: the first one ends it.
fn after_the_body(signal: Signal, code: i32) {
    let notes = Notes::new();
    let mut root = start("drops_its_runtime", &notes);
    notes.expect("drops_its_runtime");
    send(root.pid(), signal);
    assert_eq!(exit_code(&mut root), Some(code));
}

/// As `timeout` does: to the process, and to its group.
fn twice_at_once() {
    for _ in 0..10 {
        let notes = Notes::new();
        let mut root = start("waits", &notes);
        notes.expect("waits ");
        send(root.pid(), Signal::TERM);
        let _ = kill_process_group(Pid::from_raw(root.pid() as i32).unwrap(), Signal::TERM); // it may be gone
        assert_eq!((notes.next(), notes.next()), ("the body was dropped".into(), "on_exit".into()));
        assert_eq!(exit_code(&mut root), Some(143));
    }
}

fn stays_ignored(signal: Signal) {
    let notes = Notes::new();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    let name = format!("{signal:?}").replace("\"", "").replace("Signal::", "");
    command.args(["-c", &format!("trap '' {name}; exec \"$0\"")]).arg(program);
    command
        .env("IT_ROOT", "signals")
        .env("IT_NOTES", notes.address())
        .env("IT_ARGS", "waits")
        .env("TMPDIR", notes.dir());
    let mut root = RootProcess::spawn(command);
    let below: u32 = notes.expect("waits ").parse().unwrap();
    for pid in [root.pid(), below] {
        let bit = 1 << (signal.as_raw() - 1);
        assert_eq!(mask(pid, "SigIgn") & bit, bit, "{signal:?} is ignored here and below");
        send(pid, signal);
    }
    send(root.pid(), Signal::TERM);
    assert_eq!(exit_code(&mut root), Some(143), "the ignored one was not the first");
}

/// A set of signals, as the kernel shows it.
fn mask(pid: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

fn inherited() {
    let notes = Notes::new();
    let mut root = start("starts_a_program", &notes);
    let masks = notes.expect("started ");
    assert_eq!(masks, "SigBlk 0 SigCgt 0");
    send(root.pid(), Signal::TERM);
    assert_eq!(exit_code(&mut root), Some(143));
}

/// Ctrl-Z stops the root only, `fg` has it go on; nothing below has ended, and all answer.
fn job_control() {
    let notes = Notes::new();
    let mut root = start("answers", &notes);
    let below = notes.expect("below ");
    notes.expect("answered");
    let group = Pid::from_raw(root.pid() as i32).unwrap();
    kill_process_group(group, Signal::TSTP).unwrap();
    await_state(root.pid(), 'T');
    assert_ne!(state(below.parse().unwrap()).unwrap(), 'T', "actors are in groups of their own");
    kill_process_group(group, Signal::CONT).unwrap();
    // What was on its way is heard first.
    let mut after = 0;
    while after < 100 {
        notes.expect("answered");
        after += 1;
    }
    send(root.pid(), Signal::INT);
    while notes.next() != "on_exit" {}
    assert_eq!(exit_code(&mut root), Some(130));
}

fn await_state(pid: u32, wanted: char) {
    while state(pid).expect("it is alive") != wanted {
        std::thread::yield_now();
    }
}
