//! What has to hold when a tree has come to its end, whatever was done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use pleach::prelude::*;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};

use super::log::{Entry, Event, Log};
use super::plan::{Deed, Plan};
use super::run::{ON_PURPOSE, grow};
use crate::support::{over, patience, scaled};

/// Runs a tree that nothing is done to, so that what a process makes once has been made.
pub(super) fn warm_up(protocol: &str) {
    run(&Plan::calm(protocol)).unwrap();
    FILES.set(open_files()).unwrap();
}

/// Carries a plan out, and says what is wrong afterwards.
pub(super) fn run(plan: &Plan) -> Result<(), String> {
    let dir = TempDir::new().unwrap();
    let ended = carry_out(plan, dir.path())?;
    check_end(plan, &ended)?;
    check_numbers(plan, dir.path())?;
    check_outcomes(plan, dir.path())?;
    drop(dir);
    nothing_left()
}

/// What the root's `grow` came to: a panic's message is one.
type Ended = Result<(), String>;

fn carry_out(plan: &Plan, dir: &Path) -> Result<Ended, String> {
    let mut tokio = if plan.multi_thread { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let tokio = tokio.enable_all().build().unwrap();
    tokio.block_on(async {
        let limbs = grow(plan.limbs.clone(), dir.to_str().unwrap().to_owned());
        let tree = AssertUnwindSafe(pleach::open_root(config(plan), async |_| limbs.await)).catch_unwind();
        let (ended, panicked) = match tokio::time::timeout(patience(), tree).await {
            Err(_) => return Err("it did not end".into()),
            Ok(Ok(ended)) => (ended.map_err(|error| format!("{error:?}")), false),
            Ok(Err(panic)) => (Err(format!("panic: {:?}", panic.downcast_ref::<String>())), true),
        };
        // A root that panicked leaves its tree to the reaper, one that has ended leaves no process.
        let left = processes();
        if !panicked && !left.is_empty() {
            return Err(format!("these processes were left behind after {ended:?}: {left:?}"));
        }
        within(patience(), || nothing("processes", processes())).await?;
        within(patience(), || nothing("tasks", 0..Handle::current().metrics().num_alive_tasks())).await?;
        Ok(ended)
    })
}

fn config(plan: &Plan) -> Config {
    Config {
        multi_thread: plan.multi_thread,
        cancel_ack: scaled(Duration::from_millis(300)),
        kill_after: scaled(Duration::from_millis(400)),
        log_level: Some("pleach=debug".into()),
        ..over(&plan.protocol)
    }
}

/// The tree as a whole ended as the one thing that was done to it demands.
fn check_end(plan: &Plan, ended: &Ended) -> Result<(), String> {
    let says = match plan.strikes()[..] {
        [] => None,
        [(_, deed)] => match deed {
            Deed::BodyFails | Deed::BodyPanics | Deed::CalleeFails | Deed::CalleePanics => Some(ON_PURPOSE),
            Deed::Kill => Some("SIGKILL"),
            Deed::Cut => Some(""),
            _ => None,
        },
        _ => return Ok(()),
    };
    match (says, ended) {
        (None, Ok(())) => Ok(()),
        (Some(says), Err(error)) if error.contains(says) => Ok(()),
        _ => Err(format!("the tree ended with {ended:?}, it should have said {says:?}")),
    }
}

/// Of the numbers that were sent, each was taken once and in order, up to the last; each that was
/// acknowledged had been taken. Where nothing was done, that is all of them.
fn check_numbers(plan: &Plan, dir: &Path) -> Result<(), String> {
    let untouched: BTreeSet<&str> = plan.untouched().into_iter().map(|limb| limb.name.as_str()).collect();
    let alone = plan.strikes().len() == 1;
    for limb in plan.all() {
        let taken: Vec<u64> = Log::read(dir, &limb.name, "taken");
        let acked: Vec<u64> = Log::read(dir, &limb.name, "acked");
        let in_order = |numbers: &[u64]| numbers.iter().zip(0..).all(|(number, place)| *number == place);
        if !in_order(&taken) || !in_order(&acked) || acked.len() > taken.len() {
            return Err(format!("{} has taken {taken:?}, and its parent knows of {acked:?}", limb.name));
        }
        let due = match limb.strike {
            _ if untouched.contains(limb.name.as_str()) => limb.messages,
            Some(strike) if alone => strike.after + 1,
            _ => 0,
        };
        if (acked.len() as u64) < due {
            return Err(format!("{} has acknowledged {} of {due}", limb.name, acked.len()));
        }
    }
    Ok(())
}

/// Whatever was opened has exactly one outcome, and a failure is one of those that were provoked.
///
/// Who was killed has not written down the outcomes: so only the root's are counted then.
fn check_outcomes(plan: &Plan, dir: &Path) -> Result<(), String> {
    let strikes = plan.strikes();
    for limb in plan.all() {
        let of_root = !limb.name.contains('.');
        let mut outcomes: BTreeMap<(String, u64), Vec<Event>> = BTreeMap::new();
        for Entry { what, id, event } in Log::read(dir, &limb.name, "ledger") {
            if let Event::Failed(why) = &event
                && !strikes.iter().any(|(_, deed)| may_cause(*deed, why))
            {
                return Err(format!("`{what}` {id} of {} failed with {why}", limb.name));
            }
            let outcomes = outcomes.entry((what, id)).or_default();
            if !matches!(event, Event::Opened) {
                outcomes.push(event);
            }
        }
        let settled = |(_, outcomes): &(&_, &Vec<Event>)| outcomes.len() == 1 || !of_root && outcomes.is_empty();
        if let Some(odd) = outcomes.iter().find(|opened| !settled(opened)) {
            return Err(format!("of {}, this has not one outcome: {odd:?}", limb.name));
        }
    }
    Ok(())
}

/// Whether an error may come of a deed, anywhere in the tree.
fn may_cause(deed: Deed, why: &str) -> bool {
    let says = |parts: &[&str]| parts.iter().any(|part| why.contains(part));
    let cancelled = says(&["cancelled: ", "was cancelled"]);
    let gone = says(&["the connection to actor", "has exited", "was killed by", "exited with code", "was lost"]);
    match deed {
        Deed::CancelScope | Deed::CancelContext | Deed::DropNursery => cancelled,
        Deed::CancelActor => cancelled || gone,
        Deed::BodyFails | Deed::BodyPanics | Deed::CalleeFails | Deed::CalleePanics => cancelled || says(&[ON_PURPOSE]),
        Deed::Kill | Deed::Cut => cancelled || gone,
        Deed::Stop | Deed::StopAndContinue => {
            cancelled || gone || says(&["was stopped", "did not acknowledge the cancel request"])
        }
    }
}

/// Checks this process's own leftovers, when everything else has ended.
fn nothing_left() -> Result<(), String> {
    let usual = FILES.get().map_or(usize::MAX, BTreeMap::len);
    let unusual = Some(open_files()).filter(|files| files.len() > usual).into_iter().flatten();
    nothing("open files", unusual)?;
    let entries = std::fs::read_dir(std::env::temp_dir()).unwrap().map(|entry| entry.unwrap().file_name());
    nothing("files", entries.filter(|name| name != "notes" && name != "log"))
}

fn nothing<T: Debug>(what: &str, left: impl IntoIterator<Item = T>) -> Result<(), String> {
    let left: Vec<T> = left.into_iter().collect();
    if left.is_empty() { Ok(()) } else { Err(format!("{} {what} were left behind: {left:?}", left.len())) }
}

/// Looks until a condition holds, or the time is up.
async fn within(time: Duration, look: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let until = Instant::now() + time;
    loop {
        match look() {
            Err(_) if Instant::now() < until => tokio::time::sleep(Duration::from_millis(1)).await,
            found => return found,
        }
    }
}

/// The processes of this tree but this one, zombies among its children included: number, name and state of each.
fn processes() -> BTreeSet<String> {
    let mark = format!("TMPDIR={}", std::env::temp_dir().display());
    let marked = |pid: &String| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let others = all.filter(|name| name.parse::<u32>().is_ok_and(|pid| pid != std::process::id()));
    let mut found: BTreeSet<String> = others.filter(marked).collect();
    for thread in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().map(str::to_owned));
    }
    // One that has ended since has no line any more.
    let line = |pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    found.into_iter().filter_map(line).map(|line| line.split(' ').take(6).collect::<Vec<_>>().join(" ")).collect()
}

/// The open files of this process, and what they are.
fn open_files() -> BTreeMap<String, String> {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let name = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        Some((entry.file_name().into_string().ok()?, target.to_string_lossy().into_owned()))
    };
    open.filter_map(name).collect()
}

/// What was open when nothing had been broken.
static FILES: std::sync::OnceLock<BTreeMap<String, String>> = std::sync::OnceLock::new();
