//! Who gets at the state when: beside each other, one by one, in order; and calls that would wait for themselves.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{MaybeDone, join_all, maybe_done};
use libtest_mimic::Trial;
use pleach::prelude::*;
use pleach::{Handle, Me};
use tokio::sync::Barrier;

use super::{Counter, LooksForItself};
use crate::support::{Notes, assert_says, in_nursery, matrix_fn, poll_once};

/// Sees which of its methods run at the same time.
struct Crowd {
    two: Barrier,
    inside: AtomicUsize,
    most: AtomicUsize,
}

#[pleach::actor]
impl Crowd {
    pub(crate) async fn new() -> Result<Self> {
        Ok(Self { two: Barrier::new(2), inside: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }

    /// Returns once two are in it.
    pub(crate) async fn meet(&self) -> Result<()> {
        self.two.wait().await;
        Ok(())
    }

    pub(crate) async fn alone(&mut self) -> Result<()> {
        self.pass().await;
        Ok(())
    }

    pub(crate) async fn beside(&self) -> Result<()> {
        self.pass().await;
        Ok(())
    }

    pub(crate) async fn alone_now_and_then(me: Me<Self>) -> Result<()> {
        let state = me.write().await?;
        state.pass().await;
        Ok(())
    }

    pub(crate) async fn most(&self) -> Result<usize> {
        Ok(self.most.swap(0, Ordering::SeqCst))
    }

    async fn pass(&self) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn tests() -> Vec<Trial> {
    [
        matrix_fn(those_that_look_run_beside_each_other_and_those_that_change_alone),
        matrix_fn(calls_take_effect_in_the_order_sent),
        matrix_fn(calls_that_find_no_room_keep_their_order),
        matrix_fn(a_cancelled_method_lets_go_of_the_state),
        matrix_fn(a_call_that_would_wait_for_itself_fails_at_once),
        matrix_fn(calls_on_behalf_of_one_method_wait_for_each_other),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn those_that_look_run_beside_each_other_and_those_that_change_alone(config: Config) {
    for several in [false, true] {
        in_nursery(config.clone(), async |n| {
            let crowd = n.start(Crowd::new()).multi_thread(several).await?;
            let (one, other) = tokio::join!(crowd.meet(), crowd.meet());
            one.and(other)?;
            let alone = || [crowd.alone(), crowd.alone_now_and_then()];
            join_all((0..10).flat_map(|_| alone())).await.into_iter().collect::<Result<Vec<_>>>()?;
            assert_eq!(crowd.most().await?, 1);
            join_all([crowd.alone(), crowd.beside(), crowd.alone(), crowd.beside()]).await;
            assert_eq!(crowd.most().await?, 1);
            Handle::stop(&crowd).await
        })
        .await
        .unwrap();
    }
}

async fn calls_take_effect_in_the_order_sent(config: Config) {
    for several in [false, true] {
        in_nursery(config.clone(), async |n| {
            let counter = n.start(Counter::new(0)).multi_thread(several).await?;
            // Every hundredth takes long, so that the others queue up behind it.
            let add = |i| if i % 100 == 0 { counter.add_after_yields(i) } else { counter.add(i) };
            for added in join_all((0..2000).map(add)).await {
                added?;
            }
            assert!(counter.log().await?.into_iter().eq(0..2000), "on several threads: {several}");
            Handle::stop(&counter).await
        })
        .await
        .unwrap();
    }
}

async fn calls_that_find_no_room_keep_their_order(config: Config) {
    in_nursery(config, async |n| {
        let counter = n.start(Counter::new(0)).await?;
        let ballast = "x".repeat(1000);
        let mut adding: Vec<_> = (0..2000).map(|i| maybe_done(counter.add_with(i, ballast.clone()))).collect();
        for added in &mut adding {
            let _ = futures_util::poll!(added); // which sends it, or gives it its place
        }
        // One of those that wait is dropped, and another one is kept without being polled.
        let was_sent = matches!(adding.remove(1900), MaybeDone::Done(_));
        let kept = adding.remove(1000);
        join_all(adding).await;
        kept.await;
        let log = counter.log().await?;
        let left_out = |i: &i64| !was_sent && *i == 1900 && !log.contains(i);
        assert!(log.iter().copied().eq((0..2000).filter(|i| !left_out(i))));
        Handle::stop(&counter).await
    })
    .await
    .unwrap();
}

async fn a_cancelled_method_lets_go_of_the_state(config: Config) {
    let notes = Arc::new(Notes::new());
    in_nursery(config, async |n| {
        let counter = n.start(Counter::new(1)).name("one").await?;
        {
            let mut staying = pin!(counter.stay(notes.address()));
            poll_once(staying.as_mut()).await;
            notes.expect_async("stays").await;
            let mut waiting = pin!(counter.add(100));
            poll_once(waiting.as_mut()).await;
        }
        assert_eq!(counter.get().await?, 1, "both were dropped");
        let late = counter.stay(notes.address()).timeout(Duration::from_millis(200)).await;
        assert_says(&late, &["`Counter::stay` of actor `one` ", "took longer than 200ms"]);
        assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
        assert_eq!(counter.add(1).await?, 2);
        Handle::stop(&counter).await
    })
    .await
    .unwrap();
}

async fn a_call_that_would_wait_for_itself_fails_at_once(config: Config) {
    in_nursery(config, async |n| {
        let one = n.start(Counter::new(1)).name("one").await?;
        let two = n.start(Counter::new(2)).name("two").await?;
        let oneself = one.ask(one.clone()).await;
        assert_says(&oneself, &["`Counter::ask` of actor `one` ", "would wait for itself", "write `self.get(…)`"]);
        let round = one.ask_by(two.clone(), one.clone()).await;
        assert_says(&round, &["`Counter::ask_by` of actor `one` ", "would wait for itself", "me: Me<Self>"]);
        let in_a_task = one.add_in_a_task(one.clone(), 1).await;
        assert_says(&in_a_task, &["`Counter::add_in_a_task` of actor `one` ", "would wait for itself"]);
        let of_new = one.start_one_that_asks(one.clone()).await;
        assert_says(&of_new, &["`Counter::start_one_that_asks` of actor `one` ", "would wait for itself"]);
        let in_new = n.start(LooksForItself::new("looks".into())).name("looks").await;
        assert_says(&in_new, &["`LooksForItself::new` of actor `looks` ", "would wait for itself"]);
        one.add_later(one.clone(), 1).await?;
        while one.get().await? != 2 {}
        one.add(-1).await?;
        assert_eq!((one.ask(two.clone()).await?, two.ask(one.clone()).await?), (3, 3));
        Handle::stop(&one).await?;
        Handle::stop(&two).await
    })
    .await
    .unwrap();
}

async fn calls_on_behalf_of_one_method_wait_for_each_other(config: Config) {
    in_nursery(config, async |n| {
        let (one, two) = (n.start(Counter::new(1)).await?, n.start(Counter::new(2)).await?);
        one.add_twice(two.clone()).await?;
        assert_eq!(two.log().await?, [1, 2]);
        Handle::stop(&one).await?;
        Handle::stop(&two).await
    })
    .await
    .unwrap();
}
