//! What the end of an actor means for its nursery: crashes and exits just before, while and after it is asked to go.
//!
//! C-10, C-12. The table behind it is tested row by row in `src/spawn/judge.rs`; here are the real ends.

mod exits;
mod requests;

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::error::{ActorDied, ActorPhase, WaitStatus};
use pleach::prelude::*;
use pleach::scope::{self, Shield};
use pleach::{ChildSpec, EndedBy, Supervision, SupervisorEvent};
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

use crate::support::{
    ALL, FOREVER, Notes, PROCESSES, WITHIN_TLS, Watched, assert_says, in_nursery, matrix_over, note, patience,
};

/// Where the functions are that the actors run.
const MODULE: &str = module_path!();

/// How an actor ends in the middle of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Ends {
    Exit(i32),
    Abort,
    Kill,
}

impl Ends {
    fn now(self) -> ! {
        match self {
            Self::Exit(code) => std::process::exit(code),
            Self::Abort => {
                let no_core = Rlimit { current: Some(0), maximum: Some(0) };
                setrlimit(Resource::Core, no_core).unwrap();
                std::process::abort()
            }
            Self::Kill => {
                kill_process(getpid(), Signal::KILL).unwrap();
                unreachable!("it is dead")
            }
        }
    }

    fn status(self) -> WaitStatus {
        match self {
            Self::Exit(code) => WaitStatus::Exited(code),
            Self::Abort => WaitStatus::Signalled(6),
            Self::Kill => WaitStatus::Signalled(9),
        }
    }
}

/// What an actor does in the last moment of its life.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Last {
    Ends(Ends),
    Panics,
    Sleeps(u64),
}

#[pleach::rpc]
async fn pid() -> Result<u32> {
    Ok(std::process::id())
}

/// Ends once it has been cancelled, in its clean-up.
#[pleach::rpc]
async fn ends_in_clean_up(how: Ends, notes: String) -> Result<()> {
    let _shield = Shield::enter();
    note(&notes, "begun");
    scope::cancelled().await;
    how.now()
}

/// Has its clean-up last until a SIGTERM has come from elsewhere.
#[pleach::rpc]
async fn cleans_up_slowly(notes: String) -> Result<()> {
    let _shield = Shield::enter();
    note(&notes, "begun");
    scope::cancelled().await;
    note(&notes, "cleaning up");
    shield(tokio::time::sleep(Duration::from_millis(300))).await;
    Ok(())
}

/// Has the actor do something in an exit callback.
#[pleach::rpc]
async fn at_exit(last: Last) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "an exit callback may block, and this one is to")]
    pleach::on_exit(move || match last {
        Last::Ends(how) => how.now(),
        Last::Panics => panic!("the callback panicked"),
        Last::Sleeps(milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
    });
    Ok(())
}

/// Has the actor do something in an exit callback, and fails.
#[pleach::rpc]
async fn fails_and_at_exit(last: Last) -> anyhow::Result<()> {
    at_exit(last).await?;
    anyhow::bail!("the function failed")
}

#[pleach::rpc]
async fn leaves() -> Result<()> {
    pleach::current_actor().expect("this runs in an actor").cancel_soon();
    Ok(())
}

/// Answers, and ends when told to.
#[pleach::rpc]
async fn answers_and(how: Ends, notes: String) -> Result<u32> {
    let told = Notes::beside(&notes);
    note(&notes, told.address());
    std::thread::spawn(move || {
        told.expect("now");
        how.now()
    });
    Ok(42)
}

/// Says hello, and ends when it gets a message.
#[pleach::context]
async fn ends_in_a_context(ctx: &mut Context<(), u8, ()>, how: Ends) -> Result<()> {
    ctx.started(()).await?;
    let mut stream = ctx.open_stream().await?;
    stream.recv().await?;
    how.now()
}

/// Ends another actor of the tree.
#[pleach::rpc]
async fn cancels(name: String) -> Result<()> {
    let other = pleach::find_actor(&name).await?.expect("it is there");
    other.cancel_actor().await
}

/// Keeps an actor below, and ends in its clean-up.
#[pleach::rpc]
async fn ends_above_another(how: Ends, notes: String) -> Result<()> {
    let kept: Result<()> = pleach::open_nursery(async |n| {
        let below = n.start_actor("below").enable(module_path!()).await?;
        note(&notes, below.run(pid()).await?.to_string());
        let _shield = Shield::enter();
        scope::cancelled().await;
        how.now()
    })
    .await;
    kept
}

pub(crate) fn tests() -> Vec<Trial> {
    const CRASHES: [Ends; 4] = [Ends::Exit(0), Ends::Exit(3), Ends::Abort, Ends::Kill];
    let everywhere: Vec<_> = PROCESSES.into_iter().chain(WITHIN_TLS).collect();
    let mut tests = Vec::new();
    let mut add = |name: &str, body: Vec<Trial>| {
        assert!(!body.is_empty(), "{name}");
        tests.extend(body);
    };
    let askers = [
        ("portal", Asks::Portal),
        ("nursery", Asks::Nursery),
        ("hard_kill", Asks::HardKill),
        ("supervisor", Asks::Supervisor),
    ];
    for (name, asks) in askers {
        let name = format!("clauses_ends::a_crash_just_before_a_{name}_asks_is_a_crash");
        add(&name, matrix_over(&everywhere, &name, move |config| crashed_before(config, asks, &CRASHES)));
    }
    let name = "clauses_ends::a_crash_in_the_clean_up_fails_the_nursery";
    add(name, matrix_over(&everywhere, name, crashes_in_clean_up));
    let name = "clauses_ends::an_actor_that_says_goodbye_may_take_its_time";
    add(name, matrix_over(&everywhere, name, exits::slow_exit));
    let name = "clauses_ends::a_crash_at_exit_fails_the_nursery_and_a_panic_does_not";
    add(name, matrix_over(&everywhere, name, exits::ends_at_exit));
    let name = "clauses_ends::a_value_stays_when_its_actor_crashes_later";
    add(name, matrix_over(&everywhere, name, requests::answered_and_crashed));
    let name = "clauses_ends::a_function_and_its_actor_fail_once";
    add(name, matrix_over(&everywhere, name, requests::one_shots));
    let name = "clauses_ends::an_exit_ends_an_open_context";
    add(name, matrix_over(&everywhere, name, requests::ends_with_a_context));
    let name = "clauses_ends::cancelling_twice_or_what_is_gone_is_no_failure";
    add(name, matrix_over(&ALL, name, requests::asked_again));
    let name = "clauses_ends::a_third_actor_may_cancel";
    add(name, matrix_over(&ALL, name, requests::third_actor));
    let name = "clauses_ends::an_exit_that_never_ends_is_escalated_and_no_failure";
    add(name, matrix_over(&["uds", "quic"], name, exits::never_exits));
    let name = "clauses_ends::a_sigterm_beside_a_cancel_request_is_no_failure";
    add(name, matrix_over(&["uds", "quic"], name, exits::terminated_too));
    let name = "clauses_ends::a_death_before_it_connects_is_the_starters_error";
    add(name, matrix_over(&["uds", "quic"], name, exits::killed_in_start));
    let name = "clauses_ends::a_middle_actor_that_crashes_on_its_way_out_takes_what_is_below_along";
    add(name, matrix_over(&everywhere, name, exits::middle_crashes));
    tests
}

/// Who asks an actor to end.
#[derive(Clone, Copy, Debug)]
enum Asks {
    Portal,
    Nursery,
    HardKill,
    Supervisor,
}

/// Has an actor end, and blocks this thread until it is dead: on a runtime of one thread, nothing here has learnt of that.
async fn ends_behind_our_back(portal: &Portal, how: Ends) -> Result<()> {
    let (notes, watched) = (Notes::new(), Watched::new(portal.id().pid()));
    portal.run(answers_and(how, notes.address())).await?;
    note(&notes.next(), "now");
    watched.assert_gone_within(patience());
    Ok(())
}

/// Nothing is forced.
fn patient(config: Config) -> Config {
    Config { cancel_ack: FOREVER, task_cancel: FOREVER, soft_reap: FOREVER, ..config }
}

fn died(error: &Error) -> &ActorDied {
    match error {
        Error::ActorDied(died) => died,
        other => panic!("not the death of an actor: {other:?}"),
    }
}

// C-10
async fn crashed_before(config: Config, asks: Asks, crashes: &[Ends]) {
    for how in crashes.iter().copied() {
        let mut announced = None;
        let ended: Result<()> = in_nursery(patient(config.clone()), async |n| {
            let mut start = n.start_actor("victim").enable(module_path!());
            if config.transport == "quic" {
                start = start.heartbeats(); // as if it were on another host
            }
            if let Asks::Supervisor = asks {
                let supervisor = n.supervise(Supervision::one_for_one().child(ChildSpec::daemon(start))).await?;
                let mut events = supervisor.events();
                let portal = supervisor.portal("victim").await?;
                ends_behind_our_back(&portal, how).await?;
                supervisor.shutdown().await;
                while let Some(event) = events.recv().await {
                    if let SupervisorEvent::Died { error, .. } = event {
                        announced = Some(error);
                    }
                }
                return Ok(());
            }
            let portal = start.await?;
            ends_behind_our_back(&portal, how).await?;
            match asks {
                Asks::Portal => shield(portal.cancel_actor()).await?,
                Asks::HardKill => shield(n.kill()).await,
                _ => shield(n.cancel()).await,
            }
            Ok(())
        })
        .await;
        let error = match asks {
            Asks::Supervisor => {
                assert!(ended.is_ok(), "{ended:?}");
                announced.unwrap_or_else(|| panic!("{how:?} was not told"))
            }
            _ => ended.expect_err(&format!("{how:?} was swallowed")),
        };
        let died = died(&error);
        assert_eq!((died.actor.name(), died.status, died.when), ("victim", how.status(), ActorPhase::Running));
    }
}

// C-10, C-12
async fn crashes_in_clean_up(config: Config) {
    // Over QUIC, an acknowledgement may be lost with the process.
    let is_told = config.transport != "quic";
    for how in [Ends::Exit(0), Ends::Exit(3), Ends::Abort, Ends::Kill] {
        for fails in [false, true] {
            let notes = Arc::new(Notes::new());
            let mut nursery = None;
            let ended: Result<()> = in_nursery(patient(config.clone()), async |n| {
                nursery = Some(n.clone());
                if fails {
                    n.run_in_actor(ends_in_clean_up(how, notes.address())).name("victim").await?;
                    notes.expect_async("begun").await;
                    return Err(Error::Usage("the body failed".into()));
                }
                let portal = n.start_actor("victim").enable(module_path!()).await?;
                let asks = async {
                    notes.expect_async("begun").await;
                    portal.cancel_actor().await
                };
                let call = portal.run(ends_in_clean_up(how, notes.address()));
                shield(async { tokio::join!(call, asks).1 }).await
            })
            .await;
            let endings = nursery.unwrap().report().endings;
            assert_eq!(endings[0].status, how.status());
            assert!(endings[0].by == EndedBy::Request || !is_told, "{endings:?}");
            match (how, fails, ended) {
                (Ends::Exit(0), false, ended) => ended.unwrap(), // it went as it was asked to
                (Ends::Exit(0), true, ended) => assert_says(&ended, &["the body failed"]),
                (_, false, Err(error)) => {
                    assert_eq!(died(&error).status, how.status());
                    assert!(died(&error).when == ActorPhase::Ending || !is_told, "{error:?}");
                    assert!(died(&error).asked.is_some(), "{error:?}");
                }
                (_, true, Err(Error::Group(group))) => {
                    assert_eq!(group.errors.len(), 2, "{group:?}");
                    assert_eq!(died(&group.errors[1]).status, how.status());
                }
                (_, _, other) => panic!("{how:?}, fails: {fails}: {other:?}"),
            }
        }
    }
}
