//! A test of the program in the README, as its `src/tests.rs`.

use super::*;

#[pleach::test]
async fn a_worker_adds() -> Result<()> {
    pleach::open_nursery(async |n| {
        let worker = n.start_actor("worker").enable("quickstart").await?;
        assert_ne!(worker.id().pid(), std::process::id());
        assert_eq!(worker.run(add(1, 2)).await?, 3);
        worker.cancel_actor().await
    })
    .await
}
