//! Trees whose time is paused: actors over `mem` that share the clock of their test, and are actors in all else.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actors::error::WaitStatus;
use actors::prelude::*;
use actors::{EndedBy, current_actor};
use bytes::Bytes;
use pleach_users_crate::{Counter, echo, talks_and_counts};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3600);

/// Whole ones: a timer of tokio fires with the next millisecond.
fn seconds_since(begun: Instant) -> u64 {
    begun.elapsed().as_secs()
}

#[actors::rpc(crate = actors)]
async fn sleeps(time: Duration) -> Result<()> {
    sleep(time).await;
    Ok(())
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn an_hour_takes_no_time_and_each_actor_has_slept_it() -> Result<()> {
    let begun = Instant::now();
    actors::open_nursery(async |n| {
        let early = n.start_actor("early").enable(module_path!()).await?;
        let late = n.start_actor("late").enable(module_path!()).await?;
        assert_eq!(begun.elapsed(), Duration::ZERO, "a start has waited for a timer");
        let slept = async |portal: &Portal, time| {
            portal.run(sleeps(time)).await?;
            actors::Ok(seconds_since(begun))
        };
        let slept = tokio::try_join!(slept(&early, HOUR), slept(&late, 3 * HOUR))?;
        assert_eq!(slept, (3600, 3 * 3600));
        n.cancel().await;
        actors::Ok(())
    })
    .await?;
    assert_eq!(seconds_since(begun), 3 * 3600, "the end has waited for a timer");
    Ok(())
}

/// Returns whose code this is, and whose its records are: here, in a task, in a task of that one.
#[actors::rpc(crate = actors)]
async fn who() -> Result<Vec<(String, Option<String>)>> {
    let here = || {
        let origin = actors::wire::log::origin().map(|name| name.to_string());
        (current_actor().expect("code of an actor").id().name().to_owned(), origin)
    };
    let mut seen = vec![here()];
    seen.extend(
        actors::scope::open_task_nursery(async |tasks: TaskNursery| {
            let inner = tasks.clone();
            let outer = tasks.spawn(async move {
                sleep(HOUR).await;
                let inner = inner.spawn(async move { actors::Ok(here()) })?;
                actors::Ok([here(), inner.join().await?])
            })?;
            outer.join().await
        })
        .await?,
    );
    seen.push(here());
    Ok(seen)
}

#[actors::rpc(crate = actors)]
async fn who_below() -> Result<Vec<Vec<(String, Option<String>)>>> {
    actors::open_nursery(async |n| {
        let below = n.start_actor("below").enable(module_path!()).await?;
        let (own, of_below) = tokio::try_join!(who(), below.run(who()))?;
        below.cancel_actor().await?;
        actors::Ok(vec![own, of_below])
    })
    .await
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn each_task_knows_its_actor() -> Result<()> {
    let four = |name: &str| vec![(name.to_owned(), Some(name.to_owned())); 4];
    actors::open_nursery(async |n| {
        let above = n.start_actor("above").enable(module_path!()).await?;
        let (own, of_tree) = tokio::try_join!(who(), above.run(who_below()))?;
        assert_eq!(of_tree, [four("above"), four("below")]);
        assert!(own.iter().all(|(actor, _)| actor == "root"), "{own:?}");
        above.cancel_actor().await
    })
    .await
}

/// How many of these there are.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// How many were dropped by code of another actor than the one that had made them.
static DROPPED_OUTSIDE: AtomicUsize = AtomicUsize::new(0);

struct Alive(String);

impl Alive {
    fn here() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self(current_actor().unwrap().id().name().to_owned())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if current_actor().is_none_or(|actor| actor.id().name() != self.0) {
            DROPPED_OUTSIDE.fetch_add(1, Ordering::Relaxed);
        }
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Never returns, with a task and an actor below it that don't either, whatever asks them to.
#[actors::rpc(crate = actors)]
async fn stays(levels: u32) -> Result<()> {
    let _alive = Alive::here();
    let below = actors::open_nursery(async |n| {
        if levels > 0 {
            n.start_actor("below").enable(module_path!()).await?.run(stays(levels - 1)).await?;
        }
        std::future::pending::<Result<()>>().await
    });
    actors::scope::open_task_nursery(async |tasks: TaskNursery| {
        tasks.spawn(shield(async {
            let _alive = Alive::here();
            std::future::pending::<Result<()>>().await
        }))?;
        below.await
    })
    .await
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_killed_actor_leaves_no_task_and_no_actor_below() -> Result<()> {
    actors::open_nursery(async |n| {
        let victim = n.start_actor("victim").enable(module_path!()).await?;
        let (_, killed) = tokio::join!(victim.run(stays(2)), async {
            while ALIVE.load(Ordering::Relaxed) < 6 {
                sleep(Duration::from_millis(1)).await;
            }
            victim.kill().await
        });
        let killed = killed?;
        assert_eq!(killed.status, WaitStatus::Signalled(9), "{killed}");
        // Its own tasks are gone; the actors below have found that out, and may take as long as their bounds are.
        assert!(ALIVE.load(Ordering::Relaxed) <= 4);
        let none_is_left = async {
            while ALIVE.load(Ordering::Relaxed) > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(move_on_after(HOUR, none_is_left).await.is_some());
        assert_eq!(DROPPED_OUTSIDE.load(Ordering::Relaxed), 0);
        actors::Ok(())
    })
    .await
}

#[actors::rpc(crate = actors)]
async fn panics() -> Result<()> {
    sleep(HOUR).await;
    panic!("as asked")
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_panic_is_its_callers_alone() -> Result<()> {
    actors::open_nursery(async |n| {
        let portal = n.start_actor("worker").enable(module_path!()).enable("pleach_users_crate").await?;
        let (panicked, echoed) = tokio::join!(portal.run(panics()), portal.run(echo(Bytes::from_static(b"x"))));
        assert!(format!("{:?}", panicked.unwrap_err()).contains("as asked"));
        assert_eq!(echoed?, "x");
        portal.cancel_actor().await
    })
    .await
}

/// A number that is lost.
struct Fragile(u8);

#[actors::actor(crate = actors)]
impl Fragile {
    pub(crate) async fn new() -> Result<Self> {
        Ok(Self(0))
    }

    pub(crate) async fn break_it(&mut self) -> Result<u8> {
        self.0 += 1;
        panic!("as asked")
    }
}

/// It has failed, and was not killed.
#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn an_actor_that_fails_has_an_exit_code() {
    let mut report = None;
    let ended: Result<()> = actors::open_nursery(async |n| {
        report = Some(n.clone());
        let fragile = n.start(Fragile::new()).await?;
        fragile.break_it().await.map(drop)
    })
    .await;
    assert!(ended.unwrap_err().to_string().contains("as asked"));
    let report = report.unwrap().report();
    assert_eq!(report.endings.len(), 1);
    assert_eq!(report.endings[0].status, WaitStatus::Exited(1), "{report}");
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn an_actor_starts_no_process_while_the_time_is_paused() -> Result<()> {
    actors::open_nursery(async |n| {
        let started = n.start_actor("worker").transport("uds").await;
        let said = started.unwrap_err().to_string();
        assert!(said.contains("paused") && said.contains("over `mem`"), "{said}");
        actors::Ok(())
    })
    .await
}

/// Goes on for an hour after it was asked to end.
#[actors::rpc(crate = actors)]
async fn lingers() -> Result<()> {
    shield(sleep(HOUR)).await;
    Ok(())
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn bounds_expire_to_the_moment() {
    let begun = Instant::now();
    assert!(move_on_after(HOUR, sleep(2 * HOUR)).await.is_none());
    assert_eq!(seconds_since(begun), 3600);
    let mut report = None;
    let ended: Result<()> = actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).await?;
        let begun = Instant::now();
        let late: Result<()> = fail_after(HOUR, worker.run(sleeps(2 * HOUR))).await;
        assert!(late.is_err() && seconds_since(begun) == 3600, "{late:?} after {:?}", begun.elapsed());
        let lingering = worker.run(lingers());
        let ending = async {
            sleep(Duration::from_millis(1)).await;
            n.cancel().await;
        };
        let (lingered, ()) = tokio::join!(lingering, ending);
        assert!(lingered.is_err());
        report = Some(n.report());
        Ok(())
    })
    .await;
    ended.unwrap();
    let report = report.unwrap();
    let [ending] = &report.endings[..] else { panic!("{report:?}") };
    assert_eq!(ending.by, EndedBy::Sigterm, "{ending}");
    assert_eq!(ending.took.as_secs(), Config::default().soft_reap.as_secs(), "{ending}");
}

/// A large value is decoded on another thread, and no timer must come before it.
#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn work_on_other_threads_takes_no_time() -> Result<()> {
    actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).await?;
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(worker.run(sums((0..100_000).collect())).await?, 4_999_950_000);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        worker.cancel_actor().await
    })
    .await
}

#[actors::rpc(crate = actors)]
async fn sums(numbers: Vec<u64>) -> Result<u64> {
    Ok(numbers.iter().sum())
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn dialogs_streams_states_and_names_are_there() -> Result<()> {
    actors::open_nursery(async |n| {
        let portal = n.start_actor("worker").enable("pleach_users_crate").await?;
        assert_eq!(actors::find_actor("worker").required().await?.id(), portal.id());
        talks_and_counts(&portal).await?;
        let counter = n.start(Counter::new(5)).await?;
        assert_eq!(counter.add(2).await?, 7);
        actors::Handle::stop(&counter).await?;
        portal.cancel_actor().await
    })
    .await
}

/// Any paused runtime will do: it is found when an actor is started.
#[tokio::test(start_paused = true)]
async fn tokios_own_attribute() -> Result<()> {
    let config = Config { transport: "mem".into(), ..Config::default() };
    let begun = Instant::now();
    actors::open_root(config, async |_| {
        actors::open_nursery(async |n| n.run_in_actor(sleeps(HOUR)).await?.result().await).await
    })
    .await?;
    assert_eq!(seconds_since(begun), 3600);
    Ok(())
}
