//! `pleach stacks`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use pleach::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{json, matrix, pleach, scaled, test_fn};
use crate::tree::{Setup, rest, while_it_runs};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test_fn(a_task_that_can_not_be_woken_says_so),
        test_fn(an_actor_that_is_not_there_is_named_with_those_that_are),
    ];
    tests.extend(matrix("stacks::each_wait_is_told_with_its_line", each_wait_is_told_with_its_line));
    tests.extend(matrix("stacks::a_busy_actor_is_shown_in_its_function", a_busy_actor_is_shown_in_its_function));
    tests.extend(matrix("stacks::a_blocked_actor_is_shown_in_its_function", a_blocked_actor_is_shown_in_its_function));
    tests
}

#[pleach::rpc]
async fn choose() -> Result<()> {
    let notify = Arc::new(tokio::sync::Notify::new());
    tokio::select! {
        () = notify.notified() => {} // the first wait
        () = deeper() => {}
    }
    Ok(())
}

async fn deeper() {
    let (_sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
    receiver.recv().await; // the second wait
}

/// The line of a comment in this file.
fn line_of(comment: &str) -> usize {
    let source = include_str!("stacks.rs");
    1 + source.lines().position(|line| line.ends_with(&format!("// {comment}"))).unwrap()
}

fn each_wait_is_told_with_its_line(setup: Setup) {
    while_it_runs(setup, "chooser", choose(), move || {
        let told = until(|task| task["waits"].as_array().is_some_and(|waits| waits.len() == 2));
        let own = |wait: &Value| own_frames(wait);
        let waits: Vec<_> = told["waits"].as_array().unwrap().iter().map(own).collect();
        let [first, second] = ["the first wait", "the second wait"].map(line_of);
        assert!(waits.iter().any(|wait| wait[0].0.contains("stacks::choose")), "{waits:?}");
        assert!(waits.iter().any(|wait| wait[0] == ("cli::stacks::deeper".to_owned(), second)), "{waits:?}");
        assert!(waits.iter().all(|wait| wait.iter().any(|(_, line)| (first - 1..=second).contains(line))), "{waits:?}");
        assert_eq!(told["actor"], "chooser");
        assert_eq!(told["function"], "cli::stacks::choose");
    });
}

#[inline(never)]
fn burn(turn: u32) {
    while STOPPED.load(Ordering::Relaxed) != turn {
        std::hint::spin_loop();
    }
}

#[pleach::rpc]
pub(crate) async fn busy(turn: u32) -> Result<()> {
    burn(turn);
    Ok(())
}

fn a_busy_actor_is_shown_in_its_function(setup: Setup) {
    let stop = Stop::later();
    while_it_runs(setup, "busy", busy(stop.0), move || {
        let _stop = stop;
        shown_in("cli::stacks::busy", "cli::stacks::burn", None);
    });
}

#[pleach::rpc]
async fn blocked(turn: u32) -> Result<()> {
    let mut guard = LOCK.lock().unwrap();
    while STOPPED.load(Ordering::Relaxed) != turn {
        guard = WOKEN.wait(guard).unwrap(); // blocks here
    }
    Ok(())
}

fn a_blocked_actor_is_shown_in_its_function(setup: Setup) {
    let stop = Stop::later();
    while_it_runs(setup, "blocked", blocked(stop.0), move || {
        let _stop = stop;
        shown_in("cli::stacks::blocked", "cli::stacks::blocked", Some("blocks here"));
    });
}

/// Lets a function of this turn go on at the end of a test, if its actor is a thread of this process: that can't be
/// killed.
pub(crate) struct Stop(pub(crate) u32);

impl Stop {
    pub(crate) fn later() -> Self {
        static TURNS: AtomicU32 = AtomicU32::new(1);
        Self(TURNS.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let _lock = LOCK.lock().unwrap();
        STOPPED.store(self.0, Ordering::Relaxed);
        WOKEN.notify_all();
    }
}

static STOPPED: AtomicU32 = AtomicU32::new(0);
static LOCK: Mutex<()> = Mutex::new(());
static WOKEN: Condvar = Condvar::new();

/// A thread is shown in a function, within a second, once its actor runs `exposed`.
fn shown_in(exposed: &str, function: &str, comment: Option<&str>) {
    let (at, root) = (TempDir::new().unwrap(), std::process::id());
    let mut took = Duration::MAX;
    for _ in 0..100 {
        let begun = Instant::now();
        let told = json(at.path(), &format!("stacks --tree {root}")).1;
        took = begun.elapsed();
        let processes = told["processes"].as_array().unwrap();
        let is_busy =
            |process: &&Value| process["busy"].as_array().unwrap().iter().any(|busy| busy["function"] == exposed);
        let Some(process) = processes.iter().find(is_busy) else { continue };
        let threads: Vec<_> =
            process["threads"].as_array().unwrap().iter().map(|thread| own_frames(&thread["stack"])).collect();
        let is_meant = |(name, line): &(String, usize)| {
            name == function && comment.is_none_or(|comment| *line == line_of(comment))
        };
        if threads.iter().any(|frames| frames.iter().any(is_meant)) {
            assert!(took < scaled(Duration::from_secs(1)), "{took:?}");
            return;
        }
    }
    panic!("not shown, in {took:?}: {}", pleach(at.path(), &format!("stacks --full --tree {root}")).unwrap());
}

fn a_task_that_can_not_be_woken_says_so() {
    while_it_runs(Setup::default(), "resting", rest(), || {
        let (at, root) = (TempDir::new().unwrap(), std::process::id());
        loop {
            let shown = pleach(at.path(), &format!("stacks resting --tree {root}")).unwrap();
            if shown.contains("resting: a task of cli::tree::rest for root") {
                assert!(shown.contains("waits for nothing that could wake it"), "{shown}");
                return;
            }
        }
    });
}

fn an_actor_that_is_not_there_is_named_with_those_that_are() {
    while_it_runs(Setup::default(), "present", rest(), || {
        let at = TempDir::new().unwrap();
        let none = pleach(at.path(), &format!("stacks absent --tree {}", std::process::id()));
        assert!(none.unwrap_err().contains("no actor is `absent`; there are: present, root"));
    });
}

/// Asks until a task of this tree is as expected.
fn until(is_expected: impl Fn(&Value) -> bool) -> Value {
    let (at, root) = (TempDir::new().unwrap(), std::process::id());
    for _ in 0..100 {
        let told = json(at.path(), &format!("stacks --tree {root}")).1;
        let processes = told["processes"].as_array().unwrap();
        let mut tasks = processes.iter().flat_map(|process| process["tasks"].as_array().unwrap());
        if let Some(task) = tasks.find(|task| is_expected(task)) {
            return task.clone();
        }
    }
    panic!("{}", pleach(at.path(), &format!("stacks --full --tree {root}")).unwrap());
}

fn own_frames(stack: &Value) -> Vec<(String, usize)> {
    let own = stack.as_array().into_iter().flatten().filter(|frame| frame["own"] == true);
    own.map(|frame| {
        (frame["function"].as_str().unwrap().to_owned(), frame["line"].as_u64().unwrap_or_default() as usize)
    })
    .collect()
}
