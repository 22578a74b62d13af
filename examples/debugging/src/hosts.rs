//! Actors on other hosts stand still: the prompt is the root's.

use pleach::HostEntry;
use pleach::prelude::*;

/// Goes on along the hosts, one actor below the other, and pauses at the end; on the way back each pauses, too, with the
/// actor below it still there.
#[pleach::rpc]
async fn pause_along(hosts: Vec<HostEntry>) -> Result<u64> {
    let Some((next, rest)) = hosts.split_first() else {
        let secret = 42;
        pleach::pause().await;
        return Ok(secret);
    };
    pleach::open_nursery(async |n| {
        let below = n.start_actor(&next.name).enable(module_path!()).on(next.host.clone()).await?;
        let secret = below.run(pause_along(rest.to_vec())).await?;
        pleach::pause().await;
        let secret = below.run(return_it(secret)).await?; // it has not lost patience
        below.cancel_actor().await?;
        Ok(secret)
    })
    .await
}

#[pleach::rpc]
async fn return_it(secret: u64) -> Result<u64> {
    Ok(secret)
}

/// The hosts are those of the configuration (`PLEACH_HOSTS=ssh:node2,local`).
pub(super) async fn pause_one_below_the_other(hosts: Vec<HostEntry>) -> Result<()> {
    println!("the secret is {}", pause_along(hosts).await?);
    Ok(())
}

#[pleach::rpc]
async fn panic_at_once(order: u64) -> Result<u64> {
    let limit = 3;
    assert!(order < limit, "order {order}, and the limit is {limit}");
    Ok(order)
}

/// One panics at each of the hosts.
pub(super) async fn crash_at_once(hosts: Vec<HostEntry>) -> Result<()> {
    pleach::open_nursery(async |n| {
        let mut actors = Vec::new();
        for entry in hosts {
            actors.push(n.start_actor(entry.name).enable(module_path!()).on(entry.host).await?);
        }
        let crashes = actors.iter().map(|actor| actor.run(panic_at_once(7)));
        let crashed = futures_util::future::join_all(crashes).await;
        println!("{} have crashed", crashed.iter().filter(|crashed| crashed.is_err()).count());
        n.cancel().await;
        pleach::Ok(())
    })
    .await
}
