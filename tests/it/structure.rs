//! What a nursery promises: one fails, all are cancelled; results are kept; nothing outlives the block.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{ALL, Notes, Watched, assert_says, in_root, note, over, test, test_fn};

#[pleach::rpc]
async fn identity(value: Option<u32>) -> Result<Option<u32>> {
    Ok(value)
}

#[pleach::rpc]
async fn nothing() -> Result<()> {
    Ok(())
}

#[pleach::rpc]
async fn no() -> Result<bool> {
    Ok(false)
}

#[pleach::rpc]
async fn blob() -> Result<Blob> {
    Ok(Blob(vec![0; 100_000].into()))
}

#[pleach::rpc]
async fn fail(text: String) -> anyhow::Result<()> {
    anyhow::bail!(text)
}

/// Notes its process id and never returns.
#[pleach::rpc]
async fn stay(notes: String) -> Result<()> {
    note(&notes, std::process::id().to_string());
    std::future::pending().await
}

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for protocol in ALL {
        tests.push(test(format!("structure::results_are_kept_over_{protocol}"), move || results_are_kept(protocol)));
        tests.push(test(format!("structure::a_failed_one_shot_cancels_the_body_at_once_over_{protocol}"), move || {
            a_failed_one_shot_cancels_the_body_at_once(protocol)
        }));
    }
    tests.push(test_fn(what_the_body_returns_comes_back_as_it_was));
    tests.push(test_fn(several_failures_are_a_group));
    tests.push(test_fn(a_failing_body_ends_its_children));
    tests.push(test_fn(a_closed_nursery_starts_nothing));
    tests.push(test_fn(a_cancelled_scope_lets_its_nursery_clean_up));
    tests.push(test_fn(an_actor_has_one_root));
    tests.push(test_fn(a_nursery_waits_for_its_daemons));
    tests
}

// S30, S31
async fn results_are_kept(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        let (some, none, unit, no, blob) = pleach::open_nursery(async |n| {
            let some = n.run_in_actor(identity(Some(3))).await?;
            let none = n.run_in_actor(identity(None)).name("named").await?;
            let unit = n.run_in_actor(nothing()).await?;
            let (no, blob) = (n.run_in_actor(no()).await?, n.run_in_actor(blob()).await?);
            assert_eq!((some.id().name(), none.id().name()), ("identity", "named"));
            assert_eq!(some.result().await?, Some(3));
            Ok::<_, Error>((some, none, unit, no, blob))
        })
        .await?;
        for _ in 0..3 {
            assert_eq!((some.result().await?, none.result().await?), (Some(3), None));
            unit.result().await?;
            assert_eq!((no.result().await?, blob.result().await?.0.len()), (false, 100_000));
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_failed_one_shot_cancels_the_body_at_once(protocol: &'static str) {
    in_root(over(protocol), async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let idle = n.start_actor("idle").await?;
            let failing = n.run_in_actor(fail("as planned".into())).await?;
            let (_, _) = (idle, failing);
            std::future::pending().await
        })
        .await;
        assert_says(&ended, &["as planned", "`fail`"]);
        assert!(matches!(ended, Err(Error::Remote(_))), "{ended:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[derive(Debug, thiserror::Error)]
enum Own {
    #[error("mine")]
    Mine,
    #[error(transparent)]
    Runtime(#[from] Error),
}

async fn what_the_body_returns_comes_back_as_it_was() {
    in_root(over("mem"), async |_| {
        let ended: Result<(), Own> = pleach::open_nursery(async |n| {
            n.start_actor("idle").await?;
            Err(Own::Mine)
        })
        .await;
        assert!(matches!(ended, Err(Own::Mine)), "{ended:?}");
        let boxed: anyhow::Result<()> = pleach::open_nursery(async |n| {
            n.run_in_actor(fail("inside".into())).await?.result().await?;
            anyhow::bail!("not reached")
        })
        .await;
        let error = boxed.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Error::Remote(_))), "{error:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn several_failures_are_a_group() {
    in_root(over("mem"), async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            // A shield lets the body fail too, after its child has: that may be before the body has its portal.
            shield(async { n.run_in_actor(fail("the child's".into())).await?.result().await }).await.unwrap_err();
            Err(Error::Usage("the body's".into()))
        })
        .await;
        match &ended {
            Err(Error::Group(group)) => assert_eq!(group.errors.len(), 2, "{ended:?}"),
            other => panic!("{other:?}"),
        }
        assert_says(&ended, &["the child's", "the body's"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_failing_body_ends_its_children() {
    let notes = Arc::new(Notes::new());
    in_root(over("uds"), async |_| {
        let mut watched = None;
        let ended: Result<()> = pleach::open_nursery(async |n| {
            n.run_in_actor(stay(notes.address())).await?;
            watched = Some(Watched::new(notes.expect_async("").await.parse().unwrap()));
            Err(Error::Usage("the body has had enough".into()))
        })
        .await;
        assert_says(&ended, &["the body has had enough"]);
        watched.unwrap().assert_gone_within(Duration::ZERO);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_closed_nursery_starts_nothing() {
    in_root(over("mem"), async |_| {
        let nursery = pleach::open_nursery(async |n| Ok::<_, Error>(n)).await?;
        assert_says(&nursery.start_actor("late").await, &["this nursery is closed"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_cancelled_scope_lets_its_nursery_clean_up() {
    let notes = Arc::new(Notes::new());
    in_root(over("uds"), async |_| {
        let (scope, mut watched) = (CancelScope::new(), None);
        let ended = scope
            .run(pleach::open_nursery(async |n| {
                n.run_in_actor(stay(notes.address())).await?;
                watched = Some(Watched::new(notes.expect_async("").await.parse().unwrap()));
                scope.cancel();
                std::future::pending::<Result<()>>().await
            }))
            .await;
        assert!(matches!(ended, Err(Error::Cancelled(_)) | Ok(Err(Error::Cancelled(_)))), "{ended:?}");
        watched.unwrap().assert_gone_within(Duration::ZERO);
        Ok(())
    })
    .await
    .unwrap();
}

// S98
async fn an_actor_has_one_root() {
    in_root(over("mem"), async |_| {
        let second: Result<()> = pleach::open_root(over("mem"), async |_| Ok(())).await;
        assert_says(&second, &["runs in actor `root`", "open a nursery instead"]);
        Ok(())
    })
    .await
    .unwrap();
}

async fn a_nursery_waits_for_its_daemons() {
    in_root(over("uds"), async |_| {
        let nursery = pleach::open_nursery(async |n| n.start_actor("daemon").await);
        let mut nursery = std::pin::pin!(nursery);
        let portal_is_due = tokio::time::timeout(Duration::from_millis(300), nursery.as_mut()).await;
        assert!(portal_is_due.is_err(), "the nursery left its daemon behind");
        Ok(())
    })
    .await
    .unwrap();
}
