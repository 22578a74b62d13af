//! The promises of the scopes, each by itself.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};

use super::*;
use crate::error::Cancelled;

mod deadlines;
mod dumps;
mod task_nursery;
mod trees;

#[expect(clippy::disallowed_methods, reason = "the tests own their tasks by awaiting the handles")]
fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(body: F) -> JoinHandle<F::Output> {
    tokio::spawn(body)
}

/// The events, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn on_drop(&self, what: &'static str) -> NoteOnDrop {
        NoteOnDrop(self.clone(), what)
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

struct NoteOnDrop(Log, &'static str);

impl Drop for NoteOnDrop {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// A primitive that owes clean-up, built as nurseries and contexts are.
async fn owes_clean_up(log: &Log, done: &'static str, body: impl Future<Output = Result<()>>) -> Result<()> {
    let _shield = Shield::enter();
    let ended = CancelScope::new().run(body).await;
    shield(async {
        sleep(Duration::from_millis(20)).await;
        assert!(checkpoint().is_ok());
        log.note(done);
    })
    .await;
    ended?
}

fn is_cancelled<T>(outcome: &Result<T>, why: &Cancelled) -> bool {
    matches!(outcome, Err(Error::Cancelled(cause)) if cause == why)
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_scope_lets_shielded_clean_up_finish_from_the_inside_out() {
    let log = Log::default();
    let scope = CancelScope::new();
    let cancel = async {
        sleep(Duration::from_millis(100)).await;
        scope.cancel();
    };
    let run = scope.run(async {
        let _last = log.on_drop("body");
        owes_clean_up(&log, "outer", async {
            owes_clean_up(&log, "inner", async {
                let _first = log.on_drop("innermost");
                pending().await
            })
            .await
        })
        .await?;
        log.note("unreachable");
        Ok::<_, Error>(())
    });
    let started = Instant::now();
    let (outcome, ()) = tokio::join!(run, cancel);
    // The error went through the user's `?`, so the body came to its own end; the scope caught it.
    assert!(is_cancelled(&outcome, &Cancelled::Scope));
    assert!(scope.cancelled_caught());
    assert_eq!(log.all(), ["innermost", "inner", "outer", "body"]);
    assert_eq!(started.elapsed(), Duration::from_millis(140));
}

#[tokio::test(start_paused = true)]
async fn a_body_without_shields_is_dropped_before_the_run_returns() {
    let log = Log::default();
    let scope = CancelScope::new();
    scope.child().cancel();
    let canceller = scope.clone();
    let run = scope.run(async {
        let _guard = log.on_drop("dropped");
        canceller.cancel();
        assert!(checkpoint().is_err());
        pending::<()>().await;
    });
    let mut run = pin!(run);
    let outcome = poll_fn(|cx| run.as_mut().poll(cx)).await;
    assert_eq!(log.all(), ["dropped"]);
    assert!(is_cancelled(&outcome, &Cancelled::Scope));
    assert!(scope.cancel_called() && scope.cancelled_caught());
}

#[tokio::test]
async fn a_body_that_ends_by_itself_keeps_its_value() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let outcome = scope.run(async move { canceller.cancel() }).await;
    assert!(outcome.is_ok());
    assert!(scope.cancel_called() && !scope.cancelled_caught());
}

#[tokio::test]
async fn a_cancelled_scope_does_not_begin_a_body() {
    let scope = CancelScope::new();
    scope.cancel_because(Cancelled::Actor);
    scope.cancel();
    let outcome = scope.run(async { unreachable!("it must not be polled") }).await;
    assert!(is_cancelled::<()>(&outcome, &Cancelled::Actor), "the first reason stays");
}

#[tokio::test]
async fn cancellation_is_level_triggered() {
    let log = Log::default();
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let outcome = scope
        .run(async {
            canceller.cancel();
            let guard = Shield::enter();
            for _ in 0..2 {
                assert!(checkpoint().is_err());
                assert!(is_cancelled(&CancelScope::new().run(async {}).await, &Cancelled::Scope));
                cancelled().await;
            }
            drop(guard);
            log.note("still running");
            yield_now().await;
            log.note("unreachable");
        })
        .await;
    assert!(outcome.is_err());
    assert_eq!(log.all(), ["still running"]);
}

#[tokio::test]
async fn a_shield_hides_the_cancellation() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let mut seen = 0;
    let outcome = scope
        .run(async {
            shield(async {
                canceller.cancel();
                assert!(checkpoint().is_ok());
                assert!(CancelScope::current().is_none());
                assert!(!current_token().is_cancelled());
                let inside = CancelScope::new();
                assert!(!inside.cancel_called());
                inside.run(yield_now()).await.unwrap();
                seen = 1;
            })
            .await;
            assert!(checkpoint().is_err());
            pending::<()>().await;
        })
        .await;
    assert!(outcome.is_err());
    assert_eq!(seen, 1);
}

#[tokio::test]
async fn overlapping_shields_count() {
    let scope = CancelScope::new();
    let canceller = scope.clone();
    let log = Log::default();
    let turns = |turns: usize, what: &'static str| {
        let log = log.clone();
        shield(async move {
            for _ in 0..turns {
                yield_now().await;
            }
            log.note(what);
        })
    };
    let outcome = scope
        .run(async {
            canceller.cancel();
            tokio::join!(turns(1, "short"), turns(3, "long"), pending::<()>());
        })
        .await;
    assert!(outcome.is_err());
    assert_eq!(log.all(), ["short", "long"]);
}

#[tokio::test]
async fn the_last_shield_wakes_the_scope_from_another_task() {
    let scope = CancelScope::new();
    let (give, take) = oneshot::channel();
    let run = spawn(scope.attach(async {
        assert!(give.send(Shield::enter()).is_ok());
        pending::<()>().await;
    }));
    let shield = take.await.unwrap();
    scope.cancel();
    for _ in 0..5 {
        yield_now().await;
    }
    assert!(!run.is_finished());
    drop(shield);
    assert!(run.await.unwrap().is_err());
}

#[tokio::test]
async fn tasks_under_one_scope_end_together_but_shield_only_themselves() {
    let scope = CancelScope::new();
    let (release, held) = oneshot::channel::<()>();
    let shielded = spawn(scope.attach(async { shield(held).await.is_ok() }));
    let bare = spawn(scope.attach(pending::<()>()));
    yield_now().await;
    scope.cancel();
    assert!(is_cancelled(&bare.await.unwrap(), &Cancelled::Scope));
    assert!(!shielded.is_finished());
    release.send(()).unwrap();
    assert!(shielded.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_scope_from_elsewhere_ends_with_either_scope() {
    for cancels_the_one_around in [true, false] {
        let (around, elsewhere) = (CancelScope::new(), CancelScope::new());
        let log = Log::default();
        let outcome = around
            .run(async {
                let run = elsewhere.run(async {
                    let _guard = log.on_drop("inner");
                    match cancels_the_one_around {
                        true => around.cancel_because(Cancelled::Actor),
                        false => elsewhere.cancel_because(Cancelled::Nursery),
                    }
                    assert!(cancels_the_one_around == checkpoint().is_err());
                    pending::<()>().await;
                });
                let outcome = run.await;
                log.note("after");
                let why = if cancels_the_one_around { Cancelled::Actor } else { Cancelled::Nursery };
                assert!(is_cancelled(&outcome, &why));
            })
            .await;
        assert_eq!(outcome.is_err(), cancels_the_one_around);
        assert!(elsewhere.cancelled_caught());
        assert_eq!(log.all(), ["inner", "after"]);
        assert_eq!(around.cancel_called(), cancels_the_one_around);
    }
}

#[tokio::test]
async fn the_nearest_reason_is_told() {
    let root = CancelScope::new();
    let (middle, leaf) = (root.child(), root.child().child());
    middle.cancel_because(Cancelled::Nursery);
    root.cancel_because(Cancelled::Caller(None));
    assert!(is_cancelled(&middle.child().run(async {}).await, &Cancelled::Nursery));
    assert!(is_cancelled(&leaf.run(async {}).await, &Cancelled::Caller(None)));
}

#[test]
fn dropping_a_run_drops_its_body_at_once() {
    let log = Log::default();
    let scope = CancelScope::new();
    let mut run = Box::pin(scope.run(async {
        let _guard = log.on_drop("dropped");
        shield(pending::<()>()).await;
    }));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(matches!(run.as_mut().poll(&mut cx), Poll::Pending));
    drop(run);
    assert_eq!(log.all(), ["dropped"]);
    assert!(!scope.cancel_called());
}

#[test]
fn it_works_on_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        for _ in 0..200 {
            let scope = CancelScope::new();
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    spawn(scope.attach(async {
                        let inner = CancelScope::new();
                        let _shield = Shield::enter();
                        let ended = inner.run(pending::<()>()).await;
                        shield(yield_now()).await;
                        ended
                    }))
                })
                .collect();
            let canceller = scope.clone();
            let cancel = spawn(async move { canceller.cancel() });
            for task in tasks {
                // Cancelled before it began, or in the middle of its wait.
                assert!(!matches!(task.await.unwrap(), Ok(Ok(()))));
            }
            cancel.await.unwrap();
        }
    });
}

#[test]
fn futures_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    let scope = CancelScope::new();
    sent(&scope);
    sent(&scope.run(shield(cancelled())));
    sent(&move_on_after(Duration::ZERO, fail_after_value(Duration::ZERO, cancelled())));
    sent(&owes_clean_up(&Log::default(), "", async { Ok(()) }));
}

#[tokio::test]
async fn a_body_that_was_told_reports_its_cancellation() {
    let scope = CancelScope::new();
    let log = Log::default();
    let body = async {
        let _ = owes_clean_up(&log, "cleaned up", async {
            scope.cancel();
            pending().await
        })
        .await;
        7 // its result after the error does not count
    };
    let outcome = scope.run(body).await;
    assert!(outcome.is_err_and(|error| error.is_cancelled()));
    assert_eq!(log.all(), ["cleaned up"]);
    // An outer scope that is not cancelled keeps the value of the body around.
    let outer = CancelScope::new();
    let inner = outer.child();
    let inside = async {
        inner.cancel();
        checkpoint()
    };
    assert!(outer.run(async { inner.run(inside).await.is_err() }).await.unwrap());
}
