//! The programs that the signals are sent to, each in one of its phases.

use std::process::Command;

use pleach::prelude::*;

use super::{MODULE, pid, takes_its_time, waits};
use crate::support::{NoteOnDrop, note, over};

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
    let (begun, begins) = std::sync::mpsc::sync_channel::<()>(1);
    tokio::task::spawn_blocking(move || {
        begun.send(()).unwrap();
        park()
    });
    begins.recv().unwrap();
    let dropped = NoteOnDrop(notes, "drops_its_runtime");
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
        return tokio::join!(pleach::run_daemon(over("uds"), [MODULE]), serves).0;
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
    let _dropped = (phase == "waits").then(|| NoteOnDrop(notes.clone(), "the body was dropped"));
    pleach::open_nursery(async |n| {
        let portal = n.start_actor("below").enable(MODULE).await?;
        match phase.as_str() {
            "answers" => {
                note(&notes, format!("below {}", portal.run(pid()).await?));
                loop {
                    portal.run(pid()).await?;
                    note(&notes, "answered");
                }
            }
            "waits" => portal.run(waits(notes.clone())).await,
            "drains" => drains(&n, &notes).await,
            other => {
                note(&notes, format!("waits {}", portal.run(pid()).await?));
                goes_on(&notes, other).await;
                portal.cancel_actor().await
            }
        }
    })
    .await
}

/// Has a pool work through items without end, until it is to finish.
async fn drains(n: &Nursery, notes: &str) -> Result<()> {
    let pool = n.start_actor("worker").enable(MODULE).pool(1).in_flight(1).drain_on_signal().await?;
    let mut results = pool.map(0.., |number| takes_its_time(notes.to_owned(), number));
    let mut done = Vec::new();
    while let Some(result) = results.next().await {
        done.push(result?);
    }
    note(notes, format!("done {done:?}"));
    n.cancel().await;
    Ok(())
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
