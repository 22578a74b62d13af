//! Signals: to a program in each of its phases, to a single actor, and those of job control.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::error::{Cancelled, WaitStatus};
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use pleach::{ChildSpec, Supervision, SupervisorEvent};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{Notes, PROCESSES, RootProcess, Watched, assert_says, in_root, note, over, patience, test};

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

#[pleach::rpc]
async fn waits(notes: String) -> Result<()> {
    note(&notes, format!("waits {}", std::process::id()));
    std::future::pending().await
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
    for ignored in [Signal::HUP, Signal::INT, Signal::QUIT] {
        root(
            format!("what_the_launcher_ignored_stays_ignored: {}", name(ignored)),
            Box::new(move || stays_ignored(ignored)),
        );
    }
    root("what_a_program_starts_has_no_mask_and_no_handler".into(), Box::new(inherited));
    root("a_tree_that_was_stopped_from_the_terminal_goes_on".into(), Box::new(job_control));
    for protocol in PROCESSES {
        tests
            .push(test(format!("signals::a_tree_that_was_stopped_goes_on_over_{protocol}"), move || stopped(protocol)));
        for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM] {
            let name = name(signal);
            tests.push(test(format!("signals::{name}_to_one_actor_is_the_cause_over_{protocol}"), move || {
                to_one_actor(protocol, signal)
            }));
        }
    }
    tests.push(test("signals::an_idle_actor_that_gets_one_is_named", to_an_idle_actor));
    tests.push(test("signals::the_function_of_an_actor_that_gets_one_learns_it", told_to_its_function));
    tests.push(test("signals::another_caller_of_an_actor_that_gets_one_learns_it", told_to_another_caller));
    tests.push(test("signals::a_second_one_ends_an_actor_that_computes", to_a_busy_actor));
    tests.push(test("signals::a_supervised_actor_that_gets_one_is_started_again", supervised));
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
    assert_ne!(state(below.parse().unwrap()), 'T', "actors are in groups of their own");
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

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
}

fn await_state(pid: u32, wanted: char) {
    while state(pid) != wanted {
        std::thread::yield_now();
    }
}

async fn stopped(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let (one, other) =
                (n.start_actor("one").enable(module_path!()), n.start_actor("other").enable(module_path!()));
            let (one, other) = (one.await?, other.await?);
            let pids = [one.run(pid()).await?, other.run(pid()).await?];
            for pid in pids {
                send(pid, Signal::STOP);
                await_state(pid, 'T');
            }
            // A call to one that is stopped waits, as to one that is busy.
            let (waiting, going_on) = (one.run(pid()), async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                pids.iter().for_each(|pid| send(*pid, Signal::CONT));
            });
            let (answer, ()) = tokio::join!(waiting, going_on);
            assert_eq!([answer?, other.run(pid()).await?], pids);
            tokio::try_join!(one.cancel_actor(), other.cancel_actor()).map(drop)
        })
        .await
    })
    .await
    .unwrap();
}

fn assert_died_of(ended: &Result<()>, name: &str, signal: Signal) {
    let signal = signal.as_raw();
    assert_says(ended, &[&format!("`{name}`"), &format!("signal {signal} (SIG")]);
    match ended {
        Err(Error::ActorDied(died)) => assert_eq!(died.status, WaitStatus::Signalled(signal)),
        other => panic!("{other:?}"),
    }
}

/// The body meets the same error as its nursery, whichever comes first.
async fn to_one_actor(protocol: &'static str, signal: Signal) {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over(protocol), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("target").enable(module_path!()).await?;
            let told = async {
                send(notes.expect_async("waits ").await.parse().unwrap(), signal);
            };
            let called = shield(async { tokio::join!(portal.run(waits(notes.address())), told).0 }).await;
            assert_died_of(&called, "target", signal);
            called
        })
        .await
    })
    .await;
    assert_died_of(&ended, "target", signal);
}

async fn to_an_idle_actor() {
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("idle").enable(module_path!()).await?;
            send(portal.run(pid()).await?, Signal::TERM);
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "idle", Signal::TERM);
}

async fn told_to_its_function() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(tells_why(notes.address())).name("target").await?;
            send(notes.expect_async("waits ").await.parse().unwrap(), Signal::TERM);
            let why = shield(notes.expect_async("")).await;
            assert_eq!(why, format!("{:?}", Err::<(), _>(Error::Cancelled(Cancelled::Signal(15)))));
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "target", Signal::TERM);
}

async fn told_to_another_caller() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |_| {
        // The caller is not a sibling: those are cancelled as soon as the death is known.
        pleach::open_nursery(async |callers| {
            pleach::open_nursery(async |n| {
                n.start_actor("target").enable(module_path!()).await?;
                callers.run_in_actor(calls_another("target".into(), notes.address())).name("caller").await?;
                send(notes.expect_async("waits ").await.parse().unwrap(), Signal::TERM);
                let told = shield(notes.expect_async("by Some(15) of target: ")).await;
                assert!(told.contains("its process got SIGTERM"), "{told}");
                std::future::pending().await
            })
            .await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "target", Signal::TERM);
}

async fn to_a_busy_actor() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(computes(notes.address())).name("busy").await?;
            let busy: u32 = notes.expect_async("computes ").await.parse().unwrap();
            send_first(busy, Signal::TERM);
            send(busy, Signal::TERM);
            std::future::pending().await
        })
        .await
    })
    .await;
    assert_died_of(&ended, "busy", Signal::TERM);
}

async fn supervised() {
    in_root(over("uds"), async |_| {
        pleach::open_nursery(async |n| {
            let child = ChildSpec::daemon(n.start_actor("kept").enable(module_path!()));
            let supervisor = n.supervise(Supervision::one_for_one().child(child)).await?;
            let mut events = supervisor.events();
            let first = supervisor.portal("kept").await?.run(pid()).await?;
            send(first, Signal::TERM);
            let mut why = None;
            while let Some(event) = events.recv().await {
                match event {
                    SupervisorEvent::Died { error, .. } => why = Some(error),
                    SupervisorEvent::Started { actor, .. } if actor.pid() != first => break,
                    _ => {}
                }
            }
            assert_died_of(&Err(why.unwrap()), "kept", Signal::TERM);
            assert_ne!(supervisor.portal("kept").await?.run(pid()).await?, first);
            supervisor.shutdown().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// A program in one of its phases, which it notes.
pub(crate) fn root(notes: &str, phase: &str) {
    let phase_now = phase.to_owned();
    let body = body(notes.to_owned(), phase.to_owned());
    let ended = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, async {
        let ended = body.await;
        if phase_now == "drops_its_runtime" {
            hold_the_runtime(notes.to_owned());
        }
        ended
    });
    note(notes, format!("ended: {ended:?}"));
}

/// Has the runtime's end wait for a thread that never ends; notes when it begins to wait.
fn hold_the_runtime(notes: String) {
    struct Dropped(String);
    impl Drop for Dropped {
        fn drop(&mut self) {
            note(&self.0, "drops_its_runtime");
        }
    }
    let (begun, begins) = std::sync::mpsc::sync_channel::<()>(1);
    tokio::task::spawn_blocking(move || {
        begun.send(()).unwrap();
        park()
    });
    begins.recv().unwrap();
    let dropped = Dropped(notes);
    tokio::spawn(async move {
        let _dropped = dropped;
        std::future::pending::<()>().await
    });
}

fn park() {
    loop {
        std::thread::park();
    }
}

async fn body(notes: String, phase: String) -> Result<()> {
    if phase == "daemon" {
        let told = notes.clone();
        pleach::on_exit(move || note(&told, "on_exit"));
        let serves = async {
            while pleach::current_actor().is_none() {
                tokio::task::yield_now().await;
            }
            note(&notes, "serves");
        };
        return tokio::join!(pleach::run_daemon(over("uds"), [module_path!()]), serves).0;
    }
    if phase == "drops_its_runtime" {
        return Ok(());
    }
    if phase == "starts_a_program" {
        let started = Command::new("sh").args(["-c", "exec cat /proc/self/status"]).output().unwrap();
        let status = String::from_utf8_lossy(&started.stdout).into_owned();
        let set = |which: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap();
            format!("{which} {:x}", u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap())
        };
        note(&notes, format!("started {} {}", set("SigBlk"), set("SigCgt")));
        return std::future::pending().await;
    }
    let told = notes.clone();
    pleach::on_exit(move || {
        note(&told, "on_exit");
    });
    if phase == "runs_callbacks" {
        let told = notes.clone();
        pleach::on_exit(move || {
            note(&told, "runs_callbacks");
            park();
        });
    }
    pleach::open_root(over("uds"), async |_| with_one_below(notes, phase).await).await
}

async fn with_one_below(notes: String, phase: String) -> Result<()> {
    let _dropped = OnDrop(notes.clone(), phase == "waits");
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("below").enable(module_path!()).await?;
        match phase.as_str() {
            "answers" => {
                note(&notes, format!("below {}", portal.run(pid()).await?));
                loop {
                    portal.run(pid()).await?;
                    note(&notes, "answered");
                }
            }
            "waits" => portal.run(waits(notes.clone())).await,
            other => {
                note(&notes, format!("waits {}", portal.run(pid()).await?));
                goes_on(&notes, other).await;
                portal.cancel_actor().await
            }
        }
    })
    .await
}

async fn goes_on(notes: &str, phase: &str) {
    match phase {
        "computes" => {
            note(notes, "computes");
            loop {
                std::hint::spin_loop();
            }
        }
        "blocks" => {
            note(notes, "blocks");
            park();
        }
        "cleans_up" => {
            note(notes, "cleans_up");
            shield(std::future::pending::<()>()).await;
        }
        _ => {}
    }
}

struct OnDrop(String, bool);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if self.1 {
            note(&self.0, "the body was dropped");
        }
    }
}
