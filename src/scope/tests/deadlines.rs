//! Deadlines: which one counts, when it cancels, and its errors. D1, C-5.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn in_seconds(seconds: u32) -> Instant {
    Instant::now() + SECOND * seconds
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_a_cancellation() {
    let log = Log::default();
    let second = Duration::from_secs(1);
    let started = Instant::now();
    let moved_on = move_on_after(second, owes_clean_up(&log, "cleaned up", pending())).await;
    assert!(moved_on.is_none(), "the body saw the cancellation");
    assert_eq!(started.elapsed(), second + Duration::from_millis(20));
    assert_eq!(log.all(), ["cleaned up"]);

    assert_eq!(move_on_after(second, pending::<()>()).await, None);
    assert_eq!(move_on_after(second, async { 7 }).await, Some(7));
    assert_eq!(fail_after(second, async { Ok::<_, Error>(7) }).await.unwrap(), 7);
    let failed = fail_after(second, pending::<Result<()>>()).await;
    assert!(matches!(failed, Err(Error::Timeout { after, .. }) if after == second));
    assert_eq!(move_on_after(Duration::MAX, async { 7 }).await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn the_nearer_deadline_counts() {
    let started = Instant::now();
    let outer = move_on_after(Duration::from_secs(1), async {
        move_on_after(Duration::from_secs(5), pending::<()>()).await;
        unreachable!("the outer deadline drops this");
    });
    assert!(outer.await.is_none());
    let inner = move_on_after(Duration::from_secs(5), move_on_after(Duration::from_secs(1), pending::<()>()));
    assert_eq!(inner.await, Some(None));
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_after_a_deadline_in_a_cancelled_scope() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let (release, held) = oneshot::channel::<()>();
    let log = Log::default();
    let run = spawn(scope.attach({
        let log = log.clone();
        async move {
            let limited = async {
                let _ = move_on_after(Duration::from_secs(1), pending::<()>()).await;
                log.note("unreachable");
            };
            tokio::join!(limited, shield(held)).1
        }
    }));
    yield_now().await;
    canceller.cancel();
    // The scope is cancelled, its deadline has passed, and a shield beside it still holds the body.
    sleep(Duration::from_secs(2)).await;
    assert!(!run.is_finished());
    release.send(()).unwrap();
    assert!(run.await.unwrap().is_err());
    assert!(log.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_another_task_is_not_stuck_with_its_parent() {
    let scope = CancelScope::new();
    let mut limited = None;
    scope.run(async { limited = Some(move_on_after(Duration::from_secs(1), pending::<()>())) }).await.unwrap();
    let task = spawn(limited.unwrap());
    yield_now().await;
    scope.cancel();
    assert_eq!(task.await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_cancelled_at_its_deadline_and_says_so() {
    let log = Log::default();
    let started = Instant::now();
    let scope = CancelScope::with_deadline(in_seconds(1));
    let outcome = scope
        .run(async {
            owes_clean_up(&log, "outer", async {
                let _body = log.on_drop("body");
                owes_clean_up(&log, "inner", pending()).await
            })
            .await
        })
        .await;
    assert!(is_cancelled(&outcome, &Cancelled::Deadline));
    assert_eq!(outcome.unwrap_err().to_string(), "cancelled: its deadline has passed");
    assert_eq!(log.all(), ["inner", "body", "outer"]);
    assert_eq!(started.elapsed(), SECOND + Duration::from_millis(40));
    assert!(scope.cancel_called() && scope.cancelled_caught());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_nearest_around_and_none_in_a_shield() {
    let (near, far) = (in_seconds(1), in_seconds(5));
    let outer = CancelScope::with_deadline(near);
    let inside = async {
        assert_eq!(current_deadline(), Some(near));
        assert_eq!(CancelScope::with_deadline(far).deadline(), Some(near));
        assert_eq!(CancelScope::new().deadline(), Some(near));
        let seen = fail_after_value(SECOND / 2, async { current_deadline() }).await.unwrap();
        assert_eq!(seen, Some(Instant::now() + SECOND / 2));
        shield(async {
            assert_eq!(current_deadline(), None);
            assert_eq!(CancelScope::with_deadline(far).deadline(), Some(far));
            sleep(SECOND * 2).await;
        })
        .await;
        assert!(is_cancelled(&checkpoint(), &Cancelled::Deadline));
    };
    assert!(outer.run(inside).await.is_err());
    assert_eq!(outer.child().deadline(), Some(near));
    assert_eq!((CancelScope::new().deadline(), current_deadline()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_begins_no_body() {
    let scope = CancelScope::with_deadline(Instant::now());
    let outcome = scope.run(async { unreachable!("it must not be polled") }).await;
    assert!(is_cancelled::<()>(&outcome, &Cancelled::Deadline));
    assert_eq!(move_on_after(Duration::ZERO, async { unreachable!("nor this") }).await, None::<()>);
}

#[tokio::test]
async fn a_checkpoint_sees_the_deadline_without_a_wait() {
    let scope = CancelScope::with_deadline(Instant::now() + Duration::from_millis(5));
    let outcome = scope
        .run(async {
            // This loop does not poll the timer.
            while checkpoint().is_ok() {
                std::hint::spin_loop();
            }
        })
        .await;
    assert!(is_cancelled(&outcome, &Cancelled::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_reaches_tasks_that_run_under_a_scope_inside() {
    let scope = CancelScope::with_deadline(in_seconds(1));
    // Nothing runs under the scope itself, so its clock is that of the task.
    let task = spawn(scope.child().attach(pending::<()>()));
    assert!(is_cancelled(&task.await.unwrap(), &Cancelled::Deadline));
    assert!(scope.cancel_called());

    let started = Instant::now();
    let nursery = open_task_nursery(async |t| {
        t.spawn(async {
            shield(sleep(SECOND * 3)).await;
            Ok::<_, Error>(())
        })?;
        pending::<Result<()>>().await
    });
    let late = fail_after(SECOND, nursery).await;
    assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
    assert_eq!(started.elapsed(), SECOND * 3);
}

#[tokio::test(start_paused = true)]
async fn a_scope_from_elsewhere_brings_its_deadline_along() {
    for (here, elsewhere) in [(2, 1), (1, 2)] {
        let (around, elsewhere) =
            (CancelScope::with_deadline(in_seconds(here)), CancelScope::with_deadline(in_seconds(elsewhere)));
        let started = Instant::now();
        let outcome = around
            .run(async {
                let inner = elsewhere.run(async {
                    assert_eq!(current_deadline(), Some(started + SECOND));
                    pending::<()>().await
                });
                assert!(is_cancelled(&inner.await, &Cancelled::Deadline));
                started.elapsed()
            })
            .await;
        assert_eq!(outcome.ok(), (here == 2).then_some(SECOND));
        assert_eq!(elsewhere.cancel_called(), here == 2);
        assert!(elsewhere.cancelled_caught());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_cancelled_scope_names_the_cause() {
    let scope = CancelScope::with_deadline(in_seconds(1));
    let outcome = scope
        .run(async {
            let _shield = Shield::enter();
            scope.cancel();
            sleep(SECOND * 2).await;
            checkpoint()
        })
        .await;
    assert!(is_cancelled(&outcome, &Cancelled::Scope));
    // A deadline inside a cancelled scope changes nothing: it neither ends its body nor hides the cause.
    let outcome = scope.run(fail_after_value(SECOND, pending::<()>())).await;
    assert!(is_cancelled(&outcome, &Cancelled::Scope));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cancels_its_own_deadline_scope_has_not_timed_out() {
    let cancels_itself = async {
        CancelScope::current().unwrap().cancel();
        pending::<()>().await
    };
    assert!(is_cancelled(&fail_after_value(SECOND, cancels_itself).await, &Cancelled::Scope));
    let nested = move_on_after(SECOND, async {
        let inner = move_on_after(SECOND * 5, async {
            CancelScope::current().unwrap().cancel();
            pending::<()>().await
        });
        assert_eq!(inner.await, None);
        7
    });
    assert_eq!(nested.await, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_where_it_is_first_polled() {
    let scope = CancelScope::new();
    let waits = || async {
        sleep(SECOND / 2).await;
        7
    };
    let before = (move_on_after(SECOND, waits()), fail_after_value(SECOND, waits()));
    let outcome = scope
        .run(async {
            let _shield = Shield::enter();
            let open = (move_on_after(SECOND, waits()), fail_after_value(SECOND, waits()));
            scope.cancel();
            // Written in here, awaited in a shield.
            assert_eq!(shield(move_on_after(SECOND, waits())).await, Some(7));
            assert_eq!(shield(fail_after_value(SECOND, waits())).await.unwrap(), 7);
            assert_eq!(shield(open.0).await, Some(7));
            assert_eq!(shield(open.1).await.unwrap(), 7);
            // They end there all the same, by themselves and by a nearer one around.
            assert_eq!(shield(move_on_after(SECOND, pending::<()>())).await, None);
            let late = shield(fail_after_value(SECOND, pending::<()>())).await;
            assert!(matches!(late, Err(Error::Timeout { .. })));
            let inner = shield(move_on_after(SECOND, move_on_after(SECOND * 2, pending::<()>())));
            assert_eq!(inner.await, None);
            // Written out there or in a shield, awaited in here.
            assert_eq!(before.0.await, None);
            assert!(is_cancelled(&before.1.await, &Cancelled::Scope));
            let (made,) = shield(async { (fail_after_value(SECOND, waits()),) }).await;
            assert!(is_cancelled(&made.await, &Cancelled::Scope));
        })
        .await;
    assert!(is_cancelled(&outcome, &Cancelled::Scope));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_noticed_without_a_wait_is_a_time_out_too() {
    let busy = || async {
        while checkpoint().is_ok() {
            tokio::time::advance(SECOND / 10).await;
        }
    };
    assert!(matches!(fail_after_value(SECOND, busy()).await, Err(Error::Timeout { .. })));
    assert!(matches!(shield(fail_after_value(SECOND, busy())).await, Err(Error::Timeout { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_a_cancelled_scope_waits_for_no_shield_of_its_own() {
    let scope = CancelScope::new();
    let outcome = scope
        .run(async {
            let _shield = Shield::enter();
            let pending = move_on_after(SECOND * 9, pending::<()>());
            let cancel = async { scope.cancel() };
            assert_eq!(tokio::join!(pending, cancel).0, None);
        })
        .await;
    assert!(is_cancelled(&outcome, &Cancelled::Scope));
}

#[tokio::test(start_paused = true)]
async fn a_scope_in_a_shield_is_cancelled_by_itself_only() {
    let around = CancelScope::new();
    let outcome = around
        .run(async {
            let scope = CancelScope::new();
            let (own, child) = (CancelScope::new(), CancelScope::current().unwrap().child());
            around.cancel();
            let body = || async {
                assert!(checkpoint().is_ok() && current_deadline().is_none());
                sleep(SECOND).await;
                7
            };
            for _ in 0..2 {
                assert_eq!(shield(scope.run(body())).await.unwrap(), 7);
            }
            assert_eq!(shield(CancelScope::new().try_run(async { Ok::<_, Error>(body().await) })).await.unwrap(), 7);
            // By its deadline, by itself, before and meanwhile; and one that asked for it by the enclosing scope.
            let limited = CancelScope::with_deadline(in_seconds(1));
            assert!(is_cancelled(&shield(limited.run(pending::<()>())).await, &Cancelled::Deadline));
            let cancel = async { own.cancel_because(Cancelled::Actor) };
            let ended = shield(async { tokio::join!(own.run(pending::<()>()), cancel).0 }).await;
            assert!(is_cancelled(&ended, &Cancelled::Actor) && own.cancelled_caught());
            assert!(is_cancelled(&shield(own.run(pending::<()>())).await, &Cancelled::Actor));
            assert!(is_cancelled(&shield(child.run(pending::<()>())).await, &Cancelled::Scope));
        })
        .await;
    assert!(outcome.is_ok());
}

#[test]
fn deadlines_work_on_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200_u64)
            .map(|number| {
                spawn(move_on_after(Duration::from_millis(number % 7), async {
                    let _shield = Shield::enter();
                    let ended = CancelScope::new().run(pending::<()>()).await;
                    shield(yield_now()).await;
                    ended
                }))
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap().is_none());
        }
    });
}
