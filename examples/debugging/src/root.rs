//! The root itself stands still, or has something to do with a child that does.

use std::time::Duration;

use pleach::Actor;
use pleach::prelude::*;

use super::worker::{parse, pause_once};

pub(super) async fn fails() -> Result<()> {
    Err(Error::Usage("the root fails".into()))
}

pub(super) async fn pauses() -> Result<()> {
    pleach::pause().await;
    println!("the root went on");
    Ok(())
}

pub(super) async fn pauses_for_ever() -> Result<()> {
    for round in 1.. {
        println!("round {round}");
        pleach::pause().await;
        pleach::scope::checkpoint()?; // `quit` at the prompt ends this
    }
    Ok(())
}

/// The child is hardly there when the root fails.
pub(super) async fn fails_after_a_start() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.start_actor("idle").await?;
        Err(Error::Usage("the root fails at once".into()))
    })
    .await
}

/// An error is shown although its actor is being cancelled: that is not what it says.
pub(super) async fn cancels_itself_and_fails(root: &Actor) -> Result<()> {
    root.cancel_soon();
    Err(Error::Usage("failed while it was cancelled".into()))
}

/// The root's patience ends after a second; the child at the prompt is not killed for that.
pub(super) async fn loses_patience_with_a_child() -> Result<()> {
    let ended = fail_after(
        Duration::from_secs(1),
        pleach::open_nursery(async |n| n.run_in_actor(parse("seven".into())).name("worker").await?.result().await),
    );
    println!("the root got: {}", ended.await.is_err());
    Ok(())
}

/// The child at the prompt ends in order after it went on.
pub(super) async fn is_cancelled_while_a_child_pauses(root: &Actor) -> Result<()> {
    let root = root.clone();
    pleach::open_nursery(async |n| {
        let paused = n.run_in_actor(pause_once()).name("worker").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        root.cancel_soon();
        paused.result().await?;
        Ok(())
    })
    .await
}

/// A thread that no scope owns pauses, and the program ends before it went on.
pub(super) fn leaves_while_a_thread_pauses() {
    std::thread::spawn(pleach::pause_from_sync);
    std::thread::park_timeout(Duration::from_secs(2)); // time to see the prompt
}
