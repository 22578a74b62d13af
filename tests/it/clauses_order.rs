//! The last steps of an actor's end: what is true while its exit callbacks run, which come last.

use futures_util::FutureExt as _;
use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{Notes, RootProcess, Watched, in_nursery, matrix_over, note, over, patience};

/// Has the exit callback of the current actor tell what is left of that actor.
#[pleach::rpc]
async fn tells_what_is_left(notes: String) -> Result<()> {
    let actor = pleach::current_actor().expect("this runs in an actor");
    pleach::on_exit(move || {
        // A root that keeps the names can look without waiting; in others, the look itself needs a connection.
        let registry = actor.registry().filter(|_| actor.is_registrar());
        let found = registry.and_then(|registry| registry.find(actor.id().name()).now_or_never());
        let entries = found.map_or(0, |found| found.expect("the table is here").len());
        let is_complete = actor.cancel_complete().now_or_never().is_some();
        note(&notes, format!("complete: {is_complete}, entries: {entries}"));
    });
    Ok(())
}

/// Has the exit callback of the current actor wait.
#[pleach::rpc]
async fn waits_at_exit(notes: String) -> Result<()> {
    pleach::on_exit(move || {
        let go_on = Notes::new();
        note(&notes, go_on.address());
        go_on.expect("go on");
    });
    Ok(())
}

/// Keeps an actor below that waits in its exit callback.
#[pleach::rpc]
async fn above_one_that_waits(notes: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let below = n.start_actor("below").enable(module_path!()).await?;
        below.run(waits_at_exit(notes)).await?;
        below.cancel_actor().await
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = matrix_over(
        &["uds", "quic"],
        "clauses_order::a_child_is_complete_after_its_callbacks",
        a_child_is_complete_after_its_callbacks,
    );
    let name = "clauses_order::an_actor_at_its_exit_is_not_found_any_more";
    tests.extend(matrix_over(&["tcp", "uds"], name, not_found));
    tests.push(Trial::test(
        "clauses_order::a_root_is_out_of_its_table_before_its_callbacks_and_complete_after",
        || {
            a_root_is_out_of_its_table_before_its_callbacks_and_complete_after();
            Ok(())
        },
    ));
    tests
}

// S115, S123
async fn a_child_is_complete_after_its_callbacks(config: Config) {
    let notes = Notes::new();
    in_nursery(config, async |n| {
        let portal = n.start_actor("leaver").enable(module_path!()).await?;
        portal.run(tells_what_is_left(notes.address())).await?;
        portal.cancel_actor().await
    })
    .await
    .unwrap();
    assert_eq!(notes.next(), "complete: false, entries: 0");
}

// S123: step 4 comes before step 6, for an actor whose name its parent's connection does not hold.
async fn not_found(config: Config) {
    let notes = std::sync::Arc::new(Notes::new());
    in_nursery(Config { soft_reap: patience(), ..config }, async |n| {
        let above = n.run_in_actor(above_one_that_waits(notes.address())).await?;
        let go_on = notes.expect_async("").await;
        assert!(pleach::find_actor("below").await?.is_none());
        note(&go_on, "go on");
        above.result().await
    })
    .await
    .unwrap();
}

fn a_root_is_out_of_its_table_before_its_callbacks_and_complete_after() {
    let notes = Notes::new();
    let mut root = RootProcess::start("what_is_left", &notes, "");
    assert_eq!(notes.next(), "complete: false, entries: 0");
    assert_eq!(notes.next(), "complete");
    Watched::new(root.pid()).assert_gone_within(patience());
    assert!(root.0.wait().unwrap().success());
}

/// A root that reports what is left of it while its callbacks run, and a task that waits for its end.
pub(crate) fn what_is_left_root(notes: &str) {
    let tree = async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let tree = pleach::open_root(over("uds"), async |actor| {
            let _ = tell.send(actor.clone());
            tells_what_is_left(notes.to_owned()).await
        });
        let waits = async {
            told.await.expect("it has started").cancel_complete().await;
            note(notes, "complete");
        };
        tokio::join!(tree, waits).0
    };
    let ended: Result<()> = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree);
    ended.unwrap();
}
