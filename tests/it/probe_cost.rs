//! What it costs that processes can be asked: nothing while they are not; and what they tell is what the kernel does.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::inspect::{self, ProcessReport};
use pleach::prelude::*;

use crate::support::{Notes, RootProcess, in_root, note, over, patience, test_fn};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(it_never_wakes_up_by_itself_and_takes_little_memory),
        test_fn(what_is_told_of_twenty_actors_is_what_proc_says),
    ]
}

/// Runs a tree of a root and a child that do nothing, until it is killed.
pub(crate) fn idle_root(notes: &str) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended: Result<()> = tokio.block_on(in_root(over("uds"), async |root| {
        pleach::open_nursery(async |n| {
            let child = n.start_actor("idle").await?;
            note(notes, format!("{} {}", root.id().pid(), child.id().pid()));
            std::future::pending().await
        })
        .await
    }));
    panic!("it is killed: {ended:?}");
}

async fn it_never_wakes_up_by_itself_and_takes_little_memory() {
    let notes = Notes::new();
    let _root = RootProcess::start("idle", &notes, "");
    let pids: Vec<u32> = notes.expect("").split(' ').map(|pid| pid.parse().unwrap()).collect();
    // The root has a thread for it; in the child it is the watchdog, beside its own duty.
    let threads: Vec<_> =
        pids.iter().zip(["pleach-inspect", "watchdog"]).map(|(pid, name)| thread_of(*pid, name)).collect();
    let switches = || threads.iter().map(|thread| switches_of(thread)).collect::<Vec<_>>();
    let mut counts = Vec::new();
    // Other tests ask all processes of this user now and then.
    while counts.len() < WINDOWS && counts.last().is_none_or(|(before, after)| before != after) {
        let before = switches();
        tokio::time::sleep(FIVE_SECONDS).await; // what is measured is that nothing happens in it
        counts.push((before, switches()));
    }
    assert!(counts.last().is_some_and(|(before, after)| before == after), "{counts:?}");
    // Its stack is what it has beside a socket: pages that were never touched count for nothing.
    for pid in pids {
        let resident =
            stacks_of(pid).into_iter().filter(|(size, _)| *size == ASKED_STACK).map(|(_, resident)| resident);
        assert!(resident.clone().all(|resident| resident <= 128 << 10), "{:?}", resident.collect::<Vec<_>>());
    }
}

async fn what_is_told_of_twenty_actors_is_what_proc_says() {
    in_root(over("uds"), async |root| {
        pleach::open_nursery(async |n| {
            let mut actors = BTreeMap::from([(root.id().uuid(), root.id().pid())]);
            for number in 0..ACTORS {
                let transport = ["mem", "tcp", "uds", "quic"][number % 4];
                let actor = n.start_actor(format!("actor{number}")).transport(transport).await?;
                actors.insert(actor.id().uuid(), actor.id().pid());
            }
            let reports = tokio::time::timeout(patience(), reports_of(&actors)).await.expect("all are seen");
            for report in &reports {
                assert_eq!(report.program, fs::read_link(format!("/proc/{}/exe", report.pid)).unwrap());
                let (cpu_ms, memory) = (cpu_of(report.pid), crate::support::resident_memory(report.pid) << 10);
                assert!(
                    report.pid == root.id().pid() || report.cpu_ms <= cpu_ms + ENDED_MS,
                    "told {} ms, found {cpu_ms} ms since",
                    report.cpu_ms
                );
                assert!(
                    report.memory > memory / 2 && report.memory < memory * 2,
                    "told {}, found {memory}",
                    report.memory
                );
            }
            let told = reports.iter().flat_map(|report| report.actors.iter().map(move |actor| (actor, report.pid)));
            let told = told.filter(|(actor, _)| actors.contains_key(&actor.who.uuid()));
            assert!(told.clone().all(|(actor, pid)| actor.who.pid() == pid));
            let parents: Vec<_> =
                told.filter(|(actor, _)| actor.who != *root.id()).map(|(actor, _)| actor.parent.as_ref()).collect();
            assert!(parents.len() == ACTORS && parents.iter().all(|parent| *parent == Some(root.id())));
            // The kernel's own tree: each child process descends from this one.
            for pid in actors.values().filter(|pid| **pid != root.id().pid()) {
                assert_eq!(parent_of(*pid), root.id().pid());
            }
            n.cancel().await;
            Ok(())
        })
        .await
    })
    .await
    .unwrap();
}

/// Asks until all these actors are seen.
async fn reports_of(actors: &BTreeMap<uuid::Uuid, u32>) -> Vec<ProcessReport> {
    loop {
        let found = tokio::task::spawn_blocking(inspect::processes).await.unwrap().unwrap();
        let mut reports: Vec<_> = found.into_iter().filter_map(|process| process.report.ok()).collect();
        reports.retain(|report| report.actors.iter().any(|actor| actors.contains_key(&actor.who.uuid())));
        let seen =
            reports.iter().flat_map(|report| &report.actors).filter(|actor| actors.contains_key(&actor.who.uuid()));
        if seen.count() == actors.len() {
            return reports;
        }
    }
}

/// The directory of a thread in `/proc`.
fn thread_of(pid: u32, name: &str) -> String {
    let threads =
        fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path().display().to_string());
    let named = |thread: &String| fs::read_to_string(format!("{thread}/comm")).unwrap().trim_end() == name;
    threads.into_iter().find(named).unwrap_or_else(|| panic!("{pid} has no thread `{name}`"))
}

/// How often a thread has been switched to or from.
fn switches_of(thread: &str) -> u64 {
    let status = fs::read_to_string(format!("{thread}/status")).unwrap();
    let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
    counts.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
}

/// The size and the resident bytes of each private mapping without a file.
fn stacks_of(pid: u32) -> Vec<(u64, u64)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let bytes =
        |line: &str, name| Some(line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().unwrap() << 10);
    let sizes = maps.lines().filter_map(|line| bytes(line, "Size:"));
    sizes.zip(maps.lines().filter_map(|line| bytes(line, "Rss:"))).collect()
}

fn parent_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    fields.nth(1).unwrap().parse().unwrap()
}

/// The processor time of the threads that are there, in milliseconds.
fn cpu_of(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let time = |thread: fs::DirEntry| {
        fs::read_to_string(thread.path().join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    };
    threads.filter_map(|thread| time(thread.unwrap())).sum::<u64>() / 1_000_000
}

const ACTORS: usize = 20;
const FIVE_SECONDS: Duration = Duration::from_secs(5);

/// The stack of the thread that answers, in bytes.
const ASKED_STACK: u64 = 256 << 10;

/// Threads that have answered and ended have taken some of it, in milliseconds.
const ENDED_MS: u64 = 100;

/// How often the five seconds are tried.
const WINDOWS: usize = 8;
