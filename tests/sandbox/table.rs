//! The table of the page holds: over each transport, on each thread of the actor, as root and as another user.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Sandbox, Start};

use crate::attempts::{self, Targets, Victim};
use crate::{PROCESSES, in_nursery, is_root, test};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for transport in PROCESSES {
        tests.push(test(format!("table::the_page_is_true_{transport}"), move || is_true(transport, |start| start)));
        tests.push(test(format!("table::on_all_threads_{transport}"), move || {
            is_true(transport, |start| start.multi_thread(true))
        }));
        // Over Unix sockets both ends have one user.
        if is_root() && !["uds", "shm"].contains(&transport) {
            tests.push(test(format!("table::as_another_user_{transport}"), move || {
                is_true(transport, |start| start.user(65534, 65534, &[]))
            }));
        }
    }
    tests.push(test("table::without_a_sandbox_it_is_another_one", without));
    tests
}

type Outcomes = BTreeMap<String, String>;

/// Tries everything, here and on a thread for blocking work.
#[pleach::rpc]
async fn tries(at: Targets) -> anyhow::Result<[Outcomes; 2]> {
    let again = at.clone();
    let there = tokio::task::spawn_blocking(move || attempts::all(&again));
    let there = there.await?;
    Ok([attempts::all(&at), there].map(|tried| tried.into_iter().collect()))
}

// SEC-31
async fn is_true(transport: &'static str, as_usual: fn(Start<Portal>) -> Start<Portal>) {
    let victim = Victim::new();
    in_nursery(transport, async |n| {
        let start = n.start_actor("hostile").enable(module_path!()).sandbox(Sandbox::new());
        let hostile = as_usual(start).await?;
        for found in hostile.run(tries(victim.targets.clone())).await? {
            assert_eq!(differences(&found, &the_page(transport)), [""; 0]);
        }
        hostile.cancel_actor().await
    })
    .await
    .unwrap();
}

/// Tries what ends no process.
#[pleach::rpc]
async fn tries_some(at: Targets) -> Result<Outcomes> {
    Ok(attempts::harmless(&at).into_iter().collect())
}

/// What would be refused anyway proves nothing.
async fn without() {
    let victim = Victim::new();
    in_nursery("uds", async |n| {
        let usual = n.start_actor("usual").enable(module_path!()).await?;
        let mut found = usual.run(tries_some(victim.targets.clone())).await?;
        found.retain(|_, outcome| outcome != "open");
        assert_eq!(found, Outcomes::new());
        usual.cancel_actor().await
    })
    .await
    .unwrap();
}

/// The table of the page, for a transport.
fn the_page(transport: &str) -> Outcomes {
    let page = include_str!("../../src/manual/sandbox.rs");
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    let rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>()).filter(|cells| cells.len() == 3);
    let column = if transport == "quic" { 2 } else { 1 };
    rows.skip(1).map(|cells| (cells[0].into(), cells[column].trim_matches(['*', '`']).into())).collect()
}

fn differences(found: &Outcomes, told: &Outcomes) -> Vec<String> {
    let every: std::collections::BTreeSet<_> = found.keys().chain(told.keys()).collect();
    let differs = every.into_iter().filter(|what| found.get(*what) != told.get(*what));
    differs.map(|what| format!("{what}: {:?}, and the page says {:?}", found.get(what), told.get(what))).collect()
}
