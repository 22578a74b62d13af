//! Faults that a test asks for, with actors in processes and without.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not know as such")]

use std::time::Duration;

use actors::error::WaitStatus;
use actors::prelude::*;
use actors::testing::{self, Point};
use futures_util::future::join_all;
use pleach_users_crate::{add, count};
use tokio::time::{Instant, sleep};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[actors::rpc(crate = actors)]
async fn idles() -> Result<()> {
    std::future::pending().await
}

/// A connection that breaks is a failure on both sides: of the call here, and of the actor there, which ends.
async fn cut_off() {
    let ended: Result<()> = actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).enable("pleach_users_crate").await?;
        assert_eq!(worker.run(add(1, 2)).await?, 3);
        let (called, ()) = tokio::join!(shield(worker.run(idles())), async {
            worker.run(add(1, 2)).await.unwrap();
            testing::cut(&worker);
        });
        let error = called.unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. } | Error::ActorDied(_)), "{error:?}");
        assert!(shield(worker.run(add(1, 2))).await.is_err());
        Ok(())
    })
    .await;
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("worker"), "{error}");
}

#[actors::test(crate = actors, transport = "uds")]
async fn a_cut_ends_a_process() {
    cut_off().await;
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_cut_ends_an_actor_without_a_process() {
    cut_off().await;
}

/// Each call takes the delay of its message and that of the answer, and their order stays.
#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_delay_holds_each_message_and_keeps_the_order() -> Result<()> {
    actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable("pleach_users_crate").await?;
        testing::delay(&worker, ms(100)..=ms(100));
        let begun = Instant::now();
        assert_eq!(worker.run(add(1, 2)).await?, 3);
        let took = begun.elapsed();
        assert!(ms(200) <= took && took < ms(210), "{took:?}");

        testing::delay(&worker, ms(1)..=ms(50));
        let order = std::sync::Mutex::new(Vec::new());
        let calls = (0..20).map(async |number| {
            worker.run(add(number, 0)).await.unwrap();
            order.lock().unwrap().push(number);
        });
        join_all(calls).await;
        assert_eq!(order.into_inner().unwrap(), (0..20).collect::<Vec<_>>());

        testing::delay(&worker, Duration::ZERO..=Duration::ZERO);
        let begun = Instant::now();
        assert_eq!(worker.run(add(1, 2)).await?, 3);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        worker.cancel_actor().await
    })
    .await
}

/// More than are held at once: the others wait where they are.
#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_delayed_stream_loses_nothing() -> Result<()> {
    actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable("pleach_users_crate").await?;
        testing::delay(&worker, ms(1)..=ms(9));
        worker
            .open_stream_from(count(0), async |mut numbers| {
                for expected in 0..5000 {
                    assert_eq!(numbers.recv().await?, Some(expected));
                }
                actors::Ok(())
            })
            .await?;
        worker.cancel_actor().await
    })
    .await
}

/// A bound can be made to expire: here, that of the acknowledgement.
#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_delay_has_bounds_expire() -> Result<()> {
    actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").await?;
        testing::delay(&worker, ms(400)..=ms(400));
        let asked = worker.cancel_actor().await;
        assert!(matches!(asked, Err(Error::ActorTooSlow { .. })), "{asked:?}");
        testing::delay(&worker, Duration::ZERO..=Duration::ZERO);
        Ok(())
    })
    .await
}

#[actors::test(crate = actors, transport = "uds")]
async fn a_delay_holds_what_a_process_says() -> Result<()> {
    actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable("pleach_users_crate").await?;
        testing::delay(&worker, ms(20)..=ms(20));
        let begun = Instant::now();
        assert_eq!(worker.run(add(1, 2)).await?, 3);
        assert!(begun.elapsed() >= ms(40));
        testing::delay(&worker, Duration::ZERO..=Duration::ZERO);
        worker.cancel_actor().await
    })
    .await
}

/// Returns the answers that came before an actor died at a point, and how its nursery ended.
async fn answers_until(point: Point) -> (i64, Error) {
    let mut answers = 0;
    let ended: Result<()> = actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable("pleach_users_crate").await?;
        testing::kill_at(&worker, point)?;
        // Others don't count.
        worker.run(pleach_users_crate::about()).await?;
        for number in 0..10 {
            assert_eq!(worker.run(add(number, 1)).await?, number + 1);
            answers += 1;
        }
        Ok(())
    })
    .await;
    (answers, ended.unwrap_err())
}

/// Returns how many calls that are made beside each other were answered before an actor died at a point.
async fn answers_at_once(point: Point) -> usize {
    let mut answers = 0;
    let ended: Result<()> = actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable("pleach_users_crate").await?;
        testing::kill_at(&worker, point)?;
        // They see the answers before they see that the nursery has failed.
        let called = shield(join_all((0..10).map(|number| worker.run(add(number, 1))))).await;
        answers = called.iter().filter(|answer| answer.is_ok()).count();
        Ok(())
    })
    .await;
    assert_killed(&ended.unwrap_err());
    answers
}

#[track_caller]
fn assert_killed(error: &Error) {
    let died = error.actor_died().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!((died.actor.name(), died.status), ("worker", WaitStatus::Signalled(9)), "{error:?}");
}

#[actors::test(crate = actors, transport = "uds")]
async fn a_process_dies_at_the_point_that_is_said() {
    let (answers, error) = answers_until(Point::answered("pleach_users_crate::add", 3)).await;
    assert_eq!(answers, 3);
    assert_killed(&error);
    assert_eq!(answers_at_once(Point::answered("add", 3)).await, 3);
    // Whether it has answered the last one is its own affair.
    let (answers, error) = answers_until(Point::called("add", 2)).await;
    assert!((1..=2).contains(&answers), "{answers}");
    assert_killed(&error);
    let (answers, error) = answers_until(Point::now()).await;
    assert_eq!(answers, 0);
    assert_killed(&error);
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn an_actor_without_a_process_dies_at_that_point_too() {
    let (answers, error) = answers_until(Point::answered("add", 3)).await;
    assert_eq!(answers, 3);
    assert_killed(&error);
    assert_eq!(answers_at_once(Point::answered("add", 3)).await, 3);
}

#[actors::test(crate = actors, transport = "mem", start_paused = true)]
async fn a_point_is_counted_from_one_and_is_in_a_child() -> Result<()> {
    actors::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable(module_path!()).await?;
        let said = testing::kill_at(&worker, Point::called("add", 0)).unwrap_err().to_string();
        assert!(said.contains("counted from 1"), "{said}");
        let said = worker.run(kills_its_root()).await?;
        assert!(said.contains("not started by this actor"), "{said}");
        // One that is never reached does no harm.
        testing::kill_at(&worker, Point::called("no_such_function", 1))?;
        sleep(ms(1)).await;
        worker.cancel_actor().await
    })
    .await
}

#[actors::rpc(crate = actors)]
async fn kills_its_root() -> Result<String> {
    let root = actors::get_root().await?;
    Ok(testing::kill_at(&root, Point::now()).unwrap_err().to_string())
}
