//! Promises that were broken once, at the edges. Each test tells its story in its name.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::error::Cancelled;
use pleach::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::net::TcpStream;

use crate::support::{
    FOREVER, Notes, RootProcess, Watched, assert_climbed, assert_says, in_nursery, in_root, matrix_fn, note, over,
    patience, soon, test_fn,
};

/// Panics when it is decoded.
#[derive(Serialize)]
struct BadIn;

impl<'de> Deserialize<'de> for BadIn {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("decoded on purpose")
    }
}

/// Panics when it is encoded.
#[derive(Deserialize)]
struct BadOut;

impl Serialize for BadOut {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("encoded on purpose")
    }
}

#[pleach::rpc]
async fn takes_bad(bad: BadIn) -> Result<()> {
    let BadIn = bad;
    Ok(())
}

#[pleach::rpc]
async fn returns_bad() -> Result<BadOut> {
    Ok(BadOut)
}

#[pleach::rpc]
async fn add(a: u8, b: u8) -> Result<u8> {
    Ok(a + b)
}

#[pleach::rpc]
async fn for_ever() -> Result<()> {
    std::future::pending().await
}

/// Can't be cancelled for a while.
#[pleach::rpc]
async fn shielded(notes: String, milliseconds: u64) -> Result<()> {
    note(&notes, "begun");
    shield(tokio::time::sleep(Duration::from_millis(milliseconds))).await;
    std::future::pending().await
}

/// Blocks its thread when it is cancelled.
#[pleach::rpc]
#[expect(clippy::disallowed_methods, reason = "this is what a badly behaved function does")]
pub(crate) async fn blocks_when_dropped(notes: String) -> Result<()> {
    struct Blocks;
    impl Drop for Blocks {
        fn drop(&mut self) {
            std::thread::sleep(FOREVER);
        }
    }
    let _blocks = Blocks;
    note(&notes, "begun");
    std::future::pending().await
}

/// Opens a nursery in a task that the runtime did not start; returns in which actor that was.
#[pleach::rpc]
#[expect(clippy::disallowed_methods, reason = "users may do this")]
async fn spawns() -> Result<String> {
    let spawned = tokio::spawn(async {
        pleach::open_nursery(async |_| {
            Ok::<_, Error>(pleach::current_actor().map(|actor| actor.id().name().to_owned()))
        })
        .await
    });
    Ok(spawned.await.expect("it does not panic")?.unwrap_or_default())
}

/// As tests of one program are: each on a thread, with an async runtime and a root of its own.
fn code_of_one_root_is_not_taken_for_that_of_another() {
    let both_are_open = std::sync::Barrier::new(2);
    std::thread::scope(|threads| {
        for name in ["first", "second"] {
            let both_are_open = &both_are_open;
            threads.spawn(move || on_one_thread(belongs_to_its_own_root(name, both_are_open)));
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "users may do this")]
async fn belongs_to_its_own_root(name: &'static str, both_are_open: &std::sync::Barrier) {
    let here = || pleach::current_actor().map(|actor| actor.id().name().to_owned()).unwrap_or("none".into());
    let config = Config { root_name: name.into(), ..over("mem") };
    in_root(config, async |_| {
        both_are_open.wait();
        let of_task = pleach::open_task_nursery(async |t| t.spawn(async move { Ok::<_, Error>(here()) })?.join().await);
        assert_eq!(of_task.await?, name);
        assert_eq!(tokio::spawn(async move { here() }).await.unwrap(), name);
        assert_eq!(tokio::task::spawn_blocking(here).await.unwrap(), name);
        let (of_thread, of_other) =
            std::thread::spawn(move || (here(), on_one_thread(async { here() }))).join().unwrap();
        assert_eq!([of_thread, of_other], ["none"; 2], "there are several, so it can't be told");
        pleach::open_nursery(async |n| {
            let child = n.start_actor("child").enable(module_path!()).await?;
            assert_eq!(child.run(spawns()).await?, "child");
            child.cancel_actor().await
        })
        .await?;
        both_are_open.wait();
        Ok(())
    })
    .await
    .unwrap();
}

fn on_one_thread<T>(body: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
}

#[pleach::rpc]
async fn fails_below(levels: u8) -> anyhow::Result<()> {
    if levels == 0 {
        anyhow::bail!("at the bottom");
    }
    pleach::open_nursery(async |n| {
        let below = n.start_actor(format!("level{levels}")).enable(module_path!()).await?;
        below.run(fails_below(levels - 1)).await?;
        Ok(())
    })
    .await
}

/// Notes its process id, and how it was cancelled.
#[pleach::rpc]
async fn tells_why(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    let _shield = pleach::scope::Shield::enter();
    pleach::scope::cancelled().await;
    match pleach::scope::checkpoint() {
        Err(Error::Cancelled(Cancelled::Caller(Some(actor)))) => note(&notes, format!("by {}", actor.name())),
        Err(Error::Cancelled(Cancelled::Signal(number))) => note(&notes, format!("by signal {number}")),
        other => note(&notes, format!("{other:?}")),
    }
    Ok(())
}

/// Writes to its standard error for ever.
#[pleach::rpc]
async fn floods(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    loop {
        eprintln!("{}", "x".repeat(1000));
        tokio::task::yield_now().await;
    }
}

/// Fails while it cleans up.
#[pleach::rpc]
async fn fails_when_cancelled(notes: String) -> Result<()> {
    note(&notes, "begun");
    let _shield = pleach::scope::Shield::enter();
    pleach::scope::cancelled().await;
    Err(Error::Usage("the clean-up failed".into()))
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::test("promises::an_unread_standard_error_stops_no_root", || {
            an_unread_standard_error_stops_no_root();
            Ok(())
        }),
        test_fn(a_deadline_while_children_are_awaited_is_no_success),
        test_fn(a_spawned_task_of_a_child_belongs_to_the_child),
        Trial::test("promises::code_of_one_root_is_not_taken_for_that_of_another", || {
            code_of_one_root_is_not_taken_for_that_of_another();
            Ok(())
        }),
        test_fn(a_kept_portal_does_not_keep_its_root),
        test_fn(a_value_that_panics_in_serde_is_an_error_of_its_call),
        test_fn(an_acknowledged_child_that_does_not_go_is_made_to),
        test_fn(a_silent_stranger_holds_up_no_shutdown),
        test_fn(the_bodys_error_comes_alone_when_its_children_are_killed),
        test_fn(sigterm_from_elsewhere_ends_an_actor_in_order_and_is_a_failure),
        test_fn(for_ever_is_a_duration),
        test_fn(a_start_that_was_dropped_is_over_when_its_nursery_is),
        test_fn(anyhow_keeps_source_and_hops),
    ];
    tests.extend(of_cancellation().into_iter().flatten());
    tests
}

/// What is promised of cancellation, over all transports.
fn of_cancellation() -> [Vec<Trial>; 4] {
    [
        matrix_fn(a_late_acknowledgement_hides_no_deadline),
        matrix_fn(a_busy_actor_can_be_cancelled),
        matrix_fn(a_failure_during_a_cancellation_is_not_lost),
        matrix_fn(a_cancelled_function_learns_its_canceller),
    ]
}

fn an_unread_standard_error_stops_no_root() {
    let notes = Notes::new();
    let (mut root, unread) = RootProcess::start_unread("stalled", &notes);
    let flooding = Watched::new(notes.expect("").parse().unwrap());
    notes.expect("still answering");
    let root_pid = rustix::process::Pid::from_raw(root.pid() as i32).unwrap();
    rustix::process::kill_process(root_pid, rustix::process::Signal::INT).unwrap();
    flooding.assert_gone_within(patience());
    drop(unread); // its last words may go nowhere
    root.0.wait().unwrap();
}

/// A root with a child that floods standard error, and one that it can still talk to afterwards.
pub(crate) fn stalled_root(notes: &str) {
    let config = Config { cancel_ack: soon(), soft_reap: soon(), kill_after: soon(), ..over("uds") };
    let tree = pleach::open_root(config, async |_| {
        pleach::open_nursery(async |n| {
            n.run_in_actor(floods(notes.to_owned())).await?;
            let other = n.start_actor("other").enable(module_path!()).await?;
            // Enough for any pipe to be full: the flood goes on meanwhile.
            for _ in 0..2000 {
                other.run(add(1, 1)).await?;
            }
            note(notes, "still answering");
            std::future::pending::<Result<()>>().await
        })
        .await
    });
    let _ = pleach::__private::run_main(pleach::__private::Flavor::CurrentThread, tree); // it is interrupted
}

async fn a_deadline_while_children_are_awaited_is_no_success() {
    in_root(over("mem"), async |_| {
        let joining = pleach::open_nursery(async |n| {
            n.run_in_actor(for_ever()).await?;
            Ok::<_, Error>(7)
        });
        let ended = fail_after(Duration::from_millis(100), joining).await;
        assert!(matches!(ended, Err(Error::Timeout { .. })), "{ended:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_spawned_task_of_a_child_belongs_to_the_child() {
    in_nursery(over("uds"), async |n| {
        let portal = n.start_actor("child").enable(module_path!()).await?;
        assert_eq!(portal.run(spawns()).await?, "child");
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_kept_portal_does_not_keep_its_root() {
    for _ in 0..2 {
        let kept = in_nursery(over("uds"), async |n| n.run_in_actor(add(1, 2)).await).await.unwrap();
        assert_eq!(kept.result().await.unwrap(), 3);
        let next = in_nursery(over("uds"), async |n| n.run_in_actor(add(2, 2)).await?.result().await).await;
        assert_eq!((next.unwrap(), kept.result().await.unwrap()), (4, 3));
    }
}

async fn a_value_that_panics_in_serde_is_an_error_of_its_call() {
    in_nursery(over("uds"), async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        assert_says(&portal.run(takes_bad(BadIn)).await, &["panicked: decoded on purpose"]);
        assert_says(&portal.run(returns_bad()).await.map(|_| ()), &["panicked: encoded on purpose"]);
        assert_eq!(portal.run(add(1, 1)).await?, 2);
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

// S35
async fn an_acknowledged_child_that_does_not_go_is_made_to() {
    let notes = Arc::new(Notes::new());
    let soon = soon();
    let config = Config { soft_reap: soon, task_cancel: soon, kill_after: soon, ..over("uds") };
    in_nursery(config, async |n| {
        let portal = n.start_actor("stays").enable(module_path!()).await?;
        let (_, ()) = tokio::join!(portal.run(blocks_when_dropped(notes.address())), async {
            notes.expect_async("begun").await;
            portal.cancel_actor().await.unwrap();
        });
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_silent_stranger_holds_up_no_shutdown() {
    // It delays no other, though its handshake has unlimited time.
    let mut stranger = None;
    in_root(Config { handshake: FOREVER, ..over("tcp") }, async |actor| {
        pleach::open_nursery(async |n| {
            let portal = n.start_actor("peer").enable(module_path!()).await?;
            let address = actor.addresses().await[0].to_string().replace("tcp://", "");
            stranger = Some(TcpStream::connect(address).await.unwrap());
            assert_eq!(portal.run(add(1, 1)).await?, 2);
            portal.cancel_actor().await
        })
        .await
    })
    .await
    .unwrap();
}

async fn the_bodys_error_comes_alone_when_its_children_are_killed() {
    let notes = Arc::new(Notes::new());
    let config = Config { soft_reap: soon(), ..over("uds") };
    let ended: Result<()> = in_nursery(config, async |n| {
        n.run_in_actor(shielded(notes.address(), FOREVER.as_millis() as u64)).await?;
        notes.expect_async("begun").await;
        Err(Error::Usage("mine".into()))
    })
    .await;
    assert!(matches!(&ended, Err(Error::Usage(text)) if text == "mine"), "{ended:?}");
}

async fn a_late_acknowledgement_hides_no_deadline(config: Config) {
    let notes = Arc::new(Notes::new());
    let config = Config { cancel_ack: Duration::from_millis(100), ..config };
    in_nursery(config, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        let late = fail_after(Duration::from_millis(100), portal.run(shielded(notes.address(), 1_000))).await;
        assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
        n.cancel().await;
        Ok(())
    })
    .await
    .unwrap();
}

async fn sigterm_from_elsewhere_ends_an_actor_in_order_and_is_a_failure() {
    let notes = Arc::new(Notes::new());
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        let portal = n.start_actor("daemon").enable(module_path!()).await?;
        let told = async {
            let pid = notes.expect_async("").await.parse().unwrap();
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::TERM)
                .unwrap();
            std::future::pending().await
        };
        tokio::join!(portal.run(tells_why(notes.address())), told).1
    })
    .await;
    assert_says(&ended, &["`daemon`", "was killed by signal 15 (SIGTERM)"]);
    notes.expect_async("by signal 15").await;
}

// S24, S37
async fn a_busy_actor_can_be_cancelled(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(Config { max_tasks: 1, ..config }, async |n| {
        let portal = n.start_actor("busy").enable(module_path!()).await?;
        let checks = async {
            notes.expect_async("").await;
            assert_says(&portal.run(add(1, 1)).await, &["1 tasks of this caller run there already"]);
            portal.cancel_actor().await
        };
        tokio::join!(portal.run(tells_why(notes.address())), checks).1
    })
    .await
    .unwrap();
}

async fn for_ever_is_a_duration() {
    let config = Config {
        peers: Duration::MAX,
        task_cancel: Duration::MAX,
        drain: Duration::MAX,
        handshake: Duration::MAX,
        cancel_ack: Duration::MAX,
        connect_back: Duration::MAX,
        soft_reap: Duration::MAX,
        ..over("uds")
    };
    in_nursery(config, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        assert!(move_on_after(Duration::from_millis(20), portal.run(for_ever())).await.is_none());
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}

// S29
async fn a_start_that_was_dropped_is_over_when_its_nursery_is() {
    let notes = Arc::new(Notes::new());
    in_root(over("uds"), async |_| {
        let watched = pleach::open_nursery(async |n| {
            let start = n.start_actor("sleeper").env("IT_BEFORE_ENTRY", format!("hang {}", notes.address()));
            tokio::select! {
                _ = start.into_future() => panic!("it never connects"),
                pid = notes.expect_async("hung ") => Ok::<_, Error>(Watched::new(pid.parse().unwrap())),
            }
        })
        .await?;
        watched.assert_gone_within(Duration::ZERO);
        Ok(())
    })
    .await
    .unwrap();
}

async fn anyhow_keeps_source_and_hops() {
    in_nursery(over("uds"), async |n| {
        let top = n.start_actor("top").enable(module_path!()).await?;
        assert_climbed(top.run(fails_below(2)).await);
        top.cancel_actor().await
    })
    .await
    .unwrap();
}

async fn a_failure_during_a_cancellation_is_not_lost(config: Config) {
    let notes = Arc::new(Notes::new());
    in_root(config, async |_| {
        let scope = CancelScope::new();
        let nursery = pleach::open_nursery(async |n| {
            n.run_in_actor(fails_when_cancelled(notes.address())).await?;
            notes.expect_async("begun").await;
            scope.cancel();
            std::future::pending::<Result<()>>().await
        });
        match scope.run(nursery).await {
            Ok(ended) => assert_says(&ended, &["the clean-up failed"]),
            Err(cancelled) => panic!("only {cancelled:?}"),
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_cancelled_function_learns_its_canceller(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let portal = n.start_actor("peer").enable(module_path!()).await?;
        tokio::select! {
            ended = portal.run(tells_why(notes.address())) => panic!("{ended:?}"),
            _ = notes.expect_async("") => {}
        }
        notes.expect_async("by root").await;
        portal.cancel_actor().await
    })
    .await
    .unwrap();
}
