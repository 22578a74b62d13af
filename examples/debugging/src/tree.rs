//! Several actors stand still, one after the other or one above the other.

use pleach::prelude::*;

use super::worker::{parse, pause_once};

#[pleach::rpc]
async fn pause_twice() -> Result<()> {
    pleach::pause().await;
    pleach::pause().await;
    Ok(())
}

/// Fails `depth` levels below; the error stops once at each on its way up.
#[pleach::rpc]
async fn fail_below(depth: u32) -> Result<i64> {
    if depth == 0 {
        return parse("seven".into()).await;
    }
    let below = move |n: Nursery| async move {
        n.run_in_actor(fail_below(depth - 1)).name(format!("level-{depth}")).await?.result().await
    };
    pleach::open_nursery(below).await
}

#[pleach::rpc]
async fn pause_below(depth: u32) -> Result<u64> {
    if depth == 0 {
        return pause_once().await;
    }
    let below = move |n: Nursery| async move {
        n.run_in_actor(pause_below(depth - 1)).name(format!("level-{depth}")).await?.result().await
    };
    pleach::open_nursery(below).await
}

/// One pauses, one fails, and one fails below another one.
pub(super) async fn several_children_stop() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(pause_twice()).name("pauses").await?;
        n.run_in_actor(parse("seven".into())).name("fails").await?;
        n.run_in_actor(fail_below(1)).name("parent").await?;
        pleach::Ok(())
    })
    .await
}

pub(super) async fn two_crash_at_once() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(parse("seven".into())).name("alice").await?;
        n.run_in_actor(parse("eight".into())).name("bob").await?;
        pleach::Ok(())
    })
    .await
}

pub(super) async fn root_fails_beside_its_children() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(parse("seven".into())).name("fails").await?;
        n.run_in_actor(fail_below(1)).name("parent").await?;
        Err(Error::Usage("the root fails, too".into()))
    })
    .await
}

pub(super) async fn error_climbs() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(fail_below(2)).name("top").await?.result().await?;
        Ok(())
    })
    .await
}

/// Three levels down; nothing above loses patience, however long that takes.
pub(super) async fn leaf_pauses_deep_down() -> Result<()> {
    let secret = pleach::open_nursery(async |n| n.run_in_actor(pause_below(2)).name("top").await?.result().await);
    println!("the secret is {}", secret.await?);
    Ok(())
}

/// Prints and logs, by turns, until it is cancelled.
#[pleach::rpc]
async fn make_noise() -> Result<()> {
    for number in 1.. {
        println!("printed {number}.");
        eprintln!("logged {number}.");
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    Ok(())
}

/// What another actor writes is shown above the prompt.
pub(super) async fn pauses_beside_noise() -> Result<()> {
    pleach::open_nursery(async |n| {
        n.run_in_actor(make_noise()).name("noisy").await?;
        let secret = n.run_in_actor(pause_once()).name("worker").await?.result().await?;
        println!("the secret is {secret}");
        n.cancel().await;
        Ok(())
    })
    .await
}

/// As if it were on another host: it has a lease.
pub(super) async fn leaf_with_a_lease_pauses() -> Result<()> {
    let leased = async |n: Nursery| n.run_in_actor(pause_once()).name("leased").heartbeats().await?.result().await;
    println!("the secret is {}", pleach::open_nursery(leased).await?);
    Ok(())
}

/// The child has a lease, and its parent stands still.
pub(super) async fn root_pauses_above_a_lease() -> Result<()> {
    pleach::open_nursery(async |n| {
        let leased = n.start_actor("leased").enable(super::worker::MODULE).heartbeats().await?;
        pleach::pause().await;
        let failed = leased.run(parse("seven".into())).await.is_err();
        println!("it is there, and failed: {failed}");
        n.cancel().await;
        pleach::Ok(())
    })
    .await
}

/// More than a process answers at once.
pub(super) async fn many_crash_at_once() -> Result<()> {
    pleach::open_nursery(async |n| {
        for number in 1..=24 {
            n.run_in_actor(parse("seven".into())).name(format!("worker-{number}")).await?;
        }
        pleach::Ok(())
    })
    .await
}

/// Two daemons: one pauses when it is called, the other one fails.
pub(super) async fn daemons_stop() -> Result<()> {
    pleach::open_nursery(async |n| {
        let enabled = super::worker::MODULE;
        let first = n.start_actor("first").enable(enabled).await?;
        let second = n.start_actor("second").enable(enabled).await?;
        println!("the secret is {}", first.run(pause_once()).await?);
        second.run(parse("seven".into())).await?;
        pleach::Ok(())
    })
    .await
}
