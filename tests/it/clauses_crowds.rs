//! Ends that meet: many actors at once, in the middle of a start, with a failing or panicking body, in a cancelled
//! scope, under a supervisor. None is lost, and none is told twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use libtest_mimic::Trial;
use pleach::error::WaitStatus;
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use pleach::{ChildSpec, EndedBy, Supervision};

use crate::support::{
    FOREVER, Notes, PROCESSES, WITHIN_TLS, Watched, in_nursery, in_root, matrix_over, note, patience,
};

#[pleach::rpc]
async fn exits(code: i32) -> Result<()> {
    std::process::exit(code)
}

/// Exits in its clean-up.
#[pleach::rpc]
async fn exits_in_clean_up(code: i32, notes: String) -> Result<()> {
    let _shield = Shield::enter();
    note(&notes, "begun");
    scope::cancelled().await;
    std::process::exit(code)
}

pub(crate) fn tests() -> Vec<Trial> {
    let everywhere: Vec<_> = PROCESSES.into_iter().chain(WITHIN_TLS).collect();
    let mut tests = Vec::new();
    tests.extend(matrix_over(&everywhere, "clauses_crowds::each_of_many_deaths_is_told_once", all_at_once));
    tests.extend(matrix_over(&everywhere, "clauses_crowds::a_death_at_any_moment_of_a_start_is_told", in_a_start));
    let name = "clauses_crowds::a_panic_of_the_body_hides_no_crash_in_a_clean_up";
    tests.extend(matrix_over(&["uds", "quic"], name, beside_a_panic));
    let name = "clauses_crowds::a_cancelled_scope_hides_no_crash_in_a_clean_up";
    tests.extend(matrix_over(&["uds", "quic"], name, in_a_cancelled_scope));
    tests.extend(matrix_over(
        &["uds", "tcp"],
        "clauses_crowds::an_exit_in_an_init_is_the_starters_error",
        an_exit_in_an_init_is_the_starters_error,
    ));
    tests.extend(matrix_over(
        &["mem"],
        "clauses_crowds::threads_that_are_forced_have_not_failed",
        threads_that_are_forced_have_not_failed,
    ));
    tests
}

/// Nothing is forced.
fn patient(config: Config) -> Config {
    Config { cancel_ack: FOREVER, task_cancel: FOREVER, soft_reap: FOREVER, ..config }
}

/// Returns the statuses of dead actors in an error, by their names. Anything else is none of them.
fn deaths(error: &Error) -> BTreeSet<(String, i32)> {
    let one = |error: &Error| match error {
        Error::ActorDied(died) => match died.status {
            WaitStatus::Exited(number) | WaitStatus::Signalled(number) => Some((died.actor.name().to_owned(), number)),
            _ => None,
        },
        _ => None,
    };
    match error {
        Error::Group(group) => {
            let deaths: BTreeSet<_> = group.errors.iter().filter_map(one).collect();
            let told = group.errors.iter().filter(|error| one(error).is_some()).count();
            assert_eq!(deaths.len(), told, "told twice: {group:?}");
            deaths
        }
        error => one(error).into_iter().collect(),
    }
}

/// All are killed before the nursery learns of the first.
// C-8, C-10
async fn all_at_once(config: Config) {
    const MANY: usize = 5;
    let ended: Result<()> = in_nursery(patient(config), async |n| {
        let starts = (0..MANY).map(|number| n.start_actor(format!("victim{number}")).into_future());
        let portals = try_join_all(starts).await?;
        let watched: Vec<_> = portals.iter().map(|portal| Watched::new(portal.id().pid())).collect();
        watched.iter().for_each(Watched::kill);
        watched.iter().for_each(|one| one.assert_gone_within(patience()));
        std::future::pending().await
    })
    .await;
    let expected: BTreeSet<_> = (0..MANY).map(|number| (format!("victim{number}"), 9)).collect();
    assert_eq!(deaths(&ended.unwrap_err()), expected);
}

/// It is killed some time after it has begun to run: before it connects, while it shakes hands, or later.
// C-10, C-13
async fn in_a_start(config: Config) {
    let notes = Arc::new(Notes::new());
    in_root(config, async |_| {
        for delay in [0, 1, 2, 4, 6, 8, 12, 16, 24, 32].map(Duration::from_millis) {
            let (mut watched, mut early) = (None, None);
            let ended: Result<()> = pleach::open_nursery(async |n| {
                let start = n.start_actor("victim").env("IT_BEFORE_ENTRY", format!("tell {}", notes.address()));
                let kills = async {
                    let victim = Watched::new(notes.expect_async("begun ").await.parse().unwrap());
                    tokio::time::sleep(delay).await;
                    victim.kill();
                    watched = Some(victim);
                };
                let (started, ()) = shield(async { tokio::join!(start.into_future(), kills) }).await;
                early = started.err();
                match early {
                    Some(_) => Ok(()),
                    None => std::future::pending().await,
                }
            })
            .await;
            let error = early.unwrap_or_else(|| ended.expect_err("its death was swallowed"));
            assert_eq!(deaths(&error), BTreeSet::from([("victim".to_owned(), 9)]), "after {delay:?}: {error:?}");
            watched.unwrap().assert_gone_within(Duration::ZERO);
        }
        Ok(())
    })
    .await
    .unwrap();
}

// C-8, C-10
async fn beside_a_panic(config: Config) {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_nursery(patient(config), async |n| {
        n.run_in_actor(exits_in_clean_up(3, notes.address())).name("victim").await?;
        notes.expect_async("begun").await;
        panic!("the body's own")
    })
    .await;
    let error = ended.unwrap_err();
    assert_eq!(deaths(&error), BTreeSet::from([("victim".to_owned(), 3)]), "{error:?}");
    match error {
        Error::Group(group) => assert!(matches!(&group.errors[0], Error::Panicked(_)), "{group:?}"),
        other => panic!("{other:?}"),
    }
}

// C-4, C-10
async fn in_a_cancelled_scope(config: Config) {
    let notes = Arc::new(Notes::new());
    in_root(patient(config), async |_| {
        let scope = CancelScope::new();
        let nursery = scope.run(pleach::open_nursery(async |n| {
            n.run_in_actor(exits_in_clean_up(3, notes.address())).name("victim").await?;
            std::future::pending::<Result<()>>().await
        }));
        let cancels = async {
            notes.expect_async("begun").await;
            scope.cancel();
        };
        let (ended, ()) = tokio::join!(nursery, cancels);
        let error = ended.expect("its body ended with a failure of its own").unwrap_err();
        assert_eq!(deaths(&error), BTreeSet::from([("victim".to_owned(), 3)]), "{error:?}");
        Ok(())
    })
    .await
    .unwrap();
}

// C-15
async fn an_exit_in_an_init_is_the_starters_error(config: Config) {
    for code in [0, 3] {
        in_nursery(config.clone(), async |n| {
            let daemon = ChildSpec::daemon(n.start_actor("victim").enable(module_path!()));
            let supervision = Supervision::one_for_one()
                .child(daemon.init(move |portal| async move { portal.run(exits(code)).await }));
            let error = n.supervise(supervision).await.expect_err("it has exited");
            assert_eq!(deaths(&error), BTreeSet::from([("victim".to_owned(), code)]), "{error:?}");
            assert!(n.children().is_empty());
            Ok(())
        })
        .await
        .unwrap();
    }
}

// C-12
async fn threads_that_are_forced_have_not_failed(config: Config) {
    in_nursery(config, async |n| {
        n.start_actor("one").await?;
        let two = n.start_actor("two").await?;
        tokio::join!(n.kill(), n.cancel());
        two.cancel_actor().await?;
        assert!(n.report().endings.iter().all(|ending| ending.by == EndedBy::Sigterm), "{}", n.report());
        Ok(())
    })
    .await
    .unwrap();
}
