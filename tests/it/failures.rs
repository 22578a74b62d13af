//! Failures of the runtime itself, beside the tasks of its callers: they end the actor, and go up.

use libtest_mimic::Trial;
use pleach::prelude::*;

use crate::support::{assert_says, in_nursery, in_root, over, test_fn};

#[pleach::rpc]
async fn starts_one_over(protocol: String) -> Result<()> {
    pleach::open_nursery(async |n| n.start_actor("below").transport(protocol).await?.cancel_actor().await).await
}

#[pleach::rpc]
async fn starts_one_below_over(protocol: String) -> Result<()> {
    pleach::open_nursery(async |n| {
        let low = n.start_actor("low").enable(module_path!()).await?;
        low.run(starts_one_over(protocol)).await
    })
    .await
}

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test_fn(what_fails_beside_the_tasks_of_a_child_fails_its_nursery),
        test_fn(what_fails_beside_the_tasks_climbs_the_tree),
        test_fn(what_fails_beside_the_tasks_of_the_root_is_its_error),
    ]
}

// S25
async fn what_fails_beside_the_tasks_of_a_child_fails_its_nursery() {
    in_root(over("uds"), async |_| {
        let ended: Result<()> = pleach::open_nursery(async |n| {
            let portal = n.start_actor("middle").enable(module_path!()).await?;
            // The nursery cancels this body, too; a shield lets it look first.
            let seen = shield(portal.run(starts_one_over("brittle".into()))).await;
            assert_says(&seen, &["a task panicked: the listener broke", "in the runtime of actor `middle`"]);
            std::future::pending().await
        })
        .await;
        assert_says(&ended, &["a task panicked: the listener broke", "in the runtime of actor `middle`"]);
        assert!(matches!(ended, Err(Error::Remote(_))), "{ended:?}");
        Ok(())
    })
    .await
    .unwrap();
}

// S25
async fn what_fails_beside_the_tasks_climbs_the_tree() {
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        n.run_in_actor(starts_one_below_over("brittle".into())).await?.result().await
    })
    .await;
    assert_says(&ended, &["a task panicked: the listener broke", "in the runtime of actor `low`", "relayed by"]);
}

// S25
async fn what_fails_beside_the_tasks_of_the_root_is_its_error() {
    let ended: Result<()> = in_nursery(over("uds"), async |n| {
        n.start_actor("never").transport("brittle").await?;
        Ok(())
    })
    .await;
    assert_says(&ended, &["a task panicked: the listener broke", "in the runtime of actor `root`"]);
}
