//! The promises of the task nursery, each by itself.

use super::*;
use crate::error::ScopeError;

/// An application's error, as `thiserror` makes them.
#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("bad day")]
    BadDay,
    #[error(transparent)]
    Pleach(#[from] Error),
}

fn failure(text: &str) -> Error {
    Error::from_boxed(text.into())
}

async fn fail_after_a_while(ms: u64, text: &'static str) -> Result<()> {
    sleep(Duration::from_millis(ms)).await;
    Err(failure(text))
}

fn text<T>(outcome: Result<T>) -> String {
    outcome.err().unwrap().to_string()
}

/// Lets everything that is ready run.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn leaving_the_nursery_waits_for_all_tasks() {
    let log = Log::default();
    let task_log = log.clone();
    let started = Instant::now();
    let value = open_task_nursery(async |t| {
        t.spawn(async move {
            sleep(Duration::from_secs(2)).await;
            task_log.note("task");
            Ok::<_, Error>(())
        })?;
        log.note("body");
        Ok::<_, Error>(7)
    });
    assert_eq!(value.await.unwrap(), 7);
    assert_eq!(log.all(), ["body", "task"]);
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test]
async fn tasks_are_joined_for_their_values_anywhere() {
    let (inside, outside) = open_task_nursery(async |t| {
        let (one, two) = (t.spawn(async { Ok::<_, Error>(1) })?, t.spawn(async { "2".parse::<u8>() })?);
        Ok::<_, Error>((one.join().await?, two))
    })
    .await
    .unwrap();
    assert_eq!((inside, outside.join().await.unwrap()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_cancels_the_body_and_all_other_tasks() {
    let log = Log::default();
    let task_guard = log.on_drop("task");
    let outcome = open_task_nursery(async |t| {
        let _guard = log.on_drop("body");
        t.spawn(async move {
            let _guard = task_guard;
            pending::<Result<()>>().await
        })?;
        t.spawn(fail_after_a_while(5, "broken"))?;
        pending::<Result<()>>().await
    });
    assert_eq!(text(outcome.await), "broken");
    let mut dropped = log.all();
    dropped.sort_unstable();
    assert_eq!(dropped, ["body", "task"]);
}

#[tokio::test(start_paused = true)]
async fn several_failures_are_a_group_and_echoes_are_none() {
    let outcome = open_task_nursery(async |t| {
        t.spawn(fail_after_a_while(5, "first"))?;
        t.spawn(shield(fail_after_a_while(50, "second")))?;
        t.spawn(async {
            let _shield = Shield::enter();
            cancelled().await;
            checkpoint() // only an echo
        })?;
        let _shield = Shield::enter();
        cancelled().await;
        Err::<(), _>(failure("own"))
    });
    assert_eq!(text(outcome.await), "3 errors: [1] own; [2] first; [3] second");
}

#[tokio::test]
async fn the_bodys_own_error_comes_back_as_it_was_and_cancels_the_tasks() {
    let outcome = open_task_nursery(async |t| {
        t.spawn(pending::<Result<()>>())?;
        Err::<(), _>(AppError::BadDay)
    });
    assert!(matches!(outcome.await, Err(AppError::BadDay)));
    let outcome = open_task_nursery(async |t| {
        t.spawn(async { Err::<(), _>(AppError::BadDay) })?;
        pending::<Result<(), AppError>>().await
    });
    let Err(AppError::Pleach(Error::Local(error))) = outcome.await else { panic!("it must come through `From`") };
    assert!(matches!(error.downcast_ref(), Some(AppError::BadDay)));
}

#[tokio::test]
async fn a_panic_is_an_error_with_its_message() {
    let number = 7;
    let outcome = open_task_nursery(async |t| {
        let task = t.spawn(async move {
            assert!(number == 8, "no {number}");
            Ok::<_, Error>(())
        })?;
        let joined = shield(task.join()).await;
        assert!(matches!(&joined, Err(Error::Panicked(message)) if message == "no 7"));
        joined
    });
    assert!(matches!(outcome.await, Err(Error::Panicked(message)) if message == "no 7"));
    let outcome = open_task_nursery(async |t| {
        t.spawn(async { std::panic::panic_any(7) as Result<()> })?;
        pending::<Result<()>>().await
    });
    assert_eq!(text(outcome.await), "a task panicked: with a value that is not text");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_body_waits_for_the_tasks_like_any_failure() {
    let log = Log::default();
    let outcome = open_task_nursery(async |t| {
        let log = log.clone();
        t.spawn(async move { owes_clean_up(&log, "cleaned up", pending()).await })?;
        settle().await;
        panic!("in the body") as Result<()>
    });
    assert!(matches!(outcome.await, Err(Error::Panicked(message)) if message == "in the body"));
    assert_eq!(log.all(), ["cleaned up"]);
}

#[tokio::test]
async fn a_panic_while_a_cancelled_task_is_dropped_is_a_failure_too() {
    struct PanicOnDrop;
    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    let outcome = open_task_nursery(async |t| {
        t.spawn(async {
            let _guard = PanicOnDrop;
            pending::<Result<()>>().await
        })?;
        settle().await;
        Err::<(), _>(failure("own"))
    });
    assert_eq!(text(outcome.await), "2 errors: [1] own; [2] a task panicked: in a drop");
}

#[tokio::test]
async fn a_closed_nursery_starts_nothing() {
    let nursery = open_task_nursery(async |t| Ok::<_, Error>(t)).await.unwrap();
    let refused = nursery.spawn(async { unreachable!("it must not be polled") as Result<()> });
    assert!(matches!(refused, Err(Error::Usage(_))));
}

#[tokio::test]
async fn a_cancelled_nursery_or_caller_starts_nothing() {
    let idle = || async { unreachable!("it must not be polled") as Result<()> };
    let outcome = open_task_nursery(async |t| {
        let _shield = Shield::enter();
        CancelScope::current().unwrap().cancel_because(Cancelled::Actor);
        assert!(is_cancelled(&t.spawn(idle()), &Cancelled::Actor));
        shield(async { assert!(is_cancelled(&t.spawn(idle()), &Cancelled::Actor)) }).await;
        Ok::<_, Error>(())
    });
    assert!(is_cancelled(&outcome.await, &Cancelled::Actor));
    let scope = CancelScope::new();
    scope
        .run(async {
            scope.cancel();
            assert!(is_cancelled(&open_task_nursery(async |_| Ok::<_, Error>(())).await, &Cancelled::Scope));
        })
        .await
        .unwrap_err();
}

#[tokio::test]
async fn tasks_may_start_tasks_while_the_nursery_joins() {
    let log = Log::default();
    let task_log = log.clone();
    open_task_nursery(async |t| {
        let nursery = t.clone();
        t.spawn(async move {
            settle().await;
            nursery.spawn(async move {
                settle().await;
                task_log.note("the second");
                Ok::<_, Error>(())
            })?;
            Ok::<_, Error>(())
        })?;
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(log.all(), ["the second"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_from_outside_reaches_the_body_and_all_tasks_from_the_inside_out() {
    let log = Log::default();
    let scope = CancelScope::new();
    let cancel = async {
        sleep(Duration::from_millis(100)).await;
        scope.cancel_because(Cancelled::Actor);
    };
    let run = scope.run(async {
        let _last = log.on_drop("around");
        let tasks = log.clone();
        open_task_nursery(async |t| {
            let _first = log.on_drop("body");
            t.spawn(async move { owes_clean_up(&tasks, "task", pending()).await })?;
            pending::<Result<()>>().await
        })
        .await?;
        log.note("unreachable");
        Ok::<_, Error>(())
    });
    let started = Instant::now();
    let (outcome, ()) = tokio::join!(run, cancel);
    assert!(is_cancelled(&outcome, &Cancelled::Actor));
    assert_eq!(log.all(), ["body", "task", "around"]);
    assert_eq!(started.elapsed(), Duration::from_millis(120));
}

#[tokio::test]
async fn a_body_that_has_returned_is_cancelled_with_its_tasks() {
    for shielded in [false, true] {
        let scope = CancelScope::new();
        let canceller = scope.clone();
        let run = scope.run(open_task_nursery(async |t| {
            t.spawn(async move {
                let task = async {
                    canceller.cancel();
                    yield_now().await;
                };
                match shielded {
                    true => shield(task).await,
                    false => task.await,
                }
                Ok::<_, Error>(())
            })?;
            Ok::<_, Error>(7)
        }));
        // With a task that came to its end all the same, the value is complete.
        assert_eq!(run.await.map(Result::unwrap).ok(), shielded.then_some(7));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_nursery_drops_its_body_and_leaves_only_shielded_clean_up() {
    let log = Log::default();
    let (tasks, task_guard) = (log.clone(), log.on_drop("task"));
    let mut handle = None;
    {
        let mut nursery = pin!(open_task_nursery(async |t| {
            let _guard = log.on_drop("body");
            handle = Some(t.clone());
            t.spawn(async move {
                let _guard = task_guard;
                pending::<Result<()>>().await
            })?;
            t.spawn(async move { owes_clean_up(&tasks, "cleaned up", pending()).await })?;
            shield(pending::<Result<()>>()).await
        }));
        assert!(tokio::time::timeout(Duration::from_millis(5), nursery.as_mut()).await.is_err());
        assert!(log.all().is_empty());
    }
    assert_eq!(log.all(), ["body"]);
    assert!(matches!(handle.unwrap().spawn(pending::<Result<()>>()), Err(Error::Usage(_))));
    settle().await;
    assert_eq!(log.all(), ["body", "task"]);
    sleep(Duration::from_millis(21)).await;
    assert_eq!(log.all(), ["body", "task", "cleaned up"]);
}

#[tokio::test]
async fn a_failure_that_was_joined_and_passed_on_counts_once() {
    let outcome = open_task_nursery(async |t| {
        let one = t.spawn(async {
            settle().await; // so that all have begun to wait for it
            Err::<(), _>(anyhow::anyhow!("cause").context("broken"))
        })?;
        let two = t.spawn(shield(one.join()))?;
        // It has become an `anyhow::Error` once more on its way.
        Ok::<_, anyhow::Error>(shield(two.join()).await?)
    });
    assert_eq!(format!("{:#}", outcome.await.unwrap_err()), "broken: cause");
}

#[tokio::test(start_paused = true)]
async fn equal_failures_of_two_tasks_count_twice() {
    let outcome = open_task_nursery(async |t| {
        t.spawn(shield(fail_after_a_while(5, "same")))?;
        t.spawn(shield(fail_after_a_while(5, "same")))?;
        pending::<Result<()>>().await
    });
    assert_eq!(text(outcome.await), "2 errors: [1] same; [2] same");
}

/// Cancels a nursery with a failure; one of its tasks then returns `passed_on` of the echo.
async fn echoed_as<E: ScopeError + 'static>(passed_on: fn(E) -> E) -> String {
    text(
        open_task_nursery(async |t| {
            t.spawn(
                async move { open_task_nursery(async |_| pending::<Result<(), E>>().await).await.map_err(passed_on) },
            )?;
            settle().await;
            Err::<(), _>(failure("own"))
        })
        .await,
    )
}

#[tokio::test]
async fn an_echo_is_known_in_any_error_type() {
    assert_eq!(echoed_as::<Error>(|error| error).await, "own");
    assert_eq!(echoed_as::<AppError>(|error| error).await, "own");
    assert_eq!(echoed_as::<anyhow::Error>(|error| error.context("while it worked")).await, "own");
    let failed = |_| anyhow::anyhow!("its clean-up failed");
    assert_eq!(echoed_as::<anyhow::Error>(failed).await, "2 errors: [1] own; [2] its clean-up failed");
    // The source of an error counts, not the beginning of its text.
    let failed = |_| anyhow::anyhow!("cancelled: the order");
    assert_eq!(echoed_as::<anyhow::Error>(failed).await, "2 errors: [1] own; [2] cancelled: the order");
}

#[tokio::test(start_paused = true)]
async fn a_failure_during_a_cancellation_is_not_taken_for_its_echo() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    // The nursery is cancelled, and so is the code around it; but that gets to see a failure.
    let outcome = scope.run(open_task_nursery(async |t| {
        t.spawn(shield(fail_after_a_while(50, "too late")))?;
        settle().await;
        canceller.cancel();
        pending::<Result<()>>().await
    }));
    assert_eq!(text(outcome.await.unwrap()), "too late");
}

#[tokio::test]
async fn an_unrequested_cancellation_is_a_failure() {
    let outcome = open_task_nursery(async |t| {
        t.spawn(async {
            let scope = CancelScope::new();
            scope.cancel_because(Cancelled::Caller(None));
            scope.run(async {}).await
        })?;
        pending::<Result<()>>().await
    });
    assert!(is_cancelled(&outcome.await, &Cancelled::Caller(None)));
}

#[tokio::test]
async fn to_wait_for_a_task_is_cancelled_with_the_one_who_waits() {
    open_task_nursery(async |t| {
        let task = t.spawn(async {
            settle().await;
            Ok::<_, Error>(())
        })?;
        let scope = CancelScope::new();
        let outcome = scope.run(async {
            let _shield = Shield::enter();
            scope.cancel();
            task.join().await
        });
        assert!(outcome.await.is_err_and(|error| error.is_cancelled()));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

#[test]
fn task_nurseries_work_on_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        for round in 0..200 {
            let outcome = open_task_nursery(async |t| {
                for _ in 0..3 {
                    t.spawn(async {
                        let _shield = Shield::enter();
                        let ended = CancelScope::new().run(pending::<Result<()>>()).await;
                        shield(yield_now()).await;
                        ended?
                    })?;
                }
                t.spawn(async move { Err::<(), _>(failure(&round.to_string())) })?;
                pending::<Result<()>>().await
            });
            assert_eq!(text(outcome.await), round.to_string());
        }
    });
}

#[test]
fn the_futures_of_task_nurseries_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    sent(&open_task_nursery(async |t: TaskNursery| {
        let task = t.spawn(async { Ok::<_, AppError>("a value") })?;
        sent(&task);
        Ok::<_, anyhow::Error>(task.join().await?)
    }));
}
