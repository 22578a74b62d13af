//! Task dumps: they find out where tasks wait, and change nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};

use super::*;
use crate::scope::dump::{self, Waiting};

/// Asks all tasks, from another thread; returns those in `scope`.
async fn tasks_in(scope: &CancelScope) -> Vec<Waiting> {
    let all = tokio::task::spawn_blocking(|| dump::take(pleach_patience::patience(), usize::MAX)).await.unwrap();
    all.tasks.into_iter().filter(|task| task.scope.is_within(scope)).collect()
}

#[tokio::test]
async fn each_arm_of_a_select_is_told_until_the_task_has_ended() {
    let (scope, notify) = (CancelScope::new(), Arc::new(Notify::new()));
    let (inside, woken) = (scope.clone(), notify.clone());
    let task = spawn(async move {
        inside
            .run(async {
                tokio::select! {
                    () = woken.notified() => {},
                    () = sleep(Duration::from_secs(3600)) => {},
                }
            })
            .await
    });
    yield_now().await;
    let told = tasks_in(&scope).await;
    assert_eq!(told.iter().map(|task| task.stacks.as_ref().map(Vec::len)).collect::<Vec<_>>(), [Some(2)]);
    notify.notify_one();
    task.await.unwrap().unwrap();
    assert!(tasks_in(&scope).await.is_empty());
}

#[tokio::test]
async fn what_is_inside_is_told_by_its_task_and_the_librarys_own_waits_only_if_there_are_no_others() {
    let scope = CancelScope::new();
    let inside = scope.clone();
    let task = spawn(async move {
        let own = async {
            tokio::select! {
                () = cancelled() => {}
                _never = move_on_after(Duration::from_secs(3600), pending::<()>()) => {}
            }
        };
        inside.run(own).await
    });
    yield_now().await;
    let told = tasks_in(&scope).await;
    assert_eq!(told.iter().map(|task| task.stacks.as_ref().map(Vec::len)).collect::<Vec<_>>(), [Some(1)]);
    scope.cancel();
    let _either = task.await.unwrap(); // it may see its cancellation itself
}

#[tokio::test]
async fn a_body_that_never_waits_is_not_listed() {
    let scope = CancelScope::new();
    let (listed, inside) = (Arc::new(Mutex::new(None)), scope.clone());
    let look = listed.clone();
    let run = scope.run(async move {
        // Within the body; nothing waits for an answer here.
        let dump = dump::take(Duration::ZERO, usize::MAX);
        *look.lock().unwrap() = Some(dump.tasks.iter().any(|task| task.scope.is_within(&inside)));
    });
    run.await.unwrap();
    assert_eq!(*listed.lock().unwrap(), Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost() {
    let done = Arc::new(AtomicBool::new(false));
    let (asked, until) = (done.clone(), Instant::now() + pleach_patience::patience());
    let asking = tokio::task::spawn_blocking(move || {
        let mut rounds = 0;
        while !asked.load(Ordering::Relaxed) && Instant::now() < until {
            dump::take(Duration::from_millis(5), usize::MAX);
            rounds += 1;
        }
        rounds
    });
    let rings = (0..8).map(|_| spawn(async { CancelScope::new().run(ring()).await.unwrap() }));
    let rings: Vec<_> = rings.collect();
    for ring in rings {
        tokio::time::timeout_at(until, ring).await.expect("a wake-up was lost").unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(asking.await.unwrap() > 0);
}

/// Passes a token around between tasks that wait in different ways.
async fn ring() {
    let ended = open_task_nursery(async |t| {
        let (first, mut received) = mpsc::channel::<u32>(1);
        let (notify, lock) = (Arc::new(Notify::new()), Arc::new(tokio::sync::Mutex::new(0)));
        let (woken, counted) = (notify.clone(), lock.clone());
        t.spawn(async move {
            for number in 0..ROUNDS {
                first.send(number).await?;
                woken.notified().await;
            }
            Ok::<_, crate::BoxError>(())
        })?;
        t.spawn(async move {
            while let Some(number) = received.recv().await {
                let in_time = move_on_after(Duration::from_secs(3600), async {
                    let mut count = counted.lock().await;
                    yield_now().await;
                    *count += number;
                });
                in_time.await.expect("there is an hour");
                sleep(Duration::from_micros(50)).await;
                notify.notify_one();
            }
            Ok::<_, crate::BoxError>(())
        })?;
        Ok::<_, Error>(lock)
    });
    assert_eq!(*ended.await.unwrap().lock().await, (0..ROUNDS).sum::<u32>());
}

#[tokio::test]
async fn a_panic_in_a_watched_poll_leaves_nothing_behind() {
    let (scope, panics) = (CancelScope::new(), Arc::new(AtomicBool::new(false)));
    let (inside, is_due) = (scope.clone(), panics.clone());
    let task = spawn(async move {
        let body = poll_fn(|cx| {
            assert!(!is_due.load(Ordering::Relaxed), "it is due");
            let _copy = cx.waker().clone();
            Poll::<()>::Pending
        });
        inside.run(body).await
    });
    yield_now().await;
    panics.store(true, Ordering::Relaxed);
    assert!(tasks_in(&scope).await.is_empty(), "it has ended");
    assert!(task.await.unwrap_err().is_panic());
    each_poll_copies_its_waker_untold().await;
}

async fn each_poll_copies_its_waker_untold() {
    let scope = CancelScope::new();
    let inside = scope.clone();
    let task = spawn(async move {
        let body = poll_fn(|cx| {
            let _copy = cx.waker().clone();
            Poll::<()>::Pending
        });
        inside.run(body).await
    });
    yield_now().await;
    for _ in 0..3 {
        let told = tasks_in(&scope).await;
        assert_eq!(told[0].stacks.as_ref().map(Vec::len), Some(1));
    }
    scope.cancel();
    assert!(task.await.unwrap().is_err());
}

const ROUNDS: u32 = 300;
